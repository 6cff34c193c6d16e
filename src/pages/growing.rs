//! A table that grows without moving what it holds, so that lookups need no lock.

use std::sync::OnceLock;

/// A segment holds 2^10 entries.
const SEGMENT_BITS: u32 = 10;
/// The first bucket holds 2^6 segments, each further one twice as many as the one before.
const FIRST_BITS: u32 = 6;
/// Enough for every u32.
const BUCKETS: usize = 17;

/// Entries by number, each made by `Default` when its segment is. A number that is far too high,
/// read from a damaged page, costs a hundred megabytes at most.
pub(super) struct Growing<T> {
    buckets: [OnceLock<Box<[Segment<T>]>>; BUCKETS],
}

type Segment<T> = OnceLock<Box<[T]>>;

impl<T> Default for Growing<T> {
    fn default() -> Self {
        Growing {
            buckets: [const { OnceLock::new() }; BUCKETS],
        }
    }
}

impl<T: Default> Growing<T> {
    /// The entry, if its segment was ever made. Never grows the table.
    pub(super) fn get(&self, index: u32) -> Option<&T> {
        let place = Place::of(index);
        let segment = self.buckets[place.bucket].get()?.get(place.segment)?;
        segment.get()?.get(place.entry)
    }

    /// All entries whose segments were ever made.
    pub(super) fn iter(&self) -> impl Iterator<Item = &T> {
        let buckets = self.buckets.iter().filter_map(OnceLock::get);
        let segments = buckets.flat_map(|bucket| bucket.iter().filter_map(OnceLock::get));
        segments.flat_map(|segment| segment.iter())
    }

    /// The entry, made now if need be.
    pub(super) fn get_or_grow(&self, index: u32) -> &T {
        self.get_or_grow_counting(index, |_| {})
    }

    /// The same; `grown` is told the bytes of memory that the table took for it, each time some.
    pub(super) fn get_or_grow_counting(&self, index: u32, grown: impl Fn(usize)) -> &T {
        let place = Place::of(index);
        let len = bucket_len(place.bucket);
        let bucket = self.buckets[place.bucket].get_or_init(|| made(len, &grown));
        let segment = bucket[place.segment].get_or_init(|| made(1 << SEGMENT_BITS, &grown));
        &segment[place.entry]
    }
}

fn made<T: Default>(len: usize, grown: impl Fn(usize)) -> Box<[T]> {
    let entries: Box<[T]> = (0..len).map(|_| T::default()).collect();
    grown(size_of_val(&*entries));
    entries
}

fn bucket_len(bucket: usize) -> usize {
    1 << (bucket + FIRST_BITS as usize)
}

#[derive(Debug, PartialEq)]
struct Place {
    bucket: usize,
    segment: usize,
    entry: usize,
}

impl Place {
    fn of(index: u32) -> Place {
        let index = index as usize;
        let shifted = (index >> SEGMENT_BITS) + bucket_len(0);
        let bucket = (shifted.ilog2() - FIRST_BITS) as usize;
        Place {
            bucket,
            segment: shifted - bucket_len(bucket),
            entry: index & ((1 << SEGMENT_BITS) - 1),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{BUCKETS, Growing, Place, SEGMENT_BITS, Segment, bucket_len};
    use std::cell::Cell;

    #[test]
    fn every_index_has_its_own_place() {
        let mut expected = Place {
            bucket: 0,
            segment: 0,
            entry: 0,
        };
        for index in 0..1_000_000 {
            assert_eq!(Place::of(index), expected);
            expected.entry += 1;
            if expected.entry == 1 << SEGMENT_BITS {
                expected = Place {
                    segment: expected.segment + 1,
                    entry: 0,
                    ..expected
                };
            }
            if expected.segment == bucket_len(expected.bucket) {
                expected = Place {
                    bucket: expected.bucket + 1,
                    segment: 0,
                    entry: 0,
                };
            }
        }
        assert_eq!(Place::of(u32::MAX).bucket, BUCKETS - 1);
    }

    #[test]
    fn lookups_do_not_grow_and_entries_do_not_move() {
        let table = Growing::<u64>::default();
        assert!(table.get(5).is_none() && table.get(u32::MAX).is_none());
        let five: *const u64 = table.get_or_grow(5);
        table.get_or_grow(u32::MAX);
        table.get_or_grow(100_000);
        assert!(std::ptr::eq(five, table.get(5).unwrap()));
        assert!(table.get(99_000).is_none());
    }

    #[test]
    fn each_growth_is_counted_once() {
        let (table, bytes) = (Growing::<u64>::default(), Cell::new(0));
        let grow = |index| {
            table.get_or_grow_counting(index, |more| bytes.set(bytes.get() + more));
            bytes.take()
        };
        let segment = size_of::<u64>() << SEGMENT_BITS;
        assert_eq!(grow(5), segment + bucket_len(0) * size_of::<Segment<u64>>());
        assert_eq!((grow(6), grow(5)), (0, 0));
        assert_eq!(grow(1 << SEGMENT_BITS), segment);
    }
}
