//! Names of types: SQL's spellings become PostgreSQL's names (`integer` is `int4`).

use crate::base::{Error, Result, SqlState};
use crate::sql::ast::{Ident, Name, Position, TypeName};
use crate::sql::parse::cursor::{Cursor, NameKind};
use crate::sql::parse::dialect::unsupported;
use crate::sql::parse::expr::is_type_start;
use sqlparser::tokenizer::Token;

/// A type without modifiers.
pub(super) fn simple(name: &str, position: Position) -> TypeName {
    let name = name.to_owned();
    TypeName {
        name: Name {
            parts: vec![Ident { name, position }],
        },
        modifiers: Vec::new(),
        array_dimensions: 0,
    }
}

/// Words that begin a type's name though they are no function's or type's name.
pub(super) fn is_type_keyword(word: &str) -> bool {
    matches!(
        word,
        "bigint"
            | "bit"
            | "boolean"
            | "char"
            | "character"
            | "dec"
            | "decimal"
            | "float"
            | "int"
            | "integer"
            | "interval"
            | "national"
            | "nchar"
            | "numeric"
            | "real"
            | "smallint"
            | "time"
            | "timestamp"
            | "varchar"
    )
}

impl Cursor<'_, '_> {
    pub(super) fn type_name(&mut self) -> Result<TypeName> {
        self.literal_type(false)
    }

    /// The type before a string literal: there `char` has no length of 1.
    pub(super) fn literal_type(&mut self, literal: bool) -> Result<TypeName> {
        if self.accept("setof") {
            return Err(unsupported("SETOF"));
        }
        let mut ty = self.scalar_type(literal)?;
        if self.accept("array") {
            ty.array_dimensions = 1;
            if self.accept_token(&Token::LBracket) {
                self.signed_integer()?;
                self.expect_token(&Token::RBracket)?;
            }
            return Ok(ty);
        }
        while self.accept_token(&Token::LBracket) {
            if !self.at(&Token::RBracket) {
                self.signed_integer()?;
            }
            self.expect_token(&Token::RBracket)?;
            ty.array_dimensions += 1;
        }
        Ok(ty)
    }

    fn scalar_type(&mut self, literal: bool) -> Result<TypeName> {
        let position = self.position();
        let Some(word) = self.word(0) else {
            return self.named_type();
        };
        let fixed = match word {
            "int" | "integer" => "int4",
            "smallint" => "int2",
            "bigint" => "int8",
            "real" => "float4",
            "boolean" => "bool",
            "double" if self.word(1) == Some("precision") => {
                self.advance();
                "float8"
            }
            "dec" | "decimal" | "numeric" => {
                self.advance();
                return self.with_modifiers("numeric", position);
            }
            "float" => return self.float(),
            "bit" | "char" | "character" | "nchar" | "varchar" | "national" => {
                return self.string_type(literal);
            }
            "timestamp" | "time" => return self.time_type(),
            "interval" => return self.interval_type(),
            word if is_type_start(word) => return self.named_type(),
            _ => return self.fail(),
        };
        self.advance();
        Ok(simple(fixed, position))
    }

    fn named_type(&mut self) -> Result<TypeName> {
        let name = self.name_of(NameKind::TypeFunction)?;
        if self.at(&Token::Mod) && self.word(1) == Some("type") {
            return Err(unsupported("%TYPE"));
        }
        Ok(TypeName {
            name,
            modifiers: self.modifiers()?,
            array_dimensions: 0,
        })
    }

    fn with_modifiers(&mut self, name: &str, position: Position) -> Result<TypeName> {
        let mut ty = simple(name, position);
        ty.modifiers = self.modifiers()?;
        Ok(ty)
    }

    fn modifiers(&mut self) -> Result<Vec<i64>> {
        if !self.at(&Token::LParen) {
            return Ok(Vec::new());
        }
        self.parenthesized(Self::signed_integer)
    }

    fn float(&mut self) -> Result<TypeName> {
        let position = self.position();
        self.advance();
        let at = self.position() + 1;
        let limit = |bound: &str| {
            let message = format!("precision for type float must be {bound}");
            Err(Error::new(SqlState::INVALID_PARAMETER_VALUE, message).at(at))
        };
        match self.modifiers()?[..] {
            [] => Ok(simple("float8", position)),
            [..=0] => limit("at least 1 bit"),
            [1..=24] => Ok(simple("float4", position)),
            [25..=53] => Ok(simple("float8", position)),
            [_] => limit("less than 54 bits"),
            _ => self.fail(),
        }
    }

    /// `char`, `varchar`, `bit` and their longer spellings.
    fn string_type(&mut self, literal: bool) -> Result<TypeName> {
        let position = self.position();
        self.accept("national");
        let word = self.accept_any(&["bit", "char", "character", "nchar", "varchar"]);
        let varying = word != Some("varchar") && self.accept("varying");
        let (name, length) = match (word, varying) {
            (Some("varchar"), _) => ("varchar", None),
            (None, _) => return self.fail(),
            (Some("bit"), true) => ("varbit", None),
            (Some("bit"), false) => ("bit", Some(1)),
            (_, true) => ("varchar", None),
            (_, false) => ("bpchar", Some(1)),
        };
        let mut ty = self.with_modifiers(name, position)?;
        if ty.modifiers.is_empty() && !literal {
            ty.modifiers.extend(length);
        }
        Ok(ty)
    }

    fn time_type(&mut self) -> Result<TypeName> {
        let position = self.position();
        let stamp = self.accept_any(&["timestamp", "time"]) == Some("timestamp");
        let modifiers = self.modifiers()?;
        let zoned = self.accept_all(&["with", "time", "zone"]);
        if !zoned {
            self.accept_all(&["without", "time", "zone"]);
        }
        let name = match (stamp, zoned) {
            (true, true) => "timestamptz",
            (true, false) => "timestamp",
            (false, true) => "timetz",
            (false, false) => "time",
        };
        let mut ty = simple(name, position);
        ty.modifiers = modifiers;
        Ok(ty)
    }

    fn interval_type(&mut self) -> Result<TypeName> {
        let position = self.position();
        self.advance();
        if self.interval_fields()? {
            return Err(unsupported("interval fields"));
        }
        self.with_modifiers("interval", position)
    }

    /// `YEAR TO MONTH` and the like, if they are there.
    pub(super) fn interval_fields(&mut self) -> Result<bool> {
        let fields = ["year", "month", "day", "hour", "minute", "second"];
        if self.accept_any(&fields).is_none() {
            return Ok(false);
        }
        if self.accept("to") && self.accept_any(&fields[1..]).is_none() {
            return self.fail();
        }
        self.modifiers()?;
        Ok(true)
    }

    /// How many tokens from the next one could spell a type.
    pub(super) fn type_length(&self) -> Option<usize> {
        let mut ahead = 0;
        match self.word(0) {
            Some("double") => ahead += usize::from(self.word(1) == Some("precision")),
            Some("national") => ahead += 1,
            Some(word) if !is_type_start(word) => return None,
            None if !matches!(self.token(0), Token::Word(_)) => return None,
            _ => {}
        }
        ahead += 1;
        while *self.token(ahead) == Token::Period && matches!(self.token(ahead + 1), Token::Word(_))
        {
            ahead += 2;
        }
        ahead += usize::from(self.word(ahead) == Some("varying"));
        if *self.token(ahead) == Token::LParen {
            ahead += 1;
            while matches!(self.token(ahead), Token::Number(..) | Token::Comma) {
                ahead += 1;
            }
            if *self.token(ahead) != Token::RParen {
                return None;
            }
            ahead += 1;
        }
        if matches!(self.word(ahead), Some("with" | "without"))
            && self.word(ahead + 1) == Some("time")
            && self.word(ahead + 2) == Some("zone")
        {
            ahead += 3;
        }
        Some(ahead)
    }
}
