//! ALTER TABLE.

use std::sync::Arc;

use crate::base::{Error, Result, SqlState};
use crate::sql::ast::{AlterAction, AlterTable, ConstraintKind, Expr, Ident, TableConstraint};
use crate::sql::bind::bind_default;
use crate::sql::ddl::create::default_text;
use crate::sql::ddl::{Ddl, names};
use crate::sql::plan::columns_of;
use crate::sql::prepared::{bind_context, checks};
use crate::sql::system::names::Relation;
use crate::table::ddl::{drop_index, replace};
use crate::table::{ForeignKeyDef, SequenceDef, TableDef};
use crate::txn::LockMode;

impl Ddl<'_> {
    pub(super) async fn alter_table(&mut self, alter: &AlterTable) -> Result<String> {
        let tag = "ALTER TABLE".to_owned();
        let exists = |ddl: &Self| -> Result<bool> {
            let name = &alter.table;
            Ok(ddl.find(name)?.is_some() || ddl.find_sequence(name).is_some())
        };
        if alter.if_exists && !exists(self)? {
            let name = alter
                .table
                .parts
                .last()
                .map_or("", |part| part.name.as_str());
            let message = format!("relation \"{name}\" does not exist, skipping");
            self.notice(SqlState::UNDEFINED_TABLE, message);
            return Ok(tag);
        }
        if let Some(sequence) = self.find_sequence(&alter.table) {
            self.alter_as_table(&sequence, alter).await?;
            return Ok(tag);
        }
        let mode = lock_mode(&alter.actions);
        let mut table = self.lock_in(mode, &alter.table).await?;
        self.refuse_deferred(&table, "ALTER TABLE")?;
        for action in &alter.actions {
            table = self.alter(table, action).await?;
        }
        Ok(tag)
    }

    /// ALTER TABLE of a sequence: all it can do is rename it.
    async fn alter_as_table(&mut self, sequence: &SequenceDef, alter: &AlterTable) -> Result<()> {
        let what = match alter.actions.as_slice() {
            [AlterAction::RenameTable { to }] => {
                let mode = LockMode::AccessExclusive;
                let sequence = self.lock_sequence(mode, &alter.table).await?;
                return self.rename_sequence(&sequence, &to.name);
            }
            [AlterAction::Unsupported(what), ..] => {
                return Err(Error::unsupported(format!("{what} is")));
            }
            [AlterAction::AddColumn { .. }, ..] => "ADD COLUMN",
            [AlterAction::DropColumn { .. }, ..] => "DROP COLUMN",
            [AlterAction::AddConstraint(_), ..] => "ADD CONSTRAINT",
            [AlterAction::DropConstraint { .. }, ..] => "DROP CONSTRAINT",
            [AlterAction::SetDefault { .. }, ..] => "ALTER COLUMN ... SET DEFAULT",
            [AlterAction::SetNotNull { not_null: true, .. }, ..] => "ALTER COLUMN ... SET NOT NULL",
            [AlterAction::SetNotNull { .. }, ..] => "ALTER COLUMN ... DROP NOT NULL",
            _ => {
                let message = format!("\"{}\" is not a table", sequence.name);
                return Err(Error::new(SqlState::WRONG_OBJECT_TYPE, message));
            }
        };
        let message = format!(
            "ALTER action {what} cannot be performed on relation \"{}\"",
            sequence.name
        );
        Err(Error::new(SqlState::WRONG_OBJECT_TYPE, message)
            .with_detail("This operation is not supported for sequences."))
    }

    async fn alter(&mut self, table: Arc<TableDef>, action: &AlterAction) -> Result<Arc<TableDef>> {
        match action {
            AlterAction::AddConstraint(constraint) => self.add_constraint(table, constraint).await,
            AlterAction::AddColumn {
                column,
                if_not_exists,
            } => self.add_column(table, column, *if_not_exists).await,
            AlterAction::DropColumn {
                column,
                if_exists,
                cascade,
            } => self.drop_column(table, column, *if_exists, *cascade).await,
            AlterAction::DropConstraint {
                name,
                if_exists,
                cascade,
            } => {
                self.drop_constraint(table, &name.name, *if_exists, *cascade)
                    .await
            }
            AlterAction::ValidateConstraint { name } => {
                self.validate_constraint(table, &name.name).await
            }
            AlterAction::AlterConstraint { name, deferral } => {
                self.alter_constraint(table, &name.name, *deferral).await
            }
            AlterAction::SetDefault { column, default } => {
                self.set_default(&table, column, default.as_ref())
            }
            AlterAction::SetNotNull { column, not_null } => {
                let place = existing(&table, column)?;
                if *not_null {
                    return self.set_not_null(&table, &[place]);
                }
                if table.columns[place].identity.is_some() {
                    return Err(is_identity(&table, column));
                }
                let mut keys = table.primary_key().into_iter().flat_map(|key| &key.columns);
                if keys.any(|key| key.column == place) {
                    let message = format!("column \"{}\" is in a primary key", column.name);
                    return Err(Error::new(SqlState::INVALID_TABLE_DEFINITION, message));
                }
                let mut changed = TableDef::clone(&table);
                changed.columns[place].not_null = false;
                replace(self.txn, changed)
            }
            AlterAction::Identity { column, change } => {
                self.alter_identity(&table, column, change).await
            }
            AlterAction::RenameColumn { from, to } => self.rename_column(&table, from, to),
            AlterAction::RenameTable { to } => {
                if names::is_relation(&self.txn.catalog(), &table.schema, &to.name) {
                    let message = format!("relation \"{}\" already exists", to.name);
                    return Err(Error::new(SqlState::DUPLICATE_TABLE, message));
                }
                let mut changed = TableDef::clone(&table);
                changed.name = to.name.clone();
                replace(self.txn, changed)
            }
            AlterAction::Unsupported(what) => Err(Error::unsupported(format!("{what} is"))),
        }
    }

    async fn drop_column(
        &mut self,
        table: Arc<TableDef>,
        column: &Ident,
        if_exists: bool,
        cascade: bool,
    ) -> Result<Arc<TableDef>> {
        let place = match existing(&table, column) {
            Ok(place) => place,
            Err(e) if if_exists => {
                let message = format!("{}, skipping", e.report().message);
                self.notice(SqlState::UNDEFINED_COLUMN, message);
                return Ok(table);
            }
            Err(e) => return Err(e),
        };
        let shown = self.shown(&Relation::Table(&table));
        let what = format!("column {} of table {shown}", column.name);
        // The table's own keys go with the column.
        let lost = self.lost(table.oid, &what, |other, key| {
            key.references.contains(&place) && !(other == table.oid && key.columns.contains(&place))
        });
        self.drop_lost(&what, lost, cascade).await?;
        let table = self.newest(&table);
        for sequence in self.lock_owned(&table, Some(place)).await? {
            self.drop_sequence(&sequence, &what, cascade, &[table.oid])?;
        }
        let table = self.newest(&table);
        let of_column = |key: &ForeignKeyDef| key.columns.contains(&place);
        let mut table = self.drop_keys(&table, of_column).await?;
        let with_column =
            |index: &&Arc<crate::table::IndexDef>| index.columns.iter().any(|c| c.column == place);
        while let Some(index) = table.indexes.iter().find(with_column) {
            let oid = index.oid;
            table = drop_index(self.txn, &table, oid)?;
        }
        let catalog = self.txn.catalog();
        let bound = checks(&table, &bind_context(self.cx, &catalog))?;
        let mut changed = TableDef::clone(&table);
        let uses = |name: &str| {
            let check = bound.iter().find(|check| check.name == name);
            check.is_some_and(|check| columns_of(&check.condition).contains(&place))
        };
        changed.checks.retain(|check| !uses(&check.name));
        let dropped = &mut changed.columns[place];
        dropped.dropped = true;
        dropped.not_null = false;
        dropped.default = None;
        dropped.identity = None;
        dropped.name = format!("........pg.dropped.{}........", place + 1);
        replace(self.txn, changed)
    }

    async fn drop_constraint(
        &mut self,
        table: Arc<TableDef>,
        name: &str,
        if_exists: bool,
        cascade: bool,
    ) -> Result<Arc<TableDef>> {
        let index = table
            .indexes
            .iter()
            .find(|index| index.constraint && index.name == name);
        if let Some(index) = index {
            let oid = index.oid;
            let what = format!(
                "constraint {name} on table {}",
                self.shown(&Relation::Table(&table))
            );
            let on = format!("index {}", self.shown(&Relation::Index(&table, index)));
            let lost = self.lost(table.oid, &on, |_, key| key.index == oid);
            self.drop_lost(&what, lost, cascade).await?;
            let table = self.newest(&table);
            return drop_index(self.txn, &table, oid);
        }
        if !names::is_constraint(&table, name) {
            let message = format!(
                "constraint \"{name}\" of relation \"{}\" does not exist",
                table.name
            );
            if if_exists {
                self.notice(SqlState::UNDEFINED_OBJECT, format!("{message}, skipping"));
                return Ok(table);
            }
            return Err(Error::new(SqlState::UNDEFINED_OBJECT, message));
        }
        let table = self.drop_keys(&table, |key| key.name == name).await?;
        let mut changed = TableDef::clone(&table);
        changed.checks.retain(|check| check.name != name);
        replace(self.txn, changed)
    }

    fn set_default(
        &mut self,
        table: &Arc<TableDef>,
        column: &Ident,
        default: Option<&(Expr, String)>,
    ) -> Result<Arc<TableDef>> {
        let place = existing(table, column)?;
        if table.columns[place].identity.is_some() {
            let error = is_identity(table, column);
            let hint = "Use ALTER TABLE ... ALTER COLUMN ... DROP IDENTITY instead.";
            return Err(match default {
                Some(_) => error,
                None => error.with_hint(hint),
            });
        }
        let mut changed = TableDef::clone(table);
        let def = &mut changed.columns[place];
        def.default = match default {
            Some((expr, text)) => {
                let catalog = self.txn.catalog();
                let cx = bind_context(self.cx, &catalog);
                let bound = bind_default(expr, &def.name, def.ty, def.typmod, &cx)?;
                default_text(&bound, text, def.typmod)
            }
            None => None,
        };
        replace(self.txn, changed)
    }

    fn rename_column(
        &mut self,
        table: &Arc<TableDef>,
        from: &Ident,
        to: &Ident,
    ) -> Result<Arc<TableDef>> {
        let Some(place) = table.column(&from.name) else {
            let message = format!("column \"{}\" does not exist", from.name);
            return Err(Error::new(SqlState::UNDEFINED_COLUMN, message));
        };
        if table.column(&to.name).is_some() {
            let message = already_there(table, &to.name);
            return Err(Error::new(SqlState::DUPLICATE_COLUMN, message));
        }
        let catalog = self.txn.catalog();
        let bound = checks(table, &bind_context(self.cx, &catalog))?;
        // Conditions are kept as text, which would go on naming the old column.
        if bound
            .iter()
            .any(|check| columns_of(&check.condition).contains(&place))
        {
            return Err(Error::unsupported("renaming a column that a CHECK uses is"));
        }
        let mut changed = TableDef::clone(table);
        changed.columns[place].name = to.name.clone();
        replace(self.txn, changed)
    }
}

/// The strongest mode that an action needs.
fn lock_mode(actions: &[AlterAction]) -> LockMode {
    let is_foreign =
        |constraint: &TableConstraint| matches!(constraint.kind, ConstraintKind::ForeignKey(_));
    let modes = actions.iter().map(|action| match action {
        AlterAction::AddConstraint(added) if is_foreign(added) => LockMode::ShareRowExclusive,
        AlterAction::ValidateConstraint { .. } => LockMode::ShareUpdateExclusive,
        _ => LockMode::AccessExclusive,
    });
    modes.max().unwrap_or(LockMode::AccessExclusive)
}

fn is_identity(table: &TableDef, column: &Ident) -> Error {
    let message = format!(
        "column \"{}\" of relation \"{}\" is an identity column",
        column.name, table.name
    );
    Error::new(SqlState::SYNTAX_ERROR, message)
}

pub(super) fn already_there(table: &TableDef, column: &str) -> String {
    format!(
        "column \"{column}\" of relation \"{}\" already exists",
        table.name
    )
}

pub(super) fn existing(table: &TableDef, column: &Ident) -> Result<usize> {
    table.column(&column.name).ok_or_else(|| {
        let message = format!(
            "column \"{}\" of relation \"{}\" does not exist",
            column.name, table.name
        );
        Error::new(SqlState::UNDEFINED_COLUMN, message)
    })
}
