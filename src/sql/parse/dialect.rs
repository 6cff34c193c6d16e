//! sqlparser as PostgreSQL: a [`Dialect`] that behaves as sqlparser's own for PostgreSQL, takes
//! PostgreSQL 15's keyword categories for aliases, and hands every expression to
//! `expr`, whose grammar has PostgreSQL's precedences and positions.
//!
//! An expression parsed there is kept here; sqlparser's tree holds a placeholder for it, its
//! number. [`Postgres::take`] exchanges the one for the other.

use crate::base::{Error, Result, SqlState};
use crate::sql::ast::{Expr, Locking};
use crate::sql::parse::cursor::Cursor;
use crate::sql::parse::lex::{end_of, start_of};
use crate::sql::parse::words::{self, Category};
use sqlparser::ast as sp;
use sqlparser::dialect::{Dialect, PostgreSqlDialect};
use sqlparser::keywords::Keyword;
use sqlparser::parser::{Parser, ParserError};
use sqlparser::tokenizer::{Span, Token, TokenWithSpan};
use std::any::TypeId;
use std::cell::{Cell, RefCell};
use std::sync::Arc;

/// How deeply expressions, queries and joins may nest. Whoever walks a tree recursively needs
/// stack for this many levels.
pub(super) const DEPTH_MAX: usize = 400;

/// What one statement's parse needs beside the tokens.
#[derive(Debug)]
pub(super) struct Postgres {
    /// The whole text, not only this statement's.
    text: Arc<str>,
    /// Where the statement ends, and whether a semicolon stands there.
    end: usize,
    terminated: bool,
    spans: Vec<Span>,
    /// With the height of each.
    exprs: RefCell<Vec<Option<(Expr, usize)>>>,
    /// The locking clauses cut out of the tokens, by number.
    pub(super) locks: Vec<Locking>,
    /// The error that made a hook give up, with the index of the token it is about.
    failure: RefCell<Option<(usize, Error)>>,
    /// The furthest token that was looked at after everything before it had been accepted.
    furthest: Cell<usize>,
    /// How many expressions and queries are open.
    depth: Cell<usize>,
    /// The height of the tallest expression finished inside the open one.
    tallest: Cell<usize>,
    /// How deep in the tree of the query that is being made we are, and were at most.
    level: Cell<usize>,
    deepest: Cell<usize>,
}

impl Postgres {
    pub(super) fn new(text: &Arc<str>, end: usize, tokens: &[TokenWithSpan]) -> Postgres {
        Postgres {
            text: Arc::clone(text),
            end,
            terminated: text.as_bytes().get(end) == Some(&b';'),
            spans: tokens.iter().map(|t| t.span).collect(),
            exprs: RefCell::default(),
            locks: Vec::new(),
            failure: RefCell::default(),
            furthest: Cell::new(0),
            depth: Cell::new(0),
            tallest: Cell::new(0),
            level: Cell::new(0),
            deepest: Cell::new(0),
        }
    }

    /// The text between two byte offsets.
    pub(super) fn text(&self, start: usize, end: usize) -> &str {
        self.text.get(start..end).unwrap_or("")
    }

    /// Where token `index` begins; the end of the statement past the last one.
    pub(super) fn start(&self, index: usize) -> usize {
        self.spans.get(index).map_or(self.end, |&s| start_of(s))
    }

    /// Where token `index` ends.
    pub(super) fn token_end(&self, index: usize) -> usize {
        self.spans.get(index).map_or(self.end, |&s| end_of(s))
    }

    /// The index of the token that begins at `position`.
    pub(super) fn index_at(&self, position: usize) -> usize {
        self.spans.partition_point(|&s| start_of(s) < position)
    }

    /// PostgreSQL's message for a token that fits nowhere.
    pub(super) fn syntax_error(&self, index: usize) -> Error {
        if let Some(error) = self.limit_with_comma(index) {
            return error;
        }
        let (start, end) = match self.spans.get(index) {
            Some(&span) => (start_of(span), end_of(span)),
            None if self.terminated => (self.end, self.end + 1),
            None => {
                let message = "syntax error at end of input";
                return Error::new(SqlState::SYNTAX_ERROR, message).at(self.end);
            }
        };
        let near = self.text(start, end);
        let message = format!("syntax error at or near \"{near}\"");
        Error::new(SqlState::SYNTAX_ERROR, message).at(start)
    }

    /// The syntax error for the token that begins at `position`.
    pub(super) fn syntax_error_at(&self, position: usize) -> Error {
        self.syntax_error(self.index_at(position))
    }

    /// The expression behind sqlparser's placeholder.
    pub(super) fn take(&self, expr: &sp::Expr) -> Result<Expr> {
        let number = match expr {
            sp::Expr::Value(sp::ValueWithSpan {
                value: sp::Value::Placeholder(number),
                ..
            }) => number.parse::<usize>().ok(),
            _ => None,
        };
        let kept = number.and_then(|n| self.exprs.borrow_mut().get_mut(n).and_then(Option::take));
        let (expr, height) = kept.ok_or_else(|| unsupported("this form of GROUP BY"))?;
        self.deeper(height, || Ok(expr))
    }

    /// Makes a part of the tree that is `levels` below the one it belongs to.
    pub(super) fn deeper<T>(&self, levels: usize, make: impl FnOnce() -> Result<T>) -> Result<T> {
        let level = self.level.get();
        self.level.set(level + levels);
        self.deepest.set(self.deepest.get().max(level + levels));
        let made = match level + levels > DEPTH_MAX {
            true => Err(too_deep()),
            false => make(),
        };
        self.level.set(level);
        made
    }

    /// Makes a whole tree, which counts as one expression in the open one.
    pub(super) fn make<T>(&self, make: impl FnOnce() -> Result<T>) -> Result<T> {
        let (level, deepest) = (self.level.replace(0), self.deepest.replace(0));
        let made = self.deeper(1, make);
        let height = self.deepest.replace(deepest);
        self.level.set(level);
        self.tallest.set(self.tallest.get().max(height));
        made
    }

    fn keep(&self, expr: Expr, height: usize) -> sp::Expr {
        let mut exprs = self.exprs.borrow_mut();
        exprs.push(Some((expr, height)));
        let number = (exprs.len() - 1).to_string();
        sp::Expr::Value(sp::Value::Placeholder(number).with_empty_span())
    }

    /// Notes that all tokens before `index` were accepted and this one was looked at.
    pub(super) fn reached(&self, index: usize) {
        self.furthest.set(self.furthest.get().max(index));
    }

    /// Turns sqlparser's error into PostgreSQL's. sqlparser tries alternatives and reports the
    /// last one's; the true culprit is the furthest token any of them stumbled over.
    pub(super) fn failed(&self, error: &ParserError) -> Error {
        if matches!(error, ParserError::RecursionLimitExceeded) {
            return too_deep();
        }
        let found = self.furthest.get().max(self.index_of(error));
        match self.failure.take() {
            Some((index, failure)) if failure.report().message.starts_with("syntax error") => {
                self.stuck(found.max(index))
            }
            Some((_, failure)) => failure,
            None => self.stuck(found),
        }
    }

    /// The error for token `found` where sqlparser's grammar ends, though PostgreSQL's may go on.
    pub(super) fn stuck(&self, found: usize) -> Error {
        let (word, next) = (self.word(found), self.word(found + 1));
        match (word.as_str(), next.as_str()) {
            ("all", "distinct") | ("distinct", "all") => self.syntax_error(found + 1),
            ("order" | "group", next) if next != "by" => self.syntax_error(found + 1),
            ("distinct", _) if self.word(found.wrapping_sub(1)) == "by" => {
                unsupported("GROUP BY DISTINCT")
            }
            ("only", "(") => unsupported("ONLY with parentheses"),
            ("as", _) if self.follows_using(found) => unsupported("a name for JOIN … USING"),
            ("from", _) if self.word(found.wrapping_sub(1)) == "rows" => unsupported("ROWS FROM"),
            _ => self.syntax_error(found),
        }
    }

    /// Whether the tokens before are `USING ( … )`.
    fn follows_using(&self, index: usize) -> bool {
        let open = (0..index).rev().find(|&i| self.word(i) == "(");
        let closed = index.checked_sub(1).is_some_and(|i| self.word(i) == ")");
        let using = open.and_then(|open| open.checked_sub(1));
        closed && using.is_some_and(|i| self.word(i) == "using")
    }

    /// A token's text in lower case; nothing where there is no token.
    pub(super) fn word(&self, index: usize) -> String {
        match self.spans.get(index) {
            Some(&span) => self.text(start_of(span), end_of(span)).to_ascii_lowercase(),
            None => String::new(),
        }
    }

    /// The token named by the end of sqlparser's message: `… at Line: 1, Column: n`.
    fn index_of(&self, error: &ParserError) -> usize {
        let message = error.to_string();
        let column = message.rsplit_once("Column: ").map(|(_, column)| column);
        match column.and_then(|column| column.parse::<usize>().ok()) {
            Some(column) => self.index_at(column.saturating_sub(1)),
            None if message.ends_with("EOF") => self.spans.len(),
            None => 0,
        }
    }

    fn limit_with_comma(&self, found: usize) -> Option<Error> {
        if self.word(found) != "," {
            return None;
        }
        let limit = found.checked_sub(2)?;
        (self.word(limit) == "limit").then(|| {
            Error::new(SqlState::SYNTAX_ERROR, "LIMIT #,# syntax is not supported")
                .with_hint("Use separate LIMIT and OFFSET clauses.")
                .at(self.start(limit))
        })
    }

    /// Keeps a hook's error while sqlparser unwinds with one of its own.
    pub(super) fn fail(&self, error: Error) -> ParserError {
        let index = error.report().position.map_or(0, |p| self.index_at(p));
        let mut failure = self.failure.borrow_mut();
        if failure.as_ref().is_none_or(|(before, _)| index >= *before) {
            *failure = Some((index, error));
        }
        ParserError::ParserError(String::new())
    }

    /// Opens one level of nesting; [`Self::leave`] closes it.
    pub(super) fn enter(&self) -> Result<()> {
        if self.depth.get() >= DEPTH_MAX {
            return Err(too_deep());
        }
        self.depth.set(self.depth.get() + 1);
        Ok(())
    }

    pub(super) fn leave(&self) {
        self.depth.set(self.depth.get() - 1);
    }

    /// Sets the height of the tallest finished expression, returning the one before.
    pub(super) fn swap_tallest(&self, height: usize) -> usize {
        self.tallest.replace(height)
    }
}

/// PostgreSQL's answer to a statement that nests too deeply.
pub(super) fn too_deep() -> Error {
    Error::new(
        SqlState::STATEMENT_TOO_COMPLEX,
        "stack depth limit exceeded",
    )
    .with_hint("Simplify the statement: expressions, queries and joins may nest 400 levels deep.")
}

/// A statement that PostgreSQL knows and the tree cannot express; `what` is its name. It becomes
/// `Statement::Unsupported`.
pub(super) fn unsupported(what: impl Into<String>) -> Error {
    Error::new(SqlState::FEATURE_NOT_SUPPORTED, what)
}

/// The word an alias hook is asked about: the token just consumed.
fn asked_word<'a>(parser: &'a Parser<'_>) -> &'a str {
    match &parser.get_current_token().token {
        Token::Word(word) if word.quote_style.is_none() => &word.value,
        _ => "",
    }
}

impl Dialect for Postgres {
    fn dialect(&self) -> TypeId {
        TypeId::of::<PostgreSqlDialect>()
    }

    fn is_identifier_start(&self, c: char) -> bool {
        PostgreSqlDialect {}.is_identifier_start(c)
    }

    fn is_identifier_part(&self, c: char) -> bool {
        PostgreSqlDialect {}.is_identifier_part(c)
    }

    fn supports_group_by_expr(&self) -> bool {
        true
    }

    fn supports_empty_projections(&self) -> bool {
        true
    }

    fn supports_order_by_using_operator(&self) -> bool {
        true
    }

    fn is_select_item_alias(&self, explicit: bool, _: &Keyword, parser: &mut Parser) -> bool {
        let label = explicit || words::is_bare_label(asked_word(parser));
        self.reached(parser.index() - usize::from(!label));
        label
    }

    fn is_table_factor_alias(&self, explicit: bool, _: &Keyword, parser: &mut Parser) -> bool {
        let word = asked_word(parser);
        let category = words::category(word);
        // `UPDATE t SET a = 1`, in a WITH; nothing else goes on so behind an alias.
        let is_assignment = !explicit
            && word.eq_ignore_ascii_case("set")
            && matches!(parser.peek_tokens(), [Token::Word(_), Token::Eq]);
        let name = !matches!(category, Some(Category::Reserved | Category::TypeFunction))
            && !is_assignment;
        self.reached(parser.index() - usize::from(!name));
        name
    }

    fn parse_prefix(&self, parser: &mut Parser) -> Option<Result<sp::Expr, ParserError>> {
        let outer = self.swap_tallest(0);
        let mut cursor = Cursor::new(parser, self);
        let parsed = match cursor.expr() {
            // sqlparser would go on where PostgreSQL wants parentheses.
            Ok(_) if matches!(cursor.token(0), Token::LBracket | Token::Period) => cursor.fail(),
            parsed => parsed,
        };
        if parsed.is_ok() {
            self.reached(parser.index());
        }
        let height = self.swap_tallest(outer);
        let kept = parsed.map(|expr| self.keep(expr, height));
        Some(kept.map_err(|e| self.fail(e)))
    }

    /// Nothing: a prefix is the whole expression.
    fn get_next_precedence(&self, _: &Parser) -> Option<Result<u8, ParserError>> {
        Some(Ok(self.prec_unknown()))
    }
}
