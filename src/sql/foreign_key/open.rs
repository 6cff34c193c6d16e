//! A foreign key with its tables at hand, and how values of one are values of the other.

use std::borrow::Cow;
use std::sync::Arc;

use crate::base::{Error, Oid, Result, SqlState};
use crate::sql::bind::bind_cast;
use crate::sql::context::StatementContext;
use crate::sql::exec::nulls;
use crate::sql::expr::{ExprContext, eval, hash_key, hashable};
use crate::sql::foreign_key::KeyChecks;
use crate::sql::func::CastContext;
use crate::sql::ir::{BindContext, Expr};
use crate::sql::plan::plan_expr;
use crate::sql::prepared::{bind_context, eval_context};
use crate::table::{
    Catalog, ForeignKeyDef, IndexDef, KeyRange, NewestRows, TableDef, Txn, as_key_type, key_range,
    lock_table, row,
};
use crate::txn::{LockMode, LockWait};
use crate::types::{Datum, Type};

pub(super) struct Opened {
    pub(super) key: Arc<ForeignKeyDef>,
    /// The mode in which the other table was locked, and which one that is.
    lock: (Oid, LockMode),
    /// The table the key belongs to.
    pub(super) table: Arc<TableDef>,
    pub(super) referenced: Arc<TableDef>,
    /// The unique index of the referenced table.
    pub(super) unique: Arc<IndexDef>,
    /// For each column of that index, its place in the foreign key.
    unique_places: Vec<usize>,
    /// An index of the referring table that leads to the rows with a key, and for each of the
    /// columns that do, its place in the foreign key.
    index: Option<(Arc<IndexDef>, Vec<usize>)>,
    /// For each column of the key: what makes a referring value one of the referenced type. None
    /// where the two compare as they are.
    casts: Vec<Option<Expr>>,
    /// The key's columns in the order of the table.
    columns: Vec<usize>,
}

/// What the values in a row's foreign key say.
pub(super) enum Refers {
    To(Box<[Datum]>),
    ToNothing,
    /// Some are NULL, which MATCH FULL does not allow.
    InPart,
}

/// Whether a column can refer to another: their values compare as they are, or the one is cast
/// implicitly to the type of the other. `Some` holds that cast.
///
/// # Errors
/// 0A000 where PostgreSQL compares values of two types that this server does not.
pub(crate) fn comparable(from: Type, to: Type, cx: &BindContext<'_>) -> Result<Option<Cast>> {
    if hashable(from, to) {
        return Ok(Some(None));
    }
    if let Some(cast) = bind_cast(from, to, -1, CastContext::Implicit, cx)? {
        return Ok(Some(Some(plan_expr(cast, eval_context(cx))?)));
    }
    let is_time = |ty| matches!(ty, Type::Date | Type::Timestamp | Type::Timestamptz);
    match is_time(from) && is_time(to) {
        true => Err(Error::unsupported(format!(
            "a foreign key from {} to {} is",
            from.sql_name(),
            to.sql_name()
        ))),
        false => Ok(None),
    }
}

type Cast = Option<Expr>;

impl KeyChecks {
    /// The key with both tables, of which `other` is locked in a mode; the other one is locked
    /// already.
    pub(super) async fn open(
        &mut self,
        key: &Arc<ForeignKeyDef>,
        table: Oid,
        other: Oid,
        mode: LockMode,
        txn: &mut Txn,
    ) -> Result<Arc<Opened>> {
        let same =
            |opened: &&Arc<Opened>| opened.key.oid == key.oid && opened.lock == (other, mode);
        if let Some(opened) = self.opened.iter().find(same) {
            return Ok(Arc::clone(opened));
        }
        lock_table(txn, other, mode, LockWait::Wait, &self.cx.cancel).await?;
        let mut opened = Opened::new(key, table, &txn.catalog(), &self.cx)?;
        opened.lock = (other, mode);
        let opened = Arc::new(opened);
        self.opened.push(Arc::clone(&opened));
        Ok(opened)
    }
}

impl Opened {
    pub(super) fn new(
        key: &Arc<ForeignKeyDef>,
        table: Oid,
        catalog: &Catalog,
        cx: &StatementContext,
    ) -> Result<Opened> {
        let find = |oid: Oid| {
            catalog
                .tables
                .get(&oid)
                .cloned()
                .ok_or_else(|| dangling(key))
        };
        let (table, referenced) = (find(table)?, find(key.table)?);
        let mut indexes = referenced.indexes.iter();
        let unique = indexes.find(|index| index.oid == key.index);
        let unique = Arc::clone(unique.ok_or_else(|| dangling(key))?);
        let place = |column: usize| key.references.iter().position(|c| *c == column);
        let places = unique.columns.iter().map(|c| place(c.column));
        let unique_places = places.collect::<Option<Vec<_>>>();
        let bind_cx = bind_context(cx, catalog);
        let pairs = key.columns.iter().zip(&key.references);
        let casts = pairs.map(|(own, other)| {
            let (own, other) = (table.columns[*own].ty, referenced.columns[*other].ty);
            comparable(own, other, &bind_cx)?.ok_or_else(|| dangling(key))
        });
        let casts = casts.collect::<Result<Vec<_>>>()?;
        let mut columns = key.columns.clone();
        columns.sort_unstable();
        Ok(Opened {
            index: index_for(&table, key, &casts),
            key: Arc::clone(key),
            lock: (table.oid, LockMode::AccessShare),
            unique_places: unique_places.ok_or_else(|| dangling(key))?,
            unique,
            table,
            referenced,
            casts,
            columns,
        })
    }

    pub(super) fn has_index(&self) -> bool {
        self.index.is_some()
    }

    /// The key's columns of a row of the referring table, in a row with nothing else.
    pub(super) fn decode(&self, bytes: &[u8]) -> Result<Vec<Datum>> {
        let mut out = nulls(self.table.columns.len());
        row::decode(&self.table, bytes, &self.columns, &mut out)?;
        Ok(out)
    }

    /// The values that a row of the referring table has in the key.
    pub(super) fn refers(&self, row: &[Datum]) -> Refers {
        refers(&self.key, row)
    }

    /// A referring key as one of the referenced index; `None`: its type has no such value.
    pub(super) fn unique_key(
        &self,
        values: &[Datum],
        cx: &ExprContext<'_>,
    ) -> Result<Option<Vec<Datum>>> {
        let mut key = Vec::with_capacity(values.len());
        for (place, column) in self.unique_places.iter().zip(&self.unique.columns) {
            let ty = self.referenced.columns[column.column].ty;
            let value = match &self.casts[*place] {
                Some(cast) => Some(eval(cast, &values[*place..], cx)?.into_owned()),
                None => as_key_type(&values[*place], ty),
            };
            match value {
                Some(value) => key.push(value),
                None => return Ok(None),
            }
        }
        Ok(Some(key))
    }

    /// A referenced key, given in the order of the foreign key, in the order of the index.
    pub(super) fn in_unique_order(&self, values: &[Datum]) -> Vec<Datum> {
        let places = self.unique_places.iter();
        places.map(|place| values[*place].clone()).collect()
    }

    /// Whether a row of the referring table refers to a key.
    pub(super) fn is_to(
        &self,
        row: &[Datum],
        referenced: &[Datum],
        cx: &ExprContext<'_>,
    ) -> Result<bool> {
        let (mut own_key, mut other_key) = (Vec::new(), Vec::new());
        for (place, (own, other)) in self.key.columns.iter().zip(referenced).enumerate() {
            let value = &row[*own];
            if value.is_null() {
                return Ok(false);
            }
            let to = self.referenced.columns[self.key.references[place]].ty;
            let (value, ty) = match &self.casts[place] {
                Some(cast) => (eval(cast, std::slice::from_ref(value), cx)?, to),
                None => (Cow::Borrowed(value), self.table.columns[*own].ty),
            };
            own_key.clear();
            other_key.clear();
            hash_key(ty, &value, &mut own_key);
            hash_key(to, other, &mut other_key);
            if own_key != other_key {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Walks the rows of the referring table that may refer to a key, and perhaps others.
    pub(super) fn referring(&self, referenced: &[Datum]) -> Option<NewestRows> {
        let Some((index, places)) = &self.index else {
            return Some(NewestRows::new(None));
        };
        let own = |place: &usize| {
            let ty = self.table.columns[self.key.columns[*place]].ty;
            as_key_type(&referenced[*place], ty)
        };
        let key = places.iter().map(own).collect::<Option<Vec<_>>>()?;
        let range: KeyRange = key_range(&self.table, index, &key, None, None);
        Some(NewestRows::new(Some((Arc::clone(index), range))))
    }
}

/// The values that a row of the referring table has in a key.
pub(super) fn refers(key: &ForeignKeyDef, row: &[Datum]) -> Refers {
    let nulls = key.columns.iter().filter(|c| row[**c].is_null()).count();
    match nulls {
        0 => Refers::To(super::values(row, &key.columns)),
        some if some < key.columns.len() && key.match_full => Refers::InPart,
        _ => Refers::ToNothing,
    }
}

/// The index whose first columns are most of the key's.
fn index_for(
    table: &TableDef,
    key: &ForeignKeyDef,
    casts: &[Option<Expr>],
) -> Option<(Arc<IndexDef>, Vec<usize>)> {
    let place = |column: usize| {
        let place = key.columns.iter().position(|c| *c == column);
        place.filter(|place| casts[*place].is_none())
    };
    let leading = |index: &Arc<IndexDef>| {
        let places = index.columns.iter().map_while(|c| place(c.column));
        (Arc::clone(index), places.collect::<Vec<_>>())
    };
    let indexes = table.indexes.iter().map(leading);
    let usable = indexes.filter(|(_, places)| !places.is_empty());
    usable.max_by_key(|(_, places)| places.len())
}

fn dangling(key: &ForeignKeyDef) -> Error {
    let message = format!("foreign key \"{}\" leads to nothing", key.name);
    Error::new(SqlState::INTERNAL_ERROR, message)
}
