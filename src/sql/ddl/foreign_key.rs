//! Foreign keys: added, validated, and dropped with what they rely on.

use std::sync::Arc;

use crate::base::error::Severity;
use crate::base::{Error, Oid, Report, Result, SqlState, blocking};
use crate::sql::ast::{self, Ident, Name};
use crate::sql::ddl::constraint::joined;
use crate::sql::ddl::{Ddl, names};
use crate::sql::foreign_key::{check_deferred, comparable, validate};
use crate::sql::prepared::{bind_context, eval_context};
use crate::sql::system::names::{Relation, shown};
use crate::table::ddl::{new_oid, replace};
use crate::table::{Catalog, Deferral, ForeignKeyDef, IndexDef, TableDef};
use crate::txn::LockMode;

/// PostgreSQL's INDEX_MAX_KEYS.
const COLUMNS_MAX: usize = 32;

/// A foreign key that cannot stay.
pub(super) struct Lost {
    pub table: Oid,
    pub key: Arc<ForeignKeyDef>,
    /// What it relies on: `table p`.
    pub on: String,
}

impl Ddl<'_> {
    pub(super) async fn add_foreign_key(
        &mut self,
        table: &Arc<TableDef>,
        name: Option<&str>,
        key: &ast::ForeignKey,
    ) -> Result<Arc<TableDef>> {
        if let Some((message, position)) = key.refused {
            return Err(Error::new(SqlState::FEATURE_NOT_SUPPORTED, message).at(position));
        }
        let target = self.lock_referenced(&key.table).await?;
        // It may be the same table.
        let table = self.newest(table);
        if !table.unlogged && target.unlogged {
            let message = "constraints on permanent tables may reference only permanent tables";
            return Err(Error::new(SqlState::INVALID_TABLE_DEFINITION, message));
        }
        let columns = places(&table, &key.columns)?;
        let delete_sets = places(&table, &key.delete_sets)?;
        if let Some(place) = delete_sets.iter().find(|place| !columns.contains(place)) {
            let message = format!(
                "column \"{}\" referenced in ON DELETE SET action must be part of foreign key",
                table.columns[*place].name
            );
            return Err(Error::new(SqlState::INVALID_COLUMN_REFERENCE, message));
        }
        let (references, index) = referenced_columns(&target, &key.references)?;
        if columns.len() != references.len() {
            return Err(Error::new(
                SqlState::INVALID_FOREIGN_KEY,
                "number of referencing and referenced columns for foreign key disagree",
            ));
        }
        let catalog = self.txn.catalog();
        let name = match name {
            Some(name) => name.to_owned(),
            None => {
                let label = joined(&key.columns);
                let is_taken = |name: &str| names::is_constraint_in(&catalog, &table.schema, name);
                names::choose(&table.name, Some(&label), "fkey", is_taken)
            }
        };
        let new = ForeignKeyDef {
            oid: new_oid(self.txn),
            name,
            columns,
            table: target.oid,
            references,
            index,
            match_full: key.match_full,
            on_delete: key.on_delete,
            on_update: key.on_update,
            delete_sets,
            deferral: key.deferral,
            validated: !key.not_valid,
        };
        self.check_types(&table, &target, &new)?;
        let new = Arc::new(new);
        let mut changed = TableDef::clone(&table);
        changed.foreign_keys.push(Arc::clone(&new));
        let changed = replace(self.txn, changed)?;
        if new.validated {
            blocking(true, || validate(&new, &changed, self.txn, self.cx))?;
        }
        Ok(changed)
    }

    /// The table referred to, locked against writers, with a snapshot taken after.
    async fn lock_referenced(&mut self, name: &Name) -> Result<Arc<TableDef>> {
        loop {
            let target = self.resolve(name)?;
            self.lock_oid(target.oid, LockMode::ShareRowExclusive)
                .await?;
            let now = self.resolve(name)?;
            if now.oid == target.oid {
                return Ok(now);
            }
        }
    }

    fn check_types(&self, table: &TableDef, target: &TableDef, key: &ForeignKeyDef) -> Result<()> {
        let catalog = self.txn.catalog();
        let cx = bind_context(self.cx, &catalog);
        for (own, other) in key.columns.iter().zip(&key.references) {
            let (own, other) = (&table.columns[*own], &target.columns[*other]);
            if comparable(own.ty, other.ty, &cx)?.is_some() {
                continue;
            }
            let message = format!(
                "foreign key constraint \"{}\" cannot be implemented",
                key.name
            );
            let detail = format!(
                "Key columns \"{}\" and \"{}\" are of incompatible types: {} and {}.",
                own.name,
                other.name,
                own.ty.sql_name(),
                other.ty.sql_name()
            );
            return Err(Error::new(SqlState::DATATYPE_MISMATCH, message).with_detail(detail));
        }
        Ok(())
    }

    pub(super) async fn validate_constraint(
        &mut self,
        table: Arc<TableDef>,
        name: &str,
    ) -> Result<Arc<TableDef>> {
        if table.checks.iter().any(|check| check.name == name) {
            return Ok(table);
        }
        let key = find(&table, name, "foreign key or check constraint")?;
        if key.validated {
            return Ok(table);
        }
        self.lock_oid(key.table, LockMode::RowShare).await?;
        blocking(true, || validate(&key, &table, self.txn, self.cx))?;
        self.change_key(&table, &key, |key| key.validated = true)
    }

    pub(super) async fn alter_constraint(
        &mut self,
        table: Arc<TableDef>,
        name: &str,
        deferral: Deferral,
    ) -> Result<Arc<TableDef>> {
        let key = find(&table, name, "foreign key constraint")?;
        self.lock_oid(key.table, LockMode::AccessExclusive).await?;
        self.change_key(&table, &key, |key| {
            key.deferral = deferral;
        })
    }

    fn change_key(
        &mut self,
        table: &Arc<TableDef>,
        key: &Arc<ForeignKeyDef>,
        change: impl FnOnce(&mut ForeignKeyDef),
    ) -> Result<Arc<TableDef>> {
        let mut changed = TableDef::clone(&self.newest(table));
        let mut new = ForeignKeyDef::clone(key);
        change(&mut new);
        let new = Arc::new(new);
        for old in &mut changed.foreign_keys {
            if old.oid == key.oid {
                *old = Arc::clone(&new);
            }
        }
        replace(self.txn, changed)
    }

    /// Drops foreign keys of a table that is locked, locking those they refer to.
    pub(super) async fn drop_keys(
        &mut self,
        table: &Arc<TableDef>,
        is_dropped: impl Fn(&ForeignKeyDef) -> bool,
    ) -> Result<Arc<TableDef>> {
        let keys = table.foreign_keys.iter().filter(|key| is_dropped(key));
        for key in keys {
            self.lock_oid(key.table, LockMode::AccessExclusive).await?;
        }
        let mut changed = TableDef::clone(&self.newest(table));
        changed.foreign_keys.retain(|key| !is_dropped(key));
        replace(self.txn, changed)
    }

    /// Drops the foreign keys that cannot stay when something is dropped, or refuses to.
    pub(super) async fn drop_lost(
        &mut self,
        what: &str,
        lost: Vec<Lost>,
        cascade: bool,
    ) -> Result<()> {
        if lost.is_empty() {
            return Ok(());
        }
        if !cascade {
            let them = if what == SEVERAL { "them" } else { "it" };
            let message = format!("cannot drop {what} because other objects depend on {them}");
            let line = |lost: &Lost| format!("{} depends on {}", self.described(lost), lost.on);
            let lines: Vec<String> = lost.iter().map(line).collect();
            return Err(Error::new(SqlState::DEPENDENT_OBJECTS_STILL_EXIST, message)
                .with_detail(lines.join("\n"))
                .with_hint("Use DROP ... CASCADE to drop the dependent objects too."));
        }
        let line = |lost: &Lost| format!("drop cascades to {}", self.described(lost));
        let mut lines: Vec<String> = lost.iter().map(line).collect();
        let code = SqlState::SUCCESSFUL_COMPLETION;
        let notice = match (lines.len(), lines.pop()) {
            (1, Some(only)) => Report::new(Severity::Notice, code, only),
            (count, last) => {
                lines.extend(last);
                let message = format!("drop cascades to {count} other objects");
                let mut notice = Report::new(Severity::Notice, code, message);
                notice.detail = Some(lines.join("\n"));
                notice
            }
        };
        self.notices.push(notice);
        for lost in lost {
            self.lock_oid(lost.table, LockMode::AccessExclusive).await?;
            let catalog = self.txn.catalog();
            if let Some(table) = catalog.tables.get(&lost.table) {
                let mut changed = TableDef::clone(table);
                changed.foreign_keys.retain(|key| key.oid != lost.key.oid);
                replace(self.txn, changed)?;
            }
        }
        Ok(())
    }

    /// The foreign keys to a table that `is_lost` says yes of.
    pub(super) fn lost(
        &self,
        table: Oid,
        on: &str,
        is_lost: impl Fn(Oid, &ForeignKeyDef) -> bool,
    ) -> Vec<Lost> {
        let catalog = self.txn.catalog();
        let keys = catalog.references_to(table).into_iter();
        let lost = keys.filter(|(other, key)| is_lost(other.oid, key));
        lost.map(|(other, key)| Lost {
            table: other.oid,
            key: Arc::clone(key),
            on: on.to_owned(),
        })
        .collect()
    }

    fn described(&self, lost: &Lost) -> String {
        let catalog = self.txn.catalog();
        let table = catalog.tables.get(&lost.table);
        let table = table.map_or_else(String::new, |table| self.shown(&Relation::Table(table)));
        format!("constraint {} on table {table}", lost.key.name)
    }

    /// A relation's name as messages about what depends on it have it.
    pub(super) fn shown(&self, relation: &Relation<'_>) -> String {
        let catalog = self.txn.catalog();
        shown(&eval_context(&bind_context(self.cx, &catalog)), relation)
    }

    pub(super) async fn set_constraints(
        &mut self,
        names: &[Name],
        deferred: bool,
    ) -> Result<String> {
        let mut constraints = Vec::new();
        let catalog = self.txn.catalog();
        for name in names {
            constraints.extend(self.deferrable(name, deferred, &catalog)?);
        }
        let constraints = (!names.is_empty()).then_some(&constraints[..]);
        self.txn.set_deferred(constraints, deferred);
        if !deferred {
            check_deferred(self.txn, self.cx, false).await?;
        }
        Ok("SET CONSTRAINTS".to_owned())
    }

    /// The deferrable constraints of that name, in the first schema that has any of it.
    fn deferrable(&self, name: &Name, deferred: bool, catalog: &Catalog) -> Result<Vec<Oid>> {
        let parts: Vec<&str> = name.parts.iter().map(|part| part.name.as_str()).collect();
        let (schemas, constraint) = match parts[..] {
            [constraint] => (self.cx.session.search_path.clone(), constraint),
            [.., schema, constraint] => (vec![schema.to_owned()], constraint),
            [] => (Vec::new(), ""),
        };
        let mut in_schemas = schemas.iter();
        let is_in = |schema: &&String| names::is_constraint_in(catalog, schema, constraint);
        let Some(schema) = in_schemas.find(is_in) else {
            let message = format!("constraint \"{constraint}\" does not exist");
            return Err(Error::new(SqlState::UNDEFINED_OBJECT, message));
        };
        let tables = catalog
            .tables
            .values()
            .filter(|table| table.schema == *schema);
        let tables = tables.filter(|table| names::is_constraint(table, constraint));
        let mut constraints = Vec::new();
        for table in tables {
            let keys = table.foreign_keys.iter();
            let keys = keys.map(|key| (&key.name, key.oid, key.deferral));
            let indexes = table.indexes.iter().filter(|index| index.constraint);
            let indexes = indexes.map(|index| (&index.name, index.oid, index.deferral));
            let mut all = keys.chain(indexes);
            let found = all.find(|(name, _, deferral)| *name == constraint && deferral.deferrable);
            if found.is_none() && deferred {
                let message = format!("constraint \"{constraint}\" is not deferrable");
                return Err(Error::new(SqlState::WRONG_OBJECT_TYPE, message));
            }
            constraints.extend(found.map(|(_, oid, _)| oid));
        }
        Ok(constraints)
    }

    /// # Errors
    /// 55006 when checks wait that changes of the table brought about.
    pub(super) fn refuse_deferred(&self, table: &TableDef, what: &str) -> Result<()> {
        if !self.txn.has_deferred(table.oid) {
            return Ok(());
        }
        let message = format!(
            "cannot {what} \"{}\" because it has pending trigger events",
            table.name
        );
        Err(Error::new(SqlState::OBJECT_IN_USE, message))
    }
}

/// What PostgreSQL calls it when one statement drops several.
pub(super) const SEVERAL: &str = "desired object(s)";

fn find(table: &TableDef, name: &str, what: &str) -> Result<Arc<ForeignKeyDef>> {
    let mut keys = table.foreign_keys.iter();
    if let Some(key) = keys.find(|key| key.name == name) {
        return Ok(Arc::clone(key));
    }
    let about = format!("constraint \"{name}\" of relation \"{}\"", table.name);
    Err(match names::is_constraint(table, name) {
        true => Error::new(
            SqlState::WRONG_OBJECT_TYPE,
            format!("{about} is not a {what}"),
        ),
        false => Error::new(
            SqlState::UNDEFINED_OBJECT,
            format!("{about} does not exist"),
        ),
    })
}

fn places(table: &TableDef, columns: &[Ident]) -> Result<Vec<usize>> {
    if columns.len() > COLUMNS_MAX {
        let message = format!("cannot have more than {COLUMNS_MAX} keys in a foreign key");
        return Err(Error::new(SqlState::TOO_MANY_COLUMNS, message));
    }
    let place = |column: &Ident| {
        table.column(&column.name).ok_or_else(|| {
            let message = format!(
                "column \"{}\" referenced in foreign key constraint does not exist",
                column.name
            );
            Error::new(SqlState::UNDEFINED_COLUMN, message)
        })
    };
    columns.iter().map(place).collect()
}

/// The columns a foreign key refers to, and the unique index over them that it relies on.
fn referenced_columns(target: &TableDef, references: &[Ident]) -> Result<(Vec<usize>, Oid)> {
    if references.is_empty() {
        let Some(key) = target.primary_key() else {
            let message = format!(
                "there is no primary key for referenced table \"{}\"",
                target.name
            );
            return Err(Error::new(SqlState::UNDEFINED_OBJECT, message));
        };
        if !key.unique {
            return Err(not_immediate("primary key", target));
        }
        let columns = key.columns.iter().map(|column| column.column);
        return Ok((columns.collect(), key.oid));
    }
    let places = places(target, references)?;
    if (1..places.len()).any(|i| places[..i].contains(&places[i])) {
        return Err(Error::new(
            SqlState::INVALID_FOREIGN_KEY,
            "foreign key referenced-columns list must not contain duplicates",
        ));
    }
    let of_places = |index: &&Arc<IndexDef>| {
        let mut columns = index.columns.iter();
        index.is_unique()
            && index.columns.len() == places.len()
            && columns.all(|c| places.contains(&c.column))
    };
    let mut matching = target.indexes.iter().filter(of_places).peekable();
    let is_any = matching.peek().is_some();
    match matching.find(|index| index.unique) {
        Some(index) => Ok((places, index.oid)),
        None if is_any => Err(not_immediate("unique constraint", target)),
        None => Err(Error::new(
            SqlState::INVALID_FOREIGN_KEY,
            format!(
                "there is no unique constraint matching given keys for referenced table \"{}\"",
                target.name
            ),
        )),
    }
}

fn not_immediate(what: &str, target: &TableDef) -> Error {
    let message = format!(
        "cannot use a deferrable {what} for referenced table \"{}\"",
        target.name
    );
    Error::new(SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE, message)
}
