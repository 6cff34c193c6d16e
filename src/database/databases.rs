//! The databases of a data directory: which there are, and who is connected to which.
//!
//! Each has a space of its own, with its own catalog and its own locks. Space 0 belongs to none of
//! them: its one tree has a row for each database, written by transactions like all others. What a
//! database needs in memory is made when its first client connects.
//!
//! | row of a database | bytes | |
//! |---|---|---|
//! | key | u32, big-endian | its OID |
//! | space | u32 | |
//! | flags | u32 | 1: may be connected to; 2: is a template |
//! | connection limit | i32 | -1: none |
//! | name | the rest | |

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;

use tokio::sync::Notify;

use super::Database;
use crate::base::bytes::Reader;
use crate::base::sync::Mutex;
use crate::base::{CancelFlag, Error, Oid, Result, SqlState, TreeId, terminate_all};
use crate::pages::Pages;
use crate::table::{Sequences, Tables, Txn};
use crate::txn::{Key, NewSpace, SessionLocks, Transactions, TxnIds, create_spaces};
use crate::wal::Log;

/// The space of the list of databases.
pub(super) const LIST_SPACE: u32 = 0;
/// The database that CREATE DATABASE copies unless told otherwise.
pub(super) const TEMPLATE: &str = "template1";

/// The databases of a new data directory, with PostgreSQL's OIDs for them.
const INITIAL: [(u32, &str, u32, u32); 3] = [
    (1, TEMPLATE, 2, ALLOWS_CONNECTIONS | IS_TEMPLATE),
    (4, "template0", 3, IS_TEMPLATE),
    (5, "postgres", 1, ALLOWS_CONNECTIONS),
];

const ALLOWS_CONNECTIONS: u32 = 1;
const IS_TEMPLATE: u32 = 2;

/// A database, as its row in the list describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DatabaseDef {
    pub oid: Oid,
    pub name: String,
    pub(super) space: u32,
    pub allows_connections: bool,
    pub is_template: bool,
    /// Kept and shown; it binds only roles that are no superusers, of which there are none.
    pub connection_limit: i32,
}

impl DatabaseDef {
    pub(super) fn key(&self) -> Key {
        Key::from_slice(&self.oid.0.to_be_bytes())
    }

    pub(super) fn encode(&self) -> Vec<u8> {
        let flag = |is_set: bool, flag: u32| if is_set { flag } else { 0 };
        let flags =
            flag(self.allows_connections, ALLOWS_CONNECTIONS) | flag(self.is_template, IS_TEMPLATE);
        let mut bytes = self.space.to_le_bytes().to_vec();
        bytes.extend_from_slice(&flags.to_le_bytes());
        bytes.extend_from_slice(&self.connection_limit.to_le_bytes());
        bytes.extend_from_slice(self.name.as_bytes());
        bytes
    }

    fn decode(key: &[u8], value: &[u8]) -> Option<DatabaseDef> {
        let mut value = Reader::new(value);
        let (space, flags, limit) = (value.u32()?, value.u32()?, value.u32()?);
        let name = value.take(value.remaining())?;
        Some(DatabaseDef {
            oid: Oid(u32::from_be_bytes(key.try_into().ok()?)),
            name: String::from_utf8(name.to_vec()).ok()?,
            space,
            allows_connections: flags & ALLOWS_CONNECTIONS != 0,
            is_template: flags & IS_TEMPLATE != 0,
            connection_limit: limit.cast_signed(),
        })
    }
}

/// What is known of the databases in memory.
pub(super) struct Databases {
    /// Of the list's space.
    pub(super) list: Arc<Transactions>,
    state: Mutex<State>,
    /// Held by whoever makes, drops or changes a database.
    pub(super) changing: tokio::sync::Mutex<()>,
    /// Somebody has connected or gone, or a database is open to clients again.
    changed: Notify,
}

#[derive(Default)]
struct State {
    by_oid: BTreeMap<Oid, Entry>,
    /// The sessions there have been.
    sessions: u64,
}

struct Entry {
    def: Arc<DatabaseDef>,
    /// Made for the first client.
    tables: Arc<Mutex<Option<Arc<Tables>>>>,
    connected: BTreeMap<u64, Seat>,
    access: Access,
}

/// ```text
///        close               close, to drop it
/// Held ◄──────── Open ──────────────────────► Leaving ──► gone
///   └────────────►▲◄────────────────────────────┘
///      done                    given up
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Access {
    Open,
    /// Who wants to connect waits: it is being copied or renamed.
    Held,
    /// The same, and nobody looks at its pages any more.
    Leaving,
}

/// How a session is told to end.
struct Seat {
    cancel: Arc<CancelFlag>,
}

impl Entry {
    fn new(def: Arc<DatabaseDef>) -> Entry {
        Entry {
            def,
            tables: Arc::default(),
            connected: BTreeMap::new(),
            access: Access::Open,
        }
    }
}

impl State {
    fn find(&mut self, name: &str) -> Option<&mut Entry> {
        self.by_oid.values_mut().find(|e| e.def.name == name)
    }
}

/// Makes the databases of a new data directory.
pub(super) fn create(pages: &Pages, log: &Log) -> Result<()> {
    let defs = INITIAL.map(|(oid, name, space, flags)| DatabaseDef {
        oid: Oid(oid),
        name: name.to_owned(),
        space,
        allows_connections: flags & ALLOWS_CONNECTIONS != 0,
        is_template: flags & IS_TEMPLATE != 0,
        connection_limit: -1,
    });
    let mut spaces = vec![NewSpace {
        space: LIST_SPACE,
        tree: TreeId::DATABASES,
        content: defs.iter().map(|def| (def.key(), def.encode())).collect(),
    }];
    spaces.extend(defs.iter().map(|def| NewSpace {
        space: def.space,
        tree: TreeId::CATALOG,
        content: Vec::new(),
    }));
    spaces.sort_by_key(|new| new.space);
    create_spaces(pages, log, spaces)
}

impl Databases {
    /// Reads the list.
    pub(super) fn open(list: Arc<Transactions>) -> Result<Databases> {
        let mut state = State::default();
        let transaction = list.begin_recovered();
        let (low, high) = (Bound::Unbounded, Bound::Unbounded);
        let mut scan = transaction.scan(TreeId::DATABASES, low, high, false)?;
        while let Some((key, value)) = scan.next()? {
            let def = DatabaseDef::decode(key, value).ok_or_else(|| Error::Corrupt {
                file: "page cache".into(),
                offset: 0,
                what: "a bad row in the list of databases".into(),
            })?;
            state.by_oid.insert(def.oid, Entry::new(Arc::new(def)));
        }
        Ok(Databases {
            list,
            state: Mutex::new(state),
            changing: tokio::sync::Mutex::default(),
            changed: Notify::new(),
        })
    }

    /// All databases, in the order of their OIDs.
    pub(super) fn all(&self) -> Vec<Arc<DatabaseDef>> {
        let state = self.state.lock();
        state.by_oid.values().map(|e| e.def.clone()).collect()
    }

    pub(super) fn find(&self, name: &str) -> Option<Arc<DatabaseDef>> {
        self.state.lock().find(name).map(|e| e.def.clone())
    }

    /// Enters a database that is new or has changed.
    pub(super) fn set(&self, def: DatabaseDef) {
        let mut state = self.state.lock();
        let def = Arc::new(def);
        match state.by_oid.get_mut(&def.oid) {
            Some(entry) => entry.def = def,
            None => {
                state.by_oid.insert(def.oid, Entry::new(def));
            }
        }
    }

    pub(super) fn remove(&self, oid: Oid) {
        self.state.lock().by_oid.remove(&oid);
    }

    /// How many sessions are connected to a database, one of them left out if it is among them.
    pub(super) fn others(&self, oid: Oid, me: Option<u64>) -> usize {
        let state = self.state.lock();
        let sessions = state.by_oid.get(&oid).into_iter();
        let sessions = sessions.flat_map(|e| e.connected.keys());
        sessions.filter(|session| Some(**session) != me).count()
    }

    /// Ends all sessions of a database.
    pub(super) fn end_sessions(&self, oid: Oid) {
        let state = self.state.lock();
        let seats = state.by_oid.get(&oid).into_iter();
        let seats = seats.flat_map(|e| e.connected.values());
        terminate_all(seats.map(|seat| &*seat.cancel));
    }

    /// Lets nobody connect to a database as long as the guard lives.
    pub(super) fn close(&self, oid: Oid, access: Access) -> Closed<'_> {
        self.set_access(oid, access);
        Closed {
            databases: self,
            oid,
        }
    }

    fn set_access(&self, oid: Oid, access: Access) {
        if let Some(entry) = self.state.lock().by_oid.get_mut(&oid) {
            entry.access = access;
        }
        self.changed.notify_waiters();
    }

    /// Keeps a database from being dropped as long as the guard lives; `None`: it is gone, or
    /// going.
    fn visit(&self, oid: Oid) -> Option<Visit<'_>> {
        let mut state = self.state.lock();
        state.sessions += 1;
        let session = state.sessions;
        let entry = state.by_oid.get_mut(&oid)?;
        if entry.access == Access::Leaving {
            return None;
        }
        let cancel = Arc::default();
        entry.connected.insert(session, Seat { cancel });
        Some(Visit {
            databases: self,
            oid,
            session,
        })
    }

    /// Returns when something has changed since `seen` was last looked at.
    pub(super) async fn wait_changed(&self, mut seen: impl FnMut() -> bool) {
        loop {
            let mut changed = std::pin::pin!(self.changed.notified());
            changed.as_mut().enable();
            if seen() {
                return;
            }
            changed.await;
        }
    }

    /// A place in a database for a session; `None`: the database is closed for a moment.
    fn take_seat(&self, name: &str, cancel: &Arc<CancelFlag>) -> Result<Option<Taken>> {
        let mut state = self.state.lock();
        state.sessions += 1;
        let session = state.sessions;
        let entry = state.find(name).ok_or_else(|| unknown(name))?;
        if !entry.def.allows_connections {
            return Err(Error::new(
                SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE,
                format!("database \"{name}\" is not currently accepting connections"),
            ));
        }
        if entry.access != Access::Open {
            return Ok(None);
        }
        let cancel = cancel.clone();
        entry.connected.insert(session, Seat { cancel });
        Ok(Some(Taken {
            def: entry.def.clone(),
            tables: entry.tables.clone(),
            session,
        }))
    }

    /// Takes back what is set aside of the sequences of a database, or of all; nothing where
    /// nobody has been since the start.
    ///
    /// # Errors
    /// When the log takes nothing.
    pub(super) fn settle_sequences(&self, only: Option<Oid>) -> Result<()> {
        let open: Vec<_> = {
            let state = self.state.lock();
            let wanted = state.by_oid.iter();
            let wanted = wanted.filter(|(oid, _)| only.is_none_or(|only| only == **oid));
            wanted.map(|(_, entry)| entry.tables.clone()).collect()
        };
        for tables in open {
            let tables = tables.lock().clone();
            tables.map_or(Ok(()), |tables| tables.settle_sequences())?;
        }
        Ok(())
    }

    fn leave(&self, oid: Oid, session: u64) {
        if let Some(entry) = self.state.lock().by_oid.get_mut(&oid) {
            entry.connected.remove(&session);
        }
        self.changed.notify_waiters();
    }

    fn tables(&self, oid: Oid) -> Option<Arc<Mutex<Option<Arc<Tables>>>>> {
        let state = self.state.lock();
        state.by_oid.get(&oid).map(|e| e.tables.clone())
    }
}

struct Taken {
    def: Arc<DatabaseDef>,
    tables: Arc<Mutex<Option<Arc<Tables>>>>,
    session: u64,
}

/// A database that nobody can connect to meanwhile.
pub(super) struct Closed<'a> {
    databases: &'a Databases,
    oid: Oid,
}

impl Drop for Closed<'_> {
    fn drop(&mut self) {
        self.databases.set_access(self.oid, Access::Open);
    }
}

/// Looks at a database for a moment.
struct Visit<'a> {
    databases: &'a Databases,
    oid: Oid,
    session: u64,
}

impl Drop for Visit<'_> {
    fn drop(&mut self) {
        self.databases.leave(self.oid, self.session);
    }
}

/// A session's connection to one database. As long as it lives the database is neither dropped
/// nor copied by anybody else.
pub struct Connected {
    // Dropped before the place is given up.
    tables: Arc<Tables>,
    place: Place,
}

/// Among the sessions of a database.
struct Place {
    database: Arc<Database>,
    def: Arc<DatabaseDef>,
    session: u64,
}

impl Drop for Place {
    fn drop(&mut self) {
        self.database.databases.leave(self.def.oid, self.session);
    }
}

impl Connected {
    /// The data directory.
    pub fn database(&self) -> &Arc<Database> {
        &self.place.database
    }

    pub fn oid(&self) -> Oid {
        self.place.def.oid
    }

    pub fn name(&self) -> &str {
        &self.place.def.name
    }

    pub(super) fn session(&self) -> u64 {
        self.place.session
    }

    pub fn begin(&self) -> Txn {
        self.tables.begin()
    }

    /// A transaction of the session whose locks these are.
    pub fn begin_in(&self, session: &SessionLocks) -> Txn {
        self.tables.begin_in(session)
    }

    /// What the session, by its process number, locks beside its transactions; `cancel` stops it.
    pub fn session_locks(&self, pid: i32, cancel: Arc<CancelFlag>) -> SessionLocks {
        self.tables.session_locks(self.oid(), pid, cancel)
    }

    /// What a session has of sequences.
    pub fn sequences(&self) -> Sequences {
        Sequences::new(self.tables.clone())
    }
}

impl Database {
    /// Connects a session to a database; `cancel` stops what the session does. Waits while the
    /// database is being copied or dropped.
    ///
    /// # Errors
    /// 3D000 for a database that does not exist, 55000 for one that lets nobody in.
    pub async fn connect(
        self: &Arc<Self>,
        name: &str,
        cancel: &Arc<CancelFlag>,
    ) -> Result<Connected> {
        let mut taken = None;
        let take = || {
            taken = self.databases.take_seat(name, cancel).transpose();
            taken.is_some()
        };
        self.databases.wait_changed(take).await;
        let taken = taken.expect("waited for")?;
        let place = Place {
            database: self.clone(),
            def: taken.def,
            session: taken.session,
        };
        Ok(Connected {
            tables: self.open_tables(&place.def, &taken.tables)?,
            place,
        })
    }

    /// The databases there are, in the order of their OIDs.
    pub fn databases(&self) -> Vec<Arc<DatabaseDef>> {
        self.databases.all()
    }

    /// How much a database holds, free pages included, and however much of it is shared with
    /// others; nothing if it has just been dropped.
    ///
    /// # Errors
    /// When that cannot be read.
    pub fn database_bytes(&self, def: &DatabaseDef) -> Result<u64> {
        let Some(_visit) = self.databases.visit(def.oid) else {
            return Ok(0);
        };
        let snapshot = self.pages.snapshots().register(|| self.log.durable_lsn());
        self.pages.space_bytes(def.space, snapshot.lsn())
    }

    fn open_tables(
        &self,
        def: &DatabaseDef,
        tables: &Mutex<Option<Arc<Tables>>>,
    ) -> Result<Arc<Tables>> {
        let mut tables = tables.lock();
        if let Some(tables) = &*tables {
            return Ok(tables.clone());
        }
        let transactions = self.open_transactions(def.space)?;
        Ok(tables.insert(Tables::open(transactions)?).clone())
    }

    /// The tables of every database, while none is made or dropped.
    pub(super) fn tables_of(&self, def: &DatabaseDef) -> Result<Arc<Tables>> {
        let tables = self.databases.tables(def.oid);
        let tables = tables.ok_or_else(|| unknown(&def.name))?;
        self.open_tables(def, &tables)
    }

    fn open_transactions(&self, space: u32) -> Result<Arc<Transactions>> {
        let (pages, log) = (self.pages.clone(), self.log.clone());
        Transactions::open(pages, log, space, self.ids.clone(), self.bytes_max)
    }
}

/// The transactions of the list of databases.
pub(super) fn open_list(
    pages: &Arc<Pages>,
    log: &Arc<Log>,
    ids: &Arc<TxnIds>,
    bytes_max: u64,
) -> Result<Arc<Transactions>> {
    Transactions::open(
        pages.clone(),
        log.clone(),
        LIST_SPACE,
        ids.clone(),
        bytes_max,
    )
}

pub(super) fn unknown(name: &str) -> Error {
    Error::new(
        SqlState::INVALID_CATALOG_NAME,
        format!("database \"{name}\" does not exist"),
    )
}
