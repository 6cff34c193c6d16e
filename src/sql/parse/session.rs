//! Statements about the session: transactions, settings, prepared statements, cursors, locks.

use crate::base::{Error, Result, SqlState};
use crate::sql::ast::{
    FetchDirection, Isolation, SetValue, Statement, Transaction, TransactionModes,
};
use crate::sql::parse::cursor::{Cursor, NameKind, allowed};
use crate::sql::parse::dialect::unsupported;
use crate::sql::parse::expr::is_query_start;
use crate::txn::LockMode;
use sqlparser::tokenizer::Token;

impl Cursor<'_, '_> {
    pub(super) fn transaction(&mut self) -> Result<Statement> {
        let word = self.word(0).unwrap_or_default().to_owned();
        self.advance();
        let transaction = match word.as_str() {
            "begin" => {
                self.accept_any(&["work", "transaction"]);
                let modes = self.modes(false)?;
                let is_start = false;
                Transaction::Begin { is_start, modes }
            }
            "start" => {
                self.expect("transaction")?;
                let modes = self.modes(false)?;
                let is_start = true;
                Transaction::Begin { is_start, modes }
            }
            "savepoint" => Transaction::Savepoint(self.plain_name()?),
            "release" => {
                if *self.token(1) != Token::EOF {
                    self.accept("savepoint");
                }
                Transaction::Release(self.plain_name()?)
            }
            "commit" | "end" => {
                self.prepared(&word)?;
                self.accept_any(&["work", "transaction"]);
                let chain = self.chain()?;
                Transaction::Commit { chain }
            }
            _ => {
                self.prepared(&word)?;
                self.accept_any(&["work", "transaction"]);
                if word == "rollback" && self.accept("to") {
                    self.accept("savepoint");
                    Transaction::RollbackTo(self.plain_name()?)
                } else {
                    let chain = self.chain()?;
                    Transaction::Rollback { chain }
                }
            }
        };
        Ok(Statement::Transaction(transaction))
    }

    /// COMMIT PREPARED and ROLLBACK PREPARED.
    fn prepared(&mut self, word: &str) -> Result<()> {
        if matches!(word, "commit" | "rollback") && self.accept("prepared") {
            self.string()?;
            let what = format!("{} PREPARED", word.to_uppercase());
            return Err(unsupported(what));
        }
        Ok(())
    }

    fn chain(&mut self) -> Result<bool> {
        if !self.accept("and") {
            return Ok(false);
        }
        let no = self.accept("no");
        self.expect("chain")?;
        Ok(!no)
    }

    /// Transaction modes, separated by commas or nothing; `required` wants one at least.
    fn modes(&mut self, required: bool) -> Result<TransactionModes> {
        let mut modes = TransactionModes::default();
        let mut wanted = required;
        loop {
            if self.accept_all(&["isolation", "level"]) {
                modes.isolation = Some(self.isolation()?);
            } else if self.accept("read") {
                match self.accept_any(&["only", "write"]) {
                    Some(word) => modes.read_only = Some(word == "only"),
                    None => return self.fail(),
                }
            } else if self.accept("deferrable") {
                modes.deferrable = Some(true);
            } else if self.are(&["not", "deferrable"]) {
                (0..2).for_each(|_| self.advance());
                modes.deferrable = Some(false);
            } else if wanted || self.are(&["isolation"]) || self.are(&["not"]) {
                let skip = usize::from(self.is("isolation") || self.is("not"));
                return Err(self.pg.syntax_error(self.index() + skip));
            } else {
                return Ok(modes);
            }
            wanted = self.accept_token(&Token::Comma);
        }
    }

    fn isolation(&mut self) -> Result<Isolation> {
        if self.accept("serializable") {
            return Ok(Isolation::Serializable);
        }
        if self.accept("repeatable") {
            self.expect("read")?;
            return Ok(Isolation::RepeatableRead);
        }
        self.expect("read")?;
        match self.accept_any(&["committed", "uncommitted"]) {
            Some("committed") => Ok(Isolation::ReadCommitted),
            Some(_) => Ok(Isolation::ReadUncommitted),
            None => self.fail(),
        }
    }

    pub(super) fn set(&mut self) -> Result<Statement> {
        self.advance();
        if self.accept_all(&["session", "characteristics"]) {
            self.expect_all(&["as", "transaction"])?;
            let modes = self.modes(true)?;
            let session = true;
            let set = Transaction::SetTransaction { session, modes };
            return Ok(Statement::Transaction(set));
        }
        if self.are(&["constraints"]) && !matches!(self.word(1), Some("to")) {
            return self.set_constraints();
        }
        let scoped = matches!(self.word(0), Some("local" | "session"))
            && matches!(self.token(1), Token::Word(_))
            && !matches!(self.word(1), Some("to"))
            && !self.are(&["session", "authorization"]);
        let local = scoped && self.is("local");
        if scoped {
            self.advance();
        }
        if self.accept("transaction") {
            if self.accept("snapshot") {
                let name = self.string()?;
                if local {
                    let message = "SET LOCAL TRANSACTION SNAPSHOT is not implemented";
                    return Err(Error::new(SqlState::FEATURE_NOT_SUPPORTED, message));
                }
                return Ok(Statement::Transaction(Transaction::Snapshot(name)));
            }
            let modes = self.modes(true)?;
            let session = false;
            let set = Transaction::SetTransaction { session, modes };
            return Ok(Statement::Transaction(set));
        }
        let (name, value) = self.set_value()?;
        Ok(Statement::Set { local, name, value })
    }

    fn set_constraints(&mut self) -> Result<Statement> {
        self.advance();
        let names = match self.accept("all") {
            true => Vec::new(),
            false => self.comma_separated(Self::name)?,
        };
        match self.accept_any(&["deferred", "immediate"]) {
            Some(word) => Ok(Statement::SetConstraints {
                names,
                deferred: word == "deferred",
            }),
            None => self.fail(),
        }
    }

    fn set_value(&mut self) -> Result<(String, SetValue)> {
        let one = |name: &str, value| (name.to_owned(), SetValue::Values(vec![value]));
        if self.accept_all(&["time", "zone"]) {
            let value = match self.accept_any(&["local", "default"]) {
                Some(_) => SetValue::Default,
                None if self.is("interval") => return Err(unsupported("SET TIME ZONE INTERVAL")),
                None => SetValue::Values(vec![self.setting()?]),
            };
            return Ok(("timezone".to_owned(), value));
        }
        if self.accept_all(&["session", "authorization"]) {
            let name = "session_authorization";
            if self.accept("default") {
                return Ok((name.to_owned(), SetValue::Default));
            }
            return Ok(one(name, self.setting()?));
        }
        let valued = !matches!(self.token(1), Token::Eq) && self.word(1) != Some("to");
        if valued && self.accept("names") {
            let name = "client_encoding";
            if self.at_end() || self.accept("default") {
                return Ok((name.to_owned(), SetValue::Default));
            }
            return Ok(one(name, self.string()?));
        }
        if valued && self.accept("role") {
            return Ok(one("role", self.setting()?));
        }
        if valued && self.accept("schema") {
            return Ok(one("search_path", self.string()?));
        }
        if valued && (self.is("catalog") || self.is("xml")) {
            return Err(unsupported("this SET"));
        }
        let name = self.setting_name()?;
        if !self.accept("to") {
            self.expect_token(&Token::Eq)?;
        }
        if self.accept("default") {
            return Ok((name, SetValue::Default));
        }
        let values = self.comma_separated(Self::setting)?;
        Ok((name, SetValue::Values(values)))
    }

    fn setting_name(&mut self) -> Result<String> {
        let mut name = self.plain_name()?;
        while self.accept_token(&Token::Period) {
            name.push('.');
            name.push_str(&self.plain_name()?);
        }
        Ok(name)
    }

    /// A word, string or number as the value of a setting or option.
    pub(super) fn setting(&mut self) -> Result<String> {
        if let Token::EscapedStringLiteral(_) = self.token(0) {
            return self.string();
        }
        let negative = self.accept_token(&Token::Minus);
        let signed = negative || self.accept_token(&Token::Plus);
        if let Token::Number(number, _) = self.token(0) {
            let value = format!("{}{number}", if negative { "-" } else { "" });
            self.advance();
            return Ok(value);
        }
        if signed {
            return self.fail();
        }
        if let Some(word) = self.accept_any(&["true", "false", "on"]) {
            return Ok(word.to_owned());
        }
        // NonReservedWord: a type's or function's name will do too.
        let kind = match self.word(0) {
            Some(word) if allowed(word, NameKind::TypeFunction) => NameKind::TypeFunction,
            _ => NameKind::Column,
        };
        Ok(self.ident(kind)?.name)
    }

    /// The name in SHOW and RESET; `None` is ALL.
    fn shown(&mut self) -> Result<Option<String>> {
        let name = if self.accept("all") {
            return Ok(None);
        } else if self.accept_all(&["time", "zone"]) {
            "timezone".to_owned()
        } else if self.accept_all(&["transaction", "isolation", "level"]) {
            "transaction_isolation".to_owned()
        } else if self.accept_all(&["session", "authorization"]) {
            "session_authorization".to_owned()
        } else {
            self.setting_name()?
        };
        Ok(Some(name))
    }

    pub(super) fn reset(&mut self) -> Result<Statement> {
        self.advance();
        Ok(match self.shown()? {
            Some(name) => Statement::Reset { name },
            None => Statement::ResetAll,
        })
    }

    pub(super) fn show(&mut self) -> Result<Statement> {
        self.advance();
        Ok(match self.shown()? {
            Some(name) => Statement::Show { name },
            None => Statement::ShowAll,
        })
    }

    pub(super) fn discard(&mut self) -> Result<Statement> {
        self.advance();
        match self.accept_any(&["all", "plans", "sequences", "temporary", "temp"]) {
            Some("temporary") => Ok(Statement::Discard("TEMP".to_owned())),
            Some(what) => Ok(Statement::Discard(what.to_uppercase())),
            None => self.fail(),
        }
    }

    pub(super) fn prepare(&mut self) -> Result<Statement> {
        self.advance();
        if self.are(&["transaction"]) && matches!(self.token(1), Token::EscapedStringLiteral(_)) {
            return Err(unsupported("PREPARE TRANSACTION"));
        }
        let name = self.plain_name()?;
        let types = match self.at(&Token::LParen) {
            true => self.parenthesized(Self::type_name)?,
            false => Vec::new(),
        };
        self.expect("as")?;
        let changes = ["insert", "update", "delete", "merge"];
        let preparable = self.at(&Token::LParen)
            || self
                .word(0)
                .is_some_and(|w| is_query_start(w) || changes.contains(&w));
        if !preparable {
            return self.fail();
        }
        Ok(Statement::Prepare {
            name,
            types,
            statement: Box::new(self.statement()?),
        })
    }

    pub(super) fn execute(&mut self) -> Result<Statement> {
        self.advance();
        let name = self.plain_name()?;
        let args = match self.at(&Token::LParen) {
            true => self.parenthesized(Self::expr)?,
            false => Vec::new(),
        };
        Ok(Statement::Execute { name, args })
    }

    pub(super) fn deallocate(&mut self) -> Result<Statement> {
        self.advance();
        if self.is("prepare") && *self.token(1) != Token::EOF {
            self.advance();
        }
        let name = match self.accept("all") {
            true => None,
            false => Some(self.plain_name()?),
        };
        Ok(Statement::Deallocate { name })
    }

    pub(super) fn declare(&mut self) -> Result<Statement> {
        self.advance();
        let name = self.plain_name()?;
        let (mut binary, mut scroll) = (false, false);
        loop {
            if self.accept("binary") {
                binary = true;
            } else if self.accept_all(&["no", "scroll"]) {
                scroll = false;
            } else if self.accept("scroll") {
                scroll = true;
            } else if self.accept_any(&["insensitive", "asensitive"]).is_none() {
                break;
            }
        }
        self.expect("cursor")?;
        let hold = self.accept_all(&["with", "hold"]);
        if !hold {
            self.accept_all(&["without", "hold"]);
        }
        self.expect("for")?;
        Ok(Statement::Declare {
            name,
            binary,
            scroll,
            hold,
            query: Box::new(self.query()?),
        })
    }

    pub(super) fn fetch(&mut self) -> Result<Statement> {
        let is_move = self.is("move");
        self.advance();
        let direction = self.direction()?;
        self.accept_any(&["from", "in"]);
        Ok(Statement::Fetch {
            cursor: self.plain_name()?,
            direction,
            is_move,
        })
    }

    fn direction(&mut self) -> Result<FetchDirection> {
        use FetchDirection::{Absolute, Backward, Forward, Relative};
        if matches!(
            self.token(0),
            Token::Number(..) | Token::Minus | Token::Plus
        ) {
            return Ok(Forward(self.signed_integer()?));
        }
        // A word alone is the cursor's name.
        if *self.token(1) == Token::EOF {
            return Ok(Forward(1));
        }
        let words = [
            "next", "prior", "first", "last", "all", "absolute", "relative", "forward", "backward",
        ];
        Ok(match self.accept_any(&words) {
            Some("prior") => Backward(1),
            Some("first") => Absolute(1),
            Some("last") => Absolute(-1),
            Some("all") => Forward(i64::MAX),
            Some("absolute") => Absolute(self.signed_integer()?),
            Some("relative") => Relative(self.signed_integer()?),
            Some("forward") => Forward(self.fetch_count()?),
            Some("backward") => Backward(self.fetch_count()?),
            _ => Forward(1),
        })
    }

    /// The count after FORWARD and BACKWARD, which may be left out.
    fn fetch_count(&mut self) -> Result<i64> {
        if self.accept("all") {
            return Ok(i64::MAX);
        }
        match self.token(0) {
            Token::Number(..) | Token::Minus | Token::Plus => self.signed_integer(),
            _ => Ok(1),
        }
    }

    pub(super) fn close(&mut self) -> Result<Statement> {
        self.advance();
        let cursor = match self.accept("all") {
            true => None,
            false => Some(self.plain_name()?),
        };
        Ok(Statement::Close { cursor })
    }

    fn lock_mode(&mut self) -> Result<LockMode> {
        let modes: [(&[&str], LockMode); 8] = [
            (&["access", "share"], LockMode::AccessShare),
            (&["row", "share"], LockMode::RowShare),
            (&["row", "exclusive"], LockMode::RowExclusive),
            (
                &["share", "update", "exclusive"],
                LockMode::ShareUpdateExclusive,
            ),
            (&["share"], LockMode::Share),
            (&["share", "row", "exclusive"], LockMode::ShareRowExclusive),
            (&["exclusive"], LockMode::Exclusive),
            (&["access", "exclusive"], LockMode::AccessExclusive),
        ];
        for (words, mode) in modes {
            let words: Vec<&str> = words.iter().copied().chain(["mode"]).collect();
            if self.accept_all(&words) {
                return Ok(mode);
            }
        }
        self.fail()
    }

    pub(super) fn lock_table(&mut self) -> Result<Statement> {
        self.advance();
        self.accept("table");
        let tables = self.comma_separated(Self::table_name)?;
        let mode = match self.accept("in") {
            true => self.lock_mode()?,
            false => LockMode::AccessExclusive,
        };
        let nowait = self.accept("nowait");
        Ok(Statement::LockTable {
            tables,
            mode,
            nowait,
        })
    }
}
