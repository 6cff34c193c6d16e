//! Statements that have been parsed, and prepared as far as they can be.

use std::borrow::Cow;
use std::sync::Arc;

use rustc_hash::FxHashMap;

use crate::base::{Error, Result, SqlState};
use crate::session::Session;
use crate::session::block::aborted;
use crate::sql::ast;
use crate::sql::ir::{BindContext, Field};
use crate::sql::{Prepared, prepare};
use crate::types::Type;

/// Who carries a statement out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Class {
    /// BEGIN, COMMIT and the like: allowed when nothing else is.
    Transaction,
    /// SET, SHOW, PREPARE, cursors…
    Session,
    Engine,
    /// An empty string, which the extended protocol may prepare.
    Empty,
}

/// A statement ready to be run.
pub(super) struct Statement {
    pub text: Arc<str>,
    pub ast: Arc<ast::Statement>,
    pub class: Class,
    /// The types its parameters were given, not those inferred.
    pub declared: Vec<Option<Type>>,
    /// Class Engine only.
    pub prepared: Option<Arc<Prepared>>,
    /// The generation of the settings it was prepared under.
    pub generation: u64,
}

/// The prepared statements of a session; protocol and SQL share them.
#[derive(Default)]
pub(super) struct Statements {
    pub unnamed: Option<Arc<Statement>>,
    pub named: FxHashMap<String, Arc<Statement>>,
}

impl Statements {
    pub(super) fn get(&self, name: &str) -> Result<&Arc<Statement>> {
        let found = match name {
            "" => self.unnamed.as_ref(),
            _ => self.named.get(name),
        };
        found.ok_or_else(|| {
            let message = match name {
                "" => "unnamed prepared statement does not exist".to_owned(),
                _ => format!("prepared statement \"{name}\" does not exist"),
            };
            Error::new(SqlState::INVALID_SQL_STATEMENT_NAME, message)
        })
    }

    pub(super) fn check_free(&self, name: &str) -> Result<()> {
        if !self.named.contains_key(name) {
            return Ok(());
        }
        Err(Error::new(
            SqlState::DUPLICATE_PREPARED_STATEMENT,
            format!("prepared statement \"{name}\" already exists"),
        ))
    }

    pub(super) fn put(&mut self, name: &str, statement: Arc<Statement>) {
        match name {
            "" => self.unnamed = Some(statement),
            _ => {
                self.named.insert(name.to_owned(), statement);
            }
        }
    }

    pub(super) fn remove(&mut self, name: &str) -> bool {
        match name {
            "" => self.unnamed.take().is_some(),
            _ => self.named.remove(name).is_some(),
        }
    }

    pub(super) fn clear(&mut self) {
        self.unnamed = None;
        self.named.clear();
    }
}

impl Statement {
    pub(super) fn params(&self) -> &[Type] {
        self.prepared
            .as_ref()
            .map_or(&[], |prepared| &prepared.params)
    }

    /// Allowed in a failed block.
    pub(super) fn ends_block(&self) -> bool {
        use ast::Transaction as T;
        let ast::Statement::Transaction(transaction) = &*self.ast else {
            return false;
        };
        matches!(
            transaction,
            T::Commit { .. } | T::Rollback { .. } | T::RollbackTo(_)
        )
    }
}

pub(super) fn classify(statement: &ast::Statement) -> Class {
    use ast::Statement as S;
    match statement {
        S::Empty => Class::Empty,
        S::Transaction(_) => Class::Transaction,
        S::Set { .. }
        | S::Reset { .. }
        | S::ResetAll
        | S::Show { .. }
        | S::ShowAll
        | S::Discard(_)
        | S::Prepare { .. }
        | S::Execute { .. }
        | S::Deallocate { .. }
        | S::Declare { .. }
        | S::Fetch { .. }
        | S::Close { .. }
        | S::CreateDatabase { .. }
        | S::AlterDatabase { .. }
        | S::DropDatabase { .. }
        | S::Checkpoint => Class::Session,
        _ => Class::Engine,
    }
}

/// What PostgreSQL calls a statement that a READ ONLY transaction may not run.
pub(super) fn writes(statement: &ast::Statement) -> Option<&'static str> {
    use ast::{AlterAction, ObjectKind, Statement as S};
    match statement {
        S::Query(query) => locking_name(query),
        S::Insert(_) => Some("INSERT"),
        S::Update(_) => Some("UPDATE"),
        S::Delete(_) => Some("DELETE"),
        S::CreateTable(_) => Some("CREATE TABLE"),
        S::CreateTableAs { .. } => Some("CREATE TABLE AS"),
        S::CreateIndex(_) => Some("CREATE INDEX"),
        S::CreateSequence(_) => Some("CREATE SEQUENCE"),
        S::AlterSequence(_) => Some("ALTER SEQUENCE"),
        S::AlterTable(alter) => match alter.actions.first() {
            Some(AlterAction::Unsupported(_)) => None,
            _ => Some("ALTER TABLE"),
        },
        S::Drop { kind, .. } => Some(match kind {
            ObjectKind::Table => "DROP TABLE",
            ObjectKind::Index => "DROP INDEX",
            ObjectKind::View => "DROP VIEW",
            ObjectKind::Sequence => "DROP SEQUENCE",
            ObjectKind::Schema => "DROP SCHEMA",
        }),
        S::Truncate { .. } => Some("TRUNCATE TABLE"),
        S::Copy(copy) if copy.from_stdin => Some("COPY FROM"),
        S::Explain {
            analyze: true,
            statement,
            ..
        } => writes(statement),
        _ => None,
    }
}

fn locking_name(query: &ast::Query) -> Option<&'static str> {
    let strength = query.locking.first()?.strength;
    Some(match strength {
        ast::LockStrength::KeyShare => "SELECT FOR KEY SHARE",
        ast::LockStrength::Share => "SELECT FOR SHARE",
        ast::LockStrength::NoKeyUpdate => "SELECT FOR NO KEY UPDATE",
        ast::LockStrength::Update => "SELECT FOR UPDATE",
    })
}

impl Session {
    /// A statement as parsed; the engine's are prepared, which takes a transaction's catalog.
    pub(super) fn make_statement(
        &mut self,
        statement: ast::Statement,
        text: Arc<str>,
        declared: Vec<Option<Type>>,
    ) -> Result<Statement> {
        let mut made = Statement {
            class: classify(&statement),
            ast: Arc::new(statement),
            text,
            declared,
            prepared: None,
            generation: self.quick.generation,
        };
        if made.class != Class::Transaction {
            self.check_not_aborted(&made)?;
        }
        if made.class == Class::Engine {
            made.prepared = Some(self.prepare(&made.ast, &made.text, &made.declared)?);
        }
        Ok(made)
    }

    pub(super) fn prepare(
        &mut self,
        statement: &ast::Statement,
        text: &str,
        declared: &[Option<Type>],
    ) -> Result<Arc<Prepared>> {
        let catalog = self.txn().catalog();
        let cx = BindContext {
            catalog: &catalog,
            session: &self.cx.session,
            format: &self.cx.format,
        };
        Ok(Arc::new(prepare(statement, text, declared, &cx)?))
    }

    /// 25P02, unless the statement ends the block.
    pub(super) fn check_not_aborted(&self, statement: &Statement) -> Result<()> {
        match self.block {
            crate::session::block::Block::Failed if !statement.ends_block() => Err(aborted()),
            _ => Ok(()),
        }
    }

    /// Whether nothing that the plan depends on has changed since it was made.
    pub(super) fn is_current(&mut self, statement: &Statement) -> bool {
        let Some(prepared) = &statement.prepared else {
            return true;
        };
        statement.generation == self.quick.generation
            && prepared.catalog_version == self.txn().catalog().version
    }

    /// The statement, prepared again if it has to be. What it returns must stay the same.
    pub(super) fn renewed(&mut self, statement: &Arc<Statement>) -> Result<Arc<Statement>> {
        if self.is_current(statement) {
            return Ok(statement.clone());
        }
        let prepared = self.prepare(&statement.ast, &statement.text, &statement.declared)?;
        let old = statement
            .prepared
            .as_ref()
            .and_then(|p| p.fields.as_deref());
        if !same_fields(old, prepared.fields.as_deref()) {
            return Err(result_type_changed());
        }
        Ok(Arc::new(Statement {
            text: statement.text.clone(),
            ast: statement.ast.clone(),
            class: statement.class,
            declared: statement.declared.clone(),
            prepared: Some(prepared),
            generation: self.quick.generation,
        }))
    }

    /// The columns a statement returns, if it returns rows.
    pub(super) fn fields_of<'a>(
        &'a self,
        statement: &'a Statement,
    ) -> Result<Option<Cow<'a, [Field]>>> {
        if let Some(prepared) = &statement.prepared {
            return Ok(prepared.fields.as_deref().map(Cow::Borrowed));
        }
        Ok(match &*statement.ast {
            ast::Statement::Show { name } => {
                let (name, _) = self.settings.show(name)?;
                Some(Cow::Owned(vec![text_field(&name)]))
            }
            ast::Statement::ShowAll => {
                let names = ["name", "setting", "description"];
                Some(Cow::Owned(names.map(text_field).to_vec()))
            }
            ast::Statement::Fetch {
                cursor,
                is_move: false,
                ..
            } => Some(Cow::Borrowed(self.cursor_fields(cursor)?)),
            ast::Statement::Execute { name, .. } => {
                let inner = self.statements.get(name)?;
                self.fields_of(inner)?
            }
            _ => None,
        })
    }
}

pub(super) fn text_field(name: &str) -> Field {
    Field {
        name: name.to_owned(),
        ty: Type::Text,
        typmod: -1,
        table: crate::base::Oid(0),
        attnum: 0,
    }
}

fn same_fields(a: Option<&[Field]>, b: Option<&[Field]>) -> bool {
    match (a, b) {
        (None, None) => true,
        (Some(a), Some(b)) => same_types(a, b) && a.iter().zip(b).all(|(x, y)| x.name == y.name),
        _ => false,
    }
}

pub(super) fn same_types(a: &[Field], b: &[Field]) -> bool {
    a.len() == b.len()
        && a.iter()
            .zip(b)
            .all(|(x, y)| x.ty == y.ty && x.typmod == y.typmod)
}

pub(super) fn result_type_changed() -> Error {
    Error::new(
        SqlState::FEATURE_NOT_SUPPORTED,
        "cached plan must not change result type",
    )
}
