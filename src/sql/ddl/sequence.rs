//! CREATE and ALTER SEQUENCE, and the sequences that columns own.

use std::sync::Arc;

use crate::base::{Error, Result, SqlState};
use crate::sql::ast::{self, AlterSequence, AlterSequenceAction, CreateSequence, Name};
use crate::sql::bind::resolve_sequence;
use crate::sql::ddl::names::{self, new_name};
use crate::sql::ddl::sequence_params::{self, Defaults};
use crate::sql::ddl::{Ddl, alter};
use crate::sql::prepared::bind_context;
use crate::table::ddl::{
    create_sequence, drop_sequence, replace, replace_sequence, restart_sequence,
};
use crate::table::{Identity, Position, SequenceDef, SequenceOwner, TableDef};
use crate::txn::LockMode;

/// The sequence that a new column asks for.
pub(super) struct Wanted {
    params: sequence_params::Made,
    name: Option<Name>,
    /// `None`: a serial column.
    always: Option<bool>,
}

impl Wanted {
    /// For a column of a type, which must be an integer.
    pub(super) fn identity(column: &ast::IdentityColumn, ty: crate::types::Type) -> Result<Wanted> {
        let options = &column.options;
        if let Some((_, at)) = options.ty {
            let message = "conflicting or redundant options";
            return Err(Error::new(SqlState::SYNTAX_ERROR, message).at(at));
        }
        Ok(Wanted {
            params: sequence_params::make(options, Defaults::Identity(ty))?,
            name: options.name.as_ref().map(|(name, _)| name.clone()),
            always: Some(column.always),
        })
    }

    pub(super) fn serial(ty: crate::types::Type) -> Result<Wanted> {
        let options = ast::SequenceOptions::default();
        Ok(Wanted {
            params: sequence_params::make(&options, Defaults::Serial(ty))?,
            name: None,
            always: None,
        })
    }
}

impl Ddl<'_> {
    pub(super) async fn create_sequence(&mut self, create: &CreateSequence) -> Result<String> {
        let tag = "CREATE SEQUENCE".to_owned();
        let catalog = self.txn.catalog();
        let (schema, name) = new_name(&create.name, &catalog, &self.cx.session)?;
        if create.if_not_exists && catalog.is_relation(&schema, &name) {
            let message = format!("relation \"{name}\" already exists, skipping");
            self.notice(SqlState::DUPLICATE_TABLE, message);
            return Ok(tag);
        }
        let made = sequence_params::make(&create.options, Defaults::New)?;
        let (params, at) = (made.params, made.at);
        let names = (schema, name);
        let sequence = create_sequence(self.txn, names, params, at, &self.cx.cancel).await?;
        if let Some(owner) = &create.options.owned_by {
            self.set_owner(&sequence, owner.as_ref()).await?;
        }
        Ok(tag)
    }

    pub(super) async fn alter_sequence(&mut self, alter: &AlterSequence) -> Result<String> {
        let tag = "ALTER SEQUENCE".to_owned();
        let mode = match alter.action {
            AlterSequenceAction::Options(_) => LockMode::ShareRowExclusive,
            AlterSequenceAction::Rename(_) => LockMode::AccessExclusive,
        };
        let sequence = match self.lock_sequence(mode, &alter.name).await {
            Err(e) if alter.if_exists && e.sqlstate() == SqlState::UNDEFINED_TABLE => {
                let message = format!("{}, skipping", e.report().message);
                self.notice(SqlState::SUCCESSFUL_COMPLETION, message);
                return Ok(tag);
            }
            sequence => sequence?,
        };
        match &alter.action {
            AlterSequenceAction::Options(options) => {
                self.change_sequence(&sequence, options, Defaults::New)?;
                if let Some(owner) = &options.owned_by {
                    let sequence = self.newest_sequence(&sequence);
                    self.set_owner(&sequence, owner.as_ref()).await?;
                }
            }
            AlterSequenceAction::Rename(to) => self.rename_sequence(&sequence, &to.name)?,
        }
        Ok(tag)
    }

    pub(super) fn rename_sequence(&mut self, sequence: &SequenceDef, to: &str) -> Result<()> {
        if self.txn.catalog().is_relation(&sequence.schema, to) {
            let message = format!("relation \"{to}\" already exists");
            return Err(Error::new(SqlState::DUPLICATE_TABLE, message));
        }
        let renamed = SequenceDef {
            name: to.to_owned(),
            ..sequence.clone()
        };
        replace_sequence(self.txn, renamed)?;
        Ok(())
    }

    /// The sequence of that name, locked.
    pub(super) async fn lock_sequence(
        &mut self,
        mode: LockMode,
        name: &Name,
    ) -> Result<Arc<SequenceDef>> {
        loop {
            let find = |ddl: &Self| {
                let catalog = ddl.txn.catalog();
                resolve_sequence(name, &bind_context(ddl.cx, &catalog)).cloned()
            };
            let sequence = find(self)?;
            self.lock_oid(sequence.oid, mode).await?;
            let now = find(self)?;
            if now.oid == sequence.oid {
                return Ok(now);
            }
        }
    }

    pub(super) fn newest_sequence(&self, sequence: &Arc<SequenceDef>) -> Arc<SequenceDef> {
        let catalog = self.txn.catalog();
        let newest = catalog.sequences.get(&sequence.oid);
        Arc::clone(newest.unwrap_or(sequence))
    }

    /// Changes what a locked sequence gives. What decides over the next value is changed together
    /// with where the sequence stands, by the transaction.
    fn change_sequence(
        &mut self,
        sequence: &Arc<SequenceDef>,
        options: &ast::SequenceOptions,
        defaults: Defaults,
    ) -> Result<()> {
        let backend = self.cx.session.backend.as_ref().ok_or_else(|| {
            let message = "a sequence is changed outside a session";
            Error::new(SqlState::INTERNAL_ERROR, message)
        })?;
        let (at, _) = backend.sequences.position(sequence, &backend.locks)?;
        let made = sequence_params::change(sequence, at, options, defaults)?;
        let restarts = options.restart.is_some()
            || sequence_params::decides(&made.params) != sequence_params::decides(&sequence.params);
        if restarts {
            restart_sequence(self.txn, sequence, made.params, made.at)?;
        } else if made.params != sequence.params {
            let params = made.params;
            let changed = SequenceDef {
                params,
                ..SequenceDef::clone(sequence)
            };
            replace_sequence(self.txn, changed)?;
        }
        Ok(())
    }

    /// OWNED BY.
    async fn set_owner(&mut self, sequence: &Arc<SequenceDef>, owner: Option<&Name>) -> Result<()> {
        let (table, column) = match owner.map(|name| name.parts.as_slice()) {
            None => {
                self.refuse_identity(sequence)?;
                let owner = None;
                let changed = SequenceDef {
                    owner,
                    ..SequenceDef::clone(sequence)
                };
                replace_sequence(self.txn, changed)?;
                return Ok(());
            }
            Some([table @ .., column]) if !table.is_empty() => (table.to_vec(), column),
            Some(_) => {
                let error = Error::new(SqlState::SYNTAX_ERROR, "invalid OWNED BY option");
                return Err(error.with_hint("Specify OWNED BY table.column or OWNED BY NONE."));
            }
        };
        let name = Name { parts: table };
        let table = match self.resolve(&name) {
            Err(e) if e.sqlstate() == SqlState::WRONG_OBJECT_TYPE => {
                return Err(self.cannot_own(&name));
            }
            table => table?,
        };
        self.lock_oid(table.oid, LockMode::AccessShare).await?;
        if table.schema != sequence.schema {
            return Err(Error::new(
                SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE,
                "sequence must be in same schema as table it is linked to",
            ));
        }
        let column = alter::existing(&table, column)?;
        self.refuse_identity(sequence)?;
        self.give_to(sequence, &table, column)
    }

    fn cannot_own(&self, name: &Name) -> Error {
        let last = name.parts.last().map_or("", |part| part.name.as_str());
        let message = format!("sequence cannot be owned by relation \"{last}\"");
        let what = match self.find_sequence(name) {
            Some(_) => "sequences",
            None => "indexes",
        };
        Error::new(SqlState::WRONG_OBJECT_TYPE, message)
            .with_detail(format!("This operation is not supported for {what}."))
    }

    fn refuse_identity(&self, sequence: &SequenceDef) -> Result<()> {
        match identity_table(&self.txn.catalog(), sequence) {
            None => Ok(()),
            Some((table, _)) => {
                let message = "cannot change ownership of identity sequence";
                let detail = format!(
                    "Sequence \"{}\" is linked to table \"{}\".",
                    sequence.name, table.name
                );
                Err(Error::new(SqlState::FEATURE_NOT_SUPPORTED, message).with_detail(detail))
            }
        }
    }

    /// Makes the sequence of a new column, and has the column use it; [`Self::give_to`] follows
    /// when the table is there.
    pub(super) async fn make_wanted(
        &mut self,
        wanted: Wanted,
        (schema, table): (&str, &str),
        column: &mut crate::table::ColumnDef,
    ) -> Result<Arc<SequenceDef>> {
        let catalog = self.txn.catalog();
        let names = match &wanted.name {
            Some(name) => new_name(name, &catalog, &self.cx.session)?,
            None => {
                let is_taken = |name: &str| catalog.is_relation(schema, name);
                let name = names::choose(table, Some(&column.name), "seq", is_taken);
                (schema.to_owned(), name)
            }
        };
        let (params, at) = (wanted.params.params, wanted.params.at);
        let sequence = create_sequence(self.txn, names, params, at, &self.cx.cancel).await?;
        match wanted.always {
            Some(always) => {
                let sequence = sequence.oid;
                column.identity = Some(Identity { sequence, always });
            }
            None => {
                let reference = SequenceDef::reference(sequence.oid);
                column.default = Some(format!("nextval({reference})"));
            }
        }
        column.not_null = true;
        Ok(sequence)
    }

    /// Has a column own a sequence.
    pub(super) fn give_to(
        &mut self,
        sequence: &Arc<SequenceDef>,
        table: &TableDef,
        column: usize,
    ) -> Result<()> {
        let table = table.oid;
        let owned = SequenceDef {
            owner: Some(SequenceOwner { table, column }),
            ..SequenceDef::clone(sequence)
        };
        replace_sequence(self.txn, owned)?;
        Ok(())
    }

    /// The sequences of a table, or of one of its columns, locked for this transaction alone.
    pub(super) async fn lock_owned(
        &mut self,
        table: &TableDef,
        column: Option<usize>,
    ) -> Result<Vec<Arc<SequenceDef>>> {
        let catalog = self.txn.catalog();
        let owned = catalog.owned_sequences(table.oid);
        let of_column = |s: &&Arc<SequenceDef>| {
            column.is_none_or(|column| s.owner.is_some_and(|owner| owner.column == column))
        };
        let owned: Vec<_> = owned.filter(of_column).cloned().collect();
        for sequence in &owned {
            self.lock_oid(sequence.oid, LockMode::AccessExclusive)
                .await?;
        }
        let catalog = self.txn.catalog();
        let newest = |s: &Arc<SequenceDef>| catalog.sequences.get(&s.oid).cloned();
        Ok(owned.iter().filter_map(newest).collect())
    }

    /// Drops a sequence, which is locked, with the defaults that use it or refuses to; those of
    /// the tables `except` go anyway. `what` is dropped: it, or what it belongs to.
    pub(super) fn drop_sequence(
        &mut self,
        sequence: &SequenceDef,
        what: &str,
        cascade: bool,
        except: &[crate::base::Oid],
    ) -> Result<()> {
        let catalog = self.txn.catalog();
        let uses = catalog.uses_of(sequence.oid);
        let uses: Vec<_> = uses
            .filter(|(table, _)| !except.contains(&table.oid))
            .collect();
        let defaults = uses.iter().map(|(table, place)| {
            let column = &table.columns[*place].name;
            format!("default value for column {column} of table {}", table.name)
        });
        match (defaults.collect::<Vec<_>>().as_slice(), cascade) {
            ([], _) => {}
            (defaults, false) => return Err(needed(what, sequence, defaults)),
            ([default], true) => {
                let message = format!("drop cascades to {default}");
                self.notice(SqlState::SUCCESSFUL_COMPLETION, message);
            }
            (defaults, true) => {
                let cascades = defaults
                    .iter()
                    .map(|default| format!("drop cascades to {default}"));
                let detail = cascades.collect::<Vec<_>>().join("\n");
                let message = format!("drop cascades to {} other objects", defaults.len());
                self.notice(SqlState::SUCCESSFUL_COMPLETION, message);
                if let Some(notice) = self.notices.last_mut() {
                    notice.detail = Some(detail);
                }
            }
        }
        for (table, place) in uses {
            let mut changed = TableDef::clone(&self.newest(table));
            changed.columns[place].default = None;
            replace(self.txn, changed)?;
        }
        drop_sequence(self.txn, sequence)
    }

    /// Has the sequences of a table begin anew (TRUNCATE … RESTART IDENTITY).
    pub(super) async fn restart_owned(&mut self, table: &TableDef) -> Result<()> {
        for sequence in self.lock_owned(table, None).await? {
            let at = Position {
                last: sequence.params.start,
                is_called: false,
            };
            restart_sequence(self.txn, &sequence, sequence.params, at)?;
        }
        Ok(())
    }

    /// Changes the sequence of an identity column.
    pub(super) async fn change_identity_sequence(
        &mut self,
        identity: Identity,
        options: &ast::SequenceOptions,
    ) -> Result<()> {
        self.lock_oid(identity.sequence, LockMode::ShareRowExclusive)
            .await?;
        let catalog = self.txn.catalog();
        let Some(sequence) = catalog.sequences.get(&identity.sequence) else {
            let message = "an identity column has no sequence";
            return Err(Error::new(SqlState::INTERNAL_ERROR, message));
        };
        let ty = sequence.params.ty;
        self.change_sequence(sequence, options, Defaults::Identity(ty))
    }
}

/// The refusal to drop something because of defaults that use a sequence.
fn needed(what: &str, sequence: &SequenceDef, defaults: &[String]) -> Error {
    let shown = names::quoted(&sequence.name);
    let depend = |default| format!("{default} depends on sequence {shown}");
    let detail: Vec<String> = defaults.iter().map(depend).collect();
    let message = format!("cannot drop {what} because other objects depend on it");
    Error::new(SqlState::DEPENDENT_OBJECTS_STILL_EXIST, message)
        .with_detail(detail.join("\n"))
        .with_hint("Use DROP ... CASCADE to drop the dependent objects too.")
}

/// The table, and the name of its column, that a sequence is the identity of.
pub(in crate::sql) fn identity_table<'a>(
    catalog: &'a crate::table::Catalog,
    sequence: &SequenceDef,
) -> Option<(&'a Arc<TableDef>, &'a str)> {
    let owner = sequence.owner?;
    let table = catalog.tables.get(&owner.table)?;
    let column = table.columns.get(owner.column)?;
    let identity = column.identity.filter(|i| i.sequence == sequence.oid);
    identity.map(|_| (table, column.name.as_str()))
}
