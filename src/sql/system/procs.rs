//! Functions and their OIDs.

use std::sync::LazyLock;

use rustc_hash::FxHashMap;

use crate::base::{Error, Oid, Result, SqlState};
use crate::sql::func::{
    Aggregate, Eval, EvalContext, Function, Volatility, all_aggregates, all_functions, functions,
};
use crate::types::{Datum, Type, format_type};

use super::Rows;
use super::names::PG_CATALOG_OID;
use super::roles::ROLE_OID;
use super::values::{NULL, array, boolean, count2, int2, letter, oid as oid_datum, text};

pub(super) const INTERNAL_LANGUAGE_OID: u32 = 12;
const FIRST_FUNCTION_OID: u32 = 10000;
const FIRST_AGGREGATE_OID: u32 = 11500;

/// OIDs by name and arguments.
static OIDS: LazyLock<FxHashMap<(&str, &[Type]), u32>> = LazyLock::new(|| {
    let numbered = all_functions().iter().zip(FIRST_FUNCTION_OID..);
    numbered.map(|(f, oid)| ((f.name, f.args), oid)).collect()
});

/// 0 for code that is no function of its own.
pub(super) fn oid(function: &Function) -> u32 {
    OIDS.get(&(function.name, function.args))
        .copied()
        .unwrap_or(0)
}

/// The name of a function, by OID.
pub(crate) fn name(oid: u32) -> Option<&'static str> {
    Some(match called(oid)? {
        Called::Function(f) => f.name,
        Called::Aggregate(a) => a.name,
        Called::Internal(f) => f.1,
    })
}

/// The result of a function as psql shows it.
pub(crate) fn result(oid: u32) -> Option<String> {
    let (returns, set) = match called(oid)? {
        Called::Function(f) => (f.returns.oid().0, matches!(f.eval, Eval::Set(_))),
        Called::Aggregate(a) => (a.returns.oid().0, false),
        Called::Internal(f) => (f.2, false),
    };
    let set = if set { "SETOF " } else { "" };
    Some(format!("{set}{}", type_name(returns)))
}

/// The argument types of a function as psql shows them.
pub(crate) fn arguments(oid: u32) -> Option<String> {
    let (args, variadic): (Vec<u32>, bool) = match called(oid)? {
        Called::Function(f) => (f.args.iter().map(|ty| ty.oid().0).collect(), f.variadic),
        Called::Aggregate(a) => (a.args.iter().map(|ty| ty.oid().0).collect(), false),
        Called::Internal(f) => (f.3.to_vec(), false),
    };
    let last = args.len().saturating_sub(1);
    let shown = args.iter().enumerate().map(|(i, ty)| {
        let mode = if variadic && i == last {
            "VARIADIC "
        } else {
            ""
        };
        format!("{mode}{}", type_name(*ty))
    });
    Some(shown.collect::<Vec<_>>().join(", "))
}

fn type_name(oid: u32) -> String {
    match Type::from_oid(Oid(oid)) {
        // Quoted as a word of the grammar.
        Some(Type::Any) => "\"any\"".to_owned(),
        Some(ty) => format_type(ty, -1),
        // Pseudo-types of the internal functions below.
        None => match oid {
            269 => "table_am_handler",
            325 => "index_am_handler",
            2275 => "cstring",
            2281 => "internal",
            _ => "???",
        }
        .to_owned(),
    }
}

enum Called {
    Function(&'static Function),
    Aggregate(&'static Aggregate),
    Internal(&'static Internal),
}

fn called(oid: u32) -> Option<Called> {
    let at = |first: u32| oid.checked_sub(first).and_then(|n| usize::try_from(n).ok());
    let function = at(FIRST_FUNCTION_OID).and_then(|n| all_functions().get(n));
    let aggregate = || at(FIRST_AGGREGATE_OID).and_then(|n| all_aggregates().nth(n));
    let internal = || INTERNAL.iter().find(|f| f.0 == oid);
    function
        .map(|f| Called::Function(f))
        .or_else(|| aggregate().map(Called::Aggregate))
        .or_else(|| internal().map(Called::Internal))
}

/// The only function of a name, as the input of regproc has it.
pub(crate) fn resolve(parts: &[String], written: &str) -> Result<u32> {
    let undefined = || {
        Error::new(
            SqlState::UNDEFINED_FUNCTION,
            format!("function \"{written}\" does not exist"),
        )
    };
    let name = match parts {
        [name] => name,
        [schema, name] if schema == "pg_catalog" => name,
        _ => return Err(undefined()),
    };
    let aggregates = all_aggregates().zip(FIRST_AGGREGATE_OID..);
    let found: Vec<u32> = functions(name)
        .map(oid)
        .chain(
            aggregates
                .filter(|(a, _)| a.name == name)
                .map(|(_, oid)| oid),
        )
        .chain(INTERNAL.iter().filter(|f| f.1 == name).map(|f| f.0))
        .collect();
    match found.as_slice() {
        [oid] => Ok(*oid),
        [] => Err(undefined()),
        _ => Err(Error::new(
            SqlState::AMBIGUOUS_FUNCTION,
            format!("more than one function named \"{written}\""),
        )),
    }
}

/// What differs between the rows of `pg_proc`.
struct Proc<'a> {
    oid: u32,
    name: &'a str,
    kind: u8,
    args: Vec<u32>,
    variadic: bool,
    returns: u32,
    set: bool,
    strict: bool,
    volatility: u8,
}

pub(super) fn pg_proc(_: &EvalContext<'_>) -> Rows {
    let oids = |types: &[Type]| types.iter().map(|ty| ty.oid().0).collect();
    let functions = all_functions()
        .iter()
        .zip(FIRST_FUNCTION_OID..)
        .map(|(f, oid)| {
            row(&Proc {
                oid,
                name: f.name,
                kind: b'f',
                args: oids(f.args),
                variadic: f.variadic,
                returns: f.returns.oid().0,
                set: matches!(f.eval, Eval::Set(_)),
                strict: f.strict,
                volatility: match f.volatility {
                    Volatility::Immutable => b'i',
                    Volatility::Stable => b's',
                    Volatility::Volatile => b'v',
                },
            })
        });
    let aggregates = all_aggregates().zip(FIRST_AGGREGATE_OID..).map(|(a, oid)| {
        row(&Proc {
            oid,
            name: a.name,
            kind: b'a',
            args: oids(a.args),
            variadic: false,
            returns: a.returns.oid().0,
            set: false,
            strict: false,
            volatility: b'i',
        })
    });
    let internal = INTERNAL
        .iter()
        .map(|&(oid, name, returns, args, volatility, strict)| {
            row(&Proc {
                oid,
                name,
                kind: b'f',
                args: args.to_vec(),
                variadic: false,
                returns,
                set: false,
                strict,
                volatility,
            })
        });
    functions.chain(aggregates).chain(internal).collect()
}

fn row(proc: &Proc<'_>) -> Vec<Datum> {
    let oids = || array(proc.args.iter().map(|&arg| oid_datum(arg)));
    let last = proc.args.len().saturating_sub(1);
    let modes = (0..proc.args.len()).map(|i| letter(if i == last { b'v' } else { b'i' }));
    vec![
        oid_datum(proc.oid),
        text(proc.name),
        oid_datum(PG_CATALOG_OID),
        oid_datum(ROLE_OID),
        oid_datum(INTERNAL_LANGUAGE_OID),
        Datum::Float4(1.0),
        Datum::Float4(if proc.set { 1000.0 } else { 0.0 }),
        oid_datum(if proc.variadic { proc.args[last] } else { 0 }),
        oid_datum(0), // prosupport
        letter(proc.kind),
        boolean(false), // prosecdef
        boolean(false), // proleakproof
        boolean(proc.strict),
        boolean(proc.set),
        letter(proc.volatility),
        letter(b's'), // proparallel
        count2(proc.args.len()),
        int2(0), // pronargdefaults
        oid_datum(proc.returns),
        oids(),
        if proc.variadic { oids() } else { NULL },
        if proc.variadic { array(modes) } else { NULL },
        NULL, // proargnames
        NULL, // proargdefaults
        NULL, // protrftypes
        text(proc.name),
        NULL, // probin
        NULL, // prosqlbody
        NULL, // proconfig
        NULL, // proacl
    ]
}

type Internal = (u32, &'static str, u32, &'static [u32], u8, bool);

/// Functions that `pg_type` and `pg_am` name and SQL cannot call here: OID, name, result, arguments,
/// volatility, strict.
#[rustfmt::skip]
static INTERNAL: &[Internal] = &[
    (3, "heap_tableam_handler", 269, &[2281], b'v', true),
    (31, "byteaout", 2275, &[17], b'i', true),
    (33, "charout", 2275, &[18], b'i', true),
    (34, "namein", 19, &[2275], b'i', true),
    (35, "nameout", 2275, &[19], b'i', true),
    (38, "int2in", 21, &[2275], b'i', true),
    (39, "int2out", 2275, &[21], b'i', true),
    (42, "int4in", 23, &[2275], b'i', true),
    (43, "int4out", 2275, &[23], b'i', true),
    (44, "regprocin", 24, &[2275], b's', true),
    (45, "regprocout", 2275, &[24], b's', true),
    (46, "textin", 25, &[2275], b'i', true),
    (47, "textout", 2275, &[25], b'i', true),
    (109, "unknownin", 705, &[2275], b'i', true),
    (110, "unknownout", 2275, &[705], b'i', true),
    (200, "float4in", 700, &[2275], b'i', true),
    (201, "float4out", 2275, &[700], b'i', true),
    (214, "float8in", 701, &[2275], b'i', true),
    (215, "float8out", 2275, &[701], b'i', true),
    (330, "bthandler", 325, &[2281], b'v', true),
    (460, "int8in", 20, &[2275], b'i', true),
    (461, "int8out", 2275, &[20], b'i', true),
    (750, "array_in", 2277, &[2275, 26, 23], b's', true),
    (751, "array_out", 2275, &[2277], b's', true),
    (1044, "bpcharin", 1042, &[2275, 26, 23], b'i', true),
    (1045, "bpcharout", 2275, &[1042], b'i', true),
    (1046, "varcharin", 1043, &[2275, 26, 23], b'i', true),
    (1047, "varcharout", 2275, &[1043], b'i', true),
    (1084, "date_in", 1082, &[2275], b's', true),
    (1085, "date_out", 2275, &[1082], b's', true),
    (1150, "timestamptz_in", 1184, &[2275, 26, 23], b's', true),
    (1151, "timestamptz_out", 2275, &[1184], b's', true),
    (1242, "boolin", 16, &[2275], b'i', true),
    (1243, "boolout", 2275, &[16], b'i', true),
    (1244, "byteain", 17, &[2275], b'i', true),
    (1245, "charin", 18, &[2275], b'i', true),
    (1312, "timestamp_in", 1114, &[2275, 26, 23], b's', true),
    (1313, "timestamp_out", 2275, &[1114], b's', true),
    (1701, "numeric_in", 1700, &[2275, 26, 23], b'i', true),
    (1702, "numeric_out", 2275, &[1700], b'i', true),
    (1798, "oidin", 26, &[2275], b'i', true),
    (1799, "oidout", 2275, &[26], b'i', true),
    (2218, "regclassin", 2205, &[2275], b's', true),
    (2219, "regclassout", 2275, &[2205], b's', true),
    (2220, "regtypein", 2206, &[2275], b's', true),
    (2221, "regtypeout", 2275, &[2206], b's', true),
    (2290, "record_in", 2249, &[2275, 26, 23], b's', true),
    (2291, "record_out", 2275, &[2249], b's', true),
    (2294, "any_in", 2276, &[2275], b'i', true),
    (2295, "any_out", 2275, &[2276], b'i', true),
    (2296, "anyarray_in", 2277, &[2275], b'i', true),
    (2297, "anyarray_out", 2275, &[2277], b's', true),
    (2298, "void_in", 2278, &[2275], b'i', true),
    (2299, "void_out", 2275, &[2278], b'i', true),
    (2312, "anyelement_in", 2283, &[2275], b'i', true),
    (2313, "anyelement_out", 2275, &[2283], b'i', true),
    (2400, "array_recv", 2277, &[2281, 26, 23], b's', true),
    (2401, "array_send", 17, &[2277], b's', true),
    (2402, "record_recv", 2249, &[2281, 26, 23], b's', true),
    (2403, "record_send", 17, &[2249], b's', true),
    (2404, "int2recv", 21, &[2281], b'i', true),
    (2405, "int2send", 17, &[21], b'i', true),
    (2406, "int4recv", 23, &[2281], b'i', true),
    (2407, "int4send", 17, &[23], b'i', true),
    (2408, "int8recv", 20, &[2281], b'i', true),
    (2409, "int8send", 17, &[20], b'i', true),
    (2412, "bytearecv", 17, &[2281], b'i', true),
    (2413, "byteasend", 17, &[17], b'i', true),
    (2414, "textrecv", 25, &[2281], b's', true),
    (2415, "textsend", 17, &[25], b's', true),
    (2416, "unknownrecv", 705, &[2281], b'i', true),
    (2417, "unknownsend", 17, &[705], b'i', true),
    (2418, "oidrecv", 26, &[2281], b'i', true),
    (2419, "oidsend", 17, &[26], b'i', true),
    (2422, "namerecv", 19, &[2281], b's', true),
    (2423, "namesend", 17, &[19], b's', true),
    (2424, "float4recv", 700, &[2281], b'i', true),
    (2425, "float4send", 17, &[700], b'i', true),
    (2426, "float8recv", 701, &[2281], b'i', true),
    (2427, "float8send", 17, &[701], b'i', true),
    (2430, "bpcharrecv", 1042, &[2281, 26, 23], b's', true),
    (2431, "bpcharsend", 17, &[1042], b's', true),
    (2432, "varcharrecv", 1043, &[2281, 26, 23], b's', true),
    (2433, "varcharsend", 17, &[1043], b's', true),
    (2434, "charrecv", 18, &[2281], b'i', true),
    (2435, "charsend", 17, &[18], b'i', true),
    (2436, "boolrecv", 16, &[2281], b'i', true),
    (2437, "boolsend", 17, &[16], b'i', true),
    (2444, "regprocrecv", 24, &[2281], b'i', true),
    (2445, "regprocsend", 17, &[24], b'i', true),
    (2452, "regclassrecv", 2205, &[2281], b'i', true),
    (2453, "regclasssend", 17, &[2205], b'i', true),
    (4084, "regnamespacein", 4089, &[2275], b's', true),
    (4085, "regnamespaceout", 2275, &[4089], b's', true),
    (4087, "regnamespacerecv", 4089, &[2281], b'i', true),
    (4088, "regnamespacesend", 17, &[4089], b'i', true),
    (2454, "regtyperecv", 2206, &[2281], b'i', true),
    (2455, "regtypesend", 17, &[2206], b'i', true),
    (2460, "numeric_recv", 1700, &[2281, 26, 23], b'i', true),
    (2461, "numeric_send", 17, &[1700], b'i', true),
    (2468, "date_recv", 1082, &[2281], b'i', true),
    (2469, "date_send", 17, &[1082], b'i', true),
    (2474, "timestamp_recv", 1114, &[2281, 26, 23], b'i', true),
    (2475, "timestamp_send", 17, &[1114], b'i', true),
    (2476, "timestamptz_recv", 1184, &[2281, 26, 23], b'i', true),
    (2477, "timestamptz_send", 17, &[1184], b'i', true),
    (2502, "anyarray_recv", 2277, &[2281], b's', true),
    (2503, "anyarray_send", 17, &[2277], b's', true),
    (2905, "timestamptypmodin", 23, &[1263], b'i', true),
    (2906, "timestamptypmodout", 2275, &[23], b'i', true),
    (2907, "timestamptztypmodin", 23, &[1263], b'i', true),
    (2908, "timestamptztypmodout", 2275, &[23], b'i', true),
    (2913, "bpchartypmodin", 23, &[1263], b'i', true),
    (2914, "bpchartypmodout", 2275, &[23], b'i', true),
    (2915, "varchartypmodin", 23, &[1263], b'i', true),
    (2916, "varchartypmodout", 2275, &[23], b'i', true),
    (2917, "numerictypmodin", 23, &[1263], b'i', true),
    (2918, "numerictypmodout", 2275, &[23], b'i', true),
    (3120, "void_recv", 2278, &[2281], b'i', true),
    (3121, "void_send", 17, &[2278], b'i', true),
    (3229, "pg_lsn_in", 3220, &[2275], b'i', true),
    (3230, "pg_lsn_out", 2275, &[3220], b'i', true),
    (3238, "pg_lsn_recv", 3220, &[2281], b'i', true),
    (3239, "pg_lsn_send", 17, &[3220], b'i', true),
    (3816, "array_typanalyze", 16, &[2281], b's', true),
    (6179, "array_subscript_handler", 2281, &[2281], b'i', true),
    (6180, "raw_array_subscript_handler", 2281, &[2281], b'i', true),
];
