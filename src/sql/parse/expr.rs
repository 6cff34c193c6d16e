//! Expressions, by precedence climbing with the table of PostgreSQL's grammar (`gram.y`).

use crate::base::Result;
use crate::sql::ast::{Call, Expr, ExprKind, Ident, Name, Position};
use crate::sql::parse::cursor::{Cursor, NameKind, allowed};
use crate::sql::parse::dialect::{DEPTH_MAX, too_deep, unsupported};
use sqlparser::tokenizer::Token;

const OR: u8 = 10;
const AND: u8 = 20;
const NOT: u8 = 30;
const IS: u8 = 40;
const COMPARISON: u8 = 50;
const LIKE: u8 = 60;
const OPERATOR: u8 = 70;
const ADD: u8 = 80;
const MULTIPLY: u8 = 90;
const POWER: u8 = 100;
const AT: u8 = 110;
const COLLATE: u8 = 120;
const SIGN: u8 = 125;
const CAST: u8 = 140;

/// What an infix token begins.
#[derive(Clone, PartialEq)]
enum Infix {
    Or,
    And,
    Is,
    IsNull,
    NotNull,
    Operator(String, u8),
    /// `OPERATOR(schema.symbol)`
    Qualified,
    /// BETWEEN, IN, LIKE, ILIKE, SIMILAR; true after NOT.
    Predicate(&'static str, bool),
    Overlaps,
    AtTimeZone,
    Collate,
    Cast,
}

impl Infix {
    fn precedence(&self) -> u8 {
        match self {
            Infix::Or => OR,
            Infix::And => AND,
            Infix::Is | Infix::IsNull | Infix::NotNull => IS,
            Infix::Operator(_, precedence) => *precedence,
            Infix::Qualified | Infix::Overlaps => OPERATOR,
            Infix::Predicate(..) => LIKE,
            Infix::AtTimeZone => AT,
            Infix::Collate => COLLATE,
            Infix::Cast => CAST,
        }
    }

    /// Whether PostgreSQL's `b_expr` (after BETWEEN, and in DEFAULT) has it.
    fn in_restricted(&self) -> bool {
        matches!(
            self,
            Infix::Is | Infix::Operator(..) | Infix::Qualified | Infix::Cast
        )
    }
}

/// An expression being built.
struct Building {
    expr: Expr,
    /// The precedence whose operators may not follow directly: `a < b < c` is an error.
    barred: Option<u8>,
    /// Made by AND or OR here, without parentheses: further terms join it.
    connective: Option<u8>,
}

pub(super) fn expr(kind: ExprKind, position: Position) -> Expr {
    Expr { kind, position }
}

pub(super) fn boxed(expr: Expr) -> Box<Expr> {
    Box::new(expr)
}

impl Cursor<'_, '_> {
    /// PostgreSQL's `a_expr`.
    pub(super) fn expr(&mut self) -> Result<Expr> {
        self.climb(0, false)
    }

    /// PostgreSQL's `b_expr`: no AND, OR, NOT, LIKE, IN, BETWEEN, IS NULL, COLLATE.
    pub(super) fn restricted_expr(&mut self) -> Result<Expr> {
        self.climb(0, true)
    }

    fn operand(&mut self, precedence: u8) -> Result<Box<Expr>> {
        self.climb(precedence, false).map(boxed)
    }

    /// An expression of operators that bind tighter than `minimum`. Keeps account of the tree's
    /// height: chains of operators nest to the left without recursion here, but whoever walks
    /// the tree recurses.
    fn climb(&mut self, minimum: u8, restricted: bool) -> Result<Expr> {
        self.pg.enter()?;
        let outer = self.pg.swap_tallest(0);
        let climbed = self.climb_inside(minimum, restricted);
        self.pg.leave();
        let (expr, height) = climbed?;
        self.pg.swap_tallest(outer.max(height));
        Ok(expr)
    }

    /// The expression and its height.
    fn climb_inside(&mut self, minimum: u8, restricted: bool) -> Result<(Expr, usize)> {
        let mut built = Building {
            expr: self.prefix(restricted)?,
            barred: None,
            connective: None,
        };
        let mut height = self.pg.swap_tallest(0) + 1;
        while let Some(infix) = self.infix() {
            let precedence = infix.precedence();
            if precedence <= minimum || restricted && !self.fits_restricted(&infix) {
                break;
            }
            if built.barred == Some(precedence) {
                return self.fail();
            }
            let joins = built.connective == Some(precedence);
            built = self.apply(infix, built)?;
            let operand = self.pg.swap_tallest(0);
            height = height.max(operand + usize::from(joins)) + usize::from(!joins);
            if height > DEPTH_MAX {
                return Err(too_deep());
            }
        }
        Ok((built.expr, height))
    }

    fn fits_restricted(&self, infix: &Infix) -> bool {
        let distinct = || self.word(1) == Some("distinct") || self.word(2) == Some("distinct");
        infix.in_restricted() && (*infix != Infix::Is || distinct())
    }

    fn infix(&self) -> Option<Infix> {
        let operator = |symbol: &str, precedence| Some(Infix::Operator(symbol.into(), precedence));
        match self.token(0) {
            Token::Word(word) if word.quote_style.is_none() => self.infix_word(&word.value),
            Token::Lt => operator("<", COMPARISON),
            Token::Gt => operator(">", COMPARISON),
            Token::Eq => operator("=", COMPARISON),
            Token::LtEq => operator("<=", COMPARISON),
            Token::GtEq => operator(">=", COMPARISON),
            Token::Neq => operator("<>", COMPARISON),
            Token::Plus => operator("+", ADD),
            Token::Minus => operator("-", ADD),
            Token::Mul => operator("*", MULTIPLY),
            Token::Div => operator("/", MULTIPLY),
            Token::Mod => operator("%", MULTIPLY),
            Token::Caret => operator("^", POWER),
            Token::CustomBinaryOperator(symbol) => operator(symbol, OPERATOR),
            Token::DoubleColon => Some(Infix::Cast),
            _ => None,
        }
    }

    fn infix_word(&self, word: &str) -> Option<Infix> {
        let predicate = |word: &str, negated| {
            let words = ["between", "in", "like", "ilike", "similar"];
            let found = words.into_iter().find(|w| *w == word)?;
            let to = self.word(1 + usize::from(negated)) == Some("to");
            (found != "similar" || to).then_some(Infix::Predicate(found, negated))
        };
        match word {
            "or" => Some(Infix::Or),
            "and" => Some(Infix::And),
            "is" => Some(Infix::Is),
            "isnull" => Some(Infix::IsNull),
            "notnull" => Some(Infix::NotNull),
            "overlaps" => Some(Infix::Overlaps),
            "collate" => Some(Infix::Collate),
            "at" if self.word(1) == Some("time") => Some(Infix::AtTimeZone),
            "operator" if *self.token(1) == Token::LParen => Some(Infix::Qualified),
            "not" => predicate(self.word(1)?, true),
            _ => predicate(word, false),
        }
    }

    /// Consumes the infix and what follows it.
    fn apply(&mut self, infix: Infix, built: Building) -> Result<Building> {
        let position = self.position();
        let precedence = infix.precedence();
        let (mut barred, mut connective) = (None, None);
        let joins = built.connective == Some(precedence);
        let left = built.expr;
        let kind = match infix {
            Infix::Or | Infix::And => {
                connective = Some(precedence);
                return self.connect(left, joins, precedence).map(|expr| Building {
                    expr,
                    barred,
                    connective,
                });
            }
            Infix::Operator(op, _) => {
                self.advance();
                if precedence == COMPARISON {
                    barred = Some(COMPARISON);
                }
                let quantified = matches!(self.word(0), Some("any" | "all" | "some"));
                if quantified && *self.token(1) == Token::LParen {
                    barred = None;
                }
                self.binary(left, op, precedence)?
            }
            Infix::Qualified => {
                self.advance();
                let op = self.qualified_operator()?;
                self.binary(left, op, precedence)?
            }
            Infix::Is => {
                self.advance();
                let kind = self.is_test(left)?;
                if matches!(kind, ExprKind::IsDistinct { .. }) {
                    barred = Some(IS);
                }
                kind
            }
            Infix::IsNull | Infix::NotNull => {
                self.advance();
                let negated = infix == Infix::NotNull;
                let arg = boxed(left);
                ExprKind::IsNull { arg, negated }
            }
            Infix::Predicate(word, negated) => {
                (0..=usize::from(negated)).for_each(|_| self.advance());
                if word != "in" {
                    barred = Some(LIKE);
                }
                self.predicate(left, word, negated)?
            }
            Infix::Overlaps => {
                self.advance();
                self.operand(OPERATOR)?;
                ExprKind::Unsupported("OVERLAPS".into())
            }
            Infix::AtTimeZone => {
                (0..2).for_each(|_| self.advance());
                self.expect("zone")?;
                let zone = self.operand(AT)?;
                let arg = boxed(left);
                ExprKind::AtTimeZone { arg, zone }
            }
            Infix::Collate => {
                self.advance();
                let collation = self.name()?;
                let arg = boxed(left);
                ExprKind::Collate { arg, collation }
            }
            Infix::Cast => {
                self.advance();
                let ty = self.type_name()?;
                let arg = boxed(left);
                ExprKind::Cast { arg, ty }
            }
        };
        let expr = expr(kind, position);
        Ok(Building {
            expr,
            barred,
            connective,
        })
    }

    fn connect(&mut self, left: Expr, joins: bool, precedence: u8) -> Result<Expr> {
        let position = self.position();
        self.advance();
        let right = self.climb(precedence, false)?;
        let (mut terms, position) = match left {
            Expr {
                kind: ExprKind::And(terms) | ExprKind::Or(terms),
                position,
            } if joins => (terms, position),
            left => (vec![left], position),
        };
        terms.push(right);
        let kind = match precedence {
            AND => ExprKind::And(terms),
            _ => ExprKind::Or(terms),
        };
        Ok(expr(kind, position))
    }

    /// The right side of an operator: an operand, or ANY, SOME or ALL of something.
    fn binary(&mut self, left: Expr, op: String, precedence: u8) -> Result<ExprKind> {
        let left = boxed(left);
        if let Some(all) = self.quantifier() {
            return self.quantified(left, op, all);
        }
        let right = self.operand(precedence)?;
        Ok(ExprKind::Binary { op, left, right })
    }

    /// ANY, SOME or ALL before a parenthesis, consumed; true for ALL.
    fn quantifier(&mut self) -> Option<bool> {
        if *self.token(1) != Token::LParen {
            return None;
        }
        let word = self.accept_any(&["any", "some", "all"])?;
        Some(word == "all")
    }

    fn quantified(&mut self, left: Box<Expr>, op: String, all: bool) -> Result<ExprKind> {
        if self.at_subquery() {
            let query = Box::new(self.parenthesized_query()?);
            return Ok(ExprKind::AnyAllSubquery {
                left,
                op,
                all,
                query,
            });
        }
        self.expect_token(&Token::LParen)?;
        let array = boxed(self.expr()?);
        self.expect_token(&Token::RParen)?;
        Ok(ExprKind::AnyAll {
            left,
            op,
            all,
            array,
        })
    }

    /// `(pg_catalog.~)` after OPERATOR: the symbol. There are no operators outside pg_catalog.
    fn qualified_operator(&mut self) -> Result<String> {
        self.expect_token(&Token::LParen)?;
        let mut schema = None;
        while let Token::Word(_) = self.token(0) {
            schema = Some(self.column_ident()?.name);
            self.expect_token(&Token::Period)?;
        }
        let symbol = match self.infix() {
            Some(Infix::Operator(symbol, _)) => symbol,
            _ => return self.fail(),
        };
        if schema.is_some_and(|schema| schema != "pg_catalog") {
            return Err(unsupported("an operator outside pg_catalog"));
        }
        self.advance();
        self.expect_token(&Token::RParen)?;
        Ok(symbol)
    }

    fn is_test(&mut self, left: Expr) -> Result<ExprKind> {
        let negated = self.accept("not");
        let arg = boxed(left);
        let tests = ["null", "true", "false", "unknown", "distinct"];
        let value = match self.accept_any(&tests) {
            Some("null") => return Ok(ExprKind::IsNull { arg, negated }),
            Some("true") => Some(true),
            Some("false") => Some(false),
            Some("unknown") => None,
            Some("distinct") => {
                self.expect("from")?;
                let (left, right) = (arg, self.operand(IS)?);
                return Ok(ExprKind::IsDistinct {
                    left,
                    right,
                    negated,
                });
            }
            _ => {
                self.accept_any(&["nfc", "nfd", "nfkc", "nfkd"]);
                if self.accept_any(&["normalized", "document"]).is_none() {
                    return self.fail();
                }
                return Ok(ExprKind::Unsupported("IS NORMALIZED".into()));
            }
        };
        Ok(ExprKind::IsBool {
            arg,
            value,
            negated,
        })
    }

    fn predicate(&mut self, left: Expr, word: &str, negated: bool) -> Result<ExprKind> {
        let arg = boxed(left);
        match word {
            "between" => self.between(arg, negated),
            "in" => self.in_list(arg, negated),
            "similar" => {
                self.expect("to")?;
                self.similar(arg, negated)
            }
            _ => {
                let op = match (word, negated) {
                    ("like", false) => "~~",
                    ("like", true) => "!~~",
                    (_, false) => "~~*",
                    (_, true) => "!~~*",
                };
                self.like(arg, op.to_owned())
            }
        }
    }

    fn like(&mut self, arg: Box<Expr>, op: String) -> Result<ExprKind> {
        if let Some(all) = self.quantifier() {
            return self.quantified(arg, op, all);
        }
        let pattern = self.operand(LIKE)?;
        let escape = match self.accept("escape") {
            true => Some(self.operand(LIKE)?),
            false => None,
        };
        Ok(ExprKind::Like {
            op,
            arg,
            pattern,
            escape,
        })
    }

    /// A match of the regular expression that the pattern is turned into.
    fn similar(&mut self, arg: Box<Expr>, negated: bool) -> Result<ExprKind> {
        let mut args = vec![*self.operand(LIKE)?];
        if self.accept("escape") {
            args.push(*self.operand(LIKE)?);
        }
        let position = args[0].position;
        let part = |name: &str| Ident {
            name: name.to_owned(),
            position,
        };
        let call = Call {
            name: Name {
                parts: vec![part("pg_catalog"), part("similar_to_escape")],
            },
            args,
            star: false,
            distinct: false,
            order_by: Vec::new(),
            filter: None,
            over: false,
            variadic: false,
        };
        let kind = ExprKind::Call(Box::new(call));
        Ok(ExprKind::Like {
            op: if negated { "!~" } else { "~" }.to_owned(),
            arg,
            pattern: boxed(Expr { kind, position }),
            escape: None,
        })
    }

    fn between(&mut self, arg: Box<Expr>, negated: bool) -> Result<ExprKind> {
        let symmetric = self.accept_any(&["symmetric", "asymmetric"]) == Some("symmetric");
        let low = boxed(self.restricted_expr()?);
        self.expect("and")?;
        let high = self.operand(LIKE)?;
        Ok(ExprKind::Between {
            arg,
            low,
            high,
            negated,
            symmetric,
        })
    }

    fn in_list(&mut self, arg: Box<Expr>, negated: bool) -> Result<ExprKind> {
        if self.at_subquery() {
            let query = Box::new(self.parenthesized_query()?);
            return Ok(ExprKind::InSubquery {
                arg,
                query,
                negated,
            });
        }
        let list = self.parenthesized(Self::expr)?;
        Ok(ExprKind::In { arg, list, negated })
    }

    fn prefix(&mut self, restricted: bool) -> Result<Expr> {
        let position = self.position();
        let (op, precedence) = match self.token(0) {
            Token::Plus => ("+".to_owned(), SIGN),
            Token::Minus => ("-".to_owned(), SIGN),
            Token::CustomBinaryOperator(symbol) => (symbol.clone(), OPERATOR),
            Token::Word(_) if self.is("not") && !restricted => {
                self.advance();
                let arg = self.operand(NOT)?;
                return Ok(expr(ExprKind::Not(arg), position));
            }
            Token::Word(_) if self.is("operator") && *self.token(1) == Token::LParen => {
                self.advance();
                let op = self.qualified_operator()?;
                let arg = self.operand(OPERATOR)?;
                return Ok(expr(ExprKind::Unary { op, arg }, position));
            }
            _ => return self.primary(),
        };
        self.advance();
        let arg = boxed(self.climb(precedence, restricted)?);
        Ok(expr(ExprKind::Unary { op, arg }, position))
    }
}

/// Whether a query can begin with the word.
pub(super) fn is_query_start(word: &str) -> bool {
    matches!(word, "select" | "values" | "with" | "table")
}

/// Whether the word can begin a type's name.
pub(super) fn is_type_start(word: &str) -> bool {
    allowed(word, NameKind::TypeFunction) || crate::sql::parse::types::is_type_keyword(word)
}
