//! Checks the data file: both superblocks, every node of the page map, every page it points to,
//! that no slot is used twice, and that the free slots are those that nobody points to.

use super::cache::Pages;
use super::checkpoint::Store;
use super::file::{DataFile, Place, SLOT_SIZE};
use super::page::PAGE_SIZE;
use super::slots::Slots;
use crate::base::{Error, Lsn, PageId, Result};
use crate::disk::Disk;
use std::path::Path;
use std::sync::Arc;

/// What was found in a data file.
#[derive(Debug, Default)]
pub struct FileReport {
    pub pages: u64,
    /// Nodes of the page map.
    pub nodes: u64,
    /// Slots, used or not, the superblocks' own among them.
    pub slots: u64,
    pub free_slots: u64,
    pub damage: Vec<Error>,
}

impl Pages {
    /// The pages of a data file that nobody uses, to be checked and not to be changed: none if
    /// both copies of its superblock are damaged. With what is wrong with them.
    pub fn open_to_check(
        disk: &dyn Disk,
        path: &Path,
        database: u64,
    ) -> Result<(Option<Pages>, Vec<Error>)> {
        let (file, superblock, damage) = DataFile::open_to_read(disk, path, database)?;
        let pages = superblock.map(|superblock| {
            let store = Store::new(file, superblock)?;
            Ok(Pages::over(Some(store), 0, Arc::new(|| Lsn::NEWEST)))
        });
        Ok((pages.transpose()?, damage))
    }

    /// Reads all that the last checkpoint stored. No checkpoint is taken meanwhile; reads and
    /// commits go on. `progress` is told how many slots of how many are done.
    ///
    /// # Errors
    /// What keeps it from reading; damage is in the report.
    pub fn check_file(&self, progress: &mut dyn FnMut(u64, u64)) -> Result<FileReport> {
        match &self.store {
            Some(store) => store.check(progress),
            None => Ok(FileReport::default()),
        }
    }
}

impl Store {
    fn check(&self, progress: &mut dyn FnMut(u64, u64)) -> Result<FileReport> {
        // While it is held no slot is given out or back.
        let stored = self.checkpoint.lock();
        let mut report = FileReport {
            slots: self.file.bytes()? / SLOT_SIZE as u64,
            ..FileReport::default()
        };
        let mut places: Vec<(Place, PageId)> = Vec::new();
        let mut used = Slots::new();
        let mut map = self.map.write();
        let visited = map.visit(&self.file, &mut |place, page| {
            match page {
                Some(page) => places.push((place, page)),
                None => report.nodes += 1,
            }
            if !used.mark(place.slot) {
                let what = "the slot is used twice";
                report.damage.push(self.file.corrupt(place.slot, what));
            }
            Ok(())
        });
        self.count_map(&map);
        drop(map);
        report.pages = places.len() as u64;
        if let Err(error) = visited {
            report.damage.push(error);
        }
        // In the order of the file.
        places.sort_unstable_by_key(|(place, _)| place.slot);
        let mut bytes = vec![0; PAGE_SIZE];
        for (done, (place, page)) in (1..).zip(&places) {
            let what = format_args!("page {page}");
            match self.file.read(*place, &what, &mut bytes) {
                Err(error @ Error::Corrupt { .. }) => report.damage.push(error),
                other => other?,
            }
            progress(done, report.pages);
        }
        report.free_slots = report.slots.saturating_sub(u64::from(used.used()));
        if let Some(slots) = &stored.slots {
            stored.replaced.iter().for_each(|slot| {
                used.mark(*slot);
            });
            if used != *slots {
                let what = "the free slots are not those that nobody uses";
                report.damage.push(self.file.corrupt(0, what));
            }
        }
        Ok(report)
    }
}
