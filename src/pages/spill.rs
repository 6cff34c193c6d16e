//! Old versions of pages that snapshots keep and memory has no room for: they wait in a file of
//! their own, which no name leads to and no crash leaves behind.

use super::file::SLOT_SIZE;
use super::page::{Page, PageRef, corrupt};
use crate::base::sync::Mutex;
use crate::base::{Error, PageId, Result};
use crate::disk::{Disk, File};
use std::path::PathBuf;
use std::sync::Arc;

/// The file, made when the first version goes there.
pub(super) struct Spill {
    disk: Arc<dyn Disk>,
    path: PathBuf,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    file: Option<Arc<dyn File>>,
    free: Vec<u32>,
    /// Slots from here on were never used.
    end: u32,
}

/// A version in the file. Dropping it frees its slot.
pub(super) struct Spilled {
    spill: Arc<Spill>,
    file: Arc<dyn File>,
    slot: u32,
    crc: u32,
}

impl Spill {
    pub(super) fn new(disk: Arc<dyn Disk>, path: PathBuf) -> Arc<Spill> {
        Arc::new(Spill {
            disk,
            path,
            state: Mutex::default(),
        })
    }

    /// Writes a version to the file.
    ///
    /// # Errors
    /// The version is not there then, and nothing has changed.
    pub(super) fn write(self: &Arc<Spill>, page: &Page) -> Result<Box<Spilled>> {
        let (file, slot) = self.allocate()?;
        let spilled = Box::new(Spilled {
            spill: self.clone(),
            file,
            slot,
            crc: crc32fast::hash(page.bytes()),
        });
        let offset = u64::from(slot) * SLOT_SIZE as u64;
        spilled.file.write_all_at(page.bytes(), offset)?;
        Ok(spilled)
    }

    fn allocate(&self) -> Result<(Arc<dyn File>, u32)> {
        let mut state = self.state.lock();
        let file = match &state.file {
            Some(file) => file.clone(),
            None => state.file.insert(self.make()?).clone(),
        };
        if let Some(slot) = state.free.pop() {
            return Ok((file, slot));
        }
        let slot = state.end;
        state.end = slot.checked_add(1).ok_or_else(|| full(&self.path))?;
        Ok((file, slot))
    }

    fn make(&self) -> Result<Arc<dyn File>> {
        // Of a process that ended between these two.
        if self.disk.exists(&self.path)? {
            self.disk.remove(&self.path)?;
        }
        let file = self.disk.create(&self.path)?;
        self.disk.remove(&self.path)?;
        Ok(Arc::from(file))
    }
}

impl Spilled {
    /// # Errors
    /// Those of reading, and `Corrupt` if the file does not hold what was written.
    pub(super) fn read(&self, id: PageId) -> Result<PageRef> {
        let mut page = Arc::new(Page::zeroed());
        let bytes = Arc::get_mut(&mut page)
            .expect("nobody else has it")
            .bytes_mut();
        let offset = u64::from(self.slot) * SLOT_SIZE as u64;
        let read = self.file.read_at(bytes, offset)?;
        match read == bytes.len() && crc32fast::hash(bytes) == self.crc {
            true => Ok(page),
            false => Err(corrupt(id, "an old version is damaged")),
        }
    }
}

impl Drop for Spilled {
    fn drop(&mut self) {
        let mut state = self.spill.state.lock();
        state.free.push(self.slot);
        if state.free.len() == state.end as usize {
            // The last one: the file goes, and its room with it.
            *state = State::default();
        }
    }
}

fn full(path: &std::path::Path) -> Error {
    let source = std::io::Error::from(std::io::ErrorKind::FileTooLarge);
    Error::io(format!("extend {}", path.display()), source)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::Lsn;
    use crate::disk::RealDisk;

    #[test]
    fn what_is_written_comes_back_and_slots_are_used_again() {
        let dir = tempfile::tempdir().unwrap();
        let spill = Spill::new(Arc::new(RealDisk::default()), dir.path().join("old"));
        let id = PageId {
            space: 1,
            number: 2,
        };
        let page = |lsn| {
            let mut page = Page::zeroed();
            page.set_lsn(Lsn(lsn));
            page
        };
        let mut kept: Vec<_> = (0..10)
            .map(|lsn| spill.write(&page(lsn)).unwrap())
            .collect();
        kept.remove(3);
        kept.push(spill.write(&page(10)).unwrap());
        assert_eq!(spill.state.lock().end, 10);
        let lsns = kept.iter().map(|spilled| spilled.read(id).unwrap().lsn().0);
        assert_eq!(lsns.collect::<Vec<_>>(), [0, 1, 2, 4, 5, 6, 7, 8, 9, 10]);
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);

        kept[0].file.write_all_at(b"x", 5000).unwrap();
        assert!(matches!(kept[0].read(id), Err(Error::Corrupt { .. })));
        drop(kept);
        assert!(spill.state.lock().file.is_none());
    }
}
