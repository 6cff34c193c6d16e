//! Definitions as bytes: the rows of the catalog's tree.
//!
//! Key: the OID, big-endian. Value: the kind of object and version of the format in one byte, then
//! the fields of [`TableDef`] or [`SequenceDef`] in order; lists with a count before them, optional
//! strings with a flag.

use std::sync::Arc;

use crate::base::bytes::{Reader, put_bytes};
use crate::base::{Error, Oid, Result, SqlState, TreeId};
use crate::table::def::{IndexColumn, Object};
use crate::table::{
    CheckDef, ColumnDef, Deferral, ForeignKeyDef, Identity, IndexDef, KeyAction, Layout,
    SequenceDef, SequenceOwner, SequenceParams, SequenceState, TableDef, TableState,
};
use crate::types::Type;

const TABLE: u8 = 1;
const SEQUENCE: u8 = b'S';

/// # Errors
/// 54000 when a list is longer than 65,535.
pub(super) fn encode(table: &TableDef) -> Result<Vec<u8>> {
    let mut out = Writer(vec![TABLE]);
    out.u32(table.oid.0);
    out.str(&table.schema);
    out.str(&table.name);
    out.u32(table.tree.0);
    out.u8(table.unlogged.into());
    out.list(&table.columns, |out, c| {
        out.str(&c.name);
        out.u32(c.ty.oid().0);
        out.u32(c.typmod.cast_unsigned());
        let identity = c.identity.map_or(0, |i| 4 | u8::from(i.always) << 3);
        out.u8(u8::from(c.not_null) | u8::from(c.dropped) << 1 | identity);
        if let Some(identity) = c.identity {
            out.u32(identity.sequence.0);
        }
        out.optional(c.default.as_deref());
        out.optional(c.missing.as_deref());
        Ok(())
    })?;
    out.list(&table.indexes, |out, index| {
        out.u32(index.oid.0);
        out.str(&index.name);
        out.u32(index.tree.0);
        let flags = [
            index.unique,
            index.primary,
            index.constraint,
            index.deferral.deferrable,
            index.deferral.initially_deferred,
        ];
        out.flags(&flags);
        out.list(&index.columns, |out, c| {
            out.place(c.column)?;
            out.u8(u8::from(c.descending) | u8::from(c.nulls_first) << 1);
            Ok(())
        })
    })?;
    out.list(&table.checks, |out, check| {
        out.u32(check.oid.0);
        out.str(&check.name);
        out.str(&check.expr);
        Ok(())
    })?;
    out.list(&table.foreign_keys, |out, key| {
        out.u32(key.oid.0);
        out.str(&key.name);
        out.list(&key.columns, |out, &c| out.place(c))?;
        out.u32(key.table.0);
        out.list(&key.references, |out, &c| out.place(c))?;
        out.u32(key.index.0);
        let flags = [
            key.match_full,
            key.deferral.deferrable,
            key.deferral.initially_deferred,
            key.validated,
        ];
        out.flags(&flags);
        out.u8(key.on_delete.letter());
        out.u8(key.on_update.letter());
        out.list(&key.delete_sets, |out, &c| out.place(c))
    })?;
    out.list(&table.options, |out, (name, value)| {
        out.str(name);
        out.str(value);
        Ok(())
    })?;
    Ok(out.0)
}

pub(super) fn encode_sequence(sequence: &SequenceDef) -> Vec<u8> {
    let params = &sequence.params;
    let mut out = Writer(vec![SEQUENCE]);
    out.u32(sequence.oid.0);
    out.str(&sequence.schema);
    out.str(&sequence.name);
    out.u32(sequence.tree.0);
    out.u32(params.ty.oid().0);
    for value in [params.start, params.increment, params.min, params.max] {
        out.u64(value.cast_unsigned());
    }
    out.u64(params.cache);
    out.u8(params.cycle.into());
    // No object has the OID 0.
    out.u32(sequence.owner.map_or(0, |owner| owner.table.0));
    out.u64(sequence.owner.map_or(0, |owner| owner.column as u64));
    out.0
}

/// # Errors
/// XX001 when the bytes are not a definition that this version writes.
pub(super) fn decode(bytes: &[u8]) -> Result<Object> {
    let damaged = || {
        let message = "the catalog holds a damaged definition";
        Error::new(SqlState::DATA_CORRUPTED, message)
    };
    let mut reader = Reader::new(bytes);
    let object = match reader.u8() {
        Some(TABLE) => {
            let table = table(&mut reader).ok_or_else(damaged)?;
            Object::Table(Arc::new(TableDef {
                layout: Layout::of(&table.columns)?,
                ..table
            }))
        }
        Some(SEQUENCE) => Object::Sequence(Arc::new(sequence(&mut reader).ok_or_else(damaged)?)),
        _ => return Err(damaged()),
    };
    match reader.remaining() {
        0 => Ok(object),
        _ => Err(damaged()),
    }
}

fn sequence(r: &mut Reader<'_>) -> Option<SequenceDef> {
    let oid = Oid(r.u32()?);
    let schema = r.str()?.to_owned();
    let name = r.str()?.to_owned();
    let tree = TreeId(r.u32()?);
    let ty = Type::from_oid(Oid(r.u32()?))?;
    let mut number = || r.u64().map(u64::cast_signed);
    let (start, increment, min, max) = (number()?, number()?, number()?, number()?);
    let cache = r.u64().filter(|cache| *cache > 0)?;
    let cycle = r.u8()? != 0;
    let (table, column) = (Oid(r.u32()?), usize::try_from(r.u64()?).ok()?);
    if increment == 0 {
        return None;
    }
    Some(SequenceDef {
        oid,
        schema,
        name,
        tree,
        params: SequenceParams {
            ty,
            start,
            increment,
            min,
            max,
            cache,
            cycle,
        },
        owner: (table != Oid(0)).then_some(SequenceOwner { table, column }),
        state: SequenceState::recovered(),
    })
}

fn table(r: &mut Reader<'_>) -> Option<TableDef> {
    let oid = Oid(r.u32()?);
    let schema = r.str()?.to_owned();
    let name = r.str()?.to_owned();
    let tree = TreeId(r.u32()?);
    let unlogged = r.u8()? != 0;
    let columns = list(r, |r| {
        let name = r.str()?.to_owned();
        let ty = Type::from_oid(Oid(r.u32()?))?;
        let typmod = r.u32()?.cast_signed();
        let flags = r.u8()?;
        let (not_null, dropped) = (flags & 1 != 0, flags & 2 != 0);
        let identity = match flags & 4 {
            0 => None,
            _ => Some(Identity {
                sequence: Oid(r.u32()?),
                always: flags & 8 != 0,
            }),
        };
        let (default, missing) = (optional(r)?, optional(r)?);
        Some(ColumnDef {
            name,
            ty,
            typmod,
            not_null,
            default,
            identity,
            dropped,
            missing,
        })
    })?;
    let indexes = list(r, |r| {
        let oid = Oid(r.u32()?);
        let name = r.str()?.to_owned();
        let tree = TreeId(r.u32()?);
        let flags = r.u8()?;
        let columns = list(r, |r| {
            let column = r.u16()?.into();
            let flags = r.u8()?;
            let (descending, nulls_first) = (flags & 1 != 0, flags & 2 != 0);
            Some(IndexColumn {
                column,
                descending,
                nulls_first,
            })
        })?;
        Some(Arc::new(IndexDef {
            oid,
            name,
            tree,
            columns,
            unique: flags & 1 != 0,
            primary: flags & 2 != 0,
            constraint: flags & 4 != 0,
            deferral: deferral(flags >> 3),
        }))
    })?;
    let checks = list(r, |r| {
        let oid = Oid(r.u32()?);
        Some(CheckDef {
            oid,
            name: r.str()?.to_owned(),
            expr: r.str()?.to_owned(),
        })
    })?;
    let foreign_keys = list(r, |r| {
        let oid = Oid(r.u32()?);
        let name = r.str()?.to_owned();
        let columns = list(r, |r| r.u16().map(usize::from))?;
        let table = Oid(r.u32()?);
        let references = list(r, |r| r.u16().map(usize::from))?;
        let index = Oid(r.u32()?);
        let flags = r.u8()?;
        Some(Arc::new(ForeignKeyDef {
            oid,
            name,
            columns,
            table,
            references,
            index,
            match_full: flags & 1 != 0,
            deferral: deferral(flags >> 1),
            validated: flags & 8 != 0,
            on_delete: KeyAction::of_letter(r.u8()?)?,
            on_update: KeyAction::of_letter(r.u8()?)?,
            delete_sets: list(r, |r| r.u16().map(usize::from))?,
        }))
    })?;
    let options = list(r, |r| Some((r.str()?.to_owned(), r.str()?.to_owned())))?;
    Some(TableDef {
        oid,
        schema,
        name,
        tree,
        columns,
        indexes,
        checks,
        foreign_keys,
        unlogged,
        options,
        layout: Layout::of(&[]).ok()?,
        state: Arc::new(TableState::default()),
    })
}

/// Its two flags in the lowest bits.
fn deferral(flags: u8) -> Deferral {
    Deferral {
        deferrable: flags & 1 != 0,
        initially_deferred: flags & 2 != 0,
    }
}

fn list<T>(
    r: &mut Reader<'_>,
    mut item: impl FnMut(&mut Reader<'_>) -> Option<T>,
) -> Option<Vec<T>> {
    let count = r.u16()?;
    (0..count).map(|_| item(r)).collect()
}

/// The outer `None`: damaged. The inner: absent.
fn optional(r: &mut Reader<'_>) -> Option<Option<String>> {
    match r.u8()? {
        0 => Some(None),
        _ => Some(Some(r.str()?.to_owned())),
    }
}

struct Writer(Vec<u8>);

impl Writer {
    fn u8(&mut self, value: u8) {
        self.0.push(value);
    }

    /// The first one in the lowest bit.
    fn flags(&mut self, flags: &[bool]) {
        let flags = flags.iter().rev();
        self.u8(flags.fold(0, |bits, &flag| bits << 1 | u8::from(flag)));
    }

    fn u32(&mut self, value: u32) {
        self.0.extend_from_slice(&value.to_le_bytes());
    }

    fn u64(&mut self, value: u64) {
        self.0.extend_from_slice(&value.to_le_bytes());
    }

    fn str(&mut self, value: &str) {
        put_bytes(&mut self.0, value.as_bytes());
    }

    fn optional(&mut self, value: Option<&str>) {
        self.u8(value.is_some().into());
        if let Some(value) = value {
            self.str(value);
        }
    }

    fn place(&mut self, value: usize) -> Result<()> {
        let value = u16::try_from(value).map_err(|_| too_many())?;
        self.0.extend_from_slice(&value.to_le_bytes());
        Ok(())
    }

    fn list<T>(
        &mut self,
        items: &[T],
        mut item: impl FnMut(&mut Writer, &T) -> Result<()>,
    ) -> Result<()> {
        self.place(items.len())?;
        items.iter().try_for_each(|i| item(self, i))
    }
}

fn too_many() -> Error {
    Error::new(
        SqlState::PROGRAM_LIMIT_EXCEEDED,
        "a table definition is too large",
    )
}
