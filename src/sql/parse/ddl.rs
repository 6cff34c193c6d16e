//! CREATE, ALTER and DROP.

use crate::base::Result;
use crate::sql::ast::{
    AlterAction, AlterTable, ColumnDef, ConstraintKind, CreateIndex, CreateTable, Expr, ExprKind,
    IndexColumn, Name, ObjectKind, Statement, TableConstraint,
};
use crate::sql::parse::cursor::{Cursor, NameKind, allowed};
use crate::sql::parse::dialect::unsupported;
use crate::table::Deferral;
use sqlparser::tokenizer::Token;

/// Kinds of objects PostgreSQL can CREATE, ALTER or DROP and this server knows nothing of. The
/// longest spelling of those that begin alike comes first.
const OBJECT_KINDS: &[&str] = &[
    "ACCESS METHOD",
    "AGGREGATE",
    "CAST",
    "COLLATION",
    "CONVERSION",
    "DATABASE",
    "DEFAULT PRIVILEGES",
    "DOMAIN",
    "EVENT TRIGGER",
    "EXTENSION",
    "FOREIGN DATA WRAPPER",
    "FOREIGN TABLE",
    "FUNCTION",
    "GROUP",
    "INDEX",
    "LANGUAGE",
    "LARGE OBJECT",
    "MATERIALIZED VIEW",
    "OPERATOR CLASS",
    "OPERATOR FAMILY",
    "OPERATOR",
    "OWNED",
    "POLICY",
    "PROCEDURE",
    "PUBLICATION",
    "ROLE",
    "ROUTINE",
    "RULE",
    "SCHEMA",
    "SEQUENCE",
    "SERVER",
    "STATISTICS",
    "SUBSCRIPTION",
    "SYSTEM",
    "TABLESPACE",
    "TEXT SEARCH CONFIGURATION",
    "TEXT SEARCH DICTIONARY",
    "TEXT SEARCH PARSER",
    "TEXT SEARCH TEMPLATE",
    "TRANSFORM",
    "TRIGGER",
    "TYPE",
    "USER MAPPING",
    "USER",
    "VIEW",
];

impl Cursor<'_, '_> {
    /// Answers 0A000 for a kind of object that is not ours, 42601 for no kind at all.
    fn unsupported_object<T>(&mut self, verb: &str) -> Result<T> {
        let found = OBJECT_KINDS.iter().find(|kind| {
            let words = kind.to_ascii_lowercase();
            let words: Vec<&str> = words.split(' ').collect();
            self.are(&words)
        });
        let Some(kind) = found else {
            return self.fail();
        };
        kind.split(' ').for_each(|_| self.advance());
        if self.at_end() {
            return self.fail();
        }
        Err(unsupported(format!("{verb} {kind}")))
    }

    pub(super) fn create(&mut self) -> Result<Statement> {
        self.advance();
        if self.are(&["or", "replace"]) {
            (0..2).for_each(|_| self.advance());
            self.accept_any(&["trusted", "constraint", "temp", "temporary"]);
            self.accept_any(&["procedural", "recursive"]);
            return self.unsupported_object("CREATE");
        }
        if self.are(&["unique", "index"]) || self.is("index") {
            return self.create_index();
        }
        if self.accept("database") {
            return self.create_database();
        }
        if self.accept("sequence") {
            return self.create_sequence();
        }
        let scope = self.accept_any(&["global", "local"]);
        let temporary = self.accept_any(&["temp", "temporary"]).is_some();
        if scope.is_some() && !temporary {
            return self.fail();
        }
        let unlogged = !temporary && self.accept("unlogged");
        if self.accept("table") {
            return self.create_table(temporary, unlogged);
        }
        self.accept_any(&["trusted", "constraint", "recursive", "procedural"]);
        self.unsupported_object("CREATE")
    }

    pub(super) fn if_not_exists(&mut self) -> Result<bool> {
        if !self.accept("if") {
            return Ok(false);
        }
        self.expect_all(&["not", "exists"])?;
        Ok(true)
    }

    pub(super) fn if_exists(&mut self) -> Result<bool> {
        if !self.accept("if") {
            return Ok(false);
        }
        self.expect("exists")?;
        Ok(true)
    }

    fn create_table(&mut self, temporary: bool, unlogged: bool) -> Result<Statement> {
        let if_not_exists = self.if_not_exists()?;
        let name = self.name()?;
        if self.is("of") || self.are(&["partition", "of"]) {
            return Err(unsupported(match self.is("of") {
                true => "CREATE TABLE OF",
                false => "CREATE TABLE PARTITION OF",
            }));
        }
        if self.is_table_as() {
            return self.create_table_as(name, if_not_exists, temporary || unlogged);
        }
        self.expect_token(&Token::LParen)?;
        let mut table = CreateTable {
            name,
            if_not_exists,
            temporary,
            unlogged,
            columns: Vec::new(),
            constraints: Vec::new(),
            options: Vec::new(),
        };
        if !self.at(&Token::RParen) {
            self.comma_separated(|c| c.table_element(&mut table))?;
        }
        self.expect_token(&Token::RParen)?;
        if self.is("inherits") {
            return Err(unsupported("INHERITS"));
        }
        if self.are(&["partition", "by"]) {
            return Err(unsupported("PARTITION BY"));
        }
        table.options = self.table_options()?;
        Ok(Statement::CreateTable(Box::new(table)))
    }

    /// USING, WITH, ON COMMIT and TABLESPACE of a table.
    fn table_options(&mut self) -> Result<Vec<(String, String)>> {
        if self.accept("using") && self.plain_name()? != "heap" {
            return Err(unsupported("table access methods"));
        }
        let mut options = Vec::new();
        if self.accept("with") {
            options = self.storage_options()?;
        } else if self.accept("without") {
            self.expect("oids")?;
        }
        if self.accept_all(&["on", "commit"]) && !self.accept_all(&["preserve", "rows"]) {
            return Err(unsupported("ON COMMIT"));
        }
        if self.is("tablespace") {
            return Err(unsupported("TABLESPACE"));
        }
        Ok(options)
    }

    /// `(name [= value], …)`
    pub(super) fn storage_options(&mut self) -> Result<Vec<(String, String)>> {
        self.parenthesized(|c| {
            let mut name = c.ident(NameKind::Label)?.name;
            if c.accept_token(&Token::Period) {
                name = format!("{name}.{}", c.ident(NameKind::Label)?.name);
            }
            if !c.accept_token(&Token::Eq) {
                return Ok((name, String::new()));
            }
            let value = match c.token(0) {
                Token::Word(_) => c.ident(NameKind::Label)?.name,
                Token::EscapedStringLiteral(_) => c.string()?,
                Token::Number(number, _) => {
                    let number = number.clone();
                    c.advance();
                    number
                }
                _ => c.signed_integer()?.to_string(),
            };
            Ok((name, value))
        })
    }

    /// After the name: whether AS follows, past a list of bare column names and options.
    fn is_table_as(&self) -> bool {
        let bare = matches!(self.token(2), Token::Comma | Token::RParen);
        !self.at(&Token::LParen) || bare && matches!(self.token(1), Token::Word(_))
    }

    fn create_table_as(
        &mut self,
        name: Name,
        if_not_exists: bool,
        special: bool,
    ) -> Result<Statement> {
        let columns = match self.at(&Token::LParen) {
            true => self.parenthesized(Self::column_ident)?,
            false => Vec::new(),
        };
        let options = self.table_options()?;
        self.expect("as")?;
        if self.is("execute") {
            return Err(unsupported("CREATE TABLE AS EXECUTE"));
        }
        let query = Box::new(self.query()?);
        let mut with_data = true;
        if self.accept("with") {
            with_data = !self.accept("no");
            self.expect("data")?;
        }
        if special || !options.is_empty() {
            return Err(unsupported("CREATE TABLE AS with options"));
        }
        Ok(Statement::CreateTableAs {
            name,
            if_not_exists,
            columns,
            query,
            with_data,
        })
    }

    fn table_element(&mut self, table: &mut CreateTable) -> Result<()> {
        if self.is("like") {
            return Err(unsupported("CREATE TABLE LIKE"));
        }
        if self.at_table_constraint() {
            let mut constraint = self.table_constraint()?;
            if let ConstraintKind::ForeignKey(key) = &mut constraint.kind {
                // There are no rows yet that could be excepted.
                key.not_valid = false;
            }
            table.constraints.push(constraint);
        } else {
            let column = self.column_def()?;
            table.columns.push(column);
        }
        Ok(())
    }

    fn at_table_constraint(&self) -> bool {
        let starts = [
            "constraint",
            "primary",
            "unique",
            "check",
            "foreign",
            "exclude",
        ];
        match self.word(0) {
            // EXCLUDE is no reserved word: a column may have that name.
            Some("exclude") => self.word(1) == Some("using") || *self.token(1) == Token::LParen,
            Some(word) => starts.contains(&word),
            None => false,
        }
    }

    fn column_def(&mut self) -> Result<ColumnDef> {
        let mut column = ColumnDef {
            name: self.column_ident()?,
            ty: self.type_name()?,
            collation: None,
            not_null: false,
            null: false,
            default: None,
            repeated_default: None,
            identity: None,
            repeated_identity: None,
            default_position: None,
            constraints: Vec::new(),
        };
        if self.is("storage") || self.is("compression") || self.is("options") {
            return Err(unsupported("storage options of a column"));
        }
        while self.column_constraint(&mut column)? {}
        Ok(column)
    }

    /// One clause after a column's type; false when there is none.
    fn column_constraint(&mut self, column: &mut ColumnDef) -> Result<bool> {
        if self.accept("collate") {
            column.collation = Some(self.name()?);
            return Ok(true);
        }
        let name = self.constraint_name()?;
        let position = self.position();
        let own = || vec![column.name.clone()];
        let mut kind = if self.accept_all(&["not", "null"]) {
            column.not_null = true;
            return Ok(true);
        } else if self.accept("null") {
            column.null = true;
            return Ok(true);
        } else if self.accept("default") {
            column.default_position.get_or_insert(position);
            let before = column.default.replace(self.default_expr()?);
            column.repeated_default = column.repeated_default.or(before.map(|_| position));
            return Ok(true);
        } else if self.accept("primary") {
            self.expect("key")?;
            self.index_parameters()?;
            ConstraintKind::PrimaryKey(own(), Deferral::default())
        } else if self.accept("unique") {
            self.nulls_distinct()?;
            self.index_parameters()?;
            ConstraintKind::Unique(own(), Deferral::default())
        } else if self.accept("check") {
            self.check()?
        } else if self.accept("references") {
            self.references(own())?
        } else if self.accept("generated") {
            self.generated(column, position)?;
            return Ok(true);
        } else if name.is_some() {
            return self.fail();
        } else {
            return Ok(false);
        };
        self.constraint_attributes(&mut kind, true)?;
        column.constraints.push(TableConstraint { name, kind });
        Ok(true)
    }

    /// The expression after DEFAULT with its text.
    fn default_expr(&mut self) -> Result<(Expr, String)> {
        let start = self.position();
        let expr = self.restricted_expr()?;
        Ok((expr, self.pg.text(start, self.last_end()).to_owned()))
    }

    fn create_index(&mut self) -> Result<Statement> {
        let unique = self.accept("unique");
        self.expect("index")?;
        let concurrently = self.accept("concurrently");
        let if_not_exists = self.if_not_exists()?;
        let name = match self.is("on") && !if_not_exists {
            true => None,
            false => Some(self.column_ident()?),
        };
        self.expect("on")?;
        let table = self.name()?;
        let method = match self.accept("using") {
            true => Some(self.plain_name()?),
            false => None,
        };
        let columns = self.parenthesized(Self::index_column)?;
        let include = match self.accept("include") {
            true => self.parenthesized(Self::column_ident)?,
            false => Vec::new(),
        };
        self.nulls_distinct()?;
        if self.accept("with") {
            self.storage_options()?;
        }
        if self.is("tablespace") {
            return Err(unsupported("TABLESPACE"));
        }
        let filter = match self.accept("where") {
            true => Some(self.expr()?),
            false => None,
        };
        Ok(Statement::CreateIndex(Box::new(CreateIndex {
            name,
            table,
            unique,
            if_not_exists,
            method,
            columns,
            filter,
            concurrently,
            include,
        })))
    }

    pub(super) fn index_column(&mut self) -> Result<IndexColumn> {
        let position = self.position();
        let plain = !self.at(&Token::LParen) && *self.token(1) != Token::LParen;
        let qualified = *self.token(1) == Token::Period;
        let mut expr = if plain && !qualified {
            let column = self.column_ident()?;
            let kind = ExprKind::Column(Name {
                parts: vec![column],
            });
            Expr { kind, position }
        } else {
            let expr = self.primary()?;
            if qualified && matches!(expr.kind, ExprKind::Column(_)) {
                return self.fail();
            }
            expr
        };
        if self.accept("collate") {
            let collation = self.name()?;
            let arg = Box::new(expr);
            let kind = ExprKind::Collate { arg, collation };
            expr = Expr { kind, position };
        }
        let opclass = match self.word(0) {
            Some("asc" | "desc" | "nulls") => false,
            Some(word) => allowed(word, NameKind::Column),
            None => matches!(self.token(0), Token::Word(_)),
        };
        if opclass {
            return Err(unsupported("operator classes"));
        }
        let direction = self.accept_any(&["asc", "desc"]);
        let descending = direction.map(|word| word == "desc");
        let nulls_first = match self.accept("nulls") {
            false => None,
            true => match self.accept_any(&["first", "last"]) {
                Some(word) => Some(word == "first"),
                None => return self.fail(),
            },
        };
        Ok(IndexColumn {
            expr,
            descending,
            nulls_first,
        })
    }

    pub(super) fn alter(&mut self) -> Result<Statement> {
        self.advance();
        if self.accept("database") {
            return self.alter_database();
        }
        if self.accept("sequence") {
            return self.alter_sequence();
        }
        if !self.accept("table") {
            return self.unsupported_object("ALTER");
        }
        if self.are(&["all", "in", "tablespace"]) {
            return Err(unsupported("ALTER TABLE ALL IN TABLESPACE"));
        }
        let if_exists = self.if_exists()?;
        // ONLY after IF EXISTS stands where the rewriting of tokens has dropped it.
        let table = self.table_name()?;
        let actions = match self.is("rename") {
            true => vec![self.rename()?],
            false => self.comma_separated(Self::alter_action)?,
        };
        Ok(Statement::AlterTable(Box::new(AlterTable {
            table,
            if_exists,
            actions,
        })))
    }

    fn rename(&mut self) -> Result<AlterAction> {
        self.advance();
        if self.accept("to") {
            let to = self.column_ident()?;
            return Ok(AlterAction::RenameTable { to });
        }
        if self.accept("constraint") {
            self.column_ident()?;
            self.expect("to")?;
            self.column_ident()?;
            return Ok(AlterAction::Unsupported("RENAME CONSTRAINT".into()));
        }
        self.accept("column");
        let from = self.column_ident()?;
        self.expect("to")?;
        let to = self.column_ident()?;
        Ok(AlterAction::RenameColumn { from, to })
    }

    fn alter_action(&mut self) -> Result<AlterAction> {
        match self.accept_any(&["add", "drop", "alter"]) {
            Some("add") => self.add_action(),
            Some("drop") => self.drop_action(),
            Some(_) => self.alter_column(),
            None => self.other_action(),
        }
    }

    fn add_action(&mut self) -> Result<AlterAction> {
        if self.at_table_constraint() {
            return Ok(AlterAction::AddConstraint(self.table_constraint()?));
        }
        self.accept("column");
        let if_not_exists = self.if_not_exists()?;
        let column = self.column_def()?;
        Ok(AlterAction::AddColumn {
            column,
            if_not_exists,
        })
    }

    fn drop_action(&mut self) -> Result<AlterAction> {
        let constraint = self.accept("constraint");
        if !constraint {
            self.accept("column");
        }
        let if_exists = self.if_exists()?;
        let name = self.column_ident()?;
        let cascade = self.drop_behavior();
        Ok(match constraint {
            true => AlterAction::DropConstraint {
                name,
                if_exists,
                cascade,
            },
            false => AlterAction::DropColumn {
                column: name,
                if_exists,
                cascade,
            },
        })
    }

    fn alter_column(&mut self) -> Result<AlterAction> {
        if self.accept("constraint") {
            return self.alter_constraint();
        }
        self.accept("column");
        let column = self.column_ident()?;
        if self.accept_all(&["set", "default"]) {
            let start = self.position();
            let expr = self.expr()?;
            let text = self.pg.text(start, self.last_end()).to_owned();
            let default = Some((expr, text));
            return Ok(AlterAction::SetDefault { column, default });
        }
        if self.accept_all(&["drop", "default"]) {
            let default = None;
            return Ok(AlterAction::SetDefault { column, default });
        }
        let set = self.accept_all(&["set", "not", "null"]);
        if set || self.accept_all(&["drop", "not", "null"]) {
            let not_null = set;
            return Ok(AlterAction::SetNotNull { column, not_null });
        }
        if let Some(action) = self.alter_identity(&column)? {
            return Ok(action);
        }
        let what = match (self.word(0), self.word(1)) {
            (Some("type"), _) | (Some("set"), Some("data")) => "ALTER COLUMN TYPE",
            (Some("set"), Some("statistics")) => "SET STATISTICS",
            (Some("set"), Some("storage")) => "SET STORAGE",
            (Some("set"), Some("compression")) => "SET COMPRESSION",
            (Some("set" | "reset"), _) => "column options",
            (Some("drop"), Some("expression")) => "DROP EXPRESSION",
            (Some("drop" | "add"), _) => return Err(self.pg.syntax_error(self.index() + 1)),
            _ => return self.fail(),
        };
        self.skip_action();
        Ok(AlterAction::Unsupported(what.to_owned()))
    }

    fn other_action(&mut self) -> Result<AlterAction> {
        if self.accept_all(&["validate", "constraint"]) {
            let name = self.column_ident()?;
            return Ok(AlterAction::ValidateConstraint { name });
        }
        let known = [
            "owner", "set", "reset", "inherit", "enable", "disable", "force", "no", "validate",
            "cluster", "replica", "attach", "detach", "of", "not", "options",
        ];
        let Some(first) = self.word(0).filter(|word| known.contains(word)) else {
            return self.fail();
        };
        let mut what = first.to_uppercase();
        if let Some(second) = self.word(1) {
            what = format!("{what} {}", second.to_uppercase());
        }
        self.advance();
        if self.at_end() {
            return self.fail();
        }
        self.skip_action();
        Ok(AlterAction::Unsupported(what))
    }

    /// Skips to the comma or the end after an action.
    fn skip_action(&mut self) {
        let mut depth = 0usize;
        loop {
            match self.token(0) {
                Token::EOF => return,
                Token::Comma if depth == 0 => return,
                Token::LParen => depth += 1,
                Token::RParen => depth = depth.saturating_sub(1),
                _ => {}
            }
            self.advance();
        }
    }

    pub(super) fn drop_statement(&mut self) -> Result<Statement> {
        self.advance();
        if self.accept("database") {
            return self.drop_database();
        }
        let kinds = [
            ("table", ObjectKind::Table),
            ("index", ObjectKind::Index),
            ("view", ObjectKind::View),
            ("sequence", ObjectKind::Sequence),
            ("schema", ObjectKind::Schema),
        ];
        let Some((word, kind)) = kinds.into_iter().find(|(word, _)| self.is(word)) else {
            return self.unsupported_object("DROP");
        };
        self.advance();
        if word == "index" {
            self.accept("concurrently");
        }
        let if_exists = self.if_exists()?;
        let names = self.comma_separated(Self::name)?;
        Ok(Statement::Drop {
            kind,
            names,
            if_exists,
            cascade: self.drop_behavior(),
        })
    }
}
