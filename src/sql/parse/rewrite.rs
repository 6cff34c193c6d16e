//! What sqlparser's grammar of queries lacks, rewritten on the tokens of one statement:
//!
//! - `TABLE t` becomes `SELECT * FROM t`;
//! - `ONLY` goes: there is no inheritance;
//! - a locking clause is cut out and kept aside; `FOR UPDATE OF "n"` stands for it, after the
//!   LIMIT where sqlparser wants it.
//!
//! A token put in has the span of the token it stands for, so that messages stay true.

use crate::sql::ast::{Ident, LockStrength, LockWait, Locking};
use crate::sql::parse::lex::{start_of, word_token};
use sqlparser::keywords::Keyword;
use sqlparser::tokenizer::{Span, Token, TokenWithSpan, Word};

/// The rewritten tokens and the locking clauses by number.
pub(super) fn rewrite(tokens: Vec<TokenWithSpan>) -> (Vec<TokenWithSpan>, Vec<Locking>) {
    let mut rewriter = Rewriter {
        out: Vec::with_capacity(tokens.len() + 8),
        tokens,
        at: 0,
        locks: Vec::new(),
        waiting: Vec::new(),
        depth: 0,
    };
    while rewriter.at < rewriter.tokens.len() {
        rewriter.step();
    }
    rewriter.release(0);
    (rewriter.out, rewriter.locks)
}

struct Rewriter {
    tokens: Vec<TokenWithSpan>,
    at: usize,
    out: Vec<TokenWithSpan>,
    locks: Vec<Locking>,
    /// Clauses before a LIMIT or another clause, with their depth of parentheses, which grows.
    waiting: Vec<(usize, Vec<TokenWithSpan>)>,
    depth: usize,
}

fn word(token: Option<&TokenWithSpan>) -> Option<&str> {
    match &token?.token {
        Token::Word(word) if word.quote_style.is_none() => Some(&word.value),
        _ => None,
    }
}

impl Rewriter {
    fn word(&self, ahead: usize) -> Option<&str> {
        word(self.tokens.get(self.at + ahead))
    }

    fn step(&mut self) {
        match self.tokens[self.at].token {
            Token::LParen => self.depth += 1,
            Token::RParen => {
                self.release(self.depth);
                self.depth = self.depth.saturating_sub(1);
            }
            Token::Word(_) => {
                let done = match self.word(0) {
                    Some("for") => self.lock(),
                    Some("table") => self.table(),
                    Some("select") => self.select(),
                    Some("only") => self.only(),
                    Some("union" | "intersect" | "except" | "returning") => {
                        self.release(self.depth);
                        false
                    }
                    _ => false,
                };
                if done {
                    return;
                }
            }
            _ => {}
        }
        self.out.push(self.tokens[self.at].clone());
        self.at += 1;
    }

    /// Puts clauses that wait at this depth or deeper where the query ends.
    fn release(&mut self, depth: usize) {
        let first = self.waiting.partition_point(|(at, _)| *at < depth);
        for (_, clause) in self.waiting.drain(first..) {
            self.out.extend(clause);
        }
    }

    /// Whether a query can begin here, by the token before.
    fn query_begins(&self) -> bool {
        // The name of INSERT's target stands before its query.
        if self.depth == 0 && self.out.iter().any(|t| word(Some(t)) == Some("insert")) {
            return true;
        }
        match self.out.last().map(|t| &t.token) {
            None | Some(Token::LParen | Token::RParen) => true,
            _ => matches!(
                word(self.out.last()),
                Some("union" | "intersect" | "except" | "all" | "distinct" | "for" | "as")
            ),
        }
    }

    fn table(&mut self) -> bool {
        let named = matches!(
            self.tokens.get(self.at + 1).map(|t| &t.token),
            Some(Token::Word(_))
        );
        if !self.query_begins() || !named {
            return false;
        }
        let span = self.tokens[self.at].span;
        for token in [word_token("select"), Token::Mul, word_token("from")] {
            self.out.push(TokenWithSpan { token, span });
        }
        self.at += 1;
        true
    }

    /// `SELECT` of nothing gets a `*` of no width, which goes again when the tree is made.
    fn select(&mut self) -> bool {
        let empty = match self.tokens.get(self.at + 1) {
            None => true,
            Some(next) if next.token == Token::RParen => true,
            next => matches!(
                word(next),
                Some(
                    "where"
                        | "group"
                        | "having"
                        | "union"
                        | "intersect"
                        | "except"
                        | "order"
                        | "limit"
                        | "offset"
                        | "fetch"
                        | "for"
                        | "window"
                        | "on"
                        | "returning"
                )
            ),
        };
        let empty = empty && self.query_begins();
        if empty {
            let select = self.tokens[self.at].clone();
            let span = Span::new(select.span.end, select.span.end);
            let token = Token::Mul;
            self.out.extend([select, TokenWithSpan { token, span }]);
            self.at += 1;
        }
        empty
    }

    fn only(&mut self) -> bool {
        let before = self.out.last();
        let expected = before.is_some_and(|t| t.token == Token::Comma)
            || matches!(
                word(before),
                Some("from" | "join" | "update" | "table" | "truncate" | "exists" | "on" | "lock")
            );
        let named = matches!(
            self.tokens.get(self.at + 1).map(|t| &t.token),
            Some(Token::Word(_))
        );
        if expected && named {
            self.at += 1;
        }
        expected && named
    }

    fn lock(&mut self) -> bool {
        let (strength, length) = match (self.word(1), self.word(2), self.word(3)) {
            (Some("update"), _, _) => (LockStrength::Update, 2),
            (Some("share"), _, _) => (LockStrength::Share, 2),
            (Some("no"), Some("key"), Some("update")) => (LockStrength::NoKeyUpdate, 4),
            (Some("key"), Some("share"), _) => (LockStrength::KeyShare, 3),
            _ => return false,
        };
        let first = self.tokens[self.at].clone();
        let span = first.span;
        let before = self.at;
        self.at += length;
        let of = self.lock_names();
        if self.word(0) == Some("of") {
            self.at = before;
            return false;
        }
        let wait = self.lock_wait();
        let number = self.locks.len().to_string();
        self.locks.push(Locking { strength, of, wait });
        let number = Token::Word(Word {
            value: number,
            quote_style: Some('"'),
            keyword: Keyword::NoKeyword,
        });
        let mut clause = vec![first];
        for token in [word_token("update"), word_token("of"), number] {
            clause.push(TokenWithSpan { token, span });
        }
        self.waiting.push((self.depth, clause));
        if !matches!(self.word(0), Some("limit" | "offset" | "fetch" | "for")) {
            self.release(self.depth);
        }
        true
    }

    fn lock_names(&mut self) -> Vec<Ident> {
        let mut names = Vec::new();
        if self.word(0) != Some("of") {
            return names;
        }
        // A name that is missing or qualified stays in the text: a syntax error.
        let mut at = self.at + 1;
        while let Some(TokenWithSpan {
            token: Token::Word(word),
            span,
        }) = self.tokens.get(at)
        {
            names.push(Ident {
                name: word.value.clone(),
                position: start_of(*span),
            });
            self.at = at + 1;
            if self.tokens.get(self.at).map(|t| &t.token) != Some(&Token::Comma) {
                break;
            }
            at = self.at + 1;
        }
        names
    }

    fn lock_wait(&mut self) -> LockWait {
        let (wait, length) = match (self.word(0), self.word(1)) {
            (Some("nowait"), _) => (LockWait::Nowait, 1),
            (Some("skip"), Some("locked")) => (LockWait::SkipLocked, 2),
            _ => (LockWait::Wait, 0),
        };
        self.at += length;
        wait
    }
}
