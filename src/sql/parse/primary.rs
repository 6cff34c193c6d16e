//! The operands of expressions, PostgreSQL's `c_expr`: literals, columns, calls and what looks like
//! a call (EXTRACT, SUBSTRING, TRIM…), which becomes a call of the function behind it.

use crate::base::{Error, Result, SqlState};
use crate::sql::ast::{Call, Expr, ExprKind, Ident, Name, Position, Query};
use crate::sql::parse::cursor::{Cursor, NameKind};
use crate::sql::parse::dialect::{DEPTH_MAX, too_deep};
use crate::sql::parse::expr::{boxed, expr, is_query_start};
use crate::sql::parse::words::{self, Category};
use sqlparser::tokenizer::Token;

fn name_of(function: &str, position: Position) -> Name {
    let name = function.to_owned();
    Name {
        parts: vec![Ident { name, position }],
    }
}

/// A plain call of a function.
fn call(function: &str, args: Vec<Expr>, position: Position) -> Expr {
    expr(
        ExprKind::Call(Box::new(Call {
            name: name_of(function, position),
            args,
            star: false,
            distinct: false,
            order_by: Vec::new(),
            filter: None,
            over: false,
            variadic: false,
        })),
        position,
    )
}

impl Cursor<'_, '_> {
    /// PostgreSQL's `c_expr`.
    pub(super) fn primary(&mut self) -> Result<Expr> {
        let position = self.position();
        let kind = match self.token(0) {
            Token::Number(number, _) => ExprKind::Number(number.clone()),
            Token::EscapedStringLiteral(value) => ExprKind::String(value.clone()),
            Token::HexStringLiteral(_) => ExprKind::Unsupported("bit string literals".into()),
            Token::Placeholder(number) => match number[1..].parse() {
                Ok(number) if number > 0 => {
                    self.advance();
                    return self.indirection(expr(ExprKind::Param(number), position));
                }
                _ => {
                    let message = format!("there is no parameter {number}");
                    let error = Error::new(SqlState::UNDEFINED_PARAMETER, message);
                    return Err(error.at(position));
                }
            },
            Token::LParen => return self.parenthesis(),
            Token::Word(_) => return self.word_expr(),
            _ => return self.fail(),
        };
        self.advance();
        Ok(expr(kind, position))
    }

    /// Whether a parenthesised query comes next. `((SELECT 1) + 2)` is none, but
    /// `((SELECT 1) UNION SELECT 2)` is.
    pub(super) fn at_subquery(&self) -> bool {
        let opens = (0..).take_while(|&n| *self.token(n) == Token::LParen);
        let opens = opens.count();
        let query = self.word(opens).is_some_and(is_query_start);
        if !query || opens == 0 {
            return false;
        }
        if opens == 1 {
            return true;
        }
        // Each inner parenthesis closes into a set operation or the end of the next one.
        let mut depth = opens;
        for ahead in opens.. {
            match self.token(ahead) {
                Token::LParen => depth += 1,
                Token::RParen => depth -= 1,
                Token::EOF => return false,
                _ => continue,
            }
            if depth == 0 {
                return true;
            }
            let closed = depth < opens && *self.token(ahead) == Token::RParen;
            if closed && !self.continues_query(ahead + 1) {
                return false;
            }
            if closed && *self.token(ahead + 1) != Token::RParen {
                return depth >= 1;
            }
        }
        false
    }

    fn continues_query(&self, ahead: usize) -> bool {
        let words = [
            "union",
            "intersect",
            "except",
            "order",
            "limit",
            "offset",
            "fetch",
            "for",
        ];
        *self.token(ahead) == Token::RParen || self.word(ahead).is_some_and(|w| words.contains(&w))
    }

    /// `(` query `)`; the next token is the parenthesis.
    pub(super) fn parenthesized_query(&mut self) -> Result<Query> {
        self.expect_token(&Token::LParen)?;
        let query = self.query()?;
        self.expect_token(&Token::RParen)?;
        Ok(query)
    }

    fn parenthesis(&mut self) -> Result<Expr> {
        let position = self.position();
        if self.at_subquery() {
            let query = Box::new(self.parenthesized_query()?);
            return self.indirection(expr(ExprKind::Scalar(query), position));
        }
        let mut items = self.parenthesized(Self::expr)?;
        if items.len() > 1 {
            return Ok(expr(ExprKind::Row(items), position));
        }
        match items.pop() {
            Some(item) => self.indirection(item),
            None => self.fail(),
        }
    }

    /// Subscripts and fields after an expression that may have them.
    fn indirection(&mut self, mut base: Expr) -> Result<Expr> {
        loop {
            let position = base.position;
            if matches!(self.token(0), Token::LBracket | Token::Period) {
                let height = self.pg.swap_tallest(0) + 1;
                self.pg.swap_tallest(height);
                if height > DEPTH_MAX {
                    return Err(too_deep());
                }
            }
            if self.accept_token(&Token::LBracket) {
                if self.at(&Token::Colon) {
                    return self.slice(position);
                }
                let index = boxed(self.expr()?);
                if self.at(&Token::Colon) {
                    return self.slice(position);
                }
                self.expect_token(&Token::RBracket)?;
                let arg = boxed(base);
                base = expr(ExprKind::Subscript { arg, index }, position);
            } else if self.accept_token(&Token::Period) {
                if !self.accept_token(&Token::Mul) {
                    self.ident(NameKind::Label)?;
                }
                let kind = ExprKind::Unsupported("selecting a field of a row".into());
                base = expr(kind, position);
            } else {
                return Ok(base);
            }
        }
    }

    fn slice(&mut self, position: Position) -> Result<Expr> {
        self.expect_token(&Token::Colon)?;
        if !self.at(&Token::RBracket) {
            self.expr()?;
        }
        self.expect_token(&Token::RBracket)?;
        let kind = ExprKind::Unsupported("array slices".into());
        self.indirection(expr(kind, position))
    }

    fn word_expr(&mut self) -> Result<Expr> {
        let position = self.position();
        let Some(word) = self.word(0) else {
            return self.name_expr();
        };
        let open = *self.token(1) == Token::LParen;
        let kind = match word {
            "true" => ExprKind::Bool(true),
            "false" => ExprKind::Bool(false),
            "null" => ExprKind::Null,
            "default" => ExprKind::Default,
            "case" => return self.case(),
            "cast" if open => return self.cast(),
            "exists" if open => {
                self.advance();
                let query = Box::new(self.parenthesized_query()?);
                return Ok(expr(ExprKind::Exists { query }, position));
            }
            "array" => return self.array(),
            "row" if open => return self.row(),
            "current_date" | "current_role" | "current_user" | "session_user" | "user"
            | "current_catalog" => {
                let name = word.to_owned();
                self.advance();
                return Ok(call(&name, Vec::new(), position));
            }
            "current_schema" if !open => {
                self.advance();
                return Ok(call("current_schema", Vec::new(), position));
            }
            "current_time" | "current_timestamp" | "localtime" | "localtimestamp" => {
                return self.time_function();
            }
            "extract" if open => return self.extract(),
            "substring" if open => return self.substring(),
            "position" if open => return self.position_call(),
            "overlay" if open => return self.overlay(),
            "trim" if open => return self.trim(),
            "nullif" if open => {
                (0..2).for_each(|_| self.advance());
                let left = self.expr()?;
                self.expect_token(&Token::Comma)?;
                let args = vec![left, self.expr()?];
                self.expect_token(&Token::RParen)?;
                return Ok(call("nullif", args, position));
            }
            "coalesce" | "greatest" | "least" if open => {
                let name = word.to_owned();
                self.advance();
                let args = self.parenthesized(Self::expr)?;
                return Ok(call(&name, args, position));
            }
            "grouping" | "normalize" | "treat" | "xmlconcat" | "xmlelement" | "xmlexists"
            | "xmlforest" | "xmlparse" | "xmlpi" | "xmlroot" | "xmlserialize"
                if open =>
            {
                let what = word.to_uppercase();
                self.advance();
                self.skip_parenthesis()?;
                return Ok(expr(ExprKind::Unsupported(what), position));
            }
            "unique" if open => {
                self.advance();
                self.parenthesized_query()?;
                return Ok(expr(
                    ExprKind::Unsupported("UNIQUE predicate".into()),
                    position,
                ));
            }
            "interval" => return self.interval(),
            _ => return self.name_expr(),
        };
        self.advance();
        Ok(expr(kind, position))
    }

    /// Skips a balanced parenthesis.
    fn skip_parenthesis(&mut self) -> Result<()> {
        match self.closing() {
            Some(length) => (0..=length).for_each(|_| self.advance()),
            None => return Err(self.pg.syntax_error(usize::MAX)),
        }
        Ok(())
    }

    fn case(&mut self) -> Result<Expr> {
        let position = self.position();
        self.advance();
        let operand = match self.is("when") {
            true => None,
            false => Some(boxed(self.expr()?)),
        };
        let mut branches = Vec::new();
        while self.accept("when") {
            let condition = self.expr()?;
            self.expect("then")?;
            branches.push((condition, self.expr()?));
        }
        if branches.is_empty() {
            return self.fail();
        }
        let default = match self.accept("else") {
            true => Some(boxed(self.expr()?)),
            false => None,
        };
        self.expect("end")?;
        let kind = ExprKind::Case {
            operand,
            branches,
            default,
        };
        Ok(expr(kind, position))
    }

    fn cast(&mut self) -> Result<Expr> {
        let position = self.position();
        self.advance();
        self.expect_token(&Token::LParen)?;
        let arg = boxed(self.expr()?);
        self.expect("as")?;
        let ty = self.type_name()?;
        self.expect_token(&Token::RParen)?;
        Ok(expr(ExprKind::Cast { arg, ty }, position))
    }

    fn array(&mut self) -> Result<Expr> {
        let position = self.position();
        self.advance();
        if self.at(&Token::LParen) {
            let query = Box::new(self.parenthesized_query()?);
            return Ok(expr(ExprKind::ArraySubquery(query), position));
        }
        self.array_items(position)
    }

    fn array_items(&mut self, position: Position) -> Result<Expr> {
        self.expect_token(&Token::LBracket)?;
        let mut items = Vec::new();
        if !self.at(&Token::RBracket) {
            let nested = self.at(&Token::LBracket);
            items = self.comma_separated(|c| match nested {
                true => c.array_items(c.position()),
                false => c.expr(),
            })?;
        }
        self.expect_token(&Token::RBracket)?;
        Ok(expr(ExprKind::Array(items), position))
    }

    fn row(&mut self) -> Result<Expr> {
        let position = self.position();
        self.advance();
        self.expect_token(&Token::LParen)?;
        let mut items = Vec::new();
        if !self.at(&Token::RParen) {
            items = self.comma_separated(Self::expr)?;
        }
        self.expect_token(&Token::RParen)?;
        Ok(expr(ExprKind::Row(items), position))
    }

    /// CURRENT_TIMESTAMP and its like, with an optional precision.
    fn time_function(&mut self) -> Result<Expr> {
        let position = self.position();
        let name = self.word(0).unwrap_or_default().to_owned();
        self.advance();
        let mut args = Vec::new();
        if self.accept_token(&Token::LParen) {
            let Token::Number(digits, _) = self.token(0) else {
                return self.fail();
            };
            args.push(expr(ExprKind::Number(digits.clone()), self.position()));
            self.advance();
            self.expect_token(&Token::RParen)?;
        }
        Ok(call(&name, args, position))
    }

    fn extract(&mut self) -> Result<Expr> {
        let position = self.position();
        (0..2).for_each(|_| self.advance());
        let at = self.position();
        let field = match self.token(0) {
            Token::Word(_) => self.ident(NameKind::Label)?.name,
            _ => self.string()?,
        };
        self.expect("from")?;
        let from = self.expr()?;
        self.expect_token(&Token::RParen)?;
        let field = expr(ExprKind::String(field), at);
        Ok(call("extract", vec![field, from], position))
    }

    fn substring(&mut self) -> Result<Expr> {
        let position = self.position();
        (0..2).for_each(|_| self.advance());
        if self.accept_token(&Token::RParen) {
            return Ok(call("substring", Vec::new(), position));
        }
        let mut args = vec![self.expr()?];
        let at = self.position();
        if self.accept("from") {
            args.push(self.expr()?);
            if self.accept("for") {
                args.push(self.expr()?);
            }
        } else if self.accept("for") {
            let length = self.expr()?;
            if self.accept("from") {
                args.push(self.expr()?);
            } else {
                args.push(expr(ExprKind::Number("1".into()), at));
            }
            args.push(length);
        } else if self.accept("similar") {
            self.expr()?;
            self.expect("escape")?;
            self.expr()?;
            self.expect_token(&Token::RParen)?;
            let kind = ExprKind::Unsupported("SUBSTRING … SIMILAR".into());
            return Ok(expr(kind, position));
        } else {
            while self.accept_token(&Token::Comma) {
                args.push(self.expr()?);
            }
        }
        self.expect_token(&Token::RParen)?;
        Ok(call("substring", args, position))
    }

    /// `position(part IN whole)`: the function takes the whole first.
    fn position_call(&mut self) -> Result<Expr> {
        let position = self.position();
        (0..2).for_each(|_| self.advance());
        // `part` is a b_expr: IN ends it.
        let part = self.restricted_expr()?;
        self.expect("in")?;
        let whole = self.restricted_expr()?;
        self.expect_token(&Token::RParen)?;
        Ok(call("position", vec![whole, part], position))
    }

    fn overlay(&mut self) -> Result<Expr> {
        let position = self.position();
        (0..2).for_each(|_| self.advance());
        let mut args = vec![self.expr()?];
        if self.accept("placing") {
            args.push(self.expr()?);
            self.expect("from")?;
            args.push(self.expr()?);
            if self.accept("for") {
                args.push(self.expr()?);
            }
        } else {
            while self.accept_token(&Token::Comma) {
                args.push(self.expr()?);
            }
        }
        self.expect_token(&Token::RParen)?;
        Ok(call("overlay", args, position))
    }

    /// `trim([LEADING|TRAILING|BOTH] [characters] FROM text)` and `trim(text, characters)`.
    fn trim(&mut self) -> Result<Expr> {
        let position = self.position();
        (0..2).for_each(|_| self.advance());
        let function = match self.accept_any(&["leading", "trailing", "both"]) {
            Some("leading") => "ltrim",
            Some("trailing") => "rtrim",
            _ => "btrim",
        };
        let mut args = Vec::new();
        if self.accept("from") {
            args = self.comma_separated(Self::expr)?;
        } else {
            let first = self.expr()?;
            if self.accept("from") {
                args = self.comma_separated(Self::expr)?;
                args.push(first);
            } else {
                args.push(first);
                while self.accept_token(&Token::Comma) {
                    args.push(self.expr()?);
                }
            }
        }
        self.expect_token(&Token::RParen)?;
        Ok(call(function, args, position))
    }

    /// A literal `interval '…'`, or a column of that name.
    fn interval(&mut self) -> Result<Expr> {
        let position = self.position();
        let precision = *self.token(1) == Token::LParen;
        if !precision && !matches!(self.token(1), Token::EscapedStringLiteral(_)) {
            return self.name_expr();
        }
        let ty = match precision {
            true => self.type_name()?,
            false => {
                self.advance();
                crate::sql::parse::types::simple("interval", position)
            }
        };
        let at = self.position();
        let arg = boxed(expr(ExprKind::String(self.string()?), at));
        if !precision && self.interval_fields()? {
            let kind = ExprKind::Unsupported("interval fields".into());
            return Ok(expr(kind, position));
        }
        Ok(expr(ExprKind::Cast { arg, ty }, position))
    }

    /// A column, a function call, or a literal with its type before it.
    fn name_expr(&mut self) -> Result<Expr> {
        if let Some(literal) = self.typed_literal()? {
            return Ok(literal);
        }
        let position = self.position();
        if let Some(word) = self.word(0) {
            match words::category(word) {
                Some(Category::Reserved) => return self.fail(),
                Some(Category::ColumnName) if *self.token(1) == Token::LParen => {
                    return Err(self.pg.syntax_error(self.index() + 1));
                }
                Some(Category::TypeFunction)
                    if !matches!(self.token(1), Token::LParen | Token::Period) =>
                {
                    return Err(self.pg.syntax_error(self.index() + 1));
                }
                _ => {}
            }
        }
        let mut parts = vec![self.ident(NameKind::Label)?];
        while self.at(&Token::Period) && *self.token(1) != Token::Mul {
            self.advance();
            parts.push(self.ident(NameKind::Label)?);
        }
        let name = Name { parts };
        if self.at(&Token::LParen) {
            return self.function(name);
        }
        if self.accept_token(&Token::Period) {
            self.expect_token(&Token::Mul)?;
            let kind = ExprKind::Unsupported("row expansion with .*".into());
            return Ok(expr(kind, position));
        }
        self.indirection(expr(ExprKind::Column(name), position))
    }

    /// `date '2020-01-01'`, `timestamp(3) '…'`, `pg_catalog.int4 '5'`: a type, then a string.
    fn typed_literal(&mut self) -> Result<Option<Expr>> {
        let Some(ahead) = self.type_length() else {
            return Ok(None);
        };
        if !matches!(self.token(ahead), Token::EscapedStringLiteral(_)) {
            return Ok(None);
        }
        let position = self.position();
        let ty = self.literal_type(true)?;
        let at = self.position();
        let arg = boxed(expr(ExprKind::String(self.string()?), at));
        let kind = ExprKind::Cast { arg, ty };
        Ok(Some(expr(kind, position)))
    }

    /// A call; the next token is the parenthesis.
    fn function(&mut self, name: Name) -> Result<Expr> {
        let position = name.parts.first().map_or(0, |part| part.position);
        self.advance();
        let mut call = Call {
            name,
            args: Vec::new(),
            star: false,
            distinct: false,
            order_by: Vec::new(),
            filter: None,
            over: false,
            variadic: false,
        };
        let mut missing = None;
        if self.accept_token(&Token::Mul) {
            call.star = true;
        } else if !self.at(&Token::RParen) {
            missing = self.arguments(&mut call)?;
        }
        self.expect_token(&Token::RParen)?;
        if self.are(&["within", "group"]) {
            (0..2).for_each(|_| self.advance());
            self.skip_parenthesis()?;
            missing = Some("WITHIN GROUP");
        }
        if self.is("filter") && *self.token(1) == Token::LParen {
            (0..2).for_each(|_| self.advance());
            self.expect("where")?;
            call.filter = Some(self.expr()?);
            self.expect_token(&Token::RParen)?;
        }
        if self.accept("over") {
            call.over = true;
            match self.accept_token(&Token::LParen) {
                true => self.window()?,
                false => self.column_ident().map(|_| ())?,
            }
        }
        let kind = match missing {
            Some(what) => ExprKind::Unsupported(what.to_owned()),
            None => ExprKind::Call(Box::new(call)),
        };
        self.indirection_of_call(expr(kind, position))
    }

    /// A call may not be subscripted or selected from without parentheses.
    fn indirection_of_call(&self, call: Expr) -> Result<Expr> {
        match self.token(0) {
            Token::LBracket | Token::Period => self.fail(),
            _ => Ok(call),
        }
    }

    fn window(&mut self) -> Result<()> {
        let parsed = self.p.parse_window_spec();
        parsed.map_err(|e| self.pg.failed(&e)).map(|_| ())
    }

    /// Fills `call`; answers what of the argument list the tree has no place for.
    fn arguments(&mut self, call: &mut Call) -> Result<Option<&'static str>> {
        let mut missing = None;
        call.distinct = self.accept_any(&["all", "distinct"]) == Some("distinct");
        loop {
            if call.variadic {
                return self.fail();
            }
            call.variadic = self.accept("variadic");
            let named = matches!(self.token(1), Token::RArrow | Token::Assignment);
            if named && matches!(self.token(0), Token::Word(_)) {
                self.ident(NameKind::TypeFunction)?;
                self.advance();
                missing = Some("named arguments");
            }
            call.args.push(self.expr()?);
            if !self.at(&Token::Comma) {
                break;
            }
            self.advance();
        }
        if self.accept_all(&["order", "by"]) {
            call.order_by = self.order_by_list()?;
        }
        Ok(missing)
    }
}
