//! CREATE TABLE and CREATE TABLE AS.

use std::sync::Arc;

use crate::base::blocking_polls;
use crate::base::{Error, Oid, Result, SqlState};
use crate::sql::ast::{self, ConstraintKind, CreateTable, Ident, Name};
use crate::sql::bind::{bind_default, resolve_type};
use crate::sql::ddl::names::{self, new_name};
use crate::sql::ddl::sequence::Wanted;
use crate::sql::ddl::{Ddl, constraint};
use crate::sql::ir::{Expr, ExprKind};
use crate::sql::prepared::{bind_context, prepare_inner, start_inner};
use crate::table::ddl::{NewTable, create_table};
use crate::table::{ColumnDef, SequenceDef, TableDef, insert};
use crate::types::{Category, Datum, Type};

/// PostgreSQL's columns of every table, whose names are taken.
const SYSTEM_COLUMNS: [&str; 6] = ["tableoid", "ctid", "xmin", "cmin", "xmax", "cmax"];

/// What CREATE TABLE AS says before AS.
pub(super) struct Target<'a> {
    pub name: &'a Name,
    pub if_not_exists: bool,
    pub columns: &'a [Ident],
}

impl Ddl<'_> {
    pub(super) async fn create_table(&mut self, create: &CreateTable) -> Result<String> {
        let tag = "CREATE TABLE".to_owned();
        if create.temporary {
            return Err(Error::unsupported("temporary tables are"));
        }
        let catalog = self.txn.catalog();
        let (schema, name) = new_name(&create.name, &catalog, &self.cx.session)?;
        if create.if_not_exists && names::is_relation(&catalog, &schema, &name) {
            let message = format!("relation \"{name}\" already exists, skipping");
            self.notice(SqlState::DUPLICATE_TABLE, message);
            return Ok(tag);
        }
        check_options(&create.options)?;
        let mut columns = Vec::new();
        let mut sequences = Vec::new();
        for (place, column) in create.columns.iter().enumerate() {
            let (mut def, wanted) = self.column(column, &name)?;
            if let Some(wanted) = wanted {
                let of = (schema.as_str(), name.as_str());
                let sequence = self.make_wanted(wanted, of, &mut def).await?;
                sequences.push((place, sequence));
            }
            add_column(&mut columns, def, &column.name)?;
        }
        let constraints: Vec<&ast::TableConstraint> = create
            .columns
            .iter()
            .flat_map(|column| &column.constraints)
            .chain(&create.constraints)
            .collect();
        primary_key_is_not_null(&constraints, &name, &mut columns)?;
        let new = NewTable {
            schema,
            name,
            columns,
            checks: Vec::new(),
            unlogged: create.unlogged,
            options: create.options.clone(),
        };
        let mut table = create_table(self.txn, new, &self.cx.cancel).await?;
        for (place, sequence) in &sequences {
            self.give_to(sequence, &table, *place)?;
        }
        self.txn.begin_definition().await?;
        // CHECKs first: they are named before anything else, as in PostgreSQL.
        let is_check = |c: &&&ast::TableConstraint| matches!(c.kind, ConstraintKind::Check(..));
        for constraint in constraints.iter().filter(is_check) {
            table = self.add_constraint(table, constraint).await?;
        }
        for constraint in &distinct_keys(&constraints) {
            table = self.add_constraint(table, constraint).await?;
        }
        // Foreign keys last: they may refer to keys of the table itself.
        let is_foreign =
            |c: &&&ast::TableConstraint| matches!(c.kind, ConstraintKind::ForeignKey(_));
        for constraint in constraints.iter().filter(is_foreign) {
            table = self.add_constraint(table, constraint).await?;
        }
        Ok(tag)
    }

    /// A column's definition, its default checked, and the sequence it wants.
    pub(super) fn column(
        &self,
        column: &ast::ColumnDef,
        table: &str,
    ) -> Result<(ColumnDef, Option<Wanted>)> {
        let name = &column.name.name;
        if SYSTEM_COLUMNS.contains(&name.as_str()) {
            let message = format!("column name \"{name}\" conflicts with a system column name");
            return Err(Error::new(SqlState::DUPLICATE_COLUMN, message));
        }
        if let Some(collation) = &column.collation {
            let collation = collation.parts.last().map_or("", |part| part.name.as_str());
            if !matches!(collation, "C" | "POSIX" | "default") {
                return Err(Error::unsupported(format!("collation \"{collation}\" is")));
            }
        }
        let serial = serial_type(&column.ty)?;
        let (ty, typmod) = match serial {
            Some(ty) => (ty, -1),
            None => resolve_type(&column.ty)?,
        };
        if ty.category() == Category::Pseudo || ty == Type::Unknown {
            let message = format!("column \"{name}\" has pseudo-type {}", ty.sql_name());
            return Err(Error::new(SqlState::INVALID_TABLE_DEFINITION, message));
        }
        if column.null && column.not_null {
            let message = format!(
                "conflicting NULL/NOT NULL declarations for column \"{name}\" of table \"{table}\""
            );
            return Err(Error::new(SqlState::SYNTAX_ERROR, message).at(column.name.position));
        }
        if let Some(position) = column.repeated_default {
            let message = format!(
                "multiple default values specified for column \"{name}\" of table \"{table}\""
            );
            return Err(Error::new(SqlState::SYNTAX_ERROR, message).at(position));
        }
        check_one_default(column, serial.is_some(), table)?;
        let wanted = match (&column.identity, serial) {
            (Some(identity), _) => Some(Wanted::identity(identity, ty)?),
            (None, Some(ty)) => Some(Wanted::serial(ty)?),
            (None, None) => None,
        };
        let mut default = None;
        if let Some((expr, text)) = &column.default {
            let catalog = self.txn.catalog();
            let cx = bind_context(self.cx, &catalog);
            let bound = bind_default(expr, name, ty, typmod, &cx)?;
            default = default_text(&bound, text, typmod);
        }
        let def = ColumnDef {
            name: name.clone(),
            ty,
            typmod,
            not_null: column.not_null,
            default,
            identity: None,
            dropped: false,
            missing: None,
        };
        Ok((def, wanted))
    }

    pub(super) async fn create_table_as(
        &mut self,
        target: Target<'_>,
        query: &ast::Query,
        with_data: bool,
    ) -> Result<String> {
        let tag = "CREATE TABLE AS".to_owned();
        let catalog = self.txn.catalog();
        let (schema, name) = new_name(target.name, &catalog, &self.cx.session)?;
        if target.if_not_exists && names::is_relation(&catalog, &schema, &name) {
            let message = format!("relation \"{name}\" already exists, skipping");
            self.notice(SqlState::DUPLICATE_TABLE, message);
            return Ok(tag);
        }
        let (prepared, catalog) = prepare_inner(query, self.txn, self.cx).await?;
        let fields = prepared.fields.as_deref().unwrap_or_default();
        if target.columns.len() > fields.len() {
            return Err(Error::new(
                SqlState::SYNTAX_ERROR,
                "too many column names were specified",
            ));
        }
        let mut columns = Vec::new();
        for (place, field) in fields.iter().enumerate() {
            let given = target.columns.get(place);
            let name = given.map_or(&field.name, |ident| &ident.name).clone();
            if field.ty.category() == Category::Pseudo {
                let message = format!("column \"{name}\" has pseudo-type {}", field.ty.sql_name());
                return Err(Error::new(SqlState::INVALID_TABLE_DEFINITION, message));
            }
            let ident = Ident {
                name: name.clone(),
                position: 0,
            };
            let def = ColumnDef {
                name,
                ty: field.ty,
                typmod: field.typmod,
                not_null: false,
                default: None,
                identity: None,
                dropped: false,
                missing: None,
            };
            add_column(&mut columns, def, &ident)?;
        }
        // The query's rows are those from before the table was there.
        let mut rows = start_inner(&prepared, &catalog, self.txn, self.cx).await?;
        let new = NewTable {
            schema,
            name,
            columns,
            checks: Vec::new(),
            unlogged: false,
            options: Vec::new(),
        };
        let table = create_table(self.txn, new, &self.cx.cancel).await?;
        if !with_data {
            return Ok(tag);
        }
        let heavy = rows.is_heavy();
        let fill = async {
            let mut count = 0u64;
            while let Some(row) = rows.next()? {
                insert(self.txn, &table, row, &self.cx.cancel).await?;
                count += 1;
                if count.is_multiple_of(256) {
                    self.cx.cancel.check()?;
                    tokio::task::yield_now().await;
                }
            }
            Ok(count)
        };
        let count = blocking_polls(heavy, fill).await?;
        Ok(format!("SELECT {count}"))
    }

    /// A table's newest definition.
    pub(super) fn newest(&self, table: &Arc<TableDef>) -> Arc<TableDef> {
        let catalog = self.txn.catalog();
        let newest = catalog.tables.get(&table.oid);
        Arc::clone(newest.unwrap_or(table))
    }
}

/// The integer type behind `serial` and the like, which are no types.
fn serial_type(ty: &ast::TypeName) -> Result<Option<Type>> {
    let [name] = ty.name.parts.as_slice() else {
        return Ok(None);
    };
    let integer = match name.name.as_str() {
        "smallserial" | "serial2" => Type::Int2,
        "serial" | "serial4" => Type::Int4,
        "bigserial" | "serial8" => Type::Int8,
        _ => return Ok(None),
    };
    if ty.array_dimensions > 0 {
        let message = "array of serial is not implemented";
        return Err(Error::new(SqlState::FEATURE_NOT_SUPPORTED, message).at(name.position));
    }
    if !ty.modifiers.is_empty() {
        let integer = integer.sql_name();
        let message = format!("type modifier is not allowed for type \"{integer}\"");
        return Err(Error::new(SqlState::SYNTAX_ERROR, message).at(name.position));
    }
    Ok(Some(integer))
}

/// A column has one source of values that are not given.
fn check_one_default(column: &ast::ColumnDef, is_serial: bool, table: &str) -> Result<()> {
    let name = &column.name.name;
    let wrong = |what: String, at: Option<usize>| {
        let message = format!("{what} column \"{name}\" of table \"{table}\"");
        let error = Error::new(SqlState::SYNTAX_ERROR, message);
        Err(match at {
            Some(at) => error.at(at),
            None => error,
        })
    };
    if let Some(at) = column.repeated_identity {
        return wrong("multiple identity specifications for".into(), Some(at));
    }
    if column.identity.is_some() && (is_serial || column.default.is_some()) {
        let identity = column.identity.as_ref().map(|i| i.position);
        let at = identity.max(column.default_position).filter(|_| !is_serial);
        return wrong("both default and identity specified for".into(), at);
    }
    if is_serial && column.default.is_some() {
        return wrong("multiple default values specified for".into(), None);
    }
    if column.null && (is_serial || column.identity.is_some()) {
        let at = column.identity.as_ref().map(|i| i.position);
        return wrong("conflicting NULL/NOT NULL declarations for".into(), at);
    }
    Ok(())
}

/// The keys that PostgreSQL makes: the primary key first, and none that repeats another's columns
/// and deferral, though it may give that one its name.
fn distinct_keys(constraints: &[&ast::TableConstraint]) -> Vec<ast::TableConstraint> {
    let columns = |constraint: &ast::TableConstraint| match &constraint.kind {
        ConstraintKind::PrimaryKey(columns, deferral)
        | ConstraintKind::Unique(columns, deferral) => {
            let names = columns.iter().map(|c| c.name.clone());
            Some((names.collect::<Vec<_>>(), *deferral))
        }
        _ => None,
    };
    let is_primary = |c: &&&ast::TableConstraint| matches!(c.kind, ConstraintKind::PrimaryKey(..));
    let primary = constraints.iter().filter(is_primary);
    let others = constraints.iter().filter(|c| !is_primary(c));
    let mut keys: Vec<ast::TableConstraint> = Vec::new();
    for &constraint in primary.chain(others) {
        let Some(own) = columns(constraint) else {
            continue;
        };
        match keys
            .iter_mut()
            .find(|key| columns(key).as_ref() == Some(&own))
        {
            Some(prior) if prior.name.is_none() => prior.name.clone_from(&constraint.name),
            Some(_) => {}
            None => keys.push(constraint.clone()),
        }
    }
    keys
}

/// A default as the catalog keeps it: a sequence whose next value it is goes by its OID. NULL is
/// none, unless it is made to fit a type's modifier.
pub(super) fn default_text(bound: &Expr, text: &str, typmod: i32) -> Option<String> {
    if matches!(bound.kind, ExprKind::Const(Datum::Null)) && typmod < 0 {
        return None;
    }
    Some(match next_of(bound) {
        Some(sequence) => format!("nextval({})", SequenceDef::reference(sequence)),
        None => text.to_owned(),
    })
}

/// The sequence whose next value an expression is, casts aside.
fn next_of(expr: &Expr) -> Option<Oid> {
    let ExprKind::Call { function, args } = &expr.kind else {
        return None;
    };
    match (function.name, args.as_slice()) {
        ("nextval", [arg]) => match &arg.kind {
            ExprKind::Const(Datum::Oid(oid)) => Some(Oid(*oid)),
            _ => None,
        },
        // Only casts take a bigint to a smaller type.
        ("int2" | "int4", [arg]) => next_of(arg),
        _ => None,
    }
}

fn add_column(columns: &mut Vec<ColumnDef>, column: ColumnDef, name: &Ident) -> Result<()> {
    if columns.iter().any(|c| c.name == column.name) {
        let message = format!("column \"{}\" specified more than once", column.name);
        return Err(Error::new(SqlState::DUPLICATE_COLUMN, message).at(name.position));
    }
    if columns.len() == crate::table::row::COLUMNS_MAX {
        return Err(Error::new(
            SqlState::TOO_MANY_COLUMNS,
            "tables can have at most 1600 columns",
        ));
    }
    columns.push(column);
    Ok(())
}

fn primary_key_is_not_null(
    constraints: &[&ast::TableConstraint],
    table: &str,
    columns: &mut [ColumnDef],
) -> Result<()> {
    let mut seen = false;
    for constraint in constraints {
        let ConstraintKind::PrimaryKey(key, _) = &constraint.kind else {
            continue;
        };
        if std::mem::replace(&mut seen, true) {
            return Err(constraint::multiple_primary_keys(table));
        }
        for ident in key {
            // A name that does not exist is reported when the key is made.
            if let Some(column) = columns.iter_mut().find(|c| c.name == ident.name) {
                column.not_null = true;
            }
        }
    }
    Ok(())
}

/// Storage parameters have no effect here, but misspelled ones are told.
fn check_options(options: &[(String, String)]) -> Result<()> {
    for (name, value) in options {
        let base = name.strip_prefix("toast.").unwrap_or(name);
        let known = matches!(
            base,
            "fillfactor"
                | "parallel_workers"
                | "user_catalog_table"
                | "toast_tuple_target"
                | "vacuum_truncate"
                | "vacuum_index_cleanup"
                | "log_autovacuum_min_duration"
                | "oids"
        ) || base.starts_with("autovacuum_");
        if !known {
            let message = format!("unrecognized parameter \"{name}\"");
            return Err(Error::new(SqlState::INVALID_PARAMETER_VALUE, message));
        }
        match base {
            "fillfactor" => check_number(base, value, 10, 100)?,
            "parallel_workers" => check_number(base, value, 0, 1024)?,
            "toast_tuple_target" => check_number(base, value, 128, 8160)?,
            _ => {}
        }
    }
    Ok(())
}

fn check_number(name: &str, value: &str, least: i64, most: i64) -> Result<()> {
    let wrong = |message| Error::new(SqlState::INVALID_PARAMETER_VALUE, message);
    let number: i64 = value.parse().map_err(|_| {
        wrong(format!(
            "invalid value for integer option \"{name}\": {value}"
        ))
    })?;
    if (least..=most).contains(&number) {
        return Ok(());
    }
    let message = format!("value {value} out of bounds for option \"{name}\"");
    let detail = format!("Valid values are between \"{least}\" and \"{most}\".");
    Err(wrong(message).with_detail(detail))
}
