//! ALTER COLUMN … ADD GENERATED, SET GENERATED, RESTART, DROP IDENTITY.

use std::sync::Arc;

use crate::base::{Error, Result, SqlState};
use crate::sql::ast::{AlterIdentity, Ident};
use crate::sql::ddl::alter::existing;
use crate::sql::ddl::sequence::Wanted;
use crate::sql::ddl::{Ddl, names};
use crate::table::ddl::replace;
use crate::table::{Identity, TableDef};

impl Ddl<'_> {
    pub(super) async fn alter_identity(
        &mut self,
        table: &Arc<TableDef>,
        column: &Ident,
        change: &AlterIdentity,
    ) -> Result<Arc<TableDef>> {
        let place = existing(table, column)?;
        let def = &table.columns[place];
        let said = |what: &str| {
            let (column, table) = (&column.name, &table.name);
            format!("column \"{column}\" of relation \"{table}\" {what}")
        };
        let refused = |what| {
            let code = SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE;
            Err(Error::new(code, said(what)))
        };
        match (change, def.identity) {
            (AlterIdentity::Add(new), identity) => {
                let wanted = Wanted::identity(new, def.ty)?;
                if !def.not_null {
                    return refused("must be declared NOT NULL before identity can be added");
                }
                if identity.is_some() {
                    return refused("is already an identity column");
                }
                if def.default.is_some() {
                    return refused("already has a default value");
                }
                self.add_identity(table, place, wanted).await
            }
            (AlterIdentity::Drop { if_exists: true }, None) => {
                let message = said("is not an identity column, skipping");
                self.notice(SqlState::SUCCESSFUL_COMPLETION, message);
                Ok(Arc::clone(table))
            }
            (_, None) => refused("is not an identity column"),
            (AlterIdentity::Set { always, options }, Some(identity)) => {
                self.change_identity_sequence(identity, options).await?;
                let always = always.unwrap_or(identity.always);
                let identity = Identity { always, ..identity };
                self.set_identity(table, place, Some(identity))
            }
            (AlterIdentity::Drop { .. }, Some(identity)) => {
                let owned = self.lock_owned(table, Some(place)).await?;
                let table = self.set_identity(table, place, None)?;
                let sequence = owned.iter().find(|s| s.oid == identity.sequence);
                if let Some(sequence) = sequence {
                    let what = format!("sequence {}", names::quoted(&sequence.name));
                    self.drop_sequence(sequence, &what, false, &[])?;
                }
                Ok(table)
            }
        }
    }

    async fn add_identity(
        &mut self,
        table: &Arc<TableDef>,
        place: usize,
        wanted: Wanted,
    ) -> Result<Arc<TableDef>> {
        let mut changed = TableDef::clone(table);
        let of = (table.schema.as_str(), table.name.as_str());
        let column = &mut changed.columns[place];
        let sequence = self.make_wanted(wanted, of, column).await?;
        let table = replace(self.txn, changed)?;
        self.give_to(&sequence, &table, place)?;
        Ok(table)
    }

    fn set_identity(
        &mut self,
        table: &Arc<TableDef>,
        place: usize,
        identity: Option<Identity>,
    ) -> Result<Arc<TableDef>> {
        let mut changed = TableDef::clone(table);
        changed.columns[place].identity = identity;
        replace(self.txn, changed)
    }
}
