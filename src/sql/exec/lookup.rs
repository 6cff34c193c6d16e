//! Rows by index: the keys of an access path computed, and the rows under them.

use std::cmp::Ordering;

use rustc_hash::FxHashSet;
use smallvec::{SmallVec, smallvec};

use crate::base::{Result, RowId};
use crate::btree::Value;
use crate::sql::expr::{ExprContext, eval, hash_key};
use crate::sql::plan::node::{Access, KeyExpr, Rows};
use crate::table::{self, TableReader, key_range};
use crate::types::{Datum, Type};

pub(super) type Key = SmallVec<[Datum; 2]>;

/// A walk over the rows that an access path gives for the values its keys have now.
pub(super) struct Lookup {
    keys: SmallVec<[Key; 1]>,
    next_key: usize,
    lower: Option<(Datum, bool)>,
    upper: Option<(Datum, bool)>,
    scan: Option<table::IndexScan>,
    single: Option<(RowId, Value)>,
}

/// A value as a key of a column's type.
enum KeyValue {
    Value(Datum),
    /// Beyond all values of the type.
    Below,
    Above,
}

impl Lookup {
    /// Computes the keys over `row`.
    pub(super) fn new(
        access: &Access,
        rows: &Rows,
        row: &[Datum],
        cx: &ExprContext<'_>,
    ) -> Result<Lookup> {
        let mut lookup = Lookup {
            keys: SmallVec::new(),
            next_key: 0,
            lower: None,
            upper: None,
            scan: None,
            single: None,
        };
        let Some(keys) = equal_keys(access, rows, row, cx)? else {
            return Ok(lookup);
        };
        let bound_column = access.index.columns.get(access.equal.len());
        let ty = bound_column.map(|key| rows.table.columns[key.column].ty);
        if let (Some((expr, inclusive)), Some(ty)) = (&access.lower, ty) {
            let value = eval(expr, row, cx)?;
            lookup.lower = match key_value(&value, ty) {
                KeyValue::Value(value) => Some((value, *inclusive)),
                KeyValue::Below => Some((least(ty), true)),
                KeyValue::Above => return Ok(lookup),
            };
        }
        if let (Some((expr, inclusive)), Some(ty)) = (&access.upper, ty) {
            let value = eval(expr, row, cx)?;
            lookup.upper = match key_value(&value, ty) {
                KeyValue::Value(value) => Some((value, *inclusive)),
                KeyValue::Above => Some((greatest(ty), true)),
                KeyValue::Below => return Ok(lookup),
            };
        }
        lookup.keys = keys;
        Ok(lookup)
    }

    /// The next row, borrowed until the call after.
    pub(super) fn next(
        &mut self,
        access: &Access,
        rows: &Rows,
        backward: bool,
        reader: &TableReader,
    ) -> Result<Option<(RowId, &[u8])>> {
        while !self.advance(access, rows, backward, reader)? {
            if self.next_key == self.keys.len() {
                return Ok(None);
            }
        }
        Ok(match (&self.scan, &self.single) {
            (Some(scan), _) => scan.current(),
            (None, Some((id, value))) => Some((*id, value)),
            (None, None) => None,
        })
    }

    /// One step: to the next row under the key at hand, or to the next key.
    fn advance(
        &mut self,
        access: &Access,
        rows: &Rows,
        backward: bool,
        reader: &TableReader,
    ) -> Result<bool> {
        if let Some(scan) = &mut self.scan {
            if scan.next()?.is_some() {
                return Ok(true);
            }
            self.scan = None;
        }
        let Some(key) = self.keys.get(self.next_key) else {
            return Ok(false);
        };
        self.next_key += 1;
        if access.unique {
            self.single = reader.get_unique(&rows.table, &access.index, key)?;
            return Ok(self.single.is_some());
        }
        let lower = self
            .lower
            .as_ref()
            .map(|(value, inclusive)| (value, *inclusive));
        let upper = self
            .upper
            .as_ref()
            .map(|(value, inclusive)| (value, *inclusive));
        let range = if key.is_empty() && lower.is_none() && upper.is_none() {
            table::KeyRange::all()
        } else {
            key_range(&rows.table, &access.index, key, lower, upper)
        };
        let scan = self
            .scan
            .insert(reader.index_scan(&access.index, &range, backward)?);
        let found = scan.next()?.is_some();
        if !found {
            self.scan = None;
        }
        Ok(found)
    }
}

/// The values of the first columns; several where a list is given. `None`: a NULL, which equals
/// nothing, or a value that no key can have.
fn equal_keys(
    access: &Access,
    rows: &Rows,
    row: &[Datum],
    cx: &ExprContext<'_>,
) -> Result<Option<SmallVec<[Key; 1]>>> {
    let mut keys: SmallVec<[Key; 1]> = smallvec![Key::new()];
    for (expr, column) in access.equal.iter().zip(&access.index.columns) {
        let ty = rows.table.columns[column.column].ty;
        match expr {
            KeyExpr::One(expr) => match key_value(&*eval(expr, row, cx)?, ty) {
                KeyValue::Value(value) if !value.is_null() => {
                    keys.iter_mut().for_each(|key| key.push(value.clone()));
                }
                _ => return Ok(None),
            },
            KeyExpr::List(list) => {
                let mut values = Vec::with_capacity(list.len());
                for item in list {
                    values.push(eval(item, row, cx)?.into_owned());
                }
                keys = product(&keys, &values, ty);
            }
            KeyExpr::Array(array) => match &*eval(array, row, cx)? {
                Datum::Array(array) => keys = product(&keys, &array.elements, ty),
                _ => return Ok(None),
            },
        }
    }
    Ok(Some(keys))
}

/// Each key with each different value appended.
fn product(keys: &[Key], values: &[Datum], ty: Type) -> SmallVec<[Key; 1]> {
    let mut seen = FxHashSet::default();
    let mut all = SmallVec::new();
    for value in values {
        let KeyValue::Value(value) = key_value(value, ty) else {
            continue;
        };
        let mut hash = Vec::new();
        hash_key(ty, &value, &mut hash);
        if value.is_null() || !seen.insert(hash) {
            continue;
        }
        for key in keys {
            let mut key = key.clone();
            key.push(value.clone());
            all.push(key);
        }
    }
    all
}

/// The values of a whole unique key; `None` if one is NULL or out of its type's range.
pub(super) fn unique_key(
    index: &crate::table::IndexDef,
    table: &crate::table::TableDef,
    exprs: &[crate::sql::ir::Expr],
    cx: &ExprContext<'_>,
) -> Result<Option<Key>> {
    let mut key = Key::new();
    for (expr, column) in exprs.iter().zip(&index.columns) {
        let ty = table.columns[column.column].ty;
        match key_value(&*eval(expr, &[], cx)?, ty) {
            KeyValue::Value(value) if !value.is_null() => key.push(value),
            _ => return Ok(None),
        }
    }
    Ok(Some(key))
}

fn key_value(value: &Datum, ty: Type) -> KeyValue {
    let integer = match value {
        Datum::Int2(i) => i64::from(*i),
        Datum::Int4(i) => i64::from(*i),
        Datum::Int8(i) => *i,
        Datum::Float4(f) if ty == Type::Float8 => {
            return KeyValue::Value(Datum::Float8(f64::from(*f)));
        }
        other => return KeyValue::Value(other.clone()),
    };
    let converted = match ty {
        Type::Int2 => i16::try_from(integer).map(Datum::Int2),
        Type::Int4 => i32::try_from(integer).map(Datum::Int4),
        _ => Ok(Datum::Int8(integer)),
    };
    match (converted, integer.cmp(&0)) {
        (Ok(value), _) => KeyValue::Value(value),
        (Err(_), Ordering::Less) => KeyValue::Below,
        (Err(_), _) => KeyValue::Above,
    }
}

fn least(ty: Type) -> Datum {
    match ty {
        Type::Int2 => Datum::Int2(i16::MIN),
        Type::Int4 => Datum::Int4(i32::MIN),
        _ => Datum::Int8(i64::MIN),
    }
}

fn greatest(ty: Type) -> Datum {
    match ty {
        Type::Int2 => Datum::Int2(i16::MAX),
        Type::Int4 => Datum::Int4(i32::MAX),
        _ => Datum::Int8(i64::MAX),
    }
}
