//! A table that grows without moving what it holds, so that lookups need no lock.

use std::sync::OnceLock;

/// The first bucket holds 2^6 entries, each further one twice as many as the one before.
const FIRST_BITS: u32 = 6;
/// Enough for every u32.
const BUCKETS: usize = 27;

/// Entries by number, each made by `Default` when its bucket is.
pub(super) struct Growing<T> {
    buckets: [OnceLock<Box<[T]>>; BUCKETS],
}

impl<T> Default for Growing<T> {
    fn default() -> Self {
        Growing {
            buckets: [const { OnceLock::new() }; BUCKETS],
        }
    }
}

impl<T: Default> Growing<T> {
    /// The entry, if its bucket was ever made. Never grows the table.
    pub(super) fn get(&self, index: u32) -> Option<&T> {
        let (bucket, place) = place(index);
        self.buckets[bucket].get()?.get(place)
    }

    /// The entry, made now if need be.
    pub(super) fn get_or_grow(&self, index: u32) -> &T {
        let (bucket, place) = place(index);
        let make = || (0..bucket_len(bucket)).map(|_| T::default()).collect();
        &self.buckets[bucket].get_or_init(make)[place]
    }
}

fn bucket_len(bucket: usize) -> usize {
    1 << (bucket + FIRST_BITS as usize)
}

fn place(index: u32) -> (usize, usize) {
    let shifted = index as usize + bucket_len(0);
    let bucket = (shifted.ilog2() - FIRST_BITS) as usize;
    (bucket, shifted - bucket_len(bucket))
}

#[cfg(test)]
mod tests {
    use super::{BUCKETS, bucket_len, place};

    #[test]
    fn every_index_has_its_own_place() {
        let mut expected = (0, 0);
        for index in 0..100_000 {
            assert_eq!(place(index), expected);
            expected.1 += 1;
            if expected.1 == bucket_len(expected.0) {
                expected = (expected.0 + 1, 0);
            }
        }
        let (bucket, entry) = place(u32::MAX);
        assert!(bucket < BUCKETS && entry < bucket_len(bucket));
    }
}
