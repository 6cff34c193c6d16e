//! Opens a data directory, owns what its databases share, and opens them ([`Database::connect`]).
//!
//! | name in the directory | what it is |
//! |---|---|
//! | `walnut.lock` | locked while a server runs on the directory |
//! | `control` | format version and database id; see `Control` in this file |
//! | `data` | the pages, as of the last checkpoint |
//! | `wal/` | the log since then |

mod change;
mod checkpointer;
mod databases;

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::base::bytes::Reader;
use crate::base::{Error, Lsn, Result, SqlState};
use crate::disk::{Disk, Lock, RealDisk};
use crate::pages::{CacheStats, FileReport, Pages, SpaceChange, SpaceReads, Start};
use crate::table;
use crate::txn::{Exports, TxnIds};
use crate::wal::{self, Log, LogReader, Record, Replayed};
use checkpointer::{Checkpointer, Limits};

use databases::Databases;

pub use change::{DatabaseChange, NewDatabase};
pub use checkpointer::CheckpointStats;
pub use databases::{Connected, DatabaseDef};

/// An open data directory, with all its databases.
pub struct Database {
    databases: Databases,
    pages: Arc<Pages>,
    log: Arc<Log>,
    ids: Arc<TxnIds>,
    exports: Arc<Exports>,
    /// What a transaction may hold in memory.
    bytes_max: u64,
    checkpointer: Checkpointer,
    _lock: Box<dyn Lock>,
}

#[derive(Clone, Debug)]
pub struct Options {
    pub wal: wal::Options,
    /// Whether syncs are done. Without, only a crash of the process alone is survived.
    pub fsync: bool,
    /// How many bytes of memory the server takes, about, but for what sessions are working with.
    pub shared_buffers: u64,
    /// How many bytes of changes a transaction may hold in memory until it commits, about.
    pub max_transaction_memory: u64,
    /// How long the log may become, about: a checkpoint begins at half of it.
    pub max_wal_size: u64,
    /// A checkpoint is taken after this time at the latest, if there is anything to store.
    pub checkpoint_timeout: Duration,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            wal: wal::Options::default(),
            fsync: true,
            shared_buffers: 128 << 20,
            max_transaction_memory: 1 << 30,
            max_wal_size: 1 << 30,
            checkpoint_timeout: Duration::from_secs(300),
        }
    }
}

/// How far something is that takes long.
#[derive(Clone, Copy, Debug)]
pub enum Progress {
    /// So many bytes of the log are replayed, of at most so many.
    Log { bytes: u64, of: u64 },
    /// So many pages of the data file are verified.
    Pages { done: u64, of: u64 },
}

/// What [`Database::check`] found.
#[derive(Debug, Default)]
pub struct Checked {
    pub file: FileReport,
    /// Rows of tables, all of them in their indexes; none if that was not looked at.
    pub rows: Option<u64>,
    pub damage: Vec<Error>,
}

/// What start-up found and did.
#[derive(Clone, Debug)]
pub struct Recovered {
    pub directory: PathBuf,
    /// The directory was empty: the database is new.
    pub created: bool,
    pub log: wal::Recovered,
    pub took: Duration,
}

impl fmt::Display for Recovered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let directory = self.directory.display();
        if self.created {
            return write!(f, "created a new database in {directory}");
        }
        let (log, ms) = (&self.log, self.took.as_millis());
        write!(
            f,
            "recovered {directory} in {ms} ms: {} transactions, {} bytes of log, up to {}",
            log.blobs, log.bytes, log.end
        )?;
        if log.truncated_bytes > 0 {
            write!(f, "; cut a torn tail of {} bytes", log.truncated_bytes)?;
        }
        Ok(())
    }
}

impl fmt::Debug for Database {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Database with {:?}", self.log)
    }
}

impl Database {
    /// The snapshots that transactions have exported.
    pub fn exports(&self) -> &Arc<Exports> {
        &self.exports
    }

    /// Opens the database in a directory of the real file system, or makes a new one where there
    /// is none.
    ///
    /// # Errors
    /// When another server runs on the directory, when it holds something else, and when its files
    /// are damaged.
    pub fn open(directory: &Path, options: Options) -> Result<(Arc<Database>, Recovered)> {
        Database::open_telling(directory, options, &mut |_| {})
    }

    /// [`Database::open`], which tells how far it is.
    pub fn open_telling(
        directory: &Path,
        options: Options,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<(Arc<Database>, Recovered)> {
        let disk = RealDisk {
            fsync: options.fsync,
        };
        Database::open_on(Arc::new(disk), directory, options, progress)
    }

    /// [`Database::open_telling`] on any disk.
    pub fn open_on(
        disk: Arc<dyn Disk>,
        directory: &Path,
        options: Options,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<(Arc<Database>, Recovered)> {
        let started = Instant::now();
        if !disk.exists(directory)? {
            disk.create_dir(directory)?;
        }
        // Both names may have been given just before a crash that they have yet to survive: the
        // directory's before it holds a control file, the control file's at any start.
        let exists = disk.exists(&directory.join(CONTROL));
        if !exists.map_err(|error| unwritable(directory, error))? {
            let parent = directory.parent().unwrap_or(directory);
            disk.sync_dir(match parent.as_os_str().is_empty() {
                true => Path::new("."),
                false => parent,
            })?;
        }
        let lock = disk
            .lock(&directory.join(LOCK))
            .map_err(|error| unwritable(directory, error))?;
        disk.sync_dir(directory)?;
        let wal = directory.join("wal");
        let created = prepare(&*disk, directory, &wal)?;
        if !created && !disk.is_private(directory)? {
            let directory = directory.display();
            let what = format!("other users may read or change \"{directory}\"");
            return Err(Error::new(SqlState::INSUFFICIENT_PRIVILEGE, what)
                .with_hint(format!("chmod 0700 {directory}")));
        }
        let control = Control::read(&*disk, directory)?;
        if control.state == State::Creating {
            create(&disk, directory, &wal, control, &options)?;
        }

        let log: Arc<std::sync::OnceLock<Arc<Log>>> = Arc::default();
        let watermark = log.clone();
        // Until the log is open everything that is replayed counts as durable.
        let durable = move || watermark.get().map_or(Lsn::NEWEST, |log| log.durable_lsn());
        let (pages, Start { position, next_txn }) = Pages::open(
            &disk,
            &directory.join(DATA),
            control.database,
            cache_memory(options.shared_buffers),
            Arc::new(durable),
        )?;
        let pages = Arc::new(pages);
        let limits = Limits {
            wal_bytes: options.max_wal_size,
            segment_bytes: options.wal.segment_bytes,
            timeout: options.checkpoint_timeout,
            #[cfg(test)]
            lockstep: options.wal.lockstep,
        };
        let (opened, recovered) = Log::open(
            disk,
            &wal,
            control.database,
            options.wal,
            &position,
            &mut |told| match told {
                Replayed::Blob { end, bytes } => replay(&pages, end, bytes),
                Replayed::Read { bytes, of } => {
                    progress(Progress::Log { bytes, of });
                    Ok(())
                }
            },
        )?;
        let opened = log.get_or_init(|| opened).clone();
        let next_txn = recovered
            .last_txn
            .map_or(next_txn, |last| next_txn.max(last.0 + 1));
        let ids = Arc::new(TxnIds::from(next_txn));
        if opened.next_lsn() == Lsn::ZERO {
            databases::create(&pages, &opened)?;
        }
        let bytes_max = options.max_transaction_memory;
        let list = databases::open_list(&pages, &opened, &ids, bytes_max)?;
        let checkpointer =
            Checkpointer::start(pages.clone(), opened.clone(), ids.clone(), limits, position)?;
        let database = Arc::new(Database {
            databases: Databases::open(list)?,
            pages,
            ids,
            exports: Arc::default(),
            bytes_max,
            log: opened,
            checkpointer,
            _lock: lock,
        });
        let took = started.elapsed();
        Ok((
            database,
            Recovered {
                directory: directory.to_owned(),
                created,
                log: recovered,
                took,
            },
        ))
    }

    /// A reader of the log in a data directory, whether a server runs on it or not: takes no lock
    /// and writes nothing.
    ///
    /// # Errors
    /// When the directory holds no database.
    pub fn read_log(directory: &Path) -> Result<LogReader> {
        let control = Control::read(&RealDisk::default(), directory)?;
        wal::read(
            Arc::new(RealDisk::default()),
            &directory.join("wal"),
            control.database,
        )
    }

    /// Verifies a directory on which no server runs: the data file as it lies there and, if that
    /// is sound but for one copy of its superblock, all that a start finds.
    ///
    /// # Errors
    /// What keeps it from looking; damage is in the report.
    pub fn check(
        directory: &Path,
        runtime: &tokio::runtime::Runtime,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<Checked> {
        let disk = RealDisk::default();
        let control = Control::read(&disk, directory)?;
        let lock = disk.lock(&directory.join(LOCK))?;
        let data = directory.join(DATA);
        let mut checked = Checked::default();
        let (pages, damage) = Pages::open_to_check(&disk, &data, control.database)?;
        checked.damage = damage;
        let Some(pages) = pages else {
            return Ok(checked);
        };
        checked.file = pages.check_file(&mut |done, of| progress(Progress::Pages { done, of }))?;
        let is_sound = checked.file.damage.is_empty();
        checked.damage.append(&mut checked.file.damage);
        if !is_sound {
            return Ok(checked);
        }
        drop((pages, lock));
        let (database, _) = Database::open_telling(directory, Options::default(), progress)?;
        match runtime.block_on(database.verify()) {
            Ok(rows) => checked.rows = Some(rows),
            Err(error) => checked.damage.push(error),
        }
        database.shutdown()?;
        Ok(checked)
    }

    /// The log, to ask it for positions and counters.
    pub fn log(&self) -> &Arc<Log> {
        &self.log
    }

    /// Checks every page, tree, index and row of every database; gives the number of rows. No
    /// database is made or dropped meanwhile.
    ///
    /// # Errors
    /// Names the first damage found.
    pub async fn verify(&self) -> Result<u64> {
        let _changing = self.databases.changing.lock().await;
        self.databases.list.verify()?;
        let mut rows = 0;
        for def in self.databases.all() {
            rows += table::verify(&self.tables_of(&def)?).await?;
        }
        Ok(rows)
    }

    /// Checks the data file, then what [`Database::verify`] checks, beside readers and writers.
    /// Blocks; for a thread of a runtime.
    ///
    /// # Errors
    /// Names the first damage found.
    pub fn verify_all(&self) -> Result<u64> {
        let report = self.pages.check_file(&mut |_, _| {})?;
        match report.damage.into_iter().next() {
            Some(error) => Err(error),
            None => tokio::runtime::Handle::current().block_on(self.verify()),
        }
    }

    /// Takes a checkpoint, so that the next start has no log to replay. Blocks.
    ///
    /// # Errors
    /// Nothing is lost, and the last checkpoint is whole.
    pub fn checkpoint(&self) -> Result<()> {
        self.checkpointer.request()
    }

    pub fn checkpoint_stats(&self) -> CheckpointStats {
        self.checkpointer.stats()
    }

    pub fn reads_of(&self, database: &DatabaseDef) -> SpaceReads {
        self.pages.space_reads(database.space)
    }

    pub fn cache_stats(&self) -> CacheStats {
        self.pages.stats()
    }

    /// Takes a last checkpoint and closes the log. Blocks.
    ///
    /// # Errors
    /// Why the log could not be closed. A checkpoint that fails is only logged: the next start
    /// replays more.
    pub fn shutdown(&self) -> Result<()> {
        if self.log.poisoned().is_none() {
            // What fails leaves gaps in what the sequences give.
            let _ = self.databases.settle_sequences(None);
            // What fails is logged there.
            let _ = self.checkpointer.request();
        }
        self.checkpointer.stop();
        self.log.shutdown()
    }

    /// Returns when the log has failed: the process must stop then, and recovery says what was
    /// committed.
    pub async fn wait_poisoned(&self) -> Error {
        self.log.wait_poisoned().await
    }
}

/// What of `shared_buffers` is for pages and what finds them: not the program itself and the
/// buffers of the log and of sessions, as far as they are small beside it.
fn cache_memory(shared_buffers: u64) -> u64 {
    const REST: u64 = 24 << 20;
    shared_buffers.saturating_sub(REST).max(shared_buffers / 2)
}

/// Says what to do about a directory in which the server may not write.
fn unwritable(directory: &Path, error: Error) -> Error {
    use std::io::ErrorKind::{PermissionDenied, ReadOnlyFilesystem};
    let Error::Io { source, .. } = &error else {
        return error;
    };
    let hint = match source.kind() {
        PermissionDenied => {
            "Run the server as the owner of the data directory, which has mode 0700"
        }
        ReadOnlyFilesystem => "The server writes at every start: mount the file system for writing",
        _ => return error,
    };
    let directory = directory.display();
    let what = format!("cannot use the data directory \"{directory}\": {error}");
    Error::new(SqlState::IO_ERROR, what).with_hint(hint)
}

/// Applies one committed transaction.
fn replay(pages: &Pages, end: Lsn, blob: &[u8]) -> Result<()> {
    for record in wal::records(blob) {
        match record? {
            Record::PageWrite { page, base, edits } => pages.apply(page, base, edits, end)?,
            Record::PageRefs { first, places } => pages.recover_stored(first, places)?,
            Record::SpaceClone { from, to } => {
                pages.recover_space_change(SpaceChange::Clone { from, to })?;
            }
            Record::SpaceDrop { space } => {
                pages.recover_space_change(SpaceChange::Drop { space })?;
            }
            // The records of an annex come in its place.
            Record::Begin { .. } | Record::Annex(_) | Record::Commit { .. } => {}
        }
    }
    Ok(())
}

/// Whether the directory is new; then a control file in the state `Creating` is put into it.
fn prepare(disk: &dyn Disk, directory: &Path, wal: &Path) -> Result<bool> {
    if disk.exists(&directory.join(CONTROL))? {
        return Ok(false);
    }
    let known = [LOCK, CONTROL_NEW];
    let strange = |name: &String| !known.contains(&name.as_str()) && !name.starts_with(".s.PGSQL");
    if let Some(name) = disk.list(directory)?.into_iter().find(strange) {
        let message = match name == "wal" || name == DATA {
            true => format!("{} is missing beside {}", CONTROL, wal.display()),
            false => format!("\"{}\" holds {name} and no database", directory.display()),
        };
        return Err(Error::new(SqlState::DATA_CORRUPTED, message)
            .with_hint("Restore the file, or use another directory."));
    }
    disk.make_private(directory)?;
    let mut id = [0; 8];
    getrandom::fill(&mut id).map_err(|e| Error::new(SqlState::IO_ERROR, e.to_string()))?;
    let control = Control {
        database: u64::from_le_bytes(id),
        state: State::Creating,
    };
    control.write(disk, directory)?;
    Ok(true)
}

/// Makes the log of a new database, after removing what an interrupted attempt left.
fn create(
    disk: &Arc<dyn Disk>,
    directory: &Path,
    wal: &Path,
    control: Control,
    options: &Options,
) -> Result<()> {
    match disk.exists(wal)? {
        true => disk
            .list(wal)?
            .iter()
            .try_for_each(|name| disk.remove(&wal.join(name)))?,
        false => disk.create_dir(wal)?,
    }
    disk.sync_dir(directory)?;
    Pages::create(&**disk, &directory.join(DATA), control.database)?;
    disk.sync_dir(directory)?;
    let log = Log::create(disk.clone(), wal, control.database, options.wal.clone())?;
    log.shutdown()?;
    Control {
        state: State::Ready,
        ..control
    }
    .write(&**disk, directory)
}

const LOCK: &str = "walnut.lock";
const CONTROL: &str = "control";
const DATA: &str = "data";
const CONTROL_NEW: &str = "control.new";
const MAGIC: [u8; 8] = *b"WALNUTDB";
/// Raised with every change of a file format.
const FORMAT: u32 = 6;
const CONTROL_BYTES: usize = 8 + 4 + 8 + 4 + 4;

/// The control file, little-endian: magic, format (u32), database id (u64), state (u32), CRC-32 of
/// all before it. Replaced by rename, never written in place.
#[derive(Clone, Copy, Debug)]
struct Control {
    /// Random; every group of the log carries it.
    database: u64,
    state: State,
}

/// ```text
/// Creating ── log made ──► Ready
/// ```
/// A crash while creating starts creating again; nothing was acknowledged yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Creating = 0,
    Ready = 1,
}

impl Control {
    fn write(&self, disk: &dyn Disk, directory: &Path) -> Result<()> {
        let mut bytes = MAGIC.to_vec();
        bytes.extend_from_slice(&FORMAT.to_le_bytes());
        bytes.extend_from_slice(&self.database.to_le_bytes());
        bytes.extend_from_slice(&(self.state as u32).to_le_bytes());
        bytes.extend_from_slice(&crc32fast::hash(&bytes).to_le_bytes());
        let new = directory.join(CONTROL_NEW);
        if disk.exists(&new)? {
            disk.remove(&new)?;
        }
        let file = disk.create(&new)?;
        file.write_all_at(&bytes, 0)?;
        file.sync_all()?;
        disk.rename(&new, &directory.join(CONTROL))?;
        disk.sync_dir(directory)
    }

    fn read(disk: &dyn Disk, directory: &Path) -> Result<Control> {
        let path = directory.join(CONTROL);
        let corrupt = |what: &str| Error::Corrupt {
            file: path.clone(),
            offset: 0,
            what: what.to_owned(),
        };
        let mut bytes = [0; CONTROL_BYTES + 1];
        let len = disk.open_to_read(&path)?.read_at(&mut bytes, 0)?;
        if len != CONTROL_BYTES {
            return Err(corrupt("wrong length"));
        }
        let (body, crc) = bytes[..CONTROL_BYTES].split_at(CONTROL_BYTES - 4);
        let mut reader = Reader::new(body);
        if reader.take(8) != Some(&MAGIC[..]) {
            return Err(corrupt("not a control file"));
        }
        let format = reader.u32().unwrap_or(0);
        if format != FORMAT {
            let path = path.display();
            let what =
                format!("{path} says format {format}, but this program reads format {FORMAT}");
            let hint = "Use the version of Walnut that wrote the data directory; \
                        if none did, the file is damaged";
            return Err(
                Error::new(SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE, what).with_hint(hint)
            );
        }
        if crc != crc32fast::hash(body).to_le_bytes() {
            return Err(corrupt("wrong checksum"));
        }
        let database = reader.u64().ok_or_else(|| corrupt("too short"))?;
        let state = match reader.u32() {
            Some(0) => State::Creating,
            Some(1) => State::Ready,
            _ => return Err(corrupt("unknown state")),
        };
        Ok(Control { database, state })
    }
}

#[cfg(test)]
mod tests;
