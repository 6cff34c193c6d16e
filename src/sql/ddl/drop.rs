//! DROP and TRUNCATE.

use std::sync::Arc;

use crate::base::{Error, Oid, Result, SqlState};
use crate::sql::ast::{Name, ObjectKind};
use crate::sql::bind::resolve_sequence;
use crate::sql::ddl::foreign_key::SEVERAL;
use crate::sql::ddl::names::quoted;
use crate::sql::ddl::{Ddl, identity_table};
use crate::sql::prepared::bind_context;
use crate::sql::system::names::Relation;
use crate::table::ddl::{drop_index, drop_table, truncate};
use crate::table::{IndexDef, SequenceDef, TableDef};
use crate::txn::LockMode;

type FoundIndex = (Arc<TableDef>, Arc<IndexDef>);

impl Ddl<'_> {
    pub(super) async fn drop(
        &mut self,
        kind: ObjectKind,
        names: &[Name],
        if_exists: bool,
        cascade: bool,
    ) -> Result<String> {
        let what = match kind {
            ObjectKind::Table => "table",
            ObjectKind::Index => "index",
            ObjectKind::View => "view",
            ObjectKind::Sequence => "sequence",
            ObjectKind::Schema => return Err(Error::unsupported("DROP SCHEMA is")),
        };
        let mut tables = Vec::new();
        let mut sequences = Vec::new();
        for name in names {
            let missing = match kind {
                ObjectKind::Index => self.drop_index_named(name, cascade).await?,
                ObjectKind::Table => {
                    let table = self.lock_for_drop(name).await?;
                    let missing = table.is_none();
                    tables.extend(table);
                    missing
                }
                ObjectKind::Sequence => {
                    let sequence = self.sequence_to_drop(name).await?;
                    let missing = sequence.is_none();
                    sequences.extend(sequence);
                    missing
                }
                _ => true,
            };
            if !missing {
                continue;
            }
            let last = name.parts.last().map_or("", |part| part.name.as_str());
            self.refuse_other_kind(name, what)?;
            let message = format!("{what} \"{last}\" does not exist");
            let code = match kind {
                ObjectKind::Index => SqlState::UNDEFINED_OBJECT,
                _ => SqlState::UNDEFINED_TABLE,
            };
            if !if_exists {
                return Err(Error::new(code, message));
            }
            // PostgreSQL's notices of this kind carry the code of success.
            self.notice(
                SqlState::SUCCESSFUL_COMPLETION,
                format!("{message}, skipping"),
            );
        }
        self.drop_tables(tables, cascade).await?;
        self.drop_sequences(sequences, cascade)?;
        Ok(format!("DROP {}", what.to_ascii_uppercase()))
    }

    /// The relation of that name, if there is one.
    pub(super) fn find(&self, name: &Name) -> Result<Option<Arc<TableDef>>> {
        let catalog = self.txn.catalog();
        let parts: Vec<&str> = name.parts.iter().map(|part| part.name.as_str()).collect();
        Ok(match parts[..] {
            [table] => catalog.find(&self.cx.session.search_path, table).cloned(),
            [schema, table] | [_, schema, table] => catalog.table(schema, table).cloned(),
            _ => None,
        })
    }

    pub(super) fn find_sequence(&self, name: &Name) -> Option<Arc<SequenceDef>> {
        let catalog = self.txn.catalog();
        resolve_sequence(name, &bind_context(self.cx, &catalog))
            .ok()
            .cloned()
    }

    /// A sequence that is not a column's identity, locked.
    async fn sequence_to_drop(&mut self, name: &Name) -> Result<Option<Arc<SequenceDef>>> {
        if self.find_sequence(name).is_none() {
            return Ok(None);
        }
        let sequence = self.lock_sequence(LockMode::AccessExclusive, name).await?;
        let catalog = self.txn.catalog();
        let Some((table, column)) = identity_table(&catalog, &sequence) else {
            return Ok(Some(sequence));
        };
        let column = format!("column {column} of table {}", table.name);
        let message = format!(
            "cannot drop sequence {} because {column} requires it",
            quoted(&sequence.name)
        );
        let error = Error::new(SqlState::DEPENDENT_OBJECTS_STILL_EXIST, message);
        Err(error.with_hint(format!("You can drop {column} instead.")))
    }

    fn drop_sequences(&mut self, sequences: Vec<Arc<SequenceDef>>, cascade: bool) -> Result<()> {
        for sequence in sequences {
            let what = format!("sequence {}", quoted(&sequence.name));
            if self.txn.catalog().sequences.contains_key(&sequence.oid) {
                self.drop_sequence(&sequence, &what, cascade, &[])?;
            }
        }
        Ok(())
    }

    fn find_index(&self, name: &Name) -> Option<FoundIndex> {
        let catalog = self.txn.catalog();
        let parts: Vec<&str> = name.parts.iter().map(|part| part.name.as_str()).collect();
        let found = match parts[..] {
            [index] => {
                let mut path = self.cx.session.search_path.iter();
                path.find_map(|schema| catalog.index(schema, index))
            }
            [schema, index] | [_, schema, index] => catalog.index(schema, index),
            _ => None,
        };
        found.map(|(table, index)| (Arc::clone(table), Arc::clone(index)))
    }

    /// A name that means something of another kind is told apart from one that means nothing.
    fn refuse_other_kind(&self, name: &Name, what: &str) -> Result<()> {
        let last = name.parts.last().map_or("", |part| part.name.as_str());
        let hint = if self.find(name)?.is_some() {
            "Use DROP TABLE to remove a table."
        } else if self.find_index(name).is_some() {
            "Use DROP INDEX to remove an index."
        } else if self.find_sequence(name).is_some() {
            "Use DROP SEQUENCE to remove a sequence."
        } else {
            return Ok(());
        };
        let article = if what == "index" { "an" } else { "a" };
        let message = format!("\"{last}\" is not {article} {what}");
        Err(Error::new(SqlState::WRONG_OBJECT_TYPE, message).with_hint(hint))
    }

    async fn lock_for_drop(&mut self, name: &Name) -> Result<Option<Arc<TableDef>>> {
        while let Some(table) = self.find(name)? {
            self.lock_oid(table.oid, LockMode::AccessExclusive).await?;
            if let Some(now) = self.find(name)?
                && now.oid == table.oid
            {
                self.refuse_deferred(&now, "DROP TABLE")?;
                return Ok(Some(now));
            }
        }
        Ok(None)
    }

    async fn drop_tables(&mut self, mut tables: Vec<Arc<TableDef>>, cascade: bool) -> Result<()> {
        tables.dedup_by_key(|table| table.oid);
        let dropped: Vec<Oid> = tables.iter().map(|table| table.oid).collect();
        let mut lost = Vec::new();
        // The last one first, as PostgreSQL tells of them.
        for table in tables.iter().rev() {
            let on = format!("table {}", self.shown(&Relation::Table(table)));
            lost.extend(self.lost(table.oid, &on, |other, _| !dropped.contains(&other)));
        }
        let what = match &tables[..] {
            [table] => format!("table {}", self.shown(&Relation::Table(table))),
            _ => SEVERAL.to_owned(),
        };
        self.drop_lost(&what, lost, cascade).await?;
        for table in &tables {
            let what = format!("table {}", self.shown(&Relation::Table(table)));
            for sequence in self.lock_owned(table, None).await? {
                self.drop_sequence(&sequence, &what, cascade, &dropped)?;
            }
        }
        for table in &tables {
            let table = self.drop_keys(table, |_| true).await?;
            drop_table(self.txn, &table)?;
        }
        Ok(())
    }

    /// Whether there was no index of that name.
    async fn drop_index_named(&mut self, name: &Name, cascade: bool) -> Result<bool> {
        loop {
            let Some((table, index)) = self.find_index(name) else {
                return Ok(true);
            };
            self.lock_oid(table.oid, LockMode::AccessExclusive).await?;
            let Some((table, now)) = self.find_index(name).filter(|(_, i)| i.oid == index.oid)
            else {
                continue;
            };
            if now.constraint {
                let object = format!("constraint {} on table {}", now.name, table.name);
                let message = format!(
                    "cannot drop index {} because {object} requires it",
                    now.name
                );
                return Err(Error::new(SqlState::DEPENDENT_OBJECTS_STILL_EXIST, message)
                    .with_hint(format!("You can drop {object} instead.")));
            }
            let what = format!("index {}", self.shown(&Relation::Index(&table, &now)));
            let lost = self.lost(table.oid, &what, |_, key| key.index == now.oid);
            self.drop_lost(&what, lost, cascade).await?;
            drop_index(self.txn, &self.newest(&table), now.oid)?;
            return Ok(false);
        }
    }

    pub(super) async fn truncate(
        &mut self,
        names: &[Name],
        restart_identity: bool,
        cascade: bool,
    ) -> Result<String> {
        let mut tables: Vec<Arc<TableDef>> = Vec::new();
        for name in names {
            if self.find(name)?.is_none() && self.find_index(name).is_some() {
                let last = name.parts.last().map_or("", |part| part.name.as_str());
                let message = format!("\"{last}\" is not a table");
                return Err(Error::new(SqlState::WRONG_OBJECT_TYPE, message));
            }
            let table = self.lock(name).await?;
            self.refuse_deferred(&table, "TRUNCATE")?;
            if !tables.iter().any(|t| t.oid == table.oid) {
                tables.push(table);
            }
        }
        self.include_referring(&mut tables, cascade).await?;
        for table in &tables {
            truncate(self.txn, table)?;
            if restart_identity {
                self.restart_owned(table).await?;
            }
        }
        Ok("TRUNCATE TABLE".to_owned())
    }

    /// Adds the tables with foreign keys to those to be emptied, or refuses to.
    async fn include_referring(
        &mut self,
        tables: &mut Vec<Arc<TableDef>>,
        cascade: bool,
    ) -> Result<()> {
        let mut next = 0;
        while let Some(table) = tables.get(next).cloned() {
            next += 1;
            let catalog = self.txn.catalog();
            for (other, _) in catalog.references_to(table.oid) {
                if tables.iter().any(|t| t.oid == other.oid) {
                    continue;
                }
                if !cascade {
                    return Err(referred_to(&table, other));
                }
                let message = format!("truncate cascades to table \"{}\"", other.name);
                self.notice(SqlState::SUCCESSFUL_COMPLETION, message);
                self.lock_oid(other.oid, LockMode::AccessExclusive).await?;
                let other = self.newest(other);
                self.refuse_deferred(&other, "TRUNCATE")?;
                tables.push(other);
            }
        }
        Ok(())
    }
}

fn referred_to(table: &TableDef, by: &TableDef) -> Error {
    Error::new(
        SqlState::FEATURE_NOT_SUPPORTED,
        "cannot truncate a table referenced in a foreign key constraint",
    )
    .with_detail(format!(
        "Table \"{}\" references \"{}\".",
        by.name, table.name
    ))
    .with_hint(format!(
        "Truncate table \"{}\" at the same time, or use TRUNCATE ... CASCADE.",
        by.name
    ))
}
