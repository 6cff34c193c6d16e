//! Records and blobs: one transaction's bytes in the log.

use std::ops::Range;
use std::path::PathBuf;

use crate::base::bytes::Reader;
use crate::base::{Error, Lsn, PageId, Result, TxnId};

use super::annex::Annex;

// Every record: length of the whole record (u32), CRC-32 of type and body seeded with the length
// (u32), type (u8), body. Little-endian throughout.
const LENGTH_AT: usize = 0;
const CRC_AT: usize = 4;
const TYPE_AT: usize = 8;
/// The bytes of a record before its body.
const RECORD_HEADER: usize = 9;
const _: () = assert!(CRC_AT == LENGTH_AT + 4 && TYPE_AT == CRC_AT + 4);
const _: () = assert!(RECORD_HEADER == TYPE_AT + 1);

// The bytes of the bodies; those of a page write before its edits.
const BEGIN_BODY: usize = 8;
const PAGE_WRITE_BODY: usize = 4 + 4 + 8;
const PAGE_REFS_BODY: usize = 4 + 4;
const COMMIT_BODY: usize = 8 + 8;
const SPACE_CLONE_BODY: usize = 4 + 4;
const SPACE_DROP_BODY: usize = 4;
const ANNEX_BODY: usize = 8 + 8 + 4;

const BEGIN: u8 = 1;
const PAGE_WRITE: u8 = 2;
const COMMIT: u8 = 3;
const PAGE_REFS: u8 = 4;
const SPACE_CLONE: u8 = 5;
const SPACE_DROP: u8 = 6;
const ANNEX: u8 = 7;

/// One record, its bytes still in the blob.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Record<'a> {
    Begin {
        txn: TxnId,
    },
    /// `base` is the lsn of the page version the edits apply to, `Lsn::ZERO` for a fresh page.
    PageWrite {
        page: PageId,
        base: Lsn,
        edits: &'a [u8],
    },
    /// Whole pages that were stored before: the places of those from `first` on.
    PageRefs {
        first: PageId,
        places: &'a [u8],
    },
    /// From here on the space `to` holds what `from` holds.
    SpaceClone {
        from: u32,
        to: u32,
    },
    /// From here on the space holds nothing.
    SpaceDrop {
        space: u32,
    },
    /// Page writes that lie in a file of their own.
    Annex(AnnexRef),
    Commit {
        txn: TxnId,
        unix_micros: i64,
    },
}

/// An annex as its blob names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AnnexRef {
    /// Of its file.
    pub number: u64,
    pub bytes: u64,
    /// Of all its bytes.
    pub crc: u32,
}

impl Record<'_> {
    /// How many bytes of the stream it takes.
    pub fn log_bytes(&self) -> u64 {
        let body = match self {
            Record::Begin { .. } => BEGIN_BODY,
            Record::PageWrite { edits, .. } => PAGE_WRITE_BODY + edits.len(),
            Record::PageRefs { places, .. } => PAGE_REFS_BODY + places.len(),
            Record::SpaceClone { .. } => SPACE_CLONE_BODY,
            Record::SpaceDrop { .. } => SPACE_DROP_BODY,
            Record::Annex(_) => ANNEX_BODY,
            Record::Commit { .. } => COMMIT_BODY,
        };
        (RECORD_HEADER + body) as u64
    }
}

/// One transaction's records, Begin…Commit, built before its place is reserved.
#[derive(Debug)]
pub struct Blob {
    bytes: Vec<u8>,
    txn: TxnId,
    records: u32,
    complete: bool,
}

impl Blob {
    /// With room for so many bytes of edits: a hint.
    pub fn begin(txn: TxnId, edits_bytes: usize) -> Blob {
        let mut blob = Blob {
            bytes: Vec::with_capacity(512 + edits_bytes),
            txn,
            records: 0,
            complete: false,
        };
        blob.record(BEGIN, &[&txn.0.to_le_bytes()]);
        blob
    }

    /// Adds edits to one page; what they mean is the page layer's business.
    pub fn page_write(&mut self, page: PageId, base: Lsn, edits: &[u8]) {
        assert!(!self.complete, "a record after the commit");
        push_page_write(&mut self.bytes, page, base, edits);
        self.records += 1;
    }

    /// Adds places of stored pages; what they mean is the page layer's business.
    pub fn page_refs(&mut self, first: PageId, places: &[u8]) {
        let space = first.space.to_le_bytes();
        let number = first.number.to_le_bytes();
        self.record(PAGE_REFS, &[&space, &number, places]);
    }

    pub fn space_clone(&mut self, from: u32, to: u32) {
        self.record(SPACE_CLONE, &[&from.to_le_bytes(), &to.to_le_bytes()]);
    }

    pub fn space_drop(&mut self, space: u32) {
        self.record(SPACE_DROP, &[&space.to_le_bytes()]);
    }

    /// Names the annex with the rest of the page writes, which come where this stands.
    pub fn annex(&mut self, annex: &Annex<'_>) {
        let AnnexRef { number, bytes, crc } = annex.reference;
        let (number, bytes) = (number.to_le_bytes(), bytes.to_le_bytes());
        self.record(ANNEX, &[&number, &bytes, &crc.to_le_bytes()]);
    }

    /// Ends the blob; its length is fixed from here on.
    pub fn commit(&mut self, unix_micros: i64) {
        let txn = self.txn.0.to_le_bytes();
        self.record(COMMIT, &[&txn, &unix_micros.to_le_bytes()]);
        self.complete = true;
    }

    pub fn txn(&self) -> TxnId {
        self.txn
    }

    pub(super) fn records(&self) -> u32 {
        self.records
    }

    /// The length in bytes, which is how far the log will move.
    #[expect(clippy::len_without_is_empty, reason = "a blob begins with a record")]
    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    fn record(&mut self, kind: u8, body: &[&[u8]]) {
        assert!(!self.complete, "a record after the commit");
        push(&mut self.bytes, kind, body);
        self.records += 1;
    }

    /// Fills in the checksums and gives the bytes. Separate from building, so that it happens
    /// after the latches are released.
    pub(super) fn seal(mut self) -> Vec<u8> {
        assert!(self.complete, "a blob without its commit");
        seal(&mut self.bytes);
        self.bytes
    }
}

/// Adds a record without its checksum.
fn push(bytes: &mut Vec<u8>, kind: u8, body: &[&[u8]]) {
    let length = RECORD_HEADER + body.iter().map(|part| part.len()).sum::<usize>();
    let length = u32::try_from(length).expect("one page's edits are shorter than 4 GiB");
    bytes.extend_from_slice(&length.to_le_bytes());
    bytes.extend_from_slice(&[0; 4]);
    bytes.push(kind);
    body.iter().for_each(|part| bytes.extend_from_slice(part));
}

/// The same, for edits to one page.
pub(super) fn push_page_write(bytes: &mut Vec<u8>, page: PageId, base: Lsn, edits: &[u8]) {
    let space = page.space.to_le_bytes();
    let number = page.number.to_le_bytes();
    let body = [&space[..], &number, &base.0.to_le_bytes(), edits];
    push(bytes, PAGE_WRITE, &body);
}

/// Fills in the checksums of records.
pub(super) fn seal(records: &mut [u8]) {
    let mut rest = records;
    while !rest.is_empty() {
        let length = usize::try_from(length_of(rest)).expect("the length just written");
        let (record, after) = rest.split_at_mut(length);
        let crc = record_crc(record);
        record[CRC_AT..CRC_AT + 4].copy_from_slice(&crc.to_le_bytes());
        rest = after;
    }
}

fn length_of(record: &[u8]) -> u32 {
    Reader::new(record).u32().unwrap_or(0)
}

fn record_crc(record: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&record[LENGTH_AT..CRC_AT]);
    hasher.update(&record[TYPE_AT..]);
    hasher.finalize()
}

/// The records of a blob, each checked. After an error there are no more.
pub fn records(blob: &[u8]) -> impl Iterator<Item = Result<Record<'_>>> {
    Records {
        bytes: blob,
        offset: 0,
    }
}

struct Records<'a> {
    bytes: &'a [u8],
    offset: usize,
}

impl<'a> Iterator for Records<'a> {
    type Item = Result<Record<'a>>;

    fn next(&mut self) -> Option<Self::Item> {
        let rest = self.bytes.get(self.offset..).filter(|r| !r.is_empty())?;
        let parsed = split_record(rest)
            .ok_or("a record longer than what is left")
            .and_then(|record| Ok((record.len(), parse_record(record)?)));
        match parsed {
            Ok((length, record)) => {
                self.offset += length;
                Some(Ok(record))
            }
            Err(what) => {
                let error = corrupt(self.offset, what);
                self.offset = self.bytes.len();
                Some(Err(error))
            }
        }
    }
}

/// The reader that knows where the blob lies fills in the file and adds to the offset.
fn corrupt(offset: usize, what: &str) -> Error {
    Error::Corrupt {
        file: PathBuf::new(),
        offset: offset as u64,
        what: what.to_owned(),
    }
}

/// The first record's bytes, or `None` if they are not all there.
fn split_record(bytes: &[u8]) -> Option<&[u8]> {
    let length = usize::try_from(Reader::new(bytes).u32()?).ok()?;
    if length < RECORD_HEADER {
        return None;
    }
    bytes.get(..length)
}

fn parse_record(record: &[u8]) -> Result<Record<'_>, &'static str> {
    let (header, body) = record
        .split_at_checked(RECORD_HEADER)
        .ok_or("a short record")?;
    let mut header = Reader::new(&header[CRC_AT..]);
    let (Some(crc), Some(kind)) = (header.u32(), header.u8()) else {
        return Err("a short record");
    };
    if crc != record_crc(record) {
        return Err("a record whose checksum does not match");
    }
    parse_body(kind, Reader::new(body)).ok_or("a record of an unknown form")
}

fn parse_body<'a>(kind: u8, mut body: Reader<'a>) -> Option<Record<'a>> {
    let record = match kind {
        BEGIN => Record::Begin {
            txn: TxnId(body.u64()?),
        },
        PAGE_WRITE => Record::PageWrite {
            page: PageId {
                space: body.u32()?,
                number: body.u32()?,
            },
            base: Lsn(body.u64()?),
            edits: body.take(body.remaining())?,
        },
        PAGE_REFS => Record::PageRefs {
            first: PageId {
                space: body.u32()?,
                number: body.u32()?,
            },
            places: body.take(body.remaining())?,
        },
        SPACE_CLONE => Record::SpaceClone {
            from: body.u32()?,
            to: body.u32()?,
        },
        SPACE_DROP => Record::SpaceDrop { space: body.u32()? },
        ANNEX => Record::Annex(AnnexRef {
            number: body.u64()?,
            bytes: body.u64()?,
            crc: body.u32()?,
        }),
        COMMIT => Record::Commit {
            txn: TxnId(body.u64()?),
            unix_micros: body.u64()?.cast_signed(),
        },
        _ => return None,
    };
    (body.remaining() == 0).then_some(record)
}

/// The annexes that a blob names, each with the place of its record.
pub(super) fn annexes(blob: &[u8]) -> Result<Vec<(Range<usize>, AnnexRef)>> {
    let mut found = Vec::new();
    let mut at = 0;
    while let Some(record) = split_record(&blob[at..]) {
        let place = at..at + record.len();
        if record[TYPE_AT] == ANNEX {
            match parse_record(record) {
                Ok(Record::Annex(annex)) => found.push((place.clone(), annex)),
                Ok(_) => {}
                Err(what) => return Err(corrupt(at, what)),
            }
        }
        at = place.end;
    }
    Ok(found)
}

/// Splits a group's payload into its blobs, each with its transaction. Looks at lengths and types
/// only: the group's checksum was checked, and [`records`] checks each record again.
pub(super) fn blobs(payload: &[u8]) -> impl Iterator<Item = Result<(TxnId, &[u8])>> {
    let mut offset = 0;
    std::iter::from_fn(move || {
        let rest = payload.get(offset..).filter(|r| !r.is_empty())?;
        match split_blob(rest) {
            Ok((txn, blob)) => {
                offset += blob.len();
                Some(Ok((txn, blob)))
            }
            Err(what) => {
                let error = corrupt(offset, what);
                offset = payload.len();
                Some(Err(error))
            }
        }
    })
}

fn split_blob(bytes: &[u8]) -> Result<(TxnId, &[u8]), &'static str> {
    let mut end = 0;
    let mut begun = None;
    loop {
        let record = split_record(&bytes[end..]).ok_or("a blob without its commit")?;
        end += record.len();
        let (kind, body) = (record[TYPE_AT], &record[RECORD_HEADER..]);
        let txn = Reader::new(body).u64().map(TxnId);
        match (kind, begun, txn) {
            (BEGIN, None, Some(txn)) => begun = Some(txn),
            (BEGIN, ..) => return Err("a begin inside a blob"),
            (COMMIT, Some(begun), Some(txn)) if begun == txn => return Ok((txn, &bytes[..end])),
            (COMMIT, ..) => return Err("a commit that belongs to another begin"),
            (_, None, _) => return Err("a blob without its begin"),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Vec<u8> {
        let mut blob = Blob::begin(TxnId(7), 0);
        let page = PageId {
            space: 1,
            number: 2,
        };
        blob.page_write(page, Lsn(30), b"edits");
        blob.page_write(page, Lsn::ZERO, b"");
        blob.page_refs(page, b"places");
        blob.space_clone(3, 8);
        blob.space_drop(9);
        blob.commit(-5);
        blob.seal()
    }

    #[test]
    fn a_blob_gives_back_its_records() {
        let bytes = sample();
        let page = PageId {
            space: 1,
            number: 2,
        };
        let expected = [
            Record::Begin { txn: TxnId(7) },
            Record::PageWrite {
                page,
                base: Lsn(30),
                edits: b"edits",
            },
            Record::PageWrite {
                page,
                base: Lsn::ZERO,
                edits: b"",
            },
            Record::PageRefs {
                first: page,
                places: b"places",
            },
            Record::SpaceClone { from: 3, to: 8 },
            Record::SpaceDrop { space: 9 },
            Record::Commit {
                txn: TxnId(7),
                unix_micros: -5,
            },
        ];
        let found: Vec<_> = records(&bytes).map(|r| r.unwrap()).collect();
        assert_eq!(found, expected);
        let twice = [bytes.clone(), bytes.clone()].concat();
        let split: Vec<_> = blobs(&twice).map(|b| b.unwrap()).collect();
        assert_eq!(split, [(TxnId(7), &bytes[..]), (TxnId(7), &bytes[..])]);
    }

    #[test]
    fn every_flipped_or_missing_byte_of_a_blob_is_an_error_and_no_panic() {
        let bytes = sample();
        for at in 0..bytes.len() {
            for bit in 0..8 {
                let mut damaged = bytes.clone();
                damaged[at] ^= 1 << bit;
                assert!(records(&damaged).any(|r| r.is_err()), "byte {at} bit {bit}");
                blobs(&damaged).for_each(drop);
            }
            let whole = blobs(&bytes[..at]).all(|b| b.is_ok());
            assert_eq!(whole, at == 0, "cut at {at}");
            records(&bytes[..at]).for_each(drop);
        }
    }

    #[test]
    fn records_in_the_wrong_order_are_no_blob() {
        let bytes = sample();
        let begin = RECORD_HEADER + 8;
        let twice = [&bytes[..begin], &bytes[..]].concat();
        assert!(blobs(&twice).any(|b| b.is_err()));
        assert!(blobs(&bytes[begin..]).any(|b| b.is_err()));
    }
}
