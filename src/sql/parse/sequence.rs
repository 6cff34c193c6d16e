//! CREATE and ALTER SEQUENCE, and identity columns.

use crate::base::{Error, Result, SqlState};
use crate::sql::ast::{
    AlterAction, AlterIdentity, AlterSequence, AlterSequenceAction, ColumnDef, CreateSequence,
    Ident, IdentityColumn, Position, SequenceOptions, Statement,
};
use crate::sql::parse::cursor::Cursor;
use crate::sql::parse::dialect::unsupported;
use sqlparser::tokenizer::Token;

impl Cursor<'_, '_> {
    /// After CREATE SEQUENCE.
    pub(super) fn create_sequence(&mut self) -> Result<Statement> {
        let if_not_exists = self.if_not_exists()?;
        let name = self.name()?;
        let options = self.sequence_options()?;
        refuse_name(&options)?;
        Ok(Statement::CreateSequence(Box::new(CreateSequence {
            name,
            if_not_exists,
            options,
        })))
    }

    /// After ALTER SEQUENCE.
    pub(super) fn alter_sequence(&mut self) -> Result<Statement> {
        let if_exists = self.if_exists()?;
        let name = self.name()?;
        let action = if self.accept_all(&["rename", "to"]) {
            AlterSequenceAction::Rename(self.column_ident()?)
        } else if self.are(&["owner", "to"]) || self.is("set") {
            let what = self.word(0).unwrap_or_default().to_uppercase();
            return Err(unsupported(format!("ALTER SEQUENCE {what}")));
        } else {
            let start = self.index();
            let options = self.sequence_options()?;
            if self.index() == start {
                return self.fail();
            }
            refuse_name(&options)?;
            AlterSequenceAction::Options(options)
        };
        Ok(Statement::AlterSequence(Box::new(AlterSequence {
            name,
            if_exists,
            action,
        })))
    }

    fn sequence_options(&mut self) -> Result<SequenceOptions> {
        let mut options = SequenceOptions::default();
        while self.sequence_option(&mut options)? {}
        Ok(options)
    }

    /// One option of a sequence; false when there is none.
    fn sequence_option(&mut self, options: &mut SequenceOptions) -> Result<bool> {
        let at = self.position();
        if self.accept("as") {
            let ty = self.type_name()?;
            return once(&mut options.ty, (ty, at), at);
        }
        if self.accept("increment") {
            self.accept("by");
            let increment = self.sequence_number()?;
            return once(&mut options.increment, increment, at);
        }
        if self.accept("start") {
            self.accept("with");
            let start = self.sequence_number()?;
            return once(&mut options.start, start, at);
        }
        if self.accept("restart") {
            let is_given = self.accept("with") || self.at_number();
            let value = is_given.then(|| self.sequence_number()).transpose()?;
            return once(&mut options.restart, value, at);
        }
        if self.accept("cache") {
            let cache = self.sequence_number()?;
            return once(&mut options.cache, cache, at);
        }
        if self.accept_all(&["owned", "by"]) {
            let owner = match self.accept("none") {
                true => None,
                false => Some(self.name()?),
            };
            return once(&mut options.owned_by, owner, at);
        }
        if self.accept_all(&["sequence", "name"]) {
            let name = self.name()?;
            return once(&mut options.name, (name, at), at);
        }
        let no = self.accept("no");
        match self.accept_any(&["minvalue", "maxvalue", "cycle"]) {
            Some("cycle") => once(&mut options.cycle, !no, at),
            Some(bound) => {
                let value = (!no).then(|| self.sequence_number()).transpose()?;
                let bounds = match bound {
                    "minvalue" => &mut options.min,
                    _ => &mut options.max,
                };
                once(bounds, value, at)
            }
            None if no => self.fail(),
            None => Ok(false),
        }
    }

    fn at_number(&self) -> bool {
        matches!(
            self.token(0),
            Token::Number(..) | Token::Minus | Token::Plus
        )
    }

    /// A number of an option: a bigint, or what its input says of it.
    fn sequence_number(&mut self) -> Result<i64> {
        let negative = self.accept_token(&Token::Minus);
        if !negative {
            self.accept_token(&Token::Plus);
        }
        let Token::Number(digits, _) = self.token(0) else {
            return self.fail();
        };
        let number = format!("{}{digits}", if negative { "-" } else { "" });
        self.advance();
        number.parse().map_err(|_| {
            let (code, message) = match number.contains(['.', 'e', 'E']) {
                true => (
                    SqlState::INVALID_TEXT_REPRESENTATION,
                    format!("invalid input syntax for type bigint: \"{number}\""),
                ),
                false => (
                    SqlState::NUMERIC_VALUE_OUT_OF_RANGE,
                    format!("value \"{number}\" is out of range for type bigint"),
                ),
            };
            Error::new(code, message)
        })
    }

    /// After GENERATED, which stands at `at`.
    pub(super) fn generated(&mut self, column: &mut ColumnDef, at: Position) -> Result<()> {
        let way = self.position();
        let always = self.always()?;
        self.expect("as")?;
        if self.at(&Token::LParen) && !always {
            let message = "for a generated column, GENERATED ALWAYS must be specified";
            return Err(Error::new(SqlState::SYNTAX_ERROR, message).at(way));
        }
        if self.at(&Token::LParen) {
            return Err(unsupported("GENERATED columns"));
        }
        let identity = self.identity(always, at)?;
        column.repeated_identity = column
            .repeated_identity
            .or(column.identity.as_ref().map(|_| at));
        column.identity = Some(Box::new(identity));
        Ok(())
    }

    /// ALWAYS or BY DEFAULT; true for ALWAYS.
    fn always(&mut self) -> Result<bool> {
        if self.accept("always") {
            return Ok(true);
        }
        self.expect_all(&["by", "default"])?;
        Ok(false)
    }

    fn identity(&mut self, always: bool, position: Position) -> Result<IdentityColumn> {
        self.expect("identity")?;
        let mut options = SequenceOptions::default();
        if self.accept_token(&Token::LParen) {
            options = self.sequence_options()?;
            self.expect_token(&Token::RParen)?;
        }
        Ok(IdentityColumn {
            always,
            options,
            position,
        })
    }

    /// After ALTER COLUMN c: what it says of an identity, if it does.
    pub(super) fn alter_identity(&mut self, column: &Ident) -> Result<Option<AlterAction>> {
        let at = self.position();
        let change = if self.accept_all(&["add", "generated"]) {
            let always = self.always()?;
            self.expect("as")?;
            AlterIdentity::Add(self.identity(always, at)?)
        } else if self.accept_all(&["drop", "identity"]) {
            let if_exists = self.if_exists()?;
            AlterIdentity::Drop { if_exists }
        } else {
            let mut always = None;
            let mut options = SequenceOptions::default();
            while self.identity_change(&mut always, &mut options)? {}
            if self.position() == at {
                return Ok(None);
            }
            AlterIdentity::Set { always, options }
        };
        Ok(Some(AlterAction::Identity {
            column: column.clone(),
            change: Box::new(change),
        }))
    }

    /// RESTART, SET GENERATED or SET with an option; false when there is none of them.
    fn identity_change(
        &mut self,
        always: &mut Option<bool>,
        options: &mut SequenceOptions,
    ) -> Result<bool> {
        if self.is("restart") {
            return self.sequence_option(options);
        }
        if self.accept_all(&["set", "generated"]) {
            let value = self.always()?;
            return match always.replace(value) {
                None => Ok(true),
                Some(_) => Err(redundant()),
            };
        }
        let known = [
            "sequence",
            "as",
            "increment",
            "start",
            "cache",
            "owned",
            "minvalue",
            "maxvalue",
            "cycle",
            "no",
            "restart",
        ];
        if !self.is("set") || !self.word(1).is_some_and(|word| known.contains(&word)) {
            return Ok(false);
        }
        self.advance();
        let at = self.position();
        self.sequence_option(options)?;
        refuse_name(options)?;
        let refused = match options {
            SequenceOptions { ty: Some(_), .. } => "as",
            SequenceOptions {
                owned_by: Some(_), ..
            } => "owned_by",
            _ => return Ok(true),
        };
        let message = format!("sequence option \"{refused}\" not supported here");
        Err(Error::new(SqlState::SYNTAX_ERROR, message).at(at))
    }
}

/// Notes an option, which may be given once only.
fn once<T>(slot: &mut Option<T>, value: T, at: Position) -> Result<bool> {
    match slot.replace(value) {
        None => Ok(true),
        Some(_) => Err(redundant().at(at)),
    }
}

fn redundant() -> Error {
    let message = "conflicting or redundant options";
    Error::new(SqlState::SYNTAX_ERROR, message)
}

/// The name of an identity column's sequence has no place elsewhere.
fn refuse_name(options: &SequenceOptions) -> Result<()> {
    match &options.name {
        None => Ok(()),
        Some((_, at)) => {
            let message = "invalid sequence option SEQUENCE NAME";
            Err(Error::new(SqlState::SYNTAX_ERROR, message).at(*at))
        }
    }
}
