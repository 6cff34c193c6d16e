//! Statements by their first words: queries, changes of rows, EXPLAIN, VACUUM and the like.

use crate::base::{Error, Result, SqlState};
use crate::sql::ast::{
    Alias, Assignment, ConflictAction, ConflictTarget, Cte, Delete, Expr, Ident, Insert, Name,
    OnConflict, Overriding, SelectItem, Statement, TargetColumn, Update,
};
use crate::sql::parse::cursor::{Cursor, NameKind, allowed};
use crate::sql::parse::dialect::unsupported;
use crate::sql::parse::expr::is_query_start;
use sqlparser::tokenizer::Token;

impl Cursor<'_, '_> {
    pub(super) fn statement(&mut self) -> Result<Statement> {
        if self.at(&Token::LParen) {
            return self.query_statement();
        }
        let Some(word) = self.word(0) else {
            return self.fail();
        };
        match word {
            "select" | "values" => self.query_statement(),
            "with" => self.with_statement(),
            "insert" => self.insert(Vec::new()),
            "update" => self.update(Vec::new()),
            "delete" => self.delete(Vec::new()),
            "create" => self.create(),
            "alter" => self.alter(),
            "drop" => self.drop_statement(),
            "truncate" => self.truncate(),
            "copy" => self.copy(),
            "vacuum" => self.vacuum(),
            "analyze" | "analyse" => self.analyze(),
            "explain" => self.explain(),
            "begin" | "start" | "commit" | "end" | "rollback" | "abort" | "savepoint"
            | "release" => self.transaction(),
            "set" => self.set(),
            "reset" => self.reset(),
            "show" => self.show(),
            "discard" => self.discard(),
            "prepare" => self.prepare(),
            "execute" => self.execute(),
            "deallocate" => self.deallocate(),
            "declare" => self.declare(),
            "fetch" | "move" => self.fetch(),
            "close" => self.close(),
            "lock" => self.lock_table(),
            "checkpoint" => {
                self.advance();
                Ok(Statement::Checkpoint)
            }
            _ => self.other(),
        }
    }

    /// Statements that PostgreSQL has and this server has not.
    fn other(&mut self) -> Result<Statement> {
        let one = [
            "grant", "revoke", "listen", "notify", "unlisten", "do", "call", "reindex", "cluster",
            "load", "merge",
        ];
        let two = [
            ["comment", "on"],
            ["security", "label"],
            ["reassign", "owned"],
            ["import", "foreign"],
        ];
        let name = if self.are(&["refresh", "materialized", "view"]) {
            "REFRESH MATERIALIZED VIEW".to_owned()
        } else if let Some(words) = two.iter().find(|words| self.are(&words[..])) {
            match words[0] {
                "comment" => "COMMENT".to_owned(),
                _ => words.join(" ").to_uppercase(),
            }
        } else if let Some(word) = one.iter().find(|word| self.is(word)) {
            word.to_uppercase()
        } else {
            return self.fail();
        };
        let complete = ["REINDEX", "CLUSTER"].contains(&name.as_str());
        self.advance();
        if self.at_end() && !complete {
            return self.fail();
        }
        Err(unsupported(name))
    }

    fn query_statement(&mut self) -> Result<Statement> {
        Ok(Statement::Query(Box::new(self.query()?)))
    }

    /// WITH before a query or a change of rows.
    fn with_statement(&mut self) -> Result<Statement> {
        let mut depth = 0usize;
        let changes = (1..).find_map(|ahead| match self.token(ahead) {
            Token::LParen => {
                depth += 1;
                None
            }
            Token::RParen => {
                depth = depth.saturating_sub(1);
                None
            }
            Token::EOF => Some(false),
            _ if depth > 0 => None,
            _ => match self.word(ahead)? {
                "insert" | "update" | "delete" | "merge" => Some(true),
                "select" | "values" | "table" => Some(false),
                _ => None,
            },
        });
        if changes != Some(true) {
            return self.query_statement();
        }
        self.advance();
        if self.accept("recursive") {
            return Err(unsupported("WITH RECURSIVE before a change of rows"));
        }
        let with = self.ctes()?;
        match self.word(0) {
            Some("insert") => self.insert(with),
            Some("update") => self.update(with),
            Some("delete") => self.delete(with),
            Some("merge") => Err(unsupported("MERGE")),
            _ => self.fail(),
        }
    }

    fn insert(&mut self, with: Vec<Cte>) -> Result<Statement> {
        self.expect_all(&["insert", "into"])?;
        let table = self.name()?;
        let alias = match self.accept("as") {
            true => Some(self.column_ident()?),
            false => None,
        };
        let query = |c: &Self| {
            c.word(1)
                .is_some_and(|w| is_query_start(w) && w != "values")
        };
        let nested = *self.token(1) == Token::LParen;
        let mut columns = Vec::new();
        if self.at(&Token::LParen) && !nested && !query(self) && self.word(1) != Some("values") {
            columns = self.parenthesized(Self::target_column)?;
        }
        let mut overriding = None;
        if self.accept("overriding") {
            overriding = Some(match self.accept_any(&["user", "system"]) {
                Some("user") => Overriding::User,
                Some(_) => Overriding::System,
                None => return self.fail(),
            });
            self.expect("value")?;
        }
        let may_be_empty = columns.is_empty() && overriding.is_none();
        let source = match may_be_empty && self.accept_all(&["default", "values"]) {
            true => None,
            false => {
                let starts = self.at(&Token::LParen) || self.word(0).is_some_and(is_query_start);
                if !starts {
                    return self.fail();
                }
                Some(self.query()?)
            }
        };
        let on_conflict = self.on_conflict()?;
        Ok(Statement::Insert(Box::new(Insert {
            table,
            alias,
            columns,
            source,
            overriding,
            on_conflict,
            returning: self.returning()?,
            with,
        })))
    }

    /// A column to assign to; an element of one is not supported.
    fn target_column(&mut self) -> Result<TargetColumn> {
        let column = self.column_ident()?;
        let mut field = None;
        while self.accept_token(&Token::Period) {
            let part = self.ident(NameKind::Label)?;
            field.get_or_insert(part);
        }
        match self.token(0) {
            Token::LBracket => Err(unsupported("assigning to an element of an array")),
            _ => Ok(TargetColumn { column, field }),
        }
    }

    fn on_conflict(&mut self) -> Result<Option<OnConflict>> {
        let position = self.position();
        if !self.accept("on") {
            return Ok(None);
        }
        self.expect("conflict")?;
        let target = self.conflict_target()?;
        self.expect("do")?;
        let action = match self.accept("nothing") {
            true => ConflictAction::Nothing,
            false => {
                self.expect_all(&["update", "set"])?;
                ConflictAction::Update {
                    assignments: self.assignments()?,
                    filter: self.filter()?,
                }
            }
        };
        Ok(Some(OnConflict {
            target,
            action,
            position,
        }))
    }

    fn conflict_target(&mut self) -> Result<Option<ConflictTarget>> {
        if self.accept_all(&["on", "constraint"]) {
            return Ok(Some(ConflictTarget::Constraint(self.column_ident()?)));
        }
        let position = self.position();
        if !self.at(&Token::LParen) {
            return Ok(None);
        }
        Ok(Some(ConflictTarget::Columns {
            columns: self.parenthesized(Self::index_column)?,
            filter: self.filter()?,
            position,
        }))
    }

    fn filter(&mut self) -> Result<Option<Expr>> {
        if !self.accept("where") {
            return Ok(None);
        }
        if self.are(&["current", "of"]) {
            return Err(unsupported("WHERE CURRENT OF"));
        }
        Ok(Some(self.expr()?))
    }

    fn returning(&mut self) -> Result<Vec<SelectItem>> {
        match self.accept("returning") {
            true => self.select_items(),
            false => Ok(Vec::new()),
        }
    }

    /// `t`, `t *`, `t a` or `t AS a`; `stop` is a word that is no name here.
    fn target_table(&mut self, stop: &str) -> Result<(Name, Option<Alias>)> {
        let table = self.name()?;
        self.accept_token(&Token::Mul);
        let explicit = self.accept("as");
        let named = match self.token(0) {
            Token::Word(_) => self
                .word(0)
                .is_none_or(|w| w != stop && allowed(w, NameKind::Column)),
            _ => false,
        };
        if !explicit && !named {
            return Ok((table, None));
        }
        let name = self.column_ident()?;
        let columns = Vec::new();
        Ok((table, Some(Alias { name, columns })))
    }

    fn update(&mut self, with: Vec<Cte>) -> Result<Statement> {
        self.expect("update")?;
        let (table, alias) = self.target_table("set")?;
        self.expect("set")?;
        let assignments = self.assignments()?;
        let from = match self.accept("from") {
            true => self.table_refs()?,
            false => Vec::new(),
        };
        Ok(Statement::Update(Box::new(Update {
            table,
            alias,
            assignments,
            from,
            filter: self.filter()?,
            returning: self.returning()?,
            with,
        })))
    }

    fn assignments(&mut self) -> Result<Vec<Assignment>> {
        self.comma_separated(|c| {
            if c.at(&Token::LParen) {
                return c.row_assignment();
            }
            let columns = vec![c.target_column()?];
            c.expect_token(&Token::Eq)?;
            let value = c.expr()?;
            let row = false;
            Ok(Assignment {
                columns,
                row,
                value,
            })
        })
    }

    /// `(a, b) = (1, 2)`.
    fn row_assignment(&mut self) -> Result<Assignment> {
        let columns = self.parenthesized(Self::target_column)?;
        self.expect_token(&Token::Eq)?;
        Ok(Assignment {
            columns,
            row: true,
            value: self.expr()?,
        })
    }

    fn delete(&mut self, with: Vec<Cte>) -> Result<Statement> {
        self.expect_all(&["delete", "from"])?;
        let (table, alias) = self.target_table("")?;
        let using = match self.accept("using") {
            true => self.table_refs()?,
            false => Vec::new(),
        };
        Ok(Statement::Delete(Box::new(Delete {
            table,
            alias,
            using,
            filter: self.filter()?,
            returning: self.returning()?,
            with,
        })))
    }

    fn explain(&mut self) -> Result<Statement> {
        self.advance();
        let mut options = Vec::new();
        let listed = self.at(&Token::LParen)
            && !self.word(1).is_some_and(is_query_start)
            && *self.token(1) != Token::LParen;
        let mut analyze = false;
        if listed {
            options = self.parenthesized(Self::option)?;
            for (name, value) in &options {
                if name == "analyze" || name == "analyse" {
                    analyze = !matches!(value.as_str(), "false" | "off" | "0");
                }
            }
        } else {
            analyze = self.accept_any(&["analyze", "analyse"]).is_some();
            if self.accept("verbose") {
                options.push(("verbose".to_owned(), String::new()));
            }
        }
        let explainable = self.at(&Token::LParen)
            || self.word(0).is_some_and(|word| {
                is_query_start(word)
                    || matches!(
                        word,
                        "insert"
                            | "update"
                            | "delete"
                            | "merge"
                            | "declare"
                            | "create"
                            | "refresh"
                            | "execute"
                    )
            });
        if !explainable {
            return self.fail();
        }
        Ok(Statement::Explain {
            analyze,
            options,
            statement: Box::new(self.statement()?),
        })
    }

    /// `name [value]` in a list of options; no value is an empty one.
    pub(super) fn option(&mut self) -> Result<(String, String)> {
        let name = self.ident(NameKind::Label)?.name;
        let ends = matches!(self.token(0), Token::Comma | Token::RParen);
        let value = if ends { String::new() } else { self.setting()? };
        Ok((name, value))
    }

    /// A table's name, with the `*` that asks for tables inheriting from it.
    pub(super) fn table_name(&mut self) -> Result<Name> {
        let name = self.name()?;
        self.accept_token(&Token::Mul);
        Ok(name)
    }

    fn truncate(&mut self) -> Result<Statement> {
        self.advance();
        self.accept("table");
        let tables = self.comma_separated(Self::table_name)?;
        let restart_identity = self.accept_all(&["restart", "identity"]);
        if !restart_identity {
            self.accept_all(&["continue", "identity"]);
        }
        Ok(Statement::Truncate {
            tables,
            restart_identity,
            cascade: self.drop_behavior(),
        })
    }

    fn vacuum(&mut self) -> Result<Statement> {
        self.advance();
        let mut analyze = false;
        if self.at(&Token::LParen) {
            let options = self.parenthesized(Self::vacuum_option)?;
            for (name, value) in options {
                if name == "analyze" || name == "analyse" {
                    analyze = !matches!(value.as_str(), "false" | "off" | "0");
                }
            }
        } else {
            self.accept("full");
            self.accept("freeze");
            self.accept("verbose");
            analyze = self.accept_any(&["analyze", "analyse"]).is_some();
        }
        let tables = self.analyzed_tables()?;
        Ok(Statement::Vacuum { analyze, tables })
    }

    fn analyze(&mut self) -> Result<Statement> {
        self.advance();
        if self.at(&Token::LParen) {
            self.parenthesized(Self::vacuum_option)?;
        } else {
            self.accept("verbose");
        }
        let tables = self.analyzed_tables()?;
        Ok(Statement::Analyze { tables })
    }

    fn vacuum_option(&mut self) -> Result<(String, String)> {
        let position = self.position();
        let (name, value) = self.option()?;
        let known = [
            "full",
            "freeze",
            "verbose",
            "analyze",
            "analyse",
            "disable_page_skipping",
            "skip_locked",
            "index_cleanup",
            "process_toast",
            "truncate",
            "parallel",
        ];
        if known.contains(&name.as_str()) {
            return Ok((name, value));
        }
        Err(Error::new(
            SqlState::SYNTAX_ERROR,
            format!("unrecognized VACUUM option \"{name}\""),
        )
        .at(position))
    }

    fn analyzed_tables(&mut self) -> Result<Vec<(Name, Vec<Ident>)>> {
        if self.at_end() {
            return Ok(Vec::new());
        }
        self.comma_separated(|c| {
            let name = c.name()?;
            let columns = match c.at(&Token::LParen) {
                true => c.parenthesized(Self::column_ident)?,
                false => Vec::new(),
            };
            Ok((name, columns))
        })
    }
}
