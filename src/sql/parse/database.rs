//! CREATE, ALTER and DROP DATABASE.

use crate::base::Result;
use crate::sql::ast::{AlterDatabase, DatabaseOption, OptionValue, Statement};
use crate::sql::parse::cursor::{Cursor, NameKind};
use crate::sql::parse::dialect::unsupported;
use sqlparser::tokenizer::Token;

impl Cursor<'_, '_> {
    /// After CREATE DATABASE.
    pub(super) fn create_database(&mut self) -> Result<Statement> {
        let name = self.plain_name()?;
        self.accept("with");
        let options = self.database_options()?;
        Ok(Statement::CreateDatabase { name, options })
    }

    /// After ALTER DATABASE.
    pub(super) fn alter_database(&mut self) -> Result<Statement> {
        let name = self.plain_name()?;
        let action = match self.accept_any(&["rename", "owner", "set", "reset", "refresh"]) {
            Some("rename") => {
                self.expect("to")?;
                AlterDatabase::Rename(self.plain_name()?)
            }
            Some("owner") => {
                self.expect("to")?;
                AlterDatabase::Owner(self.role()?)
            }
            Some(_) if self.at_end() => return self.fail(),
            Some(what) => {
                return Err(unsupported(format!(
                    "ALTER DATABASE {}",
                    what.to_uppercase()
                )));
            }
            None => {
                self.accept("with");
                AlterDatabase::Options(self.database_options()?)
            }
        };
        Ok(Statement::AlterDatabase { name, action })
    }

    /// After DROP DATABASE.
    pub(super) fn drop_database(&mut self) -> Result<Statement> {
        let if_exists = self.accept("if");
        if if_exists {
            self.expect("exists")?;
        }
        let name = self.plain_name()?;
        let mut force = false;
        if self.accept("with") || self.at(&Token::LParen) {
            self.parenthesized(|c| c.expect("force"))?;
            force = true;
        }
        Ok(Statement::DropDatabase {
            name,
            if_exists,
            force,
        })
    }

    /// The name of a role, or a word that stands for one.
    fn role(&mut self) -> Result<String> {
        match self.accept_any(&["current_user", "current_role", "session_user"]) {
            Some(word) => Ok(word.to_owned()),
            None => Ok(self.ident(NameKind::Column)?.name),
        }
    }

    fn database_options(&mut self) -> Result<Vec<DatabaseOption>> {
        let mut options = Vec::new();
        while !self.at_end() && !self.at(&Token::SemiColon) {
            options.push(self.database_option()?);
        }
        Ok(options)
    }

    fn database_option(&mut self) -> Result<DatabaseOption> {
        let position = self.position();
        let name = match self.accept_all(&["connection", "limit"]) {
            true => "connection_limit".to_owned(),
            false => self.plain_name()?,
        };
        self.accept_token(&Token::Eq);
        let is_number = matches!(
            self.token(0),
            Token::Number(..) | Token::Minus | Token::Plus
        );
        let value = match self.accept("default") {
            true => None,
            false if is_number => Some(OptionValue::Number(self.setting()?)),
            false => Some(OptionValue::Text(self.setting()?)),
        };
        Ok(DatabaseOption {
            name,
            value,
            position,
        })
    }
}
