//! Groups: what one sync covers. The header's bytes, and the writer that chains groups.

use crate::base::bytes::Reader;
use crate::base::{Lsn, Result};
use crate::disk::DIRECT_BLOCK;

use super::Position;
use super::segment::Segments;

/// Every group starts on a block, so a block with acknowledged bytes is never written again.
pub(super) const BLOCK: u64 = 4096;

const MAGIC: u64 = u64::from_le_bytes(*b"WALNUT01");

// The header, little-endian.
const MAGIC_AT: usize = 0;
const DATABASE_AT: usize = 8;
const INCARNATION_AT: usize = 16;
const NUMBER_AT: usize = 24;
const START_AT: usize = 32;
const LENGTH_AT: usize = 40;
const PREVIOUS_CRC_AT: usize = 48;
const PAYLOAD_CRC_AT: usize = 52;
const ZERO_AT: usize = 56;
const HEADER_CRC_AT: usize = 60;
/// The bytes of a group before its payload.
pub(super) const GROUP_HEADER: usize = 64;
const _: () = assert!(DATABASE_AT == MAGIC_AT + 8 && INCARNATION_AT == DATABASE_AT + 8);
const _: () = assert!(NUMBER_AT == INCARNATION_AT + 8 && START_AT == NUMBER_AT + 8);
const _: () = assert!(LENGTH_AT == START_AT + 8 && PREVIOUS_CRC_AT == LENGTH_AT + 8);
const _: () = assert!(PAYLOAD_CRC_AT == PREVIOUS_CRC_AT + 4 && ZERO_AT == PAYLOAD_CRC_AT + 4);
const _: () = assert!(HEADER_CRC_AT == ZERO_AT + 4 && GROUP_HEADER == HEADER_CRC_AT + 4);
const _: () = assert!((GROUP_HEADER as u64) < BLOCK);

/// A group's header. `previous_crc` is the header CRC of the group before, which covers that
/// group's payload CRC in turn: a chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) database_id: u64,
    pub(super) incarnation: u64,
    pub(super) number: u64,
    pub(super) start: Lsn,
    /// Bytes of payload.
    pub(super) length: u64,
    pub(super) previous_crc: u32,
    pub(super) payload_crc: u32,
}

impl Header {
    pub(super) fn encode(&self) -> [u8; GROUP_HEADER] {
        let mut bytes = [0; GROUP_HEADER];
        let mut put = |at: usize, field: &[u8]| bytes[at..at + field.len()].copy_from_slice(field);
        put(MAGIC_AT, &MAGIC.to_le_bytes());
        put(DATABASE_AT, &self.database_id.to_le_bytes());
        put(INCARNATION_AT, &self.incarnation.to_le_bytes());
        put(NUMBER_AT, &self.number.to_le_bytes());
        put(START_AT, &self.start.0.to_le_bytes());
        put(LENGTH_AT, &self.length.to_le_bytes());
        put(PREVIOUS_CRC_AT, &self.previous_crc.to_le_bytes());
        put(PAYLOAD_CRC_AT, &self.payload_crc.to_le_bytes());
        let crc = crc32fast::hash(&bytes[..HEADER_CRC_AT]);
        bytes[HEADER_CRC_AT..].copy_from_slice(&crc.to_le_bytes());
        bytes
    }

    /// The header at the start of a block and its CRC, if there is a whole one.
    pub(super) fn decode(block: &[u8]) -> Option<(Header, u32)> {
        let bytes = block.get(..GROUP_HEADER)?;
        let mut reader = Reader::new(bytes);
        if reader.u64()? != MAGIC {
            return None;
        }
        let header = Header {
            database_id: reader.u64()?,
            incarnation: reader.u64()?,
            number: reader.u64()?,
            start: Lsn(reader.u64()?),
            length: reader.u64()?,
            previous_crc: reader.u32()?,
            payload_crc: reader.u32()?,
        };
        let zero = reader.u32()?;
        let crc = reader.u32()?;
        (zero == 0 && crc == crc32fast::hash(&bytes[..HEADER_CRC_AT])).then_some((header, crc))
    }
}

/// Where a group of `length` payload bytes ends on disk, counted from its start.
/// `None` if no disk is that large.
pub(super) fn group_bytes(length: u64) -> Option<u64> {
    length
        .checked_add(GROUP_HEADER as u64)?
        .checked_next_multiple_of(BLOCK)
}

/// What the next group continues.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Chain {
    pub(super) database_id: u64,
    pub(super) incarnation: u64,
    /// Of the next group. Never restarts, not even with an incarnation.
    pub(super) number: u64,
    /// Where the next group's payload starts in the stream.
    pub(super) end: Lsn,
    pub(super) previous_crc: u32,
}

impl Chain {
    /// What goes on at a position.
    pub(super) fn at(position: &Position, database_id: u64) -> Chain {
        Chain {
            database_id,
            incarnation: position.incarnation,
            number: position.group,
            end: position.lsn,
            previous_crc: position.previous_crc,
        }
    }

    /// What the group of this header continues.
    pub(super) fn before(header: &Header) -> Chain {
        Chain {
            database_id: header.database_id,
            incarnation: header.incarnation,
            number: header.number,
            end: header.start,
            previous_crc: header.previous_crc,
        }
    }

    /// The header of the next group for a payload.
    pub(super) fn header(&self, length: u64, payload_crc: u32) -> Header {
        Header {
            database_id: self.database_id,
            incarnation: self.incarnation,
            number: self.number,
            start: self.end,
            length,
            previous_crc: self.previous_crc,
            payload_crc,
        }
    }

    /// Whether a header is the next link. A group may open the next incarnation.
    pub(super) fn continues_with(&self, header: &Header) -> bool {
        let incarnation = header.incarnation == self.incarnation
            || (Some(header.incarnation) == self.incarnation.checked_add(1) && header.length == 0);
        incarnation
            && header.database_id == self.database_id
            && header.number == self.number
            && header.start == self.end
            && header.previous_crc == self.previous_crc
    }

    /// The chain after a group. `None` if the stream would be longer than an lsn can say.
    pub(super) fn after(&self, header: &Header, header_crc: u32) -> Option<Chain> {
        Some(Chain {
            database_id: self.database_id,
            incarnation: header.incarnation,
            number: header.number.checked_add(1)?,
            end: Lsn(header.start.0.checked_add(header.length)?),
            previous_crc: header_crc,
        })
    }
}

/// Writes groups one behind the other.
pub(super) struct GroupWriter {
    segments: Segments,
    chain: Chain,
    stage: Stage,
}

impl GroupWriter {
    pub(super) fn new(segments: Segments, chain: Chain) -> GroupWriter {
        GroupWriter {
            segments,
            chain,
            stage: Stage::new(),
        }
    }

    /// Where the next group starts in the stream.
    pub(super) fn end(&self) -> Lsn {
        self.chain.end
    }

    /// Behind the group written last.
    pub(super) fn position(&self) -> Position {
        let (segment, offset) = self.segments.place();
        Position {
            lsn: self.chain.end,
            segment,
            offset,
            group: self.chain.number,
            incarnation: self.chain.incarnation,
            previous_crc: self.chain.previous_crc,
        }
    }

    /// Sees to it that the segments for a payload exist, waiting for them if need be.
    pub(super) fn wait_space(&mut self, length: u64) -> Result<()> {
        let bytes = group_bytes(length).expect("a payload that fits into memory");
        self.segments.wait_space(bytes)
    }

    /// Writes one group; it is not durable before [`GroupWriter::sync`].
    pub(super) fn write(&mut self, blobs: &[Vec<u8>]) -> Result<()> {
        let length = blobs.iter().map(|blob| blob.len() as u64).sum();
        self.wait_space(length)?;
        let mut crc = crc32fast::Hasher::new();
        blobs.iter().for_each(|blob| crc.update(blob));
        let header = self.chain.header(length, crc.finalize());
        let bytes = header.encode();
        self.segments.begin_group();
        self.put(&bytes)?;
        for blob in blobs {
            self.put(blob)?;
        }
        self.stage.pad();
        self.flush()?;
        let (_, header_crc) = Header::decode(&bytes).expect("the header just encoded");
        let after = self.chain.after(&header, header_crc);
        self.chain = after.expect("a stream shorter than 2^64 bytes");
        Ok(())
    }

    fn put(&mut self, mut bytes: &[u8]) -> Result<()> {
        while !bytes.is_empty() {
            if self.stage.space() == 0 {
                self.flush()?;
            }
            let (now, later) = bytes.split_at(bytes.len().min(self.stage.space()));
            self.stage.push(now);
            bytes = later;
        }
        Ok(())
    }

    /// Writes the stage out, which is full or padded: whole blocks either way.
    fn flush(&mut self) -> Result<()> {
        self.segments.append(self.stage.bytes())?;
        self.stage.len = 0;
        Ok(())
    }

    /// Makes the group just written durable.
    pub(super) fn sync(&mut self) -> Result<()> {
        self.segments.sync()
    }
}

/// Bytes on their way to a segment, in memory as a direct write wants it.
struct Stage {
    memory: Vec<u8>,
    /// Where in `memory` the first whole block is.
    start: usize,
    len: usize,
}

/// A usual group is one write.
const STAGE_BYTES: usize = 1 << 20;
const _: () = assert!(STAGE_BYTES.is_multiple_of(DIRECT_BLOCK));
const _: () = assert!(BLOCK == DIRECT_BLOCK as u64);

impl Stage {
    fn new() -> Stage {
        let memory = vec![0; STAGE_BYTES + DIRECT_BLOCK];
        Stage {
            start: memory.as_ptr().align_offset(DIRECT_BLOCK),
            memory,
            len: 0,
        }
    }

    fn space(&self) -> usize {
        STAGE_BYTES - self.len
    }

    fn bytes(&self) -> &[u8] {
        &self.memory[self.start..][..self.len]
    }

    fn push(&mut self, bytes: &[u8]) {
        self.memory[self.start + self.len..][..bytes.len()].copy_from_slice(bytes);
        self.len += bytes.len();
    }

    /// Fills the last block with zeros.
    fn pad(&mut self) {
        let end = self.len.next_multiple_of(DIRECT_BLOCK);
        self.memory[self.start..][self.len..end].fill(0);
        self.len = end;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_flipped_bit_of_a_header_is_noticed() {
        let header = Chain::at(&Position::START, 9).header(100, 5);
        let bytes = header.encode();
        assert_eq!(Header::decode(&bytes).unwrap().0, header);
        for bit in 0..GROUP_HEADER * 8 {
            let mut damaged = bytes;
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(Header::decode(&damaged), None, "bit {bit}");
        }
    }

    #[test]
    fn a_chain_goes_on_only_with_the_next_group_of_the_same_database() {
        let chain = Chain::at(&Position::START, 9);
        let header = chain.header(100, 5);
        assert!(chain.continues_with(&header));
        let refused: [fn(&mut Header); 6] = [
            |h| h.database_id += 1,
            |h| h.number += 1,
            |h| h.start.0 += 1,
            |h| h.previous_crc += 1,
            |h| h.incarnation += 1,
            |h| h.incarnation -= 1,
        ];
        for damage in refused {
            let mut other = header;
            damage(&mut other);
            assert!(!chain.continues_with(&other), "{other:?}");
        }
        let mut opening = header;
        (opening.incarnation, opening.length) = (header.incarnation + 1, 0);
        assert!(chain.continues_with(&opening));
    }
}
