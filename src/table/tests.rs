use std::cmp::Ordering;
use std::sync::Arc;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use crate::base::{Oid, TreeId};
use crate::table::key::IndexKey;
use crate::table::{ColumnDef, Deferral, IndexColumn, IndexDef, Layout, TableDef};
use crate::types::{self, Datum, Format, Type};

fn column(name: &str, ty: Type) -> ColumnDef {
    ColumnDef {
        name: name.into(),
        ty,
        typmod: -1,
        not_null: false,
        default: None,
        identity: None,
        dropped: false,
        missing: None,
    }
}

fn key_column(column: usize, descending: bool, nulls_first: bool) -> IndexColumn {
    IndexColumn {
        column,
        descending,
        nulls_first,
    }
}

fn text(s: &str, ty: Type) -> Datum {
    types::text_in(ty, -1, s, &Format::default()).unwrap()
}

fn show(ty: Type, value: &Datum) -> String {
    let mut out = Vec::new();
    match value.is_null() {
        true => return "NULL".into(),
        false => types::text_out(ty, value, &Format::default(), &mut out),
    }
    String::from_utf8(out).unwrap()
}

/// Values of every type that can be stored, in ascending order.
fn samples() -> Vec<(Type, Vec<&'static str>)> {
    vec![
        (Type::Bool, vec!["f", "t"]),
        (Type::Int2, vec!["-32768", "-1", "0", "1", "32767"]),
        (
            Type::Int4,
            vec!["-2147483648", "-1", "0", "255", "256", "2147483647"],
        ),
        (
            Type::Int8,
            vec!["-9223372036854775808", "-1", "0", "9223372036854775807"],
        ),
        (Type::Oid, vec!["0", "1", "4294967295"]),
        (
            Type::Float4,
            vec!["-Infinity", "-1.5", "0", "1e-30", "2", "Infinity", "NaN"],
        ),
        (
            Type::Float8,
            vec![
                "-Infinity",
                "-2",
                "-1e-300",
                "0",
                "1",
                "1e300",
                "Infinity",
                "NaN",
            ],
        ),
        (
            Type::Text,
            vec!["", "\u{1}", "a", "a\u{1}", "aa", "ab", "b", "ä"],
        ),
        (Type::Varchar, vec!["", "x", "y"]),
        (Type::Bpchar, vec!["a", "a b", "b"]),
        (
            Type::Bytea,
            vec![
                "\\x", "\\x00", "\\x0000", "\\x0001", "\\x01", "\\x01ff", "\\xff",
            ],
        ),
        (
            Type::Date,
            vec![
                "-infinity",
                "4713-01-01 BC",
                "2000-01-01",
                "2026-11-22",
                "infinity",
            ],
        ),
        (
            Type::Timestamp,
            vec![
                "-infinity",
                "1999-12-31 23:59:59.999999",
                "2000-01-01",
                "infinity",
            ],
        ),
        (
            Type::Timestamptz,
            vec!["1970-01-01 00:00+00", "2026-11-22 12:00+00"],
        ),
        (
            Type::Numeric,
            vec![
                "-Infinity",
                "-100.5",
                "-100",
                "-99",
                "-1.01",
                "-1",
                "-0.001",
                "0",
                "0.00001",
                "0.1",
                "0.11",
                "1",
                "1.0000001",
                "9",
                "10",
                "11",
                "99.99",
                "100",
                "1e30",
                "Infinity",
                "NaN",
            ],
        ),
    ]
}

fn table(columns: Vec<ColumnDef>, indexes: Vec<IndexDef>) -> TableDef {
    TableDef {
        oid: Oid(1),
        schema: "public".into(),
        name: "t".into(),
        tree: TreeId(100),
        layout: Layout::of(&columns).unwrap(),
        columns,
        indexes: indexes.into_iter().map(Arc::new).collect(),
        checks: Vec::new(),
        foreign_keys: Vec::new(),
        unlogged: false,
        options: Vec::new(),
        state: Arc::default(),
    }
}

fn index(columns: Vec<IndexColumn>, unique: bool) -> IndexDef {
    IndexDef {
        oid: Oid(2),
        name: "i".into(),
        tree: TreeId(101),
        columns,
        unique,
        deferral: Deferral::default(),
        primary: false,
        constraint: false,
    }
}

#[test]
fn rows_of_every_type_come_back_as_they_went_in() {
    let seed: u64 = std::env::var("SEED")
        .ok()
        .map_or_else(rand::random, |s| s.parse().unwrap());
    println!("SEED={seed}");
    let mut rng = StdRng::seed_from_u64(seed);
    let samples = samples();
    for _ in 0..300 {
        let count = rng.random_range(0..20);
        let kinds: Vec<usize> = (0..count)
            .map(|_| rng.random_range(0..samples.len()))
            .collect();
        let columns: Vec<_> = kinds.iter().map(|&k| column("c", samples[k].0)).collect();
        let mut row: Vec<Datum> = kinds
            .iter()
            .map(|&k| match rng.random_ratio(1, 5) {
                true => Datum::Null,
                false => text(
                    samples[k].1[rng.random_range(0..samples[k].1.len())],
                    samples[k].0,
                ),
            })
            .collect();
        // Now and then a row beyond 64 KiB, whose offsets are wider.
        if let Some(big) = columns.iter().position(|c| c.ty == Type::Text)
            && rng.random_ratio(1, 3)
        {
            row[big] = Datum::text("x".repeat(70_000));
        }
        let layout = Layout::of(&columns).unwrap();
        let mut bytes = Vec::new();
        layout.encode(7, &row, &mut bytes).unwrap();
        let mut back = vec![Datum::Null; columns.len()];
        let all: Vec<usize> = (0..columns.len()).collect();
        layout.decode(&bytes, &all, &mut back).unwrap();
        for ((column, a), b) in columns.iter().zip(&row).zip(&back) {
            assert_eq!(show(column.ty, a), show(column.ty, b));
        }
        // Cut anywhere, it is an error or a row, never a panic.
        for len in 0..bytes.len().min(300) {
            let _ = layout.decode(&bytes[..len], &all, &mut back);
        }
    }
}

#[test]
fn a_row_from_before_a_column_was_added_shows_the_columns_missing_value() {
    let old = vec![column("a", Type::Int4), column("b", Type::Text)];
    let mut bytes = Vec::new();
    Layout::of(&old)
        .unwrap()
        .encode(7, &[Datum::Int4(7), Datum::text("x")], &mut bytes)
        .unwrap();
    let mut new = old;
    new.push(ColumnDef {
        missing: Some("42".into()),
        ..column("c", Type::Int8)
    });
    new.push(column("d", Type::Text));
    let mut row = vec![Datum::Bool(true); 4];
    Layout::of(&new)
        .unwrap()
        .decode(&bytes, &[0, 1, 2, 3], &mut row)
        .unwrap();
    let shown: Vec<_> = new.iter().zip(&row).map(|(c, v)| show(c.ty, v)).collect();
    assert_eq!(shown, ["7", "x", "42", "NULL"]);
}

#[test]
fn keys_sort_as_their_values_do_in_every_direction() {
    for (ty, values) in samples() {
        for (descending, nulls_first) in
            [(false, false), (false, true), (true, true), (true, false)]
        {
            let table = table(
                vec![column("a", ty), column("b", Type::Int4)],
                vec![index(
                    vec![
                        key_column(0, descending, nulls_first),
                        key_column(1, false, false),
                    ],
                    false,
                )],
            );
            let mut values: Vec<Datum> = values.iter().map(|v| text(v, ty)).collect();
            values.push(Datum::Null);
            let key = |v: &Datum, n: i32| {
                let row = [v.clone(), Datum::Int4(n)];
                IndexKey::of(&table, &table.indexes[0], &row).unwrap().key
            };
            for (i, a) in values.iter().enumerate() {
                for (j, b) in values.iter().enumerate() {
                    let expected = match (a.is_null(), b.is_null()) {
                        (true, true) => Ordering::Equal,
                        (false, false) if descending => j.cmp(&i),
                        (false, false) => i.cmp(&j),
                        (true, false) if nulls_first => Ordering::Less,
                        (true, false) => Ordering::Greater,
                        (false, true) if nulls_first => Ordering::Greater,
                        (false, true) => Ordering::Less,
                    };
                    // The second column decides only between equal first ones.
                    assert_eq!(key(a, 5).cmp(&key(b, 5)), expected, "{ty:?} {a:?} {b:?}");
                    if expected != Ordering::Equal {
                        assert_eq!(key(a, 9).cmp(&key(b, -9)), expected, "{ty:?} {a:?} {b:?}");
                    }
                }
            }
        }
    }
    let one = |s: &str| {
        let table = table(
            vec![column("a", Type::Numeric)],
            vec![index(vec![key_column(0, false, false)], false)],
        );
        IndexKey::of(&table, &table.indexes[0], &[text(s, Type::Numeric)])
            .unwrap()
            .key
    };
    assert_eq!(one("1.50"), one("1.5"), "equal numbers have equal keys");
    assert_eq!(one("100"), one("1e2"));
}
