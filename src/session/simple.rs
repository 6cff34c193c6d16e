//! The simple protocol: a string of statements that form one transaction unless they say
//! otherwise.
//!
//! A string with a single statement is looked up in the plan cache after its literals have been
//! lifted out into parameters. Whatever goes wrong on that way before anything has been executed
//! sends the string down the plain way, so that messages and positions are about the text as the
//! client wrote it.

use std::borrow::Cow;
use std::sync::Arc;

use crate::base::{Error, Result, SqlState};
use crate::session::Session;
use crate::session::block::{Block, aborted};
use crate::session::client::{Client, Formats, Reply};
use crate::session::plans::Entry;
use crate::session::portal::Source;
use crate::session::run::{Progress, Way};
use crate::session::statement::{Class, Statement, classify, same_types};
use crate::sql::ast;
use crate::sql::parse::{Lifted, Literal, first_parameter, lift, parse};
use crate::types::{Datum, Type, text_in};

/// Where in its string a statement stands.
#[derive(Clone, Copy)]
struct Place {
    alone: bool,
    last: bool,
}

impl Session {
    pub(super) async fn query<C: Client>(&mut self, text: &str, client: &mut C) {
        self.cx.cancel.clear();
        self.note_query(text);
        self.statements.unnamed = None;
        self.portals.take("");
        let result = match self.run_string(text, client).await {
            Ok(()) => self.end_implicit().await,
            Err(error) => Err(error),
        };
        if let Err(error) = result {
            self.fail(error, Some(text), client).await;
        }
        self.timer = None;
        self.ready(client);
    }

    async fn run_string<C: Client>(&mut self, text: &str, client: &mut C) -> Result<()> {
        self.apply_settings();
        if let Some((statement, params)) = self.cached(text) {
            let place = Place {
                alone: true,
                last: true,
            };
            return self.run_one(&statement, params, place, client).await;
        }
        let mut parsed = parse(text)?;
        parsed.retain(|p| classify(&p.statement) != Class::Empty);
        if parsed.is_empty() {
            client.send(Reply::EmptyQuery);
            return Ok(());
        }
        let shared: Arc<str> = text.into();
        let count = parsed.len();
        for (i, parsed) in parsed.into_iter().enumerate() {
            let statement = self.make_statement(parsed.statement, shared.clone(), Vec::new())?;
            if !statement.params().is_empty() {
                return Err(no_parameter(text));
            }
            let place = Place {
                alone: count == 1,
                last: i + 1 == count,
            };
            let statement = Arc::new(statement);
            if place.alone && is_worth_keeping(&statement) {
                self.plans.put(text, Entry::Statement(statement.clone()));
            }
            let params = self.no_params.clone();
            self.run_one(&statement, params, place, client).await?;
        }
        Ok(())
    }

    async fn run_one<C: Client>(
        &mut self,
        statement: &Statement,
        params: Arc<[Datum]>,
        place: Place,
        client: &mut C,
    ) -> Result<()> {
        self.start_timer();
        let way = match place.alone {
            true => Way::Alone,
            false => Way::OneOfSeveral,
        };
        let tag = match self.start(statement, params, way, client).await? {
            Progress::Rows(source) => self.send_result(statement, source, client).await?,
            Progress::Done(tag) => tag,
            Progress::CopyIn(copy) => self.copy_in(copy, client).await?.into(),
            Progress::CopyOut(copy) => self.copy_out(copy, client).await?.into(),
        };
        self.timer = None;
        if place.last {
            self.end_implicit().await?;
        }
        client.send(Reply::CommandComplete(&tag));
        Ok(())
    }

    async fn send_result<C: Client>(
        &mut self,
        statement: &Statement,
        mut source: Source,
        client: &mut C,
    ) -> Result<Cow<'static, str>> {
        // The rows borrow their source while they are sent, so the fields come from the plan,
        // unless the engine has planned anew meanwhile.
        let planned = statement
            .prepared
            .as_ref()
            .and_then(|p| p.fields.as_deref());
        let fields = match planned {
            Some(planned) if same_types(planned, source.fields()) => Cow::Borrowed(planned),
            _ => Cow::Owned(source.fields().to_vec()),
        };
        let formats = self.fetch_formats(&statement.ast);
        client.send(Reply::RowDescription {
            fields: &fields,
            formats: &formats,
        });
        let (sent, _) = self
            .send_rows(&mut source, &fields, &formats, None, client)
            .await?;
        Ok(source.tag(sent))
    }

    /// The cached statement for a string with its parameters; `None` leads down the plain way.
    fn cached(&mut self, text: &str) -> Option<(Arc<Statement>, Arc<[Datum]>)> {
        if self.block == Block::Failed {
            return None;
        }
        let Some(mut lifted) = lift(text) else {
            return self.cached_as_is(text);
        };
        let types = lifted.literals.iter().map(literal_type).collect::<Vec<_>>();
        let length = lifted.text.len();
        // The types are part of the key: `$1 + $2` is one plan for integers, another for numerics.
        lifted.text.push('\0');
        lifted
            .text
            .extend(lifted.literals.iter().map(literal_letter));
        let entry = match self.plans.get(&lifted.text) {
            Some(entry) if self.is_entry_current(&entry) => entry,
            _ => {
                let entry = self.make_entry(&lifted.text[..length], types);
                self.plans.put(&lifted.text, entry.clone());
                entry
            }
        };
        let Entry::Statement(statement) = entry else {
            return None;
        };
        let params = self.literal_values(lifted, statement.params())?;
        Some((statement, params))
    }

    /// Texts without literals, and those from which none can be lifted, are their own keys.
    fn cached_as_is(&mut self, text: &str) -> Option<(Arc<Statement>, Arc<[Datum]>)> {
        let entry = self.plans.get(text)?;
        match entry {
            Entry::Statement(ref statement) if self.is_entry_current(&entry) => {
                Some((statement.clone(), self.no_params.clone()))
            }
            _ => None,
        }
    }

    pub(super) fn is_entry_current(&mut self, entry: &Entry) -> bool {
        match entry {
            Entry::Statement(statement) => self.is_current(statement),
            Entry::Unliftable(version) => *version == self.txn().catalog().version,
        }
    }

    fn make_entry(&mut self, text: &str, types: Vec<Option<Type>>) -> Entry {
        match self.make_lifted(text, types) {
            Some(statement) => Entry::Statement(Arc::new(statement)),
            None => Entry::Unliftable(self.txn().catalog().version),
        }
    }

    fn make_lifted(&mut self, text: &str, types: Vec<Option<Type>>) -> Option<Statement> {
        let mut parsed = parse(text).ok()?;
        let parsed = (parsed.len() == 1).then(|| parsed.remove(0))?;
        let count = types.len();
        let wanted = match classify(&parsed.statement) {
            Class::Transaction => count == 0,
            Class::Engine => true,
            Class::Session | Class::Empty => false,
        };
        if !wanted {
            return None;
        }
        let statement = self
            .make_statement(parsed.statement, text.into(), types)
            .ok()?;
        (statement.params().len() == count).then_some(statement)
    }

    fn literal_values(&self, lifted: Lifted, types: &[Type]) -> Option<Arc<[Datum]>> {
        if lifted.literals.is_empty() {
            return Some(self.no_params.clone());
        }
        let values = lifted.literals.into_iter().zip(types);
        let values = values.map(|(literal, ty)| self.literal_value(literal, *ty));
        values.collect::<Option<Vec<Datum>>>().map(Arc::from)
    }

    fn literal_value(&self, literal: Literal, ty: Type) -> Option<Datum> {
        match (literal, ty) {
            (Literal::Integer(i), Type::Int4) => i32::try_from(i).ok().map(Datum::Int4),
            (Literal::Integer(i), Type::Int8) => Some(Datum::Int8(i)),
            (Literal::String(s), Type::Text) => Some(Datum::Text(s)),
            (Literal::Number(s), Type::Numeric) | (Literal::String(s), _) => {
                text_in(ty, -1, &s, &self.cx.format).ok()
            }
            _ => None,
        }
    }

    /// The rows of a BINARY cursor are sent in binary even here.
    fn fetch_formats(&self, statement: &ast::Statement) -> Formats {
        match statement {
            ast::Statement::Fetch { cursor, .. } => self
                .portals
                .get(cursor)
                .map(|p| p.formats.clone())
                .unwrap_or_default(),
            _ => Formats::default(),
        }
    }

    /// 25P02, for what is refused before it is looked at.
    pub(super) fn check_block(&self) -> Result<()> {
        match self.block {
            Block::Failed => Err(aborted()),
            _ => Ok(()),
        }
    }
}

/// 42P02 at the first `$n`, since a query string comes without values.
fn no_parameter(text: &str) -> Error {
    let found = first_parameter(text).unwrap_or((1, 0));
    Error::new(
        SqlState::UNDEFINED_PARAMETER,
        format!("there is no parameter ${}", found.0),
    )
    .at(found.1)
}

/// Statements that clients repeat word by word.
fn is_worth_keeping(statement: &Statement) -> bool {
    use ast::Statement as S;
    matches!(
        &*statement.ast,
        S::Query(_) | S::Insert(_) | S::Update(_) | S::Delete(_) | S::Transaction(_)
    )
}

fn literal_type(literal: &Literal) -> Option<Type> {
    match literal {
        Literal::Integer(i) if i32::try_from(*i).is_ok() => Some(Type::Int4),
        Literal::Integer(_) => Some(Type::Int8),
        Literal::Number(_) => Some(Type::Numeric),
        Literal::String(_) => None,
    }
}

fn literal_letter(literal: &Literal) -> char {
    match literal_type(literal) {
        Some(Type::Int4) => 'i',
        Some(Type::Int8) => 'l',
        Some(_) => 'n',
        None => 's',
    }
}
