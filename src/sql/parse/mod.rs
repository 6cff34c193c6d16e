//! SQL text to statements. The only place that knows the `sqlparser` crate.
//!
//! The life of a text: `lex` makes tokens by PostgreSQL's lexical rules; they are split at
//! semicolons; `statement` reads each statement by its first word, with `session`, `ddl` and
//! `copy`. Queries are sqlparser's (`rewrite` first turns into its grammar what it lacks) and
//! become our tree in `query`; expressions are read by `expr` and `primary`, which sqlparser calls
//! through the hook in `dialect`: PostgreSQL's precedences and error positions are not sqlparser's.
//!
//! Promises:
//! 1. What PostgreSQL 15 calls a syntax error is one here: 42601 with its message and position.
//!    `testdata/syntax.tsv` holds what was compared. (Of statements that come out as
//!    `Unsupported` only the beginning is checked.)
//! 2. Nothing written is dropped silently: what the tree cannot hold becomes `Unsupported`.
//! 3. No text overflows the stack. Nesting beyond `DEPTH_MAX` levels is 54001; a long text is
//!    parsed on a thread with a large stack, and no tree that leaves here is deeper than that.
//! 4. Positions are byte offsets in the whole text given.
//!
//! Entry points: [`parse()`], [`parse_expr`], [`lift()`].

mod constraint;
mod copy;
mod cursor;
mod database;
mod ddl;
mod dialect;
mod expr;
mod lex;
mod lift;
mod primary;
mod query;
mod rewrite;
mod sequence;
mod session;
mod statement;
mod types;
mod words;

#[cfg(test)]
mod tests;

use crate::base::{Error, Result, SqlState};
use crate::sql::ast::{Expr, Parsed, Statement};
use crate::sql::parse::cursor::Cursor;
use crate::sql::parse::dialect::{DEPTH_MAX, Postgres, too_deep};
use crate::sql::parse::lex::{end_of, start_of};
use sqlparser::parser::Parser;
use sqlparser::tokenizer::{Token, TokenWithSpan};
use std::sync::Arc;

pub use lift::{Lifted, Literal, lift};

/// Up to so many tokens a text is parsed on the caller's stack.
const INLINE_TOKENS_MAX: usize = 200;

/// The stack for longer texts, of which only what is used takes memory.
const STACK_BYTES: usize = 256 << 20;

/// More tokens than this between two commas are too many: they could be a chain of UNIONs, which
/// sqlparser's tree (and its destructor) nests.
const CHAIN_TOKENS_MAX: usize = 200_000;

/// The statements of a query string. Empty statements do not appear.
pub fn parse(text: &str) -> Result<Vec<Parsed>> {
    let tokens = lex::tokens(text)?;
    with_stack(tokens, |tokens| parse_tokens(&Arc::from(text), tokens))
}

/// The first `$n` of a text, and where it stands.
pub fn first_parameter(text: &str) -> Option<(usize, usize)> {
    let tokens = lex::tokens(text).ok()?;
    tokens.iter().find_map(|t| match &t.token {
        Token::Placeholder(number) => Some((number[1..].parse().ok()?, start_of(t.span))),
        _ => None,
    })
}

/// A single expression, as kept in the catalog for defaults and checks.
pub fn parse_expr(text: &str) -> Result<Expr> {
    let tokens = lex::tokens(text)?;
    with_stack(tokens, |tokens| {
        read(&Arc::from(text), text.len(), tokens, |cursor| cursor.expr())
    })
}

/// Runs `parse` where there is stack enough for these tokens.
fn with_stack<T: Send>(
    tokens: Vec<TokenWithSpan>,
    parse: impl FnOnce(Vec<TokenWithSpan>) -> Result<T> + Send,
) -> Result<T> {
    if tokens.len() <= INLINE_TOKENS_MAX {
        return parse(tokens);
    }
    check_chains(&tokens)?;
    std::thread::scope(|scope| {
        let builder = std::thread::Builder::new().stack_size(STACK_BYTES);
        let thread = builder.spawn_scoped(scope, || parse(tokens));
        let failed = |what| Error::new(SqlState::OUT_OF_MEMORY, what);
        let thread = thread.map_err(|e| failed(format!("could not start a thread: {e}")))?;
        let panicked = || Err(Error::new(SqlState::INTERNAL_ERROR, "the parser panicked"));
        thread.join().unwrap_or_else(|_| panicked())
    })
}

/// Refuses what would make sqlparser's tree too deep for its destructor.
fn check_chains(tokens: &[TokenWithSpan]) -> Result<()> {
    let mut since_comma = vec![0usize];
    for token in tokens {
        match token.token {
            Token::LParen => since_comma.push(0),
            Token::RParen if since_comma.len() > 1 => {
                since_comma.pop();
            }
            _ => {}
        }
        let depth = since_comma.len();
        let Some(count) = since_comma.last_mut() else {
            continue;
        };
        *count = match token.token {
            Token::Comma | Token::SemiColon => 0,
            _ => *count + 1,
        };
        if *count > CHAIN_TOKENS_MAX || depth > DEPTH_MAX {
            return Err(too_deep());
        }
    }
    Ok(())
}

fn parse_tokens(text: &Arc<str>, tokens: Vec<TokenWithSpan>) -> Result<Vec<Parsed>> {
    let mut statements = Vec::new();
    let mut pending = Vec::new();
    let mut depth = 0usize;
    for token in tokens {
        match token.token {
            Token::LParen => depth += 1,
            Token::RParen => depth = depth.saturating_sub(1),
            Token::SemiColon if depth == 0 => {
                let end = start_of(token.span);
                statements.extend(parse_one(text, end, std::mem::take(&mut pending))?);
                continue;
            }
            _ => {}
        }
        pending.push(token);
    }
    statements.extend(parse_one(text, text.len(), pending)?);
    Ok(statements)
}

/// The statement of these tokens, if there are any; `limit` is where it was cut.
fn parse_one(text: &Arc<str>, limit: usize, tokens: Vec<TokenWithSpan>) -> Result<Option<Parsed>> {
    let (Some(first), Some(last)) = (tokens.first(), tokens.last()) else {
        return Ok(None);
    };
    let (start, end) = (start_of(first.span), end_of(last.span));
    let statement = match read(text, limit, tokens, |cursor| cursor.statement()) {
        Err(e) if e.sqlstate() == SqlState::FEATURE_NOT_SUPPORTED => {
            Statement::Unsupported(e.report().message)
        }
        read => read?,
    };
    Ok(Some(Parsed {
        statement,
        start,
        end,
    }))
}

/// Reads all of the tokens with `grammar`.
fn read<T>(
    text: &Arc<str>,
    limit: usize,
    tokens: Vec<TokenWithSpan>,
    grammar: impl FnOnce(&mut Cursor<'_, '_>) -> Result<T>,
) -> Result<T> {
    let (tokens, locks) = rewrite::rewrite(tokens);
    let mut postgres = Postgres::new(text, limit, &tokens);
    postgres.locks = locks;
    let parser = Parser::new(&postgres).with_recursion_limit(DEPTH_MAX * 6);
    let mut parser = parser.with_tokens_with_locations(tokens);
    let mut cursor = Cursor::new(&mut parser, &postgres);
    let parsed = grammar(&mut cursor)?;
    if !cursor.at_end() {
        return Err(postgres.stuck(cursor.index()));
    }
    Ok(parsed)
}
