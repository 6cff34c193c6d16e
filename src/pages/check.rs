//! Checks the data file: both superblocks, every node of the page map, every page it points to,
//! that no slot is used twice but by clones, and that the free slots are those that nobody points
//! to.

use super::cache::Pages;
use super::checkpoint::Store;
use super::file::{DataFile, Place, SLOT_SIZE};
use super::map::Held;
use super::page::PAGE_SIZE;
use super::slots::{Census, Slots};
use crate::base::{Error, Lsn, PageId, Result};
use crate::disk::Disk;
use std::path::Path;
use std::sync::Arc;

/// What was found in a data file.
#[derive(Debug, Default)]
pub struct FileReport {
    /// Those that clones share are counted once, nodes as well.
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
        // While it is held what is stored stays where it is.
        let _checkpoint = self.lock_checkpoint();
        let mut report = FileReport {
            slots: self.file.bytes()? / SLOT_SIZE as u64,
            ..FileReport::default()
        };
        let mut places: Vec<(Place, PageId)> = Vec::new();
        let mut census = Census::new();
        let visited = {
            let mut map = self.map.write();
            let visited = map.visit(&self.file, &mut |place, held| {
                let is_first = census.count(place.slot, held);
                match held {
                    Held::Page(page) => places.push((place, page)),
                    Held::Node { .. } => report.nodes += u64::from(is_first == Some(true)),
                }
                if is_first.is_none() {
                    let what = "the slot is used twice";
                    report.damage.push(self.file.corrupt(place.slot, what));
                }
                Ok(is_first == Some(true))
            });
            self.count_map(&map);
            report.damage.extend(self.check_slots(&census.slots));
            visited
        };
        if let Err(error) = visited {
            report.damage.push(error);
        }
        // In the order of the file; what clones share is read once, if they agree on what it is.
        places.sort_unstable_by_key(|(place, _)| (place.slot, place.crc));
        places.dedup_by_key(|(place, _)| *place);
        report.pages = places.len() as u64;
        let mut bytes = vec![0; PAGE_SIZE];
        for (done, (place, page)) in (1..).zip(&places) {
            let what = format_args!("page {page}");
            match self.file.read(*place, &what, &mut bytes) {
                Err(error @ Error::Corrupt { .. }) => report.damage.push(error),
                other => other?,
            }
            progress(done, report.pages);
        }
        report.free_slots = report.slots.saturating_sub(u64::from(census.slots.used()));
        Ok(report)
    }

    /// Compares the free slots with those that the map, which does not change meanwhile, uses.
    fn check_slots(&self, used: &Slots) -> Option<Error> {
        let state = self.slots.lock();
        let slots = state.slots.as_ref()?;
        let mut used = used.clone();
        state.replaced.iter().for_each(|slot| {
            used.mark(*slot);
        });
        let is_right = slots.contains(&used) && slots.used() == used.used() + state.pending;
        let what = "the free slots are not those that nobody uses";
        (!is_right).then(|| self.file.corrupt(0, what))
    }
}
