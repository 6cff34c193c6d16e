//! The relations of a catalog with two tables, one of which refers to the other.

use std::sync::Arc;

use super::*;
use crate::base::{Oid, TreeId};
use crate::sql::context::SessionInfo;
use crate::sql::func::EvalContext;
use crate::table::{
    Catalog, CheckDef, ColumnDef, ForeignKeyDef, IndexColumn, IndexDef, KeyAction, TableDef,
};
use crate::types::{Format, Type};

fn column(name: &str, ty: Type, typmod: i32) -> ColumnDef {
    ColumnDef {
        name: name.to_owned(),
        ty,
        typmod,
        not_null: name == "id",
        default: (name == "note").then(|| "'x'::text".to_owned()),
        identity: None,
        dropped: name == "gone",
        missing: None,
    }
}

fn index(oid: u32, name: &str, columns: &[(usize, bool)], primary: bool) -> Arc<IndexDef> {
    Arc::new(IndexDef {
        oid: Oid(oid),
        name: name.to_owned(),
        tree: TreeId(oid),
        columns: columns
            .iter()
            .map(|&(column, descending)| IndexColumn {
                column,
                descending,
                nulls_first: descending,
            })
            .collect(),
        unique: primary,
        primary,
        constraint: primary,
    })
}

fn table(oid: u32, name: &str, columns: Vec<ColumnDef>, indexes: Vec<Arc<IndexDef>>) -> TableDef {
    TableDef {
        layout: crate::table::Layout::of(&columns).expect("a layout"),
        state: Arc::default(),
        oid: Oid(oid),
        schema: "public".to_owned(),
        name: name.to_owned(),
        tree: TreeId(oid),
        columns,
        indexes,
        checks: Vec::new(),
        foreign_keys: Vec::new(),
        unlogged: false,
        options: Vec::new(),
    }
}

fn catalog() -> Catalog {
    let customers = table(
        16384,
        "customers",
        vec![
            column("id", Type::Int4, -1),
            column("gone", Type::Text, -1),
            column("Name", Type::Varchar, 14),
            column("note", Type::Text, -1),
        ],
        vec![
            index(16385, "customers_pkey", &[(0, false)], true),
            index(16386, "by_name", &[(2, true), (0, false)], false),
        ],
    );
    let mut orders = table(
        16390,
        "orders",
        vec![
            column("id", Type::Int8, -1),
            column("customer", Type::Int4, -1),
        ],
        Vec::new(),
    );
    orders.checks.push(CheckDef {
        oid: Oid(16391),
        name: "positive".to_owned(),
        expr: "id > 0".to_owned(),
    });
    orders.foreign_keys.push(Arc::new(ForeignKeyDef {
        oid: Oid(16392),
        name: "orders_customer_fkey".to_owned(),
        columns: vec![1],
        table: Oid(16384),
        references: vec![0],
        index: Oid(16385),
        match_full: false,
        on_delete: KeyAction::NoAction,
        on_update: KeyAction::NoAction,
        delete_sets: Vec::new(),
        deferrable: false,
        initially_deferred: false,
        validated: true,
    }));
    let mut catalog = Catalog {
        schemas: vec![(Oid(2200), "public".to_owned())],
        ..Catalog::default()
    };
    for table in [customers, orders] {
        let referrers = table.foreign_keys.iter().map(|key| (key.table, table.oid));
        catalog.referrers.extend(referrers);
        catalog
            .by_name
            .insert((table.schema.clone(), table.name.clone()), table.oid);
        catalog.tables.insert(table.oid, Arc::new(table));
    }
    catalog
}

fn with_context<T>(f: impl FnOnce(&EvalContext<'_>) -> T) -> T {
    let session = SessionInfo {
        user: "alice".to_owned(),
        database: "shop".to_owned(),
        database_oid: crate::base::Oid(5),
        search_path: vec!["public".to_owned()],
        backend_pid: 1,
        server_version: "15.0",
        settings: vec![("search_path".to_owned(), "public".to_owned())],
        changes: crate::sql::context::SettingChanges::none(),
        server: None,
        backend: None,
    };
    f(&EvalContext {
        format: &Format::default(),
        session: &session,
        catalog: &catalog(),
        params: &[],
    })
}

/// Whether a datum can be of the type.
fn holds(ty: Type, datum: &Datum) -> bool {
    match datum {
        Datum::Null => true,
        Datum::Bool(_) => ty == Type::Bool,
        Datum::Lsn(_) => ty == Type::PgLsn,
        Datum::Int2(_) => ty == Type::Int2,
        Datum::Int4(_) => ty == Type::Int4,
        Datum::Int8(_) => ty == Type::Int8,
        Datum::Oid(_) => matches!(ty, Type::Oid | Type::Regproc),
        Datum::Float4(_) => ty == Type::Float4,
        Datum::Char(_) => ty == Type::Char,
        Datum::Text(_) => ty.is_text(),
        Datum::Array(array) => ty
            .element()
            .is_some_and(|ty| array.elements.iter().all(|e| holds(ty, e))),
        _ => false,
    }
}

#[test]
fn rows_fit_the_columns_of_their_relation() {
    with_context(|cx| {
        for relation in relations() {
            for row in (relation.rows)(cx) {
                assert_eq!(row.len(), relation.columns.len(), "{}", relation.name);
                for ((name, ty), datum) in relation.columns.iter().zip(&row) {
                    assert!(holds(*ty, datum), "{}.{name} = {datum:?}", relation.name);
                }
            }
        }
    });
}

/// The values of a column, as debug text, of rows where another column has a value.
fn select(relation_name: &str, column: &str, key: &str, value: &Datum) -> Vec<String> {
    let relation = RELATIONS.iter().find(|r| r.name == relation_name).unwrap();
    let place = |name| {
        relation
            .columns
            .iter()
            .position(|(n, _)| *n == name)
            .unwrap()
    };
    with_context(|cx| {
        let wanted = format!("{value:?}");
        (relation.rows)(cx)
            .iter()
            .filter(|row| format!("{:?}", row[place(key)]) == wanted)
            .map(|row| format!("{:?}", row[place(column)]))
            .collect()
    })
}

#[test]
fn a_table_is_described_with_columns_indexes_and_constraints() {
    let orders = Datum::Oid(16390);
    let customers = Datum::Oid(16384);
    assert_eq!(
        select("pg_class", "relname", "oid", &customers),
        ["Text(\"customers\")"]
    );
    assert_eq!(
        select("pg_class", "relhastriggers", "oid", &customers),
        ["Bool(true)"]
    );
    assert_eq!(
        select("pg_attribute", "attname", "attrelid", &customers),
        [
            "Text(\"id\")",
            "Text(\"........pg.dropped.2........\")",
            "Text(\"Name\")",
            "Text(\"note\")"
        ]
    );
    assert_eq!(
        select("pg_attrdef", "adnum", "adrelid", &customers),
        ["Int2(4)"]
    );
    assert_eq!(
        select("pg_constraint", "conname", "conrelid", &orders),
        ["Text(\"positive\")", "Text(\"orders_customer_fkey\")"]
    );
    assert_eq!(
        select(
            "pg_constraint",
            "conindid",
            "conname",
            &Datum::text("orders_customer_fkey")
        ),
        ["Oid(16385)"]
    );
    assert_eq!(
        select(
            "columns",
            "character_maximum_length",
            "column_name",
            &Datum::text("Name")
        ),
        ["Int4(10)"]
    );
}

#[test]
fn definitions_are_written_as_sql() {
    let text = |datum| match datum {
        Datum::Text(s) => s,
        other => panic!("{other:?}"),
    };
    with_context(|cx| {
        assert_eq!(
            text(definitions::index(cx, 16386, 0, false)),
            "CREATE INDEX by_name ON public.customers USING btree (\"Name\" DESC, id)"
        );
        assert_eq!(
            text(definitions::index(cx, 16385, 0, true)),
            "CREATE UNIQUE INDEX customers_pkey ON customers USING btree (id)"
        );
        assert_eq!(text(definitions::index(cx, 16386, 1, false)), "\"Name\"");
        assert_eq!(
            text(definitions::constraint(cx, 16385, false)),
            "PRIMARY KEY (id)"
        );
        assert_eq!(
            text(definitions::constraint(cx, 16391, false)),
            "CHECK ((id > 0))"
        );
        assert_eq!(
            text(definitions::constraint(cx, 16392, true)),
            "FOREIGN KEY (customer) REFERENCES customers(id)"
        );
        assert!(definitions::constraint(cx, 1, true).is_null());
    });
}

#[test]
fn names_resolve_through_the_search_path() {
    with_context(|cx| {
        let oid = |name: &str| {
            names::resolve(cx, name)
                .map(|r| r.oid())
                .map_err(|e| e.report().message)
        };
        assert_eq!(oid("customers"), Ok(16384));
        assert_eq!(oid("CUSTOMERS_PKEY"), Ok(16385));
        assert_eq!(oid("public . \"customers\""), Ok(16384));
        assert_eq!(oid("shop.public.orders"), Ok(16390));
        assert_eq!(oid("pg_class"), Ok(1259));
        assert_eq!(
            oid("\"Customers\""),
            Err("relation \"Customers\" does not exist".to_owned())
        );
        assert_eq!(oid("a..b"), Err("invalid name syntax".to_owned()));
    });
}

#[test]
fn every_type_has_a_row_and_functions_with_names() {
    let with_row: Vec<String> = with_context(|cx| {
        types::pg_type(cx)
            .iter()
            .map(|row| format!("{:?}", row[1]))
            .collect()
    });
    for ty in Type::all() {
        assert!(
            with_row.contains(&format!("{:?}", Datum::text(ty.name()))),
            "{ty:?}"
        );
    }
    with_context(|cx| {
        for row in types::pg_type(cx) {
            for datum in &row[15..22] {
                if let Datum::Oid(oid @ 1..) = datum {
                    assert!(procs::name(*oid).is_some(), "{:?}: {oid}", row[1]);
                }
            }
        }
    });
}

#[test]
fn commutators_and_negators_have_rows() {
    let rows = with_context(builtins::pg_operator);
    let oids: Vec<String> = rows.iter().map(|row| format!("{:?}", row[0])).collect();
    assert!(rows.iter().any(|row| !matches!(row[11], Datum::Oid(0))));
    for row in &rows {
        for reference in [&row[10], &row[11]] {
            if !matches!(reference, Datum::Oid(0)) {
                assert!(oids.contains(&format!("{reference:?}")), "{:?}", row[1]);
            }
        }
    }
}
