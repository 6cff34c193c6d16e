//! The extended protocol: prepared statements and portals.

use std::sync::Arc;

use crate::base::{Error, Oid, Result, SqlState};
use crate::session::Session;
use crate::session::client::{Client, Formats, Reply};
use crate::session::plans::Entry;
use crate::session::portal::{Portal, State, no_portal};
use crate::session::request::{Bind, Request, Target};
use crate::session::run::{Progress, Way};
use crate::session::statement::{Class, Statement, classify, result_type_changed, same_types};
use crate::sql::ast;
use crate::sql::parse::parse;
use crate::types::{Datum, Type, binary_in, checked_text, text_in};

impl Session {
    pub(super) async fn extended<C: Client>(&mut self, request: Request<'_>, client: &mut C) {
        // A cancel request that came while nothing ran has missed its statement.
        let is_first = !std::mem::replace(&mut self.in_batch, true);
        if is_first {
            self.cx.cancel.clear();
        }
        let mut text = None;
        let result = match request {
            Request::Parse {
                name,
                text: sql,
                types,
            } => {
                text = Some(Arc::from(sql));
                self.note_query(sql);
                self.parse_message(name, sql, &types, client)
            }
            Request::Bind(bind) => self.bind_message(&bind, client),
            Request::Describe(target) => {
                self.note_message();
                self.describe_message(target, client)
            }
            Request::Close(target) => {
                self.close_message(target, client);
                Ok(())
            }
            Request::Execute { portal, max_rows } => {
                text = self.portals.get(portal).map(|p| p.statement.text.clone());
                // Bind has noted it, unless the portal is from an earlier batch.
                if is_first && let Some(text) = &text {
                    self.note_query(text);
                }
                self.execute_message(portal, max_rows, client).await
            }
            Request::Query(_) | Request::Flush | Request::Sync => Ok(()),
        };
        if let Err(error) = result {
            self.fail(error, text.as_deref(), client).await;
            self.skipping = true;
        }
    }

    /// Sync ends an implicit transaction, and the skipping after an error.
    pub(super) async fn sync<C: Client>(&mut self, client: &mut C) {
        self.skipping = false;
        if let Err(error) = self.end_implicit().await {
            self.fail(error, None, client).await;
        }
        self.in_batch = false;
        self.ready(client);
    }

    fn parse_message<C: Client>(
        &mut self,
        name: &str,
        text: &str,
        types: &[u32],
        client: &mut C,
    ) -> Result<()> {
        self.apply_settings();
        if name.is_empty() {
            self.statements.unnamed = None;
        }
        let statement = self.parse_cached(text, types)?;
        self.check_not_aborted(&statement)?;
        if !name.is_empty() {
            self.statements.check_free(name)?;
        }
        self.statements.put(name, statement);
        client.send(Reply::ParseComplete);
        Ok(())
    }

    /// Many drivers prepare the same texts again and again.
    fn parse_cached(&mut self, text: &str, types: &[u32]) -> Result<Arc<Statement>> {
        let mut key = String::with_capacity(text.len() + 1 + 6 * types.len());
        key.push_str(text);
        key.push('\u{1}');
        for oid in types {
            key.push_str(&oid.to_string());
            key.push(',');
        }
        if let Some(entry) = self.plans.get(&key)
            && self.is_entry_current(&entry)
            && let Entry::Statement(statement) = entry
        {
            return Ok(statement);
        }
        let declared = types
            .iter()
            .map(|oid| declared_type(*oid))
            .collect::<Result<Vec<_>>>()?;
        let mut parsed = parse(text)?;
        parsed.retain(|p| classify(&p.statement) != Class::Empty);
        if parsed.len() > 1 {
            return Err(Error::new(
                SqlState::SYNTAX_ERROR,
                "cannot insert multiple commands into a prepared statement",
            ));
        }
        let statement = parsed.pop().map_or(ast::Statement::Empty, |p| p.statement);
        let statement = Arc::new(self.make_statement(statement, text.into(), declared)?);
        self.plans.put(&key, Entry::Statement(statement.clone()));
        Ok(statement)
    }

    fn bind_message<C: Client>(&mut self, bind: &Bind<'_>, client: &mut C) -> Result<()> {
        self.apply_settings();
        let found = self.statements.get(bind.statement)?.clone();
        self.note_query(&found.text);
        self.check_not_aborted(&found)?;
        check_counts(bind, found.params().len())?;
        self.portals.check_free(bind.portal)?;
        let statement = match found.class {
            Class::Engine => self.renewed(&found)?,
            _ => found,
        };
        let params = self.decode_params(bind, statement.params())?;
        self.check_result_formats(bind, &statement)?;
        self.enter_unless_failed();
        let portal = Portal {
            statement,
            params,
            formats: bind.result_formats.clone(),
            state: State::Ready,
            scroll: false,
            position: 0,
            savepoints: self.savepoints.len(),
        };
        self.portals.put(bind.portal, portal);
        client.send(Reply::BindComplete);
        Ok(())
    }

    /// A portal belongs to a transaction, which begins here at the latest.
    fn enter_unless_failed(&mut self) {
        if self.check_block().is_ok() {
            self.enter();
        }
    }

    fn decode_params(&self, bind: &Bind<'_>, types: &[Type]) -> Result<Arc<[Datum]>> {
        if types.is_empty() {
            return Ok(self.no_params.clone());
        }
        let mut values = Vec::with_capacity(types.len());
        for (i, (bytes, ty)) in bind.params.iter().zip(types).enumerate() {
            let format = match *bind.param_formats.as_slice() {
                [] => 0,
                [all] => all,
                ref each => each[i],
            };
            values.push(match bytes {
                None => Datum::Null,
                Some(bytes) => self
                    .decode_param(*ty, format, bytes)
                    .map_err(|error| in_parameter(error, bind.portal, i + 1, format))?,
            });
        }
        Ok(values.into())
    }

    fn decode_param(&self, ty: Type, format: i16, bytes: &[u8]) -> Result<Datum> {
        match format {
            0 => text_in(ty, -1, checked_text(bytes)?, &self.cx.format),
            1 => binary_in(ty, -1, bytes),
            _ => Err(bad_format(format)),
        }
    }

    fn check_result_formats(&self, bind: &Bind<'_>, statement: &Statement) -> Result<()> {
        let formats = &bind.result_formats.0;
        if let Some(bad) = formats.iter().find(|f| !matches!(f, 0 | 1)) {
            return Err(bad_format(*bad));
        }
        if formats.len() < 2 {
            return Ok(());
        }
        let columns = self.fields_of(statement)?.map_or(0, |fields| fields.len());
        if columns != formats.len() && columns != 0 {
            return Err(Error::new(
                SqlState::PROTOCOL_VIOLATION,
                format!(
                    "bind message has {} result formats but query has {columns} columns",
                    formats.len()
                ),
            ));
        }
        Ok(())
    }

    fn describe_message<C: Client>(&mut self, target: Target<'_>, client: &mut C) -> Result<()> {
        let portal_formats;
        let text_formats = Formats::default();
        let (statement, formats) = match target {
            Target::Statement(name) => {
                let statement = self.statements.get(name)?.clone();
                (statement, &text_formats)
            }
            Target::Portal(name) => {
                let portal = self.portals.get(name).ok_or_else(|| no_portal(name))?;
                portal_formats = portal.formats.clone();
                (portal.statement.clone(), &portal_formats)
            }
        };
        let fields = self.fields_of(&statement)?;
        if fields.is_some() {
            self.check_block()?;
        }
        if matches!(target, Target::Statement(_)) {
            client.send(Reply::ParameterDescription(statement.params()));
        }
        match fields {
            Some(fields) => client.send(Reply::RowDescription {
                fields: &fields,
                formats,
            }),
            None => client.send(Reply::NoData),
        }
        Ok(())
    }

    fn close_message<C: Client>(&mut self, target: Target<'_>, client: &mut C) {
        match target {
            Target::Statement(name) => {
                self.statements.remove(name);
            }
            Target::Portal(name) => {
                self.portals.take(name);
            }
        }
        client.send(Reply::CloseComplete);
    }

    async fn execute_message<C: Client>(
        &mut self,
        name: &str,
        max_rows: i32,
        client: &mut C,
    ) -> Result<()> {
        let mut portal = self.portals.take(name).ok_or_else(|| no_portal(name))?;
        let ended = self.ended;
        self.start_timer();
        self.execute_portal(&mut portal, name, max_rows, client)
            .await?;
        self.timer = None;
        // S2: a COMMIT took all portals with it, this one, too.
        if self.ended == ended {
            self.portals.put(name, portal);
        }
        Ok(())
    }

    async fn execute_portal<C: Client>(
        &mut self,
        portal: &mut Portal,
        name: &str,
        max_rows: i32,
        client: &mut C,
    ) -> Result<()> {
        if portal.statement.class == Class::Empty {
            client.send(Reply::EmptyQuery);
            return Ok(());
        }
        self.check_not_aborted(&portal.statement)?;
        if matches!(portal.state, State::Done) {
            return Err(Error::new(
                SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE,
                format!("portal \"{name}\" cannot be run"),
            ));
        }
        if matches!(portal.state, State::Ready) {
            let statement = portal.statement.clone();
            let params = portal.params.clone();
            portal.state = match self
                .start(&statement, params, Way::Prepared, client)
                .await?
            {
                Progress::Rows(source) => State::Running(source),
                Progress::Done(tag) => {
                    client.send(Reply::CommandComplete(&tag));
                    State::Done
                }
                Progress::CopyIn(copy) => {
                    let tag = self.copy_in(copy, client).await?;
                    client.send(Reply::CommandComplete(&tag));
                    State::Done
                }
                Progress::CopyOut(copy) => {
                    let tag = self.copy_out(copy, client).await?;
                    client.send(Reply::CommandComplete(&tag));
                    State::Done
                }
            };
        }
        self.send_portal_rows(portal, max_rows, client).await
    }

    async fn send_portal_rows<C: Client>(
        &mut self,
        portal: &mut Portal,
        max_rows: i32,
        client: &mut C,
    ) -> Result<()> {
        let mut source = match std::mem::replace(&mut portal.state, State::Done) {
            State::Running(source) => source,
            State::Finished(source) => {
                client.send(Reply::CommandComplete(&source.tag(0)));
                portal.state = State::Finished(source);
                return Ok(());
            }
            State::Ready | State::Done => return Ok(()),
        };
        let own_fields;
        let fields = match portal
            .statement
            .prepared
            .as_ref()
            .and_then(|p| p.fields.as_deref())
        {
            Some(planned) if same_types(planned, source.fields()) => planned,
            Some(_) => return Err(result_type_changed()),
            None => {
                own_fields = source.fields().to_vec();
                &own_fields
            }
        };
        let limit = u64::try_from(max_rows).ok().filter(|limit| *limit > 0);
        let formats = &portal.formats;
        let (sent, is_all) = self
            .send_rows(&mut source, fields, formats, limit, client)
            .await?;
        portal.position += sent;
        if !is_all {
            client.send(Reply::PortalSuspended);
            portal.state = State::Running(source);
            return Ok(());
        }
        client.send(Reply::CommandComplete(&source.tag(sent)));
        portal.state = State::Finished(source);
        Ok(())
    }
}

fn declared_type(oid: u32) -> Result<Option<Type>> {
    match Type::from_oid(Oid(oid)) {
        _ if oid == 0 => Ok(None),
        Some(Type::Unknown) => Ok(None),
        Some(ty) => Ok(Some(ty)),
        None => Err(Error::new(
            SqlState::UNDEFINED_OBJECT,
            format!("type with OID {oid} does not exist"),
        )),
    }
}

fn check_counts(bind: &Bind<'_>, required: usize) -> Result<()> {
    let (formats, given) = (bind.param_formats.len(), bind.params.len());
    let wrong = |message| Err(Error::new(SqlState::PROTOCOL_VIOLATION, message));
    if formats > 1 && formats != given {
        return wrong(format!(
            "bind message has {formats} parameter formats but {given} parameters"
        ));
    }
    if given != required {
        return wrong(format!(
            "bind message supplies {given} parameters, but prepared statement \"{}\" requires {required}",
            bind.statement
        ));
    }
    Ok(())
}

/// The context that PostgreSQL gives, which never shows the value itself.
fn in_parameter(error: Error, portal: &str, number: usize, format: i16) -> Error {
    let portal = match portal {
        "" => "unnamed portal".to_owned(),
        name => format!("portal \"{name}\""),
    };
    let is_readable = error.sqlstate() != SqlState::CHARACTER_NOT_IN_REPERTOIRE;
    let value = if format == 0 && is_readable {
        " = '...'"
    } else {
        ""
    };
    error.with_context(format!("{portal} parameter ${number}{value}"))
}

fn bad_format(format: i16) -> Error {
    Error::new(
        SqlState::INVALID_PARAMETER_VALUE,
        format!("unsupported format code: {format}"),
    )
}
