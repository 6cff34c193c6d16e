//! Walnut: PostgreSQL in a nutshell. A Postgres-wire-compatible database in one binary.
//!
//! # The life of a COMMIT
//!
//! 1. [`wire`] reads a frame and hands the decoded message to [`session`], which parses, binds and
//!    plans the statement through [`sql`] (or finds the plan in its cache) and runs it.
//! 2. [`sql`] changes rows through [`table`]: each change is a lock in the lock manager and an
//!    entry in the private write set of the [`txn::Transaction`]. Nothing shared has changed yet.
//! 3. At COMMIT, [`txn::Transaction::install`] latches the trees written, applies the write set to
//!    private copies of their pages ([`pages::Batch`], whose editor records every edit), reserves
//!    a place in the log with one `fetch_add` ([`wal::Log::reserve`]), installs the new page
//!    versions stamped with the end of that place, releases latches and locks, and publishes one
//!    blob: Begin, PageWrites, Commit.
//! 4. A leader in [`wal`] writes what has been published as one group and syncs it once;
//!    `durable_lsn` moves past the blob, and those who wait for it are woken.
//! 5. The session answers COMMIT.
//!
//! # The life of a SELECT
//!
//! A snapshot is an lsn: one load of `durable_lsn`, registered so that the versions it needs stay.
//! [`sql`]'s operators pull rows from [`table`]'s scans, which walk [`btree`]s whose pages come
//! from the cache in the version of that lsn ([`pages::Pages::read`]). Readers never wait.
//!
//! # The life of a large load
//!
//! What a COPY or an index build adds behind all keys of a tree does not stay in memory: sorted
//! runs of it become trees of their own in new pages, stored at once ([`pages::Pages::store_new`]).
//! Nothing committed names them until the commit makes them a part of the real tree by changing a
//! few pages ([`btree::adopt`]); the log carries those changes and the places of the others.
//!
//! # After a crash
//!
//! [`database::Database::open`] finds the last checkpoint in the data file, replays the blobs that
//! the log holds behind it into the page cache, and serves an exact prefix of the commit order.
//!
//! # The life of a checkpoint
//!
//! A reader at one lsn: [`pages::Pages::checkpoint`] writes the version at that lsn of every page
//! changed since the last one to a free slot of the data file, then the page map that finds them,
//! then the superblock. What they replace is free after that, and so are the log's segments in
//! front of it ([`wal::Log::recycle`]).
//!
//! # The life of a clone
//!
//! A database is a space of pages. [`database::Database::create_database`] has all of its template
//! stored, and logs a row in the list of databases together with the clone; then
//! [`pages::PreparedSpaceChange::apply`] has one entry of the page map point to the template's part
//! of it. Nothing is copied: what changes on either side goes to slots of its own.
//!
//! # Layers
//!
//! Each uses only those before it: [`base`]; [`types`], [`disk`]; [`wal`]; [`pages`]; [`btree`];
//! [`txn`]; [`table`]; [`database`]; [`sql`]; [`session`]; [`wire`]. A test holds the arrows.

pub mod base;
pub mod btree;
pub mod database;
pub mod disk;
pub mod pages;
pub mod session;
pub mod sql;
pub mod table;
pub mod txn;
pub mod types;
pub mod wal;
pub mod wire;
