//! Statements that the session itself carries out: settings, SQL's prepared statements, DISCARD.

use std::borrow::Cow;
use std::sync::Arc;

use crate::base::blocking;
use crate::base::{Error, Result, SqlState};
use crate::session::Session;
use crate::session::block::{Block, not_in_blocks, only_in_blocks_warning};
use crate::session::client::Client;
use crate::session::cursors::Cursor;
use crate::session::portal::{Fixed, Source};
use crate::session::run::{Progress, Way};
use crate::session::settings::TRANSACTION_MODES;
use crate::session::statement::{Statement, text_field};
use crate::session::transaction::isolation_of;
use crate::sql::ast;
use crate::sql::ast::{SetValue, TransactionModes};
use crate::sql::bind::{bind_expr, resolve_type};
use crate::sql::expr::{ExprContext, eval};
use crate::sql::func::EvalContext;
use crate::sql::ir::{BindContext, Field};
use crate::types::{Datum, Type};

impl Session {
    pub(super) async fn session_command<C: Client>(
        &mut self,
        statement: &Statement,
        way: Way,
        client: &mut C,
    ) -> Result<Progress> {
        use ast::Statement as S;
        let done = |tag: &'static str| Ok(Progress::Done(tag.into()));
        match &*statement.ast {
            S::Set { local, name, value } => {
                self.set(name, value, *local, client)?;
                done("SET")
            }
            S::Reset { name } => {
                self.enter();
                self.settings.reset(name, false)?;
                done("RESET")
            }
            S::ResetAll => {
                self.enter();
                self.settings.reset_all();
                done("RESET")
            }
            S::Show { name } => self.show(name),
            S::ShowAll => Ok(self.show_all()),
            S::Discard(what) => self.discard(what),
            S::Prepare {
                name,
                types,
                statement: inner,
            } => self.prepare_named(name, types, inner, &statement.text),
            S::Execute { name, args } => self.execute_named(name, args, client).await,
            S::Deallocate { name } => self.deallocate(name.as_deref()),
            S::Declare {
                name,
                binary,
                scroll,
                hold,
                query,
            } => {
                let cursor = Cursor {
                    name,
                    binary: *binary,
                    scroll: *scroll,
                    hold: *hold,
                    query,
                };
                self.declare(cursor, &statement.text, client).await
            }
            S::Fetch {
                cursor,
                direction,
                is_move,
            } => self.fetch(cursor, *direction, *is_move, client).await,
            S::Close { cursor } => self.close_cursor(cursor.as_deref()),
            S::Checkpoint => {
                self.enter();
                blocking(true, || self.connected.database().checkpoint())?;
                done("CHECKPOINT")
            }
            S::CreateDatabase { .. } | S::AlterDatabase { .. } | S::DropDatabase { .. } => {
                let statement = &statement.ast;
                done(self.database_command(statement, way, client).await?)
            }
            _ => Err(Error::new(
                SqlState::INTERNAL_ERROR,
                "not a session command",
            )),
        }
    }

    fn set<C: Client>(
        &mut self,
        name: &str,
        value: &SetValue,
        local: bool,
        client: &mut C,
    ) -> Result<()> {
        if local && matches!(self.block, Block::Idle) {
            self.notice(&only_in_blocks_warning("SET LOCAL"), client);
        }
        self.enter();
        if let Some(modes) = transaction_setting(name, value)? {
            return self.set_modes(&modes);
        }
        match value {
            SetValue::Default => self.settings.reset(name, local),
            SetValue::Values(values) => self.settings.set(name, values, local),
        }
    }

    fn show(&mut self, name: &str) -> Result<Progress> {
        self.enter();
        self.apply_settings();
        let (name, value) = self.settings.show(name)?;
        let rows = vec![vec![Datum::Text(value)]];
        Ok(fixed(vec![text_field(&name)], rows, "SHOW"))
    }

    fn show_all(&mut self) -> Progress {
        self.enter();
        self.apply_settings();
        let all = self.settings.all().into_iter();
        let rows = all.map(|(name, value, about)| {
            vec![Datum::Text(name), Datum::Text(value), Datum::text(about)]
        });
        let fields = ["name", "setting", "description"].map(text_field).to_vec();
        fixed(fields, rows.collect(), "SHOW")
    }

    fn discard(&mut self, what: &str) -> Result<Progress> {
        let tag = match what.to_ascii_uppercase().as_str() {
            "ALL" => {
                if self.block == Block::InBlock {
                    return Err(not_in_blocks("DISCARD ALL"));
                }
                self.portals.clear();
                self.statements.clear();
                self.settings.reset_all();
                self.plans.clear();
                self.backend.locks.unlock_all();
                self.backend.sequences.forget();
                "DISCARD ALL"
            }
            "PLANS" => {
                self.plans.clear();
                "DISCARD PLANS"
            }
            "SEQUENCES" => {
                self.backend.sequences.forget();
                "DISCARD SEQUENCES"
            }
            // There are no temporary tables to discard.
            "TEMP" | "TEMPORARY" => "DISCARD TEMP",
            other => return Err(Error::unsupported(format_args!("DISCARD {other} is"))),
        };
        Ok(Progress::Done(tag.into()))
    }

    fn prepare_named(
        &mut self,
        name: &str,
        types: &[ast::TypeName],
        inner: &ast::Statement,
        text: &Arc<str>,
    ) -> Result<Progress> {
        let resolve = |ty| resolve_type(ty).map(|(ty, _)| Some(ty));
        let declared = types.iter().map(resolve).collect::<Result<Vec<_>>>()?;
        let statement = self.make_statement(inner.clone(), text.clone(), declared)?;
        self.statements.check_free(name)?;
        self.statements.put(name, Arc::new(statement));
        Ok(Progress::Done("PREPARE".into()))
    }

    async fn execute_named<C: Client>(
        &mut self,
        name: &str,
        args: &[ast::Expr],
        client: &mut C,
    ) -> Result<Progress> {
        let found = self.statements.get(name)?.clone();
        let statement = self.renewed(&found)?;
        let types = statement.params();
        if args.len() != types.len() {
            return Err(Error::new(
                SqlState::SYNTAX_ERROR,
                format!("wrong number of parameters for prepared statement \"{name}\""),
            )
            .with_detail(format!(
                "Expected {} parameters but got {}.",
                types.len(),
                args.len()
            )));
        }
        let values = args
            .iter()
            .zip(types)
            .map(|(arg, ty)| self.constant(arg, *ty));
        let params = values.collect::<Result<Vec<_>>>()?.into();
        Box::pin(self.start(&statement, params, Way::Prepared, client)).await
    }

    /// The value of an expression over nothing, converted to a type as by assignment.
    fn constant(&mut self, expr: &ast::Expr, ty: Type) -> Result<Datum> {
        let catalog = self.txn().catalog();
        let cx = BindContext {
            catalog: &catalog,
            session: &self.cx.session,
            format: &self.cx.format,
        };
        let bound = bind_expr(expr, None, Some((ty, -1)), &cx)?;
        let cx = ExprContext::new(EvalContext {
            format: &self.cx.format,
            session: &self.cx.session,
            catalog: &catalog,
            params: &[],
        });
        Ok(eval(&bound, &[], &cx)?.into_owned())
    }

    fn deallocate(&mut self, name: Option<&str>) -> Result<Progress> {
        let Some(name) = name else {
            self.statements.named.clear();
            return Ok(Progress::Done("DEALLOCATE ALL".into()));
        };
        self.statements.get(name)?;
        self.statements.remove(name);
        Ok(Progress::Done("DEALLOCATE".into()))
    }
}

/// SET transaction_isolation and its like are SET TRANSACTION in other words.
fn transaction_setting(name: &str, value: &SetValue) -> Result<Option<TransactionModes>> {
    let lower = name.to_ascii_lowercase();
    if !TRANSACTION_MODES.contains(&lower.as_str()) {
        return Ok(None);
    }
    let value = match value {
        SetValue::Values(values) if values.len() == 1 => values[0].to_ascii_lowercase(),
        _ => return Err(Error::unsupported(format_args!("resetting {name} is"))),
    };
    let place = crate::session::definitions::find(&lower);
    let Some(definition) = place.map(|p| &crate::session::definitions::DEFINITIONS[p]) else {
        return Ok(None);
    };
    let value = definition.check(&value, definition.default)?;
    let mut modes = TransactionModes::default();
    match lower.as_str() {
        "transaction_isolation" => modes.isolation = Some(isolation_of(&value)),
        "transaction_read_only" => modes.read_only = Some(value == "on"),
        _ => modes.deferrable = Some(value == "on"),
    }
    Ok(Some(modes))
}

fn fixed(fields: Vec<Field>, rows: Vec<Vec<Datum>>, tag: &'static str) -> Progress {
    Progress::Rows(Source::Fixed(Fixed {
        fields,
        rows,
        next: 0,
        tag: Cow::Borrowed(tag),
    }))
}
