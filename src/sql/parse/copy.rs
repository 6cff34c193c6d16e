//! COPY with its options in both spellings.

use crate::base::{Error, Result, SqlState};
use crate::sql::ast::{Copy, CopyFormat, CopySource, Ident, Position, Statement};
use crate::sql::parse::cursor::{Cursor, NameKind};
use crate::sql::parse::dialect::unsupported;
use sqlparser::tokenizer::Token;

/// The options given so far, to find one given twice.
struct Options {
    copy: Copy,
    seen: Vec<&'static str>,
}

fn syntax(message: impl Into<String>, position: Position) -> Error {
    Error::new(SqlState::SYNTAX_ERROR, message).at(position)
}

impl Options {
    fn once(&mut self, option: &'static str, position: Position) -> Result<()> {
        if self.seen.contains(&option) {
            return Err(syntax("conflicting or redundant options", position));
        }
        self.seen.push(option);
        Ok(())
    }
}

impl Cursor<'_, '_> {
    pub(super) fn copy(&mut self) -> Result<Statement> {
        self.advance();
        let query = self.at(&Token::LParen);
        let mut options = Options {
            copy: Copy {
                source: self.copy_source(query)?,
                from_stdin: false,
                format: CopyFormat::Text,
                delimiter: None,
                null: None,
                header: false,
                header_match: false,
                quote: None,
                escape: None,
                force_quote: Vec::new(),
                force_quote_all: false,
                force_not_null: Vec::new(),
                force_null: Vec::new(),
                freeze: false,
            },
            seen: Vec::new(),
        };
        options.copy.from_stdin = match self.accept_any(&["from", "to"]) {
            Some("from") if !query => true,
            Some("to") => false,
            Some(_) => return Err(self.pg.syntax_error(self.index() - 1)),
            None => return self.fail(),
        };
        self.copy_end()?;
        if self.accept("using") {
            self.expect("delimiters")?;
            options.copy.delimiter = Some(self.string()?);
        }
        self.accept("with");
        if self.accept_token(&Token::LParen) {
            self.generic_options(&mut options)?;
        } else {
            self.old_options(&mut options)?;
        }
        if options.copy.from_stdin && self.is("where") {
            return Err(unsupported("COPY FROM … WHERE"));
        }
        Ok(Statement::Copy(Box::new(options.copy)))
    }

    fn copy_source(&mut self, query: bool) -> Result<CopySource> {
        if query {
            let changes = matches!(self.word(1), Some("insert" | "update" | "delete"));
            if changes {
                return Err(unsupported("COPY of a change of rows"));
            }
            let query = self.parenthesized_query()?;
            return Ok(CopySource::Query(Box::new(query)));
        }
        if self.is("binary") {
            return Err(unsupported("COPY BINARY"));
        }
        let name = self.name()?;
        let columns = match self.at(&Token::LParen) {
            true => self.parenthesized(Self::column_ident)?,
            false => Vec::new(),
        };
        Ok(CopySource::Table { name, columns })
    }

    /// STDIN and STDOUT mean the same; files and programs are the server's, which has none.
    fn copy_end(&mut self) -> Result<()> {
        if self.accept_any(&["stdin", "stdout"]).is_some() {
            return Ok(());
        }
        let program = self.accept("program");
        self.string()?;
        Err(unsupported(match program {
            true => "COPY with a program",
            false => "COPY with a file",
        }))
    }

    fn old_options(&mut self, options: &mut Options) -> Result<()> {
        loop {
            let at = self.position();
            let known = [
                "binary",
                "freeze",
                "delimiter",
                "delimiters",
                "null",
                "csv",
                "header",
                "quote",
                "escape",
                "force",
                "encoding",
            ];
            match self.accept_any(&known) {
                None => return Ok(()),
                Some("binary") => self.format(options, "binary", at)?,
                Some("csv") => self.format(options, "csv", at)?,
                Some("freeze") => {
                    options.once("freeze", at)?;
                    options.copy.freeze = true;
                }
                Some("header") => {
                    options.once("header", at)?;
                    options.copy.header = true;
                }
                Some("force") => self.force(options, at)?,
                Some(option) => {
                    self.accept("as");
                    let value = self.string()?;
                    self.text_option(options, option, value, at)?;
                }
            }
        }
    }

    fn force(&mut self, options: &mut Options, at: Position) -> Result<()> {
        if self.accept("quote") {
            options.once("force_quote", at)?;
            options.copy.force_quote_all = self.accept_token(&Token::Mul);
            if !options.copy.force_quote_all {
                options.copy.force_quote = self.comma_separated(Self::column_ident)?;
            }
        } else if self.accept_all(&["not", "null"]) {
            options.once("force_not_null", at)?;
            options.copy.force_not_null = self.comma_separated(Self::column_ident)?;
        } else if self.accept("null") {
            options.once("force_null", at)?;
            options.copy.force_null = self.comma_separated(Self::column_ident)?;
        } else {
            return self.fail();
        }
        Ok(())
    }

    fn generic_options(&mut self, options: &mut Options) -> Result<()> {
        self.comma_separated(|c| c.generic_option(options))?;
        self.expect_token(&Token::RParen)
    }

    fn generic_option(&mut self, options: &mut Options) -> Result<()> {
        let at = self.position();
        let name = self.ident(NameKind::Label)?.name;
        match name.as_str() {
            "freeze" => {
                options.once("freeze", at)?;
                options.copy.freeze = self.boolean("freeze", at)?;
            }
            "header" => {
                options.once("header", at)?;
                if self.value_is("match") {
                    self.advance();
                    options.copy.header_match = true;
                    options.copy.header = true;
                } else {
                    options.copy.header = self.boolean("header", at)?;
                }
            }
            "format" => {
                let value = self.value("format", at)?;
                self.format(options, &value, at)?;
            }
            "delimiter" | "null" | "quote" | "escape" | "encoding" => {
                let value = self.value(&name, at)?;
                self.text_option(options, &name, value, at)?;
            }
            "force_quote" => {
                options.once("force_quote", at)?;
                options.copy.force_quote_all = self.accept_token(&Token::Mul);
                if !options.copy.force_quote_all {
                    options.copy.force_quote = self.column_list("force_quote", at)?;
                }
            }
            "force_not_null" => {
                options.once("force_not_null", at)?;
                options.copy.force_not_null = self.column_list("force_not_null", at)?;
            }
            "force_null" => {
                options.once("force_null", at)?;
                options.copy.force_null = self.column_list("force_null", at)?;
            }
            _ => return Err(syntax(format!("option \"{name}\" not recognized"), at)),
        }
        Ok(())
    }

    fn value_is(&self, text: &str) -> bool {
        match self.token(0) {
            Token::Word(word) => word.value.eq_ignore_ascii_case(text),
            Token::EscapedStringLiteral(value) => value.eq_ignore_ascii_case(text),
            _ => false,
        }
    }

    fn value(&mut self, name: &str, at: Position) -> Result<String> {
        if matches!(self.token(0), Token::Comma | Token::RParen) {
            return Err(syntax(format!("{name} requires a parameter"), at));
        }
        match self.token(0) {
            Token::EscapedStringLiteral(_) => self.string(),
            Token::Number(number, _) => {
                let number = number.clone();
                self.advance();
                Ok(number)
            }
            _ => Ok(self.ident(NameKind::Label)?.name),
        }
    }

    fn boolean(&mut self, name: &str, at: Position) -> Result<bool> {
        if matches!(self.token(0), Token::Comma | Token::RParen) {
            return Ok(true);
        }
        let value = self.value(name, at)?.to_ascii_lowercase();
        match value.as_str() {
            "true" | "on" | "1" => Ok(true),
            "false" | "off" | "0" => Ok(false),
            _ if name == "header" => {
                let message = "header requires a Boolean value or \"match\"";
                Err(Error::new(SqlState::SYNTAX_ERROR, message))
            }
            _ => {
                let message = format!("{name} requires a Boolean value");
                Err(Error::new(SqlState::SYNTAX_ERROR, message))
            }
        }
    }

    fn column_list(&mut self, name: &str, at: Position) -> Result<Vec<Ident>> {
        if !self.at(&Token::LParen) {
            let message = format!("argument to option \"{name}\" must be a list of column names");
            return Err(Error::new(SqlState::INVALID_PARAMETER_VALUE, message).at(at));
        }
        self.parenthesized(Self::column_ident)
    }

    fn format(&mut self, options: &mut Options, value: &str, at: Position) -> Result<()> {
        options.once("format", at)?;
        options.copy.format = match value {
            "text" => CopyFormat::Text,
            "csv" => CopyFormat::Csv,
            "binary" => CopyFormat::Binary,
            _ => {
                let message = format!("COPY format \"{value}\" not recognized");
                return Err(Error::new(SqlState::INVALID_PARAMETER_VALUE, message).at(at));
            }
        };
        Ok(())
    }

    fn text_option(
        &mut self,
        options: &mut Options,
        name: &str,
        value: String,
        at: Position,
    ) -> Result<()> {
        let (name, place) = match name {
            "delimiter" | "delimiters" => ("delimiter", &mut options.copy.delimiter),
            "null" => ("null", &mut options.copy.null),
            "quote" => ("quote", &mut options.copy.quote),
            "escape" => ("escape", &mut options.copy.escape),
            _ => {
                options.once("encoding", at)?;
                let utf8 = ["utf8", "utf-8", "unicode"];
                if utf8.contains(&value.to_ascii_lowercase().as_str()) {
                    return Ok(());
                }
                return Err(unsupported("COPY with another encoding"));
            }
        };
        *place = Some(value);
        options.once(name, at)
    }
}
