//! pg_type.

use crate::sql::func::EvalContext;
use crate::types::{Datum, Type};

use super::Rows;
use super::names::PG_CATALOG_OID;
use super::roles::ROLE_OID;
use super::values::{NULL, boolean, int2, int4, letter, oid, text};

type Row = (&'static str, bool, u8, u8, u8, u8, u32, [u32; 8]);

/// Every type has a row; a test holds that.
fn row(ty: Type) -> Option<&'static Row> {
    TYPES.iter().find(|row| row.0 == ty.name())
}

/// Passed by value, alignment, storage and collation, which `pg_attribute` repeats.
pub(super) fn physical(ty: Type) -> (bool, u8, u8, u32) {
    row(ty).map_or((false, b'i', b'x', 0), |r| (r.1, r.2, r.3, r.6))
}

pub(super) fn pg_type(_: &EvalContext<'_>) -> Rows {
    Type::all()
        .chain([Type::Any])
        .filter_map(|ty| row(ty).map(|r| pg_type_row(ty, r)))
        .collect()
}

fn pg_type_row(ty: Type, row: &Row) -> Vec<Datum> {
    let &(name, by_value, align, storage, kind, category, collation, functions) = row;
    let [
        subscript,
        input,
        output,
        receive,
        send,
        modifier_in,
        modifier_out,
        analyze,
    ] = functions;
    // A name can be subscripted: its elements are "char".
    let element = if ty == Type::Name {
        Some(Type::Char)
    } else {
        ty.element()
    };
    vec![
        oid(ty.oid().0),
        text(name),
        oid(PG_CATALOG_OID),
        oid(ROLE_OID),
        int2(ty.len()),
        boolean(by_value),
        letter(kind),
        letter(category),
        boolean(ty.is_preferred()),
        boolean(true), // typisdefined
        letter(b','),  // typdelim
        oid(0),        // typrelid
        oid(subscript),
        oid(element.map_or(0, |ty| ty.oid().0)),
        oid(ty.array().map_or(0, |ty| ty.oid().0)),
        oid(input),
        oid(output),
        oid(receive),
        oid(send),
        oid(modifier_in),
        oid(modifier_out),
        oid(analyze),
        letter(align),
        letter(storage),
        boolean(false), // typnotnull
        oid(0),         // typbasetype
        int4(-1),       // typtypmod
        int4(0),        // typndims
        oid(collation),
        NULL, // typdefaultbin
        NULL, // typdefault
        NULL, // typacl
    ]
}

/// One row per type, by name: passed by value, alignment, storage, kind, category, collation, and the
/// functions: subscript, input, output, receive, send, typmodin, typmodout, analyze.
#[rustfmt::skip]
static TYPES: &[Row] = &[
    ("bool", true, b'c', b'p', b'b', b'B', 0, [0, 1242, 1243, 2436, 2437, 0, 0, 0]),
    ("bytea", false, b'i', b'x', b'b', b'U', 0, [0, 1244, 31, 2412, 2413, 0, 0, 0]),
    ("char", true, b'c', b'p', b'b', b'Z', 0, [0, 1245, 33, 2434, 2435, 0, 0, 0]),
    ("name", false, b'c', b'p', b'b', b'S', 950, [6180, 34, 35, 2422, 2423, 0, 0, 0]),
    ("int8", true, b'd', b'p', b'b', b'N', 0, [0, 460, 461, 2408, 2409, 0, 0, 0]),
    ("int2", true, b's', b'p', b'b', b'N', 0, [0, 38, 39, 2404, 2405, 0, 0, 0]),
    ("int4", true, b'i', b'p', b'b', b'N', 0, [0, 42, 43, 2406, 2407, 0, 0, 0]),
    ("regproc", true, b'i', b'p', b'b', b'N', 0, [0, 44, 45, 2444, 2445, 0, 0, 0]),
    ("text", false, b'i', b'x', b'b', b'S', 100, [0, 46, 47, 2414, 2415, 0, 0, 0]),
    ("oid", true, b'i', b'p', b'b', b'N', 0, [0, 1798, 1799, 2418, 2419, 0, 0, 0]),
    ("float4", true, b'i', b'p', b'b', b'N', 0, [0, 200, 201, 2424, 2425, 0, 0, 0]),
    ("float8", true, b'd', b'p', b'b', b'N', 0, [0, 214, 215, 2426, 2427, 0, 0, 0]),
    ("unknown", false, b'c', b'p', b'p', b'X', 0, [0, 109, 110, 2416, 2417, 0, 0, 0]),
    ("_bool", false, b'i', b'x', b'b', b'A', 0, [6179, 750, 751, 2400, 2401, 0, 0, 3816]),
    ("_bytea", false, b'i', b'x', b'b', b'A', 0, [6179, 750, 751, 2400, 2401, 0, 0, 3816]),
    ("_char", false, b'i', b'x', b'b', b'A', 0, [6179, 750, 751, 2400, 2401, 0, 0, 3816]),
    ("_name", false, b'i', b'x', b'b', b'A', 950, [6179, 750, 751, 2400, 2401, 0, 0, 3816]),
    ("_int2", false, b'i', b'x', b'b', b'A', 0, [6179, 750, 751, 2400, 2401, 0, 0, 3816]),
    ("_int4", false, b'i', b'x', b'b', b'A', 0, [6179, 750, 751, 2400, 2401, 0, 0, 3816]),
    ("_text", false, b'i', b'x', b'b', b'A', 100, [6179, 750, 751, 2400, 2401, 0, 0, 3816]),
    ("_bpchar", false, b'i', b'x', b'b', b'A', 100, [6179, 750, 751, 2400, 2401, 2913, 2914, 3816]),
    ("_varchar", false, b'i', b'x', b'b', b'A', 100, [6179, 750, 751, 2400, 2401, 2915, 2916, 3816]),
    ("_int8", false, b'd', b'x', b'b', b'A', 0, [6179, 750, 751, 2400, 2401, 0, 0, 3816]),
    ("_float4", false, b'i', b'x', b'b', b'A', 0, [6179, 750, 751, 2400, 2401, 0, 0, 3816]),
    ("_float8", false, b'd', b'x', b'b', b'A', 0, [6179, 750, 751, 2400, 2401, 0, 0, 3816]),
    ("_oid", false, b'i', b'x', b'b', b'A', 0, [6179, 750, 751, 2400, 2401, 0, 0, 3816]),
    ("bpchar", false, b'i', b'x', b'b', b'S', 100, [0, 1044, 1045, 2430, 2431, 2913, 2914, 0]),
    ("varchar", false, b'i', b'x', b'b', b'S', 100, [0, 1046, 1047, 2432, 2433, 2915, 2916, 0]),
    ("date", true, b'i', b'p', b'b', b'D', 0, [0, 1084, 1085, 2468, 2469, 0, 0, 0]),
    ("timestamp", true, b'd', b'p', b'b', b'D', 0, [0, 1312, 1313, 2474, 2475, 2905, 2906, 0]),
    ("_timestamp", false, b'd', b'x', b'b', b'A', 0, [6179, 750, 751, 2400, 2401, 2905, 2906, 3816]),
    ("_date", false, b'i', b'x', b'b', b'A', 0, [6179, 750, 751, 2400, 2401, 0, 0, 3816]),
    ("timestamptz", true, b'd', b'p', b'b', b'D', 0, [0, 1150, 1151, 2476, 2477, 2907, 2908, 0]),
    ("_timestamptz", false, b'd', b'x', b'b', b'A', 0, [6179, 750, 751, 2400, 2401, 2907, 2908, 3816]),
    ("_numeric", false, b'i', b'x', b'b', b'A', 0, [6179, 750, 751, 2400, 2401, 2917, 2918, 3816]),
    ("numeric", false, b'i', b'm', b'b', b'N', 0, [0, 1701, 1702, 2460, 2461, 2917, 2918, 0]),
    ("regclass", true, b'i', b'p', b'b', b'N', 0, [0, 2218, 2219, 2452, 2453, 0, 0, 0]),
    ("regnamespace", true, b'i', b'p', b'b', b'N', 0, [0, 4084, 4085, 4087, 4088, 0, 0, 0]),
    ("regtype", true, b'i', b'p', b'b', b'N', 0, [0, 2220, 2221, 2454, 2455, 0, 0, 0]),
    ("pg_lsn", true, b'd', b'p', b'b', b'U', 0, [0, 3229, 3230, 3238, 3239, 0, 0, 0]),
    ("_pg_lsn", false, b'd', b'x', b'b', b'A', 0, [6179, 750, 751, 2400, 2401, 0, 0, 3816]),
    ("record", false, b'd', b'x', b'p', b'P', 0, [0, 2290, 2291, 2402, 2403, 0, 0, 0]),
    ("any", true, b'i', b'p', b'p', b'P', 0, [0, 2294, 2295, 0, 0, 0, 0, 0]),
    ("anyarray", false, b'd', b'x', b'p', b'P', 0, [0, 2296, 2297, 2502, 2503, 0, 0, 0]),
    ("void", true, b'i', b'p', b'p', b'P', 0, [0, 2298, 2299, 3120, 3121, 0, 0, 0]),
    ("anyelement", true, b'i', b'p', b'p', b'P', 0, [0, 2312, 2313, 0, 0, 0, 0, 0]),
];
