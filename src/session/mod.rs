//! A session: one client's settings, prepared statements, portals and transaction.
//!
//! The life of a message: the wire layer decodes it and calls [`Session::handle`]; `simple` splits
//! a query string into statements, `extended` keeps prepared statements and portals; both come
//! down to `run`, which decides by the kind of the statement whether the session itself carries it
//! out (`commands`, `cursors`) or the SQL engine. Replies go to a [`Client`], which buffers them.
//!
//! Invariants:
//! - S1: a transaction exists only in the states Implicit and InBlock (see `block`).
//! - S2: a portal never outlives the transaction it was made in, nor the undoing of the savepoint.
//! - S3: the tag of COMMIT, and ReadyForQuery after an implicit transaction, are buffered only
//!   after the transaction is durable.
//! - S4: after an error in the extended protocol nothing is done until Sync.
//! - S5: neither an error's text nor a locked or returned row is buffered before all that the
//!   transaction has seen is durable.
//!
//! Nothing here knows bytes on the wire.

mod block;
mod client;
mod commands;
mod copy;
mod cursors;
mod databases;
mod definitions;
mod extended;
mod identifiers;
mod plans;
mod portal;
mod request;
mod run;
mod savepoints;
mod settings;
mod simple;
mod statement;
mod timer;
mod transaction;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

pub use client::{Client, CopyInput, Formats, Reply, Status};
pub use definitions::{SERVER_VERSION, server_setting};
pub use request::{Bind, Request, Target};

use crate::base::error::Severity;
use crate::base::{
    BackendFacts, CancelFlag, Doing, Error, Lsn, Observed, Report, Result, Sessions, SqlState,
};
use crate::database::Connected;
use crate::session::block::Block;
use crate::session::plans::PlanCache;
use crate::session::portal::Portals;
use crate::session::savepoints::Savepoint;
use crate::session::settings::Settings;
use crate::session::statement::Statements;
use crate::session::timer::Timer;
use crate::session::transaction::isolation_of;
use crate::sql::ast::{Isolation, TransactionModes};
use crate::sql::context::{Backend, SessionInfo, SettingChanges, StatementContext};
use crate::table::Txn;
use crate::types::Datum;
use crate::types::datetime::now_micros;

/// Who is connected.
#[derive(Clone)]
pub struct Identity {
    pub user: String,
    pub backend_pid: i32,
    /// `None`: by a Unix socket.
    pub client: Option<SocketAddr>,
    /// The sessions it is among.
    pub sessions: Arc<Sessions>,
}

pub struct Session {
    backend: Arc<Backend>,
    settings: Settings,
    /// The client is to be told of changed settings before the next ReadyForQuery.
    report_due: bool,
    /// What is often asked of the settings.
    quick: Quick,
    cx: StatementContext,
    block: Block,
    txn: Option<Txn>,
    /// What the session has committed without waiting ends here in the log.
    unawaited: Lsn,
    /// Of the transaction block, outermost first.
    savepoints: Vec<Savepoint>,
    /// The transaction has run a statement: too late to make it READ WRITE.
    has_queried: bool,
    /// How many transactions have ended: tells whether one ended during a statement.
    ended: u64,
    statements: Statements,
    portals: Portals,
    plans: PlanCache,
    /// S4: an error was sent, Sync has not come yet.
    skipping: bool,
    /// Messages of the extended protocol have come since the last Sync.
    in_batch: bool,
    timer: Option<Timer>,
    no_params: Arc<[Datum]>,
    /// Dropped last: what a transaction gives back when it ends is part of its database.
    connected: Connected,
}

/// Settings that every statement looks at, in the form it needs.
#[derive(Debug, Default)]
struct Quick {
    read_only: bool,
    isolation: Isolation,
    deferrable: bool,
    /// Of a new transaction.
    defaults: TransactionModes,
    statement_timeout: Option<Duration>,
    idle_in_transaction_timeout: Option<Duration>,
    idle_timeout: Option<Duration>,
    /// A commit waits for its sync.
    synchronous_commit: bool,
    client_min_messages: String,
    /// Changes whenever a setting changes that plans depend on.
    plans_key: String,
    generation: u64,
}

impl Session {
    /// A session for a client that has been let in. `facts` are settings of the server; `options`
    /// are the settings asked for at startup.
    pub fn new(
        connected: Connected,
        identity: Identity,
        cancel: Arc<CancelFlag>,
        facts: &[(&'static str, String)],
        options: &[(String, String)],
    ) -> Result<Session> {
        let mut facts = facts.to_vec();
        facts.push(("session_authorization", identity.user.clone()));
        let mut settings = Settings::new(&facts);
        for (name, value) in options {
            settings.set_at_startup(name, value)?;
        }
        let locks = connected.session_locks(identity.backend_pid, cancel.clone());
        let sequences = connected.sequences();
        let facts = BackendFacts {
            database: connected.oid(),
            database_name: connected.name().to_owned(),
            user: identity.user.clone(),
            client: identity.client,
            start: now_micros(),
        };
        let backend = Backend::new(facts, locks, identity.sessions, sequences);
        let backend = Arc::new(backend);
        let info = SessionInfo {
            user: identity.user,
            database: connected.name().to_owned(),
            database_oid: connected.oid(),
            search_path: Vec::new(),
            backend_pid: identity.backend_pid,
            server_version: SERVER_VERSION,
            settings: Vec::new(),
            changes: Arc::new(SettingChanges::new(settings::checked)),
            server: Some(connected.database().clone()),
            backend: Some(backend.clone()),
        };
        let mut session = Session {
            backend,
            cx: StatementContext {
                session: Arc::new(info),
                format: Arc::new(settings.format()),
                cancel,
            },
            settings,
            report_due: true,
            quick: Quick::default(),
            block: Block::Idle,
            txn: None,
            unawaited: Lsn::ZERO,
            savepoints: Vec::new(),
            has_queried: false,
            ended: 0,
            statements: Statements::default(),
            portals: Portals::default(),
            plans: PlanCache::default(),
            skipping: false,
            in_batch: false,
            timer: None,
            no_params: Arc::from([]),
            connected,
        };
        session.apply_settings();
        Ok(session)
    }

    /// Tells a new client the values of the reported settings.
    pub fn greet<C: Client>(&mut self, client: &mut C) {
        self.settings
            .report(|name, value| client.send(Reply::ParameterStatus { name, value }));
        self.report_due = false;
    }

    /// Buffers ReadyForQuery, after the settings that have changed.
    pub fn ready<C: Client>(&mut self, client: &mut C) {
        self.apply_settings();
        if self.report_due {
            self.greet(client);
        }
        let status = self.block.status();
        let (doing, transaction_start) = match status {
            Status::Idle => (Doing::Idle, None),
            Status::InBlock => (Doing::IdleInTransaction, Some(self.cx.format.now)),
            Status::Failed => (Doing::IdleInFailedTransaction, Some(self.cx.format.now)),
        };
        let activity = &self.backend.activity;
        activity.rest(doing, transaction_start, now_micros());
        client.send(Reply::Ready(status));
    }

    /// Handles one message. The wire layer flushes after Query, Sync and Flush.
    pub async fn handle<C: Client>(&mut self, request: Request<'_>, client: &mut C) {
        match request {
            Request::Sync => self.sync(client).await,
            _ if self.skipping => {}
            Request::Query(text) => self.query(text, client).await,
            Request::Flush => {}
            request => self.extended(request, client).await,
        }
    }

    /// A message that could not be decoded fails like a statement. `extended`: it belongs to the
    /// extended protocol, so what follows it is skipped until Sync.
    pub async fn reject<C: Client>(&mut self, error: Error, extended: bool, client: &mut C) {
        if self.skipping {
            return;
        }
        self.fail(error, None, client).await;
        match extended {
            true => self.skipping = true,
            false => self.ready(client),
        }
    }

    /// What others see of it.
    pub fn observed(&self) -> Arc<dyn Observed> {
        self.backend.clone()
    }

    /// A message that may begin a transaction has come: its time.
    fn note_message(&mut self) -> i64 {
        let now = now_micros();
        Arc::make_mut(&mut self.cx.format).statement_start = now;
        now
    }

    /// A message begins what `text` asks for.
    fn note_query(&mut self, text: &str) {
        let now = self.note_message();
        self.backend.activity.begin(text, now);
    }

    /// What stops it from outside.
    pub fn cancel_flag(&self) -> Arc<CancelFlag> {
        self.cx.cancel.clone()
    }

    /// How long the client may keep silent now, and what to tell it then.
    pub fn idle_limit(&self) -> Option<(Duration, Report)> {
        let fatal = |code, message: &str| Report::new(Severity::Fatal, code, message);
        match self.block.status() {
            Status::Idle if self.quick.idle_timeout.is_none() => None,
            Status::Idle => self.quick.idle_timeout.map(|limit| {
                let code = SqlState::IDLE_SESSION_TIMEOUT;
                (
                    limit,
                    fatal(code, "terminating connection due to idle-session timeout"),
                )
            }),
            _ => self.quick.idle_in_transaction_timeout.map(|limit| {
                let code = SqlState::IDLE_IN_TRANSACTION_SESSION_TIMEOUT;
                let message = "terminating connection due to idle-in-transaction timeout";
                (limit, fatal(code, message))
            }),
        }
    }

    /// Ends the transaction, or what was done since the newest savepoint, because of an error and
    /// tells the client. `text` is the statement
    /// that the error's position points into.
    async fn fail<C: Client>(&mut self, error: Error, text: Option<&str>, client: &mut C) {
        let mut error = error;
        self.timer = None;
        if let Some(txn) = &self.txn
            && let Err(worse) = txn.wait_shown().await
        {
            error = worse;
        }
        self.cx.session.changes.take();
        let next = self.block.after_error();
        match self.savepoints.len().checked_sub(1) {
            // The block may go on from there; the locks taken since go at once.
            Some(newest) => self.undo_to_savepoint(newest),
            None => self.end_now(),
        }
        self.block = next;
        let report = error.report();
        client.send(Reply::Error {
            report: &report,
            text,
        });
    }

    /// Sends the warnings of functions.
    fn warn<C: Client>(&self, client: &mut C) {
        for warning in self.backend.take_warnings() {
            self.notice(&warning, client);
        }
    }

    fn notice<C: Client>(&self, report: &Report, client: &mut C) {
        let wanted = match self.quick.client_min_messages.as_str() {
            "error" => false,
            "warning" => report.severity == Severity::Warning,
            _ => true,
        };
        if wanted {
            client.send(Reply::Notice(report));
        }
    }

    /// At the end of a statement: takes over what it has set.
    fn take_changes(&mut self) -> Result<()> {
        let changes = self.cx.session.changes.take();
        changes
            .into_iter()
            .try_for_each(|(name, value, local)| self.settings.set_text(&name, &value, local))
    }

    /// Brings everything derived from the settings up to date.
    fn apply_settings(&mut self) {
        if !self.settings.take_changed() {
            return;
        }
        self.report_due = true;
        let settings = &self.settings;
        let limit = |name| match settings.integer(name) {
            0 => None,
            ms => Some(Duration::from_millis(ms)),
        };
        let plan_settings = ["search_path", "DateStyle", "TimeZone", "bytea_output"];
        let plans_key = plan_settings.map(|name| settings.raw(name)).join("\0");
        let plans_changed = plans_key != self.quick.plans_key;
        self.quick = Quick {
            read_only: settings.is_on("transaction_read_only"),
            isolation: isolation_of(settings.raw("transaction_isolation")),
            deferrable: settings.is_on("transaction_deferrable"),
            defaults: TransactionModes {
                isolation: Some(isolation_of(settings.raw("default_transaction_isolation"))),
                read_only: Some(settings.is_on("default_transaction_read_only")),
                deferrable: Some(settings.is_on("default_transaction_deferrable")),
            },
            statement_timeout: limit("statement_timeout"),
            idle_in_transaction_timeout: limit("idle_in_transaction_session_timeout"),
            idle_timeout: limit("idle_session_timeout"),
            synchronous_commit: settings.raw("synchronous_commit") != "off",
            client_min_messages: settings.raw("client_min_messages").to_owned(),
            plans_key,
            generation: self.quick.generation + u64::from(plans_changed),
        };
        self.backend.set_read_only(self.quick.read_only);
        let application_name = settings.raw("application_name");
        self.backend.activity.set_application_name(application_name);
        self.cx
            .cancel
            .set_lock_timeout_ms(settings.integer("lock_timeout"));
        let mut format = settings.format();
        format.now = self.cx.format.now;
        format.statement_start = self.cx.format.statement_start;
        self.cx.format = Arc::new(format);
        let info = Arc::make_mut(&mut self.cx.session);
        info.search_path = settings.search_path(&info.user);
        let all = settings.all().into_iter();
        info.settings = all.map(|(name, value, _)| (name, value)).collect();
    }
}
