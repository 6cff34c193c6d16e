//! A range of a tree at a snapshot, with the transaction's own writes merged in.

use std::borrow::Cow;
use std::ops::Bound;
use std::sync::Arc;

use crate::base::{Lsn, PageId, Result};
use crate::btree::{self, Cursor, Merge, Near, Value};
use crate::pages::{Pages, Snapshot};
use crate::txn::isolation::Noter;
use crate::txn::write_set::{Key, TreeWrites, bound_bytes};

/// Walks a range in key order, or against it. It keeps its snapshot and the writes it started
/// with, so it can outlive the statement that opened it.
pub struct Scan {
    cursor: Option<Entries>,
    own: Option<Own>,
    backward: bool,
    /// Own writes need the next committed entry at hand to be merged with.
    pending: Option<(Key, Vec<u8>)>,
    current: (Key, Vec<u8>),
    /// Of the cursor, when it is at its end.
    lsn: Lsn,
    /// Keeps what is read at it; none for the newest state.
    _snapshot: Option<Arc<Snapshot>>,
    noted: Option<Noted>,
}

/// What a scan has to tell when it goes.
struct Noted {
    noter: Noter,
    lower: Bound<Key>,
    upper: Bound<Key>,
    /// All committed entries were read.
    at_end: bool,
}

/// What is not in memory: committed entries, runs, or both.
#[expect(clippy::large_enum_variant, reason = "the large one is the usual one")]
enum Entries {
    One(Cursor),
    Several(Merge),
}

struct Own {
    writes: Arc<TreeWrites>,
    /// What is left of the range.
    lower: Bound<Key>,
    upper: Bound<Key>,
}

impl Scan {
    pub(super) fn new(
        pages: Arc<Pages>,
        root: Option<PageId>,
        snapshot: Option<Arc<Snapshot>>,
        own: Option<Arc<TreeWrites>>,
        lower: Bound<&[u8]>,
        upper: Bound<&[u8]>,
        backward: bool,
    ) -> Scan {
        let runs = own.as_ref().map_or(&[][..], |own| own.runs());
        let runs = runs
            .iter()
            .rev()
            .map(|run| run.cursor(&pages, lower, upper));
        let runs: Vec<Cursor> = runs.collect();
        let lsn = snapshot
            .as_ref()
            .map_or(Lsn::NEWEST, |snapshot| snapshot.lsn());
        let committed = root.map(|root| Cursor::new(pages, root, lsn, lower, upper));
        let cursor = match runs.is_empty() {
            true => committed.map(Entries::One),
            false => {
                let all = runs.into_iter().chain(committed);
                Some(Entries::Several(Merge::new(all.collect(), backward)))
            }
        };
        let own = own.map(|writes| Own {
            writes,
            lower: lower.map(Key::from_slice),
            upper: upper.map(Key::from_slice),
        });
        Scan {
            cursor,
            own,
            backward,
            pending: None,
            current: Default::default(),
            lsn: Lsn::ZERO,
            _snapshot: snapshot,
            noted: None,
        }
    }

    /// The highest lsn among the pages read so far; not known of one that reads runs, too.
    pub(super) fn lsn(&self) -> Lsn {
        match &self.cursor {
            Some(Entries::One(cursor)) => cursor.lsn(),
            _ => self.lsn,
        }
    }

    /// Has what the scan reads noted.
    pub(super) fn noted_by(
        mut self,
        noter: Option<Noter>,
        lower: Bound<&[u8]>,
        upper: Bound<&[u8]>,
    ) -> Scan {
        self.noted = noter.map(|noter| Noted {
            noter,
            lower: lower.map(Key::from_slice),
            upper: upper.map(Key::from_slice),
            at_end: false,
        });
        self
    }

    /// The next key and value, borrowed until the call after.
    #[expect(
        clippy::should_implement_trait,
        reason = "what it gives borrows from the scan"
    )]
    pub fn next(&mut self) -> Result<Option<(&[u8], &[u8])>> {
        if self.own.is_none() {
            return self.next_committed();
        }
        self.next_merged()
    }

    fn next_committed(&mut self) -> Result<Option<(&[u8], &[u8])>> {
        let Some(cursor) = &mut self.cursor else {
            return Ok(None);
        };
        let entry = match (cursor, self.backward) {
            (Entries::One(cursor), false) => cursor.next()?,
            (Entries::One(cursor), true) => cursor.prev()?,
            (Entries::Several(merge), _) => merge.next()?.map(|(key, value, _)| (key, value)),
        };
        let Some((key, value)) = entry else {
            if let Some(noted) = &mut self.noted {
                noted.at_end = true;
            }
            return Ok(None);
        };
        match value.bytes()? {
            Cow::Borrowed(bytes) => Ok(Some((key, bytes))),
            Cow::Owned(bytes) => {
                self.current.1 = bytes;
                Ok(Some((key, &self.current.1)))
            }
        }
    }

    fn next_merged(&mut self) -> Result<Option<(&[u8], &[u8])>> {
        loop {
            if self.pending.is_none() {
                let entry = self.next_committed()?;
                self.pending = entry.map(|(k, v)| (Key::from_slice(k), v.to_vec()));
                if self.pending.is_none() {
                    self.lsn = self.lsn();
                    self.cursor = None;
                }
            }
            let Some(own) = &mut self.own else {
                return Ok(None);
            };
            let (lower, upper) = (bound_bytes(&own.lower), bound_bytes(&own.upper));
            let left = is_range(lower, upper);
            let change = left
                .then(|| own.writes.first_in(lower, upper, self.backward))
                .flatten();
            let Some((key, value)) = change else {
                let Some(entry) = self.pending.take() else {
                    return Ok(None);
                };
                self.current = entry;
                break;
            };
            let order = self.pending.as_ref().map(|pending| match self.backward {
                true => key.cmp(&pending.0),
                false => pending.0.cmp(key),
            });
            if order == Some(std::cmp::Ordering::Less) {
                let Some(entry) = self.pending.take() else {
                    return Ok(None);
                };
                self.current = entry;
                break;
            }
            if order == Some(std::cmp::Ordering::Equal) {
                self.pending = None;
            }
            let (key, value) = (key.clone(), value.map(<[u8]>::to_vec));
            match self.backward {
                true => own.upper = Bound::Excluded(key.clone()),
                false => own.lower = Bound::Excluded(key.clone()),
            }
            if let Some(value) = value {
                self.current = (key, value);
                break;
            }
        }
        Ok(Some((&self.current.0, &self.current.1)))
    }
}

impl Drop for Scan {
    /// Notes the part of the range that was read.
    fn drop(&mut self) {
        let Some(noted) = self.noted.take() else {
            return;
        };
        let mut range = (noted.lower, noted.upper);
        if let Some(Entries::One(cursor)) = &self.cursor
            && !noted.at_end
            && let Ok(last) = cursor.current(self.backward)
        {
            let Some((key, _)) = last else {
                return;
            };
            let end = Bound::Included(Key::from_slice(key));
            match self.backward {
                true => range.0 = end,
                false => range.1 = end,
            }
        }
        noted.noter.range(range);
    }
}

/// Whether `BTreeMap::range` takes the bounds, which panics on others.
fn is_range(lower: Bound<&[u8]>, upper: Bound<&[u8]>) -> bool {
    match (lower, upper) {
        (Bound::Excluded(a), Bound::Excluded(b)) => a < b,
        (Bound::Included(a) | Bound::Excluded(a), Bound::Included(b) | Bound::Excluded(b)) => {
            a <= b
        }
        _ => true,
    }
}

/// Looks single keys up as a [`Scan`] sees them.
#[derive(Clone)]
pub struct Reader {
    pages: Arc<Pages>,
    root: Option<PageId>,
    own: Option<Arc<TreeWrites>>,
    snapshot: Arc<Snapshot>,
    noter: Option<Noter>,
}

impl Reader {
    pub(super) fn new(
        pages: Arc<Pages>,
        root: Option<PageId>,
        snapshot: Arc<Snapshot>,
        own: Option<Arc<TreeWrites>>,
        noter: Option<Noter>,
    ) -> Reader {
        Reader {
            pages,
            root,
            own,
            snapshot,
            noter,
        }
    }

    /// The entries of a range, as the transaction itself would have scanned them.
    pub fn scan(&self, lower: Bound<&[u8]>, upper: Bound<&[u8]>, backward: bool) -> Scan {
        let (pages, snapshot) = (self.pages.clone(), self.snapshot.clone());
        let own = self.own.clone();
        let scan = Scan::new(
            pages,
            self.root,
            Some(snapshot),
            own,
            lower,
            upper,
            backward,
        );
        scan.noted_by(self.noter.clone(), lower, upper)
    }

    pub fn get(&self, key: &[u8]) -> Result<Option<Value>> {
        let look = |root| Ok(btree::get(&self.pages, root, self.snapshot.lsn(), key)?.value);
        self.get_by(key, look)
    }

    /// As [`Self::get`], with what remembers the last lookup of this reader.
    pub fn get_near(&self, near: &mut Near, key: &[u8]) -> Result<Option<Value>> {
        let look = |root| near.get(&self.pages, root, self.snapshot.lsn(), key);
        self.get_by(key, look)
    }

    fn get_by(
        &self,
        key: &[u8],
        look: impl FnOnce(PageId) -> Result<Option<Value>>,
    ) -> Result<Option<Value>> {
        if let Some(own) = &self.own
            && let Some(change) = own.get(&self.pages, key)?
        {
            return Ok(change);
        }
        let Some(root) = self.root else {
            return Ok(None);
        };
        if let Some(noter) = &self.noter {
            noter.key(key);
        }
        look(root)
    }
}
