//! Reading tokens: sqlparser's parser with what every grammar file here needs.

use crate::base::{Error, Result, SqlState};
use crate::sql::ast::{Ident, Name};
use crate::sql::parse::dialect::Postgres;
use crate::sql::parse::words::{self, Category};
use sqlparser::parser::Parser;
use sqlparser::tokenizer::Token;

pub(super) struct Cursor<'c, 'p> {
    pub(super) p: &'c mut Parser<'p>,
    pub(super) pg: &'c Postgres,
}

/// Where a name stands decides which keywords it may be.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum NameKind {
    /// A column or table.
    Column,
    /// A type or function.
    TypeFunction,
    /// After AS or a dot: anything.
    Label,
}

impl<'c, 'p> Cursor<'c, 'p> {
    pub(super) fn new(p: &'c mut Parser<'p>, pg: &'c Postgres) -> Cursor<'c, 'p> {
        Cursor { p, pg }
    }

    /// The token `ahead` of the next one.
    pub(super) fn token(&self, ahead: usize) -> &Token {
        &self.p.token_at(self.p.index() + ahead).token
    }

    pub(super) fn index(&self) -> usize {
        self.p.index()
    }

    /// Where the next token begins.
    pub(super) fn position(&self) -> usize {
        self.pg.start(self.p.index())
    }

    /// Where the last token ended.
    pub(super) fn last_end(&self) -> usize {
        self.pg.token_end(self.p.index().saturating_sub(1))
    }

    pub(super) fn advance(&mut self) {
        self.p.advance_token();
    }

    pub(super) fn at_end(&self) -> bool {
        *self.token(0) == Token::EOF
    }

    /// A syntax error about the next token.
    pub(super) fn fail<T>(&self) -> Result<T> {
        Err(self.pg.syntax_error(self.p.index()))
    }

    /// The unquoted word `ahead` of the next token.
    pub(super) fn word(&self, ahead: usize) -> Option<&str> {
        match self.token(ahead) {
            Token::Word(word) if word.quote_style.is_none() => Some(&word.value),
            _ => None,
        }
    }

    pub(super) fn is(&self, word: &str) -> bool {
        self.word(0) == Some(word)
    }

    /// Whether these words come next.
    pub(super) fn are(&self, words: &[&str]) -> bool {
        (0..)
            .zip(words)
            .all(|(i, word)| self.word(i) == Some(*word))
    }

    pub(super) fn accept(&mut self, word: &str) -> bool {
        let found = self.is(word);
        if found {
            self.advance();
        }
        found
    }

    pub(super) fn accept_all(&mut self, words: &[&str]) -> bool {
        let found = self.are(words);
        if found {
            words.iter().for_each(|_| self.advance());
        }
        found
    }

    /// The first of `words` that comes next, consumed.
    pub(super) fn accept_any<'w>(&mut self, words: &[&'w str]) -> Option<&'w str> {
        words.iter().copied().find(|word| self.accept(word))
    }

    pub(super) fn expect(&mut self, word: &str) -> Result<()> {
        if self.accept(word) {
            Ok(())
        } else {
            self.fail()
        }
    }

    pub(super) fn expect_all(&mut self, words: &[&str]) -> Result<()> {
        words.iter().try_for_each(|word| self.expect(word))
    }

    pub(super) fn at(&self, token: &Token) -> bool {
        self.token(0) == token
    }

    pub(super) fn accept_token(&mut self, token: &Token) -> bool {
        let found = self.at(token);
        if found {
            self.advance();
        }
        found
    }

    pub(super) fn expect_token(&mut self, token: &Token) -> Result<()> {
        if self.accept_token(token) {
            Ok(())
        } else {
            self.fail()
        }
    }

    pub(super) fn comma_separated<T>(
        &mut self,
        mut item: impl FnMut(&mut Self) -> Result<T>,
    ) -> Result<Vec<T>> {
        let mut items = vec![item(self)?];
        while self.accept_token(&Token::Comma) {
            items.push(item(self)?);
        }
        Ok(items)
    }

    pub(super) fn parenthesized<T>(
        &mut self,
        item: impl FnMut(&mut Self) -> Result<T>,
    ) -> Result<Vec<T>> {
        self.expect_token(&Token::LParen)?;
        let items = self.comma_separated(item)?;
        self.expect_token(&Token::RParen)?;
        Ok(items)
    }

    pub(super) fn ident(&mut self, kind: NameKind) -> Result<Ident> {
        let Token::Word(word) = self.token(0) else {
            return self.fail();
        };
        if word.quote_style.is_none() && !allowed(&word.value, kind) {
            return self.fail();
        }
        let name = word.value.clone();
        let position = self.position();
        self.advance();
        Ok(Ident { name, position })
    }

    /// A column's, table's or any other object's name.
    pub(super) fn column_ident(&mut self) -> Result<Ident> {
        self.ident(NameKind::Column)
    }

    /// A name that needs no position.
    pub(super) fn plain_name(&mut self) -> Result<String> {
        Ok(self.column_ident()?.name)
    }

    pub(super) fn name(&mut self) -> Result<Name> {
        let name = self.name_of(NameKind::Column)?;
        check_dots(&name)?;
        Ok(name)
    }

    /// A dotted name; parts after the first may be any word.
    pub(super) fn name_of(&mut self, first: NameKind) -> Result<Name> {
        let mut parts = vec![self.ident(first)?];
        while self.accept_token(&Token::Period) {
            parts.push(self.ident(NameKind::Label)?);
        }
        Ok(Name { parts })
    }

    pub(super) fn string(&mut self) -> Result<String> {
        match self.token(0) {
            Token::EscapedStringLiteral(value) => {
                let value = value.clone();
                self.advance();
                Ok(value)
            }
            _ => self.fail(),
        }
    }

    /// An integer, with a sign if there is one.
    pub(super) fn signed_integer(&mut self) -> Result<i64> {
        let negative = self.accept_token(&Token::Minus);
        if !negative {
            self.accept_token(&Token::Plus);
        }
        let value = match self.token(0) {
            Token::Number(digits, _) => digits.parse::<i64>().ok(),
            _ => None,
        };
        let Some(value) = value else {
            return self.fail();
        };
        self.advance();
        Ok(if negative { -value } else { value })
    }

    /// How many tokens from the next one, a `(`, to its `)`.
    pub(super) fn closing(&self) -> Option<usize> {
        let mut depth = 0usize;
        for ahead in 0.. {
            match self.token(ahead) {
                Token::LParen => depth += 1,
                Token::RParen => {
                    depth -= 1;
                    if depth == 0 {
                        return Some(ahead);
                    }
                }
                Token::EOF => return None,
                _ => {}
            }
        }
        None
    }

    /// CASCADE or RESTRICT; true for CASCADE.
    pub(super) fn drop_behavior(&mut self) -> bool {
        self.accept_any(&["cascade", "restrict"]) == Some("cascade")
    }
}

/// Refuses more than database, schema and object.
pub(super) fn check_dots(name: &Name) -> Result<()> {
    if name.parts.len() <= 3 {
        return Ok(());
    }
    let parts: Vec<&str> = name.parts.iter().map(|part| part.name.as_str()).collect();
    let message = format!(
        "improper qualified name (too many dotted names): {}",
        parts.join(".")
    );
    Err(Error::new(SqlState::SYNTAX_ERROR, message).at(name.parts[0].position))
}

/// Whether an unquoted word may be a name of this kind.
pub(super) fn allowed(word: &str, kind: NameKind) -> bool {
    match words::category(word) {
        None | Some(Category::Unreserved) => true,
        Some(Category::ColumnName) => kind != NameKind::TypeFunction,
        Some(Category::TypeFunction) => kind != NameKind::Column,
        Some(Category::Reserved) => kind == NameKind::Label,
    }
}
