//! Rows kept in memory, one after the other.

use crate::sql::exec::copy_row;
use crate::types::Datum;

pub(super) struct RowTable {
    width: usize,
    values: Vec<Datum>,
    len: usize,
}

impl RowTable {
    pub(super) fn new(width: usize) -> RowTable {
        RowTable {
            width,
            values: Vec::new(),
            len: 0,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// Adds a row, leaving NULLs behind if its values may be taken.
    pub(super) fn push(&mut self, row: &mut [Datum], take: bool) {
        if take {
            self.values.extend(row.iter_mut().map(std::mem::take));
        } else {
            self.values.extend_from_slice(row);
        }
        self.len += 1;
    }

    pub(super) fn get(&self, index: usize) -> &[Datum] {
        &self.values[index * self.width..(index + 1) * self.width]
    }

    pub(super) fn copy(&self, index: usize, row: &mut [Datum]) {
        copy_row(self.get(index), row);
    }

    /// Moves a row out, into the first columns of a row that may be wider; it is not read again.
    pub(super) fn take(&mut self, index: usize, row: &mut [Datum]) {
        let values = &mut self.values[index * self.width..(index + 1) * self.width];
        row[..self.width].swap_with_slice(values);
    }
}
