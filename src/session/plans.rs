//! The statements a session has run lately, by text, so that they are parsed and planned once.

use std::sync::Arc;

use rustc_hash::FxHashMap;

use crate::session::statement::Statement;

/// How many statements are kept.
const ENTRIES_MAX: usize = 256;
/// Longer texts are not worth their memory.
const TEXT_BYTES_MAX: usize = 16 * 1024;

#[derive(Clone)]
pub(super) enum Entry {
    Statement(Arc<Statement>),
    /// With its literals lifted this text cannot be prepared, as of a catalog version.
    Unliftable(u64),
}

#[derive(Default)]
pub(super) struct PlanCache {
    entries: FxHashMap<Box<str>, (Entry, u64)>,
    clock: u64,
}

impl PlanCache {
    pub(super) fn get(&mut self, key: &str) -> Option<Entry> {
        let (entry, used) = self.entries.get_mut(key)?;
        self.clock += 1;
        *used = self.clock;
        Some(entry.clone())
    }

    pub(super) fn put(&mut self, key: &str, entry: Entry) {
        if key.len() > TEXT_BYTES_MAX {
            return;
        }
        if self.entries.len() >= ENTRIES_MAX && !self.entries.contains_key(key) {
            self.drop_oldest();
        }
        self.clock += 1;
        self.entries.insert(key.into(), (entry, self.clock));
    }

    /// A miss costs a parse anyway, so a walk over all entries is no matter.
    fn drop_oldest(&mut self) {
        let oldest = self.entries.iter().min_by_key(|(_, (_, used))| *used);
        if let Some(key) = oldest.map(|(key, _)| key.clone()) {
            self.entries.remove(&key);
        }
    }

    pub(super) fn clear(&mut self) {
        self.entries.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_least_recently_used_entry_makes_room() {
        let mut cache = PlanCache::default();
        for i in 0..ENTRIES_MAX {
            cache.put(&i.to_string(), Entry::Unliftable(0));
        }
        assert!(cache.get("0").is_some());
        cache.put("new", Entry::Unliftable(0));
        assert!(cache.get("0").is_some() && cache.get("new").is_some());
        assert!(cache.get("1").is_none());
        assert_eq!(cache.entries.len(), ENTRIES_MAX);
    }
}
