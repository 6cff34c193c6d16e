//! Constraints of tables and columns.

use crate::base::{Error, Result, SqlState};
use crate::sql::ast::{
    AlterAction, ConstraintKind, ForeignKey, Ident, Name, Position, TableConstraint,
};
use crate::sql::parse::cursor::Cursor;
use crate::sql::parse::dialect::unsupported;
use crate::table::{Deferral, KeyAction};
use sqlparser::tokenizer::Token;

const UPDATE_SETS_NULL: &str =
    "a column list with SET NULL is only supported for ON DELETE actions";
const UPDATE_SETS_DEFAULT: &str =
    "a column list with SET DEFAULT is only supported for ON DELETE actions";

/// One of two attributes that exclude each other.
struct Clause {
    value: Option<bool>,
    /// What a column's constraint says of a second one.
    repeated: &'static str,
}

impl Clause {
    fn new(repeated: &'static str) -> Clause {
        Clause {
            value: None,
            repeated,
        }
    }

    fn set(&mut self, value: bool, of_column: bool, position: Position) -> Result<()> {
        let message = match self.value.replace(value) {
            Some(_) if of_column => self.repeated,
            Some(before) if before != value => "conflicting constraint properties",
            _ => return Ok(()),
        };
        Err(Error::new(SqlState::SYNTAX_ERROR, message).at(position))
    }
}

/// What PostgreSQL refuses for good.
fn never_marked(kind: &str, mark: &str) -> Error {
    let message = format!("{kind} constraints cannot be marked {mark}");
    Error::new(SqlState::FEATURE_NOT_SUPPORTED, message)
}

impl Cursor<'_, '_> {
    pub(super) fn constraint_name(&mut self) -> Result<Option<Ident>> {
        match self.accept("constraint") {
            true => Ok(Some(self.column_ident()?)),
            false => Ok(None),
        }
    }

    pub(super) fn table_constraint(&mut self) -> Result<TableConstraint> {
        let name = self.constraint_name()?;
        let mut kind = if self.accept("primary") {
            self.expect("key")?;
            ConstraintKind::PrimaryKey(self.key_columns()?, Deferral::default())
        } else if self.accept("unique") {
            ConstraintKind::Unique(self.key_columns()?, Deferral::default())
        } else if self.accept("check") {
            self.check()?
        } else if self.accept("foreign") {
            self.expect("key")?;
            let columns = self.parenthesized(Self::column_ident)?;
            self.expect("references")?;
            self.references(columns)?
        } else if self.is("exclude") {
            return Err(unsupported("EXCLUDE constraints"));
        } else {
            return self.fail();
        };
        self.constraint_attributes(&mut kind, false)?;
        Ok(TableConstraint { name, kind })
    }

    fn key_columns(&mut self) -> Result<Vec<Ident>> {
        if self.are(&["using", "index"]) {
            return Err(unsupported("constraints USING INDEX"));
        }
        self.nulls_distinct()?;
        let columns = self.parenthesized(Self::column_ident)?;
        self.index_parameters()?;
        Ok(columns)
    }

    pub(super) fn nulls_distinct(&mut self) -> Result<()> {
        if self.are(&["nulls", "not", "distinct"]) {
            return Err(unsupported("NULLS NOT DISTINCT"));
        }
        self.accept_all(&["nulls", "distinct"]);
        Ok(())
    }

    /// INCLUDE, WITH and USING INDEX TABLESPACE of a key.
    pub(super) fn index_parameters(&mut self) -> Result<()> {
        if self.is("include") {
            return Err(unsupported("INCLUDE in a constraint"));
        }
        if self.accept("with") {
            self.storage_options()?;
        }
        if self.are(&["using", "index", "tablespace"]) {
            return Err(unsupported("TABLESPACE"));
        }
        Ok(())
    }

    pub(super) fn check(&mut self) -> Result<ConstraintKind> {
        self.expect_token(&Token::LParen)?;
        let start = self.position();
        let expr = self.expr()?;
        let text = self.pg.text(start, self.last_end()).to_owned();
        self.expect_token(&Token::RParen)?;
        Ok(ConstraintKind::Check(expr, text))
    }

    /// After REFERENCES.
    pub(super) fn references(&mut self, columns: Vec<Ident>) -> Result<ConstraintKind> {
        let mut key = ForeignKey::new(columns, self.name()?);
        if self.at(&Token::LParen) {
            key.references = self.parenthesized(Self::column_ident)?;
        }
        let position = self.position();
        if self.accept("match") {
            match self.accept_any(&["simple", "full", "partial"]) {
                Some("simple") => {}
                Some("full") => key.match_full = true,
                Some(_) => key.refused = Some(("MATCH PARTIAL not yet implemented", position)),
                None => return self.fail(),
            }
        }
        let (mut on_delete, mut on_update) = (None, None);
        while self.is("on") {
            let given = match self.word(1) {
                Some("delete") if on_delete.is_none() => &mut on_delete,
                Some("update") if on_update.is_none() => &mut on_update,
                _ => return Err(self.pg.syntax_error(self.index() + 1)),
            };
            let position = self.position();
            (0..2).for_each(|_| self.advance());
            let (action, columns) = self.key_action()?;
            *given = Some((action, columns, position));
        }
        if let Some((action, columns, position)) = on_update {
            key.on_update = action;
            let refusal = match action {
                KeyAction::SetNull => UPDATE_SETS_NULL,
                _ => UPDATE_SETS_DEFAULT,
            };
            if !columns.is_empty() {
                key.refused = Some((refusal, position));
            }
        }
        if let Some((action, columns, _)) = on_delete {
            (key.on_delete, key.delete_sets) = (action, columns);
        }
        Ok(ConstraintKind::ForeignKey(Box::new(key)))
    }

    /// An action with the columns that it sets, if they are named.
    fn key_action(&mut self) -> Result<(KeyAction, Vec<Ident>)> {
        if self.accept_all(&["no", "action"]) {
            return Ok((KeyAction::NoAction, Vec::new()));
        }
        let action = match self.accept_any(&["restrict", "cascade", "set"]) {
            Some("restrict") => return Ok((KeyAction::Restrict, Vec::new())),
            Some("cascade") => return Ok((KeyAction::Cascade, Vec::new())),
            Some(_) if self.accept("null") => KeyAction::SetNull,
            Some(_) if self.accept("default") => KeyAction::SetDefault,
            _ => return self.fail(),
        };
        let columns = match self.at(&Token::LParen) {
            true => self.parenthesized(Self::column_ident)?,
            false => Vec::new(),
        };
        Ok((action, columns))
    }

    /// Attributes after a constraint: those that change nothing pass, those of a foreign key or a
    /// unique one are written into it.
    pub(super) fn constraint_attributes(
        &mut self,
        kind: &mut ConstraintKind,
        of_column: bool,
    ) -> Result<()> {
        let mut deferrable = Clause::new("multiple DEFERRABLE/NOT DEFERRABLE clauses not allowed");
        let mut deferred = Clause::new("multiple INITIALLY IMMEDIATE/DEFERRED clauses not allowed");
        let mut not_valid = false;
        loop {
            let position = self.position();
            if self.accept("deferrable") {
                deferrable.set(true, of_column, position)?;
            } else if self.accept_all(&["not", "deferrable"]) {
                deferrable.set(false, of_column, position)?;
            } else if self.accept_all(&["initially", "deferred"]) {
                deferred.set(true, of_column, position)?;
            } else if self.accept_all(&["initially", "immediate"]) {
                deferred.set(false, of_column, position)?;
            } else if !of_column && self.accept_all(&["not", "valid"]) {
                not_valid = true;
            } else if self.accept_all(&["no", "inherit"]) {
                continue;
            } else {
                break;
            }
            let is_check = matches!(kind, ConstraintKind::Check(..));
            if of_column && is_check {
                let clause = self.pg.text(position, self.last_end()).to_uppercase();
                let clause = clause.split_whitespace().collect::<Vec<_>>().join(" ");
                let message = format!("misplaced {clause} clause");
                return Err(Error::new(SqlState::SYNTAX_ERROR, message).at(position));
            }
            if deferrable.value == Some(false) && deferred.value == Some(true) {
                let message = "constraint declared INITIALLY DEFERRED must be DEFERRABLE";
                return Err(Error::new(SqlState::SYNTAX_ERROR, message).at(position));
            }
        }
        if of_column && self.are(&["not", "valid"]) {
            return Err(self.pg.syntax_error(self.index() + 1));
        }
        let initially_deferred = deferred.value == Some(true);
        let deferral = Deferral {
            deferrable: deferrable.value.unwrap_or(initially_deferred),
            initially_deferred,
        };
        match kind {
            ConstraintKind::ForeignKey(key) => {
                key.deferral = deferral;
                key.not_valid = not_valid;
                Ok(())
            }
            ConstraintKind::Check(..) if not_valid => {
                Err(unsupported("NOT VALID for other than foreign keys"))
            }
            ConstraintKind::Check(..) if deferral.deferrable => {
                Err(never_marked("CHECK", "DEFERRABLE"))
            }
            ConstraintKind::Check(..) => Ok(()),
            ConstraintKind::PrimaryKey(..) if not_valid => {
                Err(never_marked("PRIMARY KEY", "NOT VALID"))
            }
            ConstraintKind::Unique(..) if not_valid => Err(never_marked("UNIQUE", "NOT VALID")),
            ConstraintKind::PrimaryKey(_, own) | ConstraintKind::Unique(_, own) => {
                *own = deferral;
                Ok(())
            }
        }
    }

    /// After ALTER CONSTRAINT: the attributes are read as a foreign key's.
    pub(super) fn alter_constraint(&mut self) -> Result<AlterAction> {
        let name = self.column_ident()?;
        let table = Name { parts: Vec::new() };
        let mut kind = ConstraintKind::ForeignKey(Box::new(ForeignKey::new(Vec::new(), table)));
        self.constraint_attributes(&mut kind, false)?;
        match kind {
            ConstraintKind::ForeignKey(key) if !key.not_valid => {
                let deferral = key.deferral;
                Ok(AlterAction::AlterConstraint { name, deferral })
            }
            _ => Err(unsupported("ALTER CONSTRAINT NOT VALID")),
        }
    }
}
