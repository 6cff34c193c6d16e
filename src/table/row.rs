//! Rows as bytes.
//!
//! ```text
//! u32  low half of the id of the transaction that wrote it (PostgreSQL's xmin)
//! u16  number of columns when the row was written; high bit: offsets are u32
//!      null bitmap, one bit per column (1: null), padded to bytes
//!      fixed-width values in column order, zeroes where null
//!      end of each variable-width value, relative to the first of them (u16 or u32)
//!      variable-width values
//! ```
//!
//! All little-endian. Fixed-width values are at offsets that depend on the definition and the
//! column count alone, so a column is read without looking at the others. The transaction tells two
//! versions of a row apart that are otherwise the same.

use std::sync::Arc;

use crate::base::{Error, Result, SqlState};
use crate::table::{ColumnDef, TableDef};
use crate::types::{self, Datum, Format, Type};

const WIDE: u16 = 0x8000;
const WRITER_BYTES: usize = 4;
const HEAD_BYTES: usize = WRITER_BYTES + 2;
/// PostgreSQL's limit.
pub const COLUMNS_MAX: usize = 1600;

/// Where the columns of a table's rows are. Computed once per definition.
#[derive(Clone, Debug)]
pub struct Layout {
    columns: Vec<Place>,
    /// Bytes of fixed-width values, and number of variable-width ones, among the first n columns.
    prefix: Vec<(usize, usize)>,
    /// What columns hold in rows written before they were added.
    missing: Vec<Datum>,
}

#[derive(Clone, Copy, Debug)]
enum Place {
    Fixed { offset: usize, ty: Type },
    Variable { index: usize, ty: Type },
}

fn fixed_width(ty: Type) -> Option<usize> {
    match ty {
        Type::Bool | Type::Char => Some(1),
        Type::Int2 => Some(2),
        Type::Int4 | Type::Float4 | Type::Date | Type::Oid => Some(4),
        reg if reg.is_reg() => Some(4),
        Type::Int8 | Type::Float8 | Type::Timestamp | Type::Timestamptz | Type::PgLsn => Some(8),
        _ => None,
    }
}

impl Layout {
    /// # Errors
    /// Only if the catalog holds a default that its type does not read.
    pub fn of(columns: &[ColumnDef]) -> Result<Arc<Layout>> {
        let mut places = Vec::with_capacity(columns.len());
        let mut prefix = vec![(0, 0)];
        let mut missing = Vec::with_capacity(columns.len());
        let (mut offset, mut index) = (0, 0);
        for column in columns {
            match fixed_width(column.ty) {
                Some(width) => {
                    places.push(Place::Fixed {
                        offset,
                        ty: column.ty,
                    });
                    offset += width;
                }
                None => {
                    places.push(Place::Variable {
                        index,
                        ty: column.ty,
                    });
                    index += 1;
                }
            }
            prefix.push((offset, index));
            missing.push(match &column.missing {
                Some(text) => types::text_in(column.ty, column.typmod, text, &Format::default())?,
                None => Datum::Null,
            });
        }
        Ok(Arc::new(Layout {
            columns: places,
            prefix,
            missing,
        }))
    }

    /// Appends the bytes of a row, one datum per column.
    pub fn encode(&self, writer: u32, row: &[Datum], out: &mut Vec<u8>) -> Result<()> {
        debug_assert_eq!(row.len(), self.columns.len());
        out.extend_from_slice(&writer.to_le_bytes());
        let start = out.len();
        let count = u16::try_from(row.len())
            .ok()
            .filter(|&n| n < WIDE)
            .ok_or_else(too_wide)?;
        out.extend_from_slice(&count.to_le_bytes());
        let bitmap = out.len();
        let (fixed, variable) = self.prefix[row.len()];
        let fixed_start = bitmap + row.len().div_ceil(8);
        out.resize(fixed_start + fixed + 2 * variable, 0);
        let ends = fixed_start + fixed;
        let mut data_start = out.len();
        let mut wide = false;
        for (i, (value, place)) in row.iter().zip(&self.columns).enumerate() {
            match *place {
                _ if value.is_null() => out[bitmap + i / 8] |= 1 << (i % 8),
                Place::Fixed { offset, ty } => {
                    put_fixed(&mut out[fixed_start + offset..], value, ty)?
                }
                Place::Variable { ty, .. } => put_variable(out, value, ty)?,
            }
            let Place::Variable { index, .. } = *place else {
                continue;
            };
            let mut end = out.len() - data_start;
            if !wide && end > usize::from(u16::MAX) {
                widen(out, ends, variable, index);
                data_start += 2 * variable;
                end = out.len() - data_start;
                wide = true;
            }
            match wide {
                true => {
                    let end = u32::try_from(end).map_err(|_| too_wide())?;
                    out[ends + 4 * index..][..4].copy_from_slice(&end.to_le_bytes());
                }
                #[expect(clippy::cast_possible_truncation, reason = "checked above")]
                false => out[ends + 2 * index..][..2].copy_from_slice(&(end as u16).to_le_bytes()),
            }
        }
        if wide {
            out[start..start + 2].copy_from_slice(&(count | WIDE).to_le_bytes());
        }
        Ok(())
    }

    /// Reads the columns asked for (places, ascending) into `out` at the same places.
    ///
    /// # Errors
    /// XX001 when the bytes are not a row of this table.
    pub fn decode(&self, bytes: &[u8], columns: &[usize], out: &mut [Datum]) -> Result<()> {
        let row = RowBytes::open(self, bytes).ok_or_else(damaged)?;
        for &column in columns {
            row.get(column, &mut out[column]).ok_or_else(damaged)?;
        }
        Ok(())
    }
}

/// Makes room for four-byte offsets where two-byte ones were.
fn widen(out: &mut Vec<u8>, ends: usize, variable: usize, written: usize) {
    let narrow: Vec<u32> = (0..written)
        .map(|i| {
            u32::from(u16::from_le_bytes([
                out[ends + 2 * i],
                out[ends + 2 * i + 1],
            ]))
        })
        .collect();
    let old = ends..ends + 2 * variable;
    out.splice(old, std::iter::repeat_n(0, 4 * variable));
    for (i, end) in narrow.into_iter().enumerate() {
        out[ends + 4 * i..][..4].copy_from_slice(&end.to_le_bytes());
    }
}

struct RowBytes<'a> {
    layout: &'a Layout,
    count: usize,
    bitmap: &'a [u8],
    fixed: &'a [u8],
    ends: &'a [u8],
    data: &'a [u8],
    wide: bool,
}

impl<'a> RowBytes<'a> {
    fn open(layout: &'a Layout, bytes: &'a [u8]) -> Option<RowBytes<'a>> {
        let (head, rest) = bytes.split_first_chunk::<HEAD_BYTES>()?;
        let head = u16::from_le_bytes([head[WRITER_BYTES], head[WRITER_BYTES + 1]]);
        let (count, wide) = (usize::from(head & !WIDE), head & WIDE != 0);
        let &(fixed, variable) = layout.prefix.get(count)?;
        let (bitmap, rest) = rest.split_at_checked(count.div_ceil(8))?;
        let (fixed, rest) = rest.split_at_checked(fixed)?;
        let (ends, data) = rest.split_at_checked(variable * if wide { 4 } else { 2 })?;
        Some(RowBytes {
            layout,
            count,
            bitmap,
            fixed,
            ends,
            data,
            wide,
        })
    }

    fn get(&self, column: usize, out: &mut Datum) -> Option<()> {
        if column >= self.count {
            *out = self.layout.missing.get(column)?.clone();
            return Some(());
        }
        if self.bitmap.get(column / 8)? & (1 << (column % 8)) != 0 {
            *out = Datum::Null;
            return Some(());
        }
        match *self.layout.columns.get(column)? {
            Place::Fixed { offset, ty } => *out = get_fixed(self.fixed.get(offset..)?, ty)?,
            Place::Variable { index, ty } => {
                let start = if index == 0 { 0 } else { self.end(index - 1)? };
                get_variable(self.data.get(start..self.end(index)?)?, ty, out)?;
            }
        }
        Some(())
    }

    fn end(&self, index: usize) -> Option<usize> {
        match self.wide {
            true => {
                let bytes = self.ends.get(4 * index..)?.first_chunk::<4>()?;
                Some(u32::from_le_bytes(*bytes) as usize)
            }
            false => {
                let bytes = self.ends.get(2 * index..)?.first_chunk::<2>()?;
                Some(u16::from_le_bytes(*bytes).into())
            }
        }
    }
}

fn put_fixed(out: &mut [u8], value: &Datum, ty: Type) -> Result<()> {
    match *value {
        Datum::Bool(v) => out[0] = v.into(),
        Datum::Char(v) => out[0] = v,
        Datum::Int2(v) => out[..2].copy_from_slice(&v.to_le_bytes()),
        Datum::Int4(v) | Datum::Date(v) => out[..4].copy_from_slice(&v.to_le_bytes()),
        Datum::Float4(v) => out[..4].copy_from_slice(&v.to_le_bytes()),
        Datum::Oid(v) => out[..4].copy_from_slice(&v.to_le_bytes()),
        Datum::Int8(v) | Datum::Timestamp(v) => out[..8].copy_from_slice(&v.to_le_bytes()),
        Datum::Lsn(v) => out[..8].copy_from_slice(&v.to_le_bytes()),
        Datum::Float8(v) => out[..8].copy_from_slice(&v.to_le_bytes()),
        _ => return Err(misfit(value, ty)),
    }
    Ok(())
}

fn put_variable(out: &mut Vec<u8>, value: &Datum, ty: Type) -> Result<()> {
    match value {
        Datum::Text(s) => out.extend_from_slice(s.as_bytes()),
        Datum::Bytea(b) => out.extend_from_slice(b),
        Datum::Numeric(_) | Datum::Array(_) => types::binary_out(ty, value, out),
        _ => return Err(misfit(value, ty)),
    }
    Ok(())
}

fn get_fixed(bytes: &[u8], ty: Type) -> Option<Datum> {
    let four = || bytes.first_chunk::<4>().copied();
    let eight = || bytes.first_chunk::<8>().copied();
    Some(match ty {
        Type::Bool => Datum::Bool(*bytes.first()? != 0),
        Type::Char => Datum::Char(*bytes.first()?),
        Type::Int2 => Datum::Int2(i16::from_le_bytes(*bytes.first_chunk()?)),
        Type::Int4 => Datum::Int4(i32::from_le_bytes(four()?)),
        Type::Date => Datum::Date(i32::from_le_bytes(four()?)),
        Type::Float4 => Datum::Float4(f32::from_le_bytes(four()?)),
        Type::Int8 => Datum::Int8(i64::from_le_bytes(eight()?)),
        Type::PgLsn => Datum::Lsn(u64::from_le_bytes(eight()?)),
        Type::Float8 => Datum::Float8(f64::from_le_bytes(eight()?)),
        Type::Timestamp | Type::Timestamptz => Datum::Timestamp(i64::from_le_bytes(eight()?)),
        _ => Datum::Oid(u32::from_le_bytes(four()?)),
    })
}

fn get_variable(bytes: &[u8], ty: Type, out: &mut Datum) -> Option<()> {
    match ty {
        Type::Bytea => *out = Datum::Bytea(bytes.into()),
        _ if ty.is_text() => out.set_text(std::str::from_utf8(bytes).ok()?),
        _ => *out = types::binary_in(ty, -1, bytes).ok()?,
    }
    Some(())
}

fn damaged() -> Error {
    Error::new(
        SqlState::DATA_CORRUPTED,
        "a row does not fit the definition of its table",
    )
}

fn misfit(value: &Datum, ty: Type) -> Error {
    let what = format!("{value:?} was to be stored as {}", ty.sql_name());
    Error::new(SqlState::INTERNAL_ERROR, what)
}

fn too_wide() -> Error {
    Error::new(SqlState::PROGRAM_LIMIT_EXCEEDED, "row is too big")
}

/// Reads columns of a row; see [`Layout::decode`].
pub fn decode(table: &TableDef, bytes: &[u8], columns: &[usize], out: &mut [Datum]) -> Result<()> {
    table.layout.decode(bytes, columns, out)
}
