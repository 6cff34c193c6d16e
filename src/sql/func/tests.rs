//! Values that PostgreSQL 15 gives for the same calls.

use std::sync::LazyLock;

use super::*;
use crate::types::{Array, text_in, text_out};

static SESSION: LazyLock<SessionInfo> = LazyLock::new(|| SessionInfo {
    user: "alice".to_owned(),
    database: "shop".to_owned(),
    database_oid: crate::base::Oid(5),
    search_path: vec!["public".to_owned()],
    backend_pid: 42,
    server_version: "15.0",
    settings: vec![("TimeZone".to_owned(), "UTC".to_owned())],
    changes: crate::sql::context::SettingChanges::none(),
    server: None,
    backend: None,
});
static CATALOG: LazyLock<Catalog> = LazyLock::new(Catalog::default);

fn with_context<T>(f: impl FnOnce(&EvalContext<'_>) -> T) -> T {
    let format = Format {
        time_zone: crate::types::datetime::time_zone("Europe/Berlin").unwrap(),
        ..Format::default()
    };
    f(&EvalContext {
        format: &format,
        session: &SESSION,
        catalog: &CATALOG,
        params: &[],
    })
}

/// A datum written `type:text`, or `type!` for NULL.
fn datum(cx: &EvalContext<'_>, spec: &str) -> (Type, Datum) {
    if let (Some(name), false) = (spec.strip_suffix('!'), spec.contains(':')) {
        return (Type::from_name(name).unwrap(), Datum::Null);
    }
    let (name, value) = spec.split_once(':').unwrap();
    let ty = Type::from_name(name).unwrap();
    (ty, text_in(ty, -1, value, cx.format).unwrap())
}

fn accepts(declared: Type, actual: Type) -> bool {
    match declared {
        Type::Any | Type::AnyElement => true,
        Type::AnyArray => actual.element().is_some(),
        _ => declared == actual,
    }
}

fn apply(cx: &EvalContext<'_>, f: &Function, types: &[Type], args: &[Datum]) -> Result<Datum> {
    if f.strict && args.iter().any(Datum::is_null) {
        return Ok(Datum::Null);
    }
    match (f.eval, args) {
        (Eval::F0(eval), []) => eval(cx),
        (Eval::F1(eval), [a]) => eval(cx, a),
        (Eval::F2(eval), [a, b]) => eval(cx, a, b),
        (Eval::F3(eval), [a, b, c]) => eval(cx, a, b, c),
        (Eval::N(eval), _) => eval(cx, args),
        (Eval::Typed(eval), _) => eval(cx, types, args),
        (Eval::Set(eval), _) => {
            let firsts = eval(cx, args)?.map(|row| Ok(row?.remove(0)));
            let elements = firsts.collect::<Result<_>>()?;
            Ok(Datum::Array(std::sync::Arc::new(Array { elements })))
        }
        _ => panic!("{} has code for another number of arguments", f.name),
    }
}

/// The text of a result, or of an error. An array stands for a set.
fn shown(cx: &EvalContext<'_>, f: &Function, types: &[Type], result: Result<Datum>) -> String {
    let ty = match f.returns {
        Type::AnyElement => types.iter().find_map(|t| t.element()).unwrap_or(types[0]),
        Type::AnyArray => types
            .iter()
            .copied()
            .find(|t| t.element().is_some())
            .unwrap(),
        ty => ty,
    };
    let ty = match f.eval {
        Eval::Set(_) => ty.array().unwrap(),
        _ => ty,
    };
    match result {
        Ok(Datum::Null) => "NULL".to_owned(),
        Ok(value) if matches!(ty, Type::Regclass | Type::Regtype | Type::Regproc) => {
            text::output(cx, ty, &value).unwrap()
        }
        Ok(value) => {
            let mut out = Vec::new();
            text_out(ty, &value, cx.format, &mut out);
            String::from_utf8(out).unwrap()
        }
        Err(e) => {
            let report = e.report();
            format!("{}: {}", report.code, report.message)
        }
    }
}

/// Calls a function with arguments of exactly its types.
fn call(name: &str, args: &[&str]) -> String {
    with_context(|cx| {
        let (types, values): (Vec<Type>, Vec<Datum>) = args.iter().map(|a| datum(cx, a)).unzip();
        let fits = |f: &&Function| {
            let pairs = || f.args.iter().zip(&types).all(|(d, a)| accepts(*d, *a));
            pairs() && (f.args.len() == types.len() || f.variadic && types.len() >= f.args.len())
        };
        let f = functions(name)
            .find(fits)
            .unwrap_or_else(|| panic!("no {name}({types:?})"));
        shown(cx, f, &types, apply(cx, f, &types, &values))
    })
}

/// Applies an infix operator.
fn op(left: &str, symbol: &str, right: &str) -> String {
    with_context(|cx| {
        let ((l, a), (r, b)) = (datum(cx, left), datum(cx, right));
        let fits = |o: &&Operator| o.left.is_some_and(|x| accepts(x, l)) && accepts(o.right, r);
        let o = operators(symbol)
            .find(fits)
            .unwrap_or_else(|| panic!("no {l:?} {symbol} {r:?}"));
        shown(
            cx,
            o.function,
            &[l, r],
            apply(cx, o.function, &[l, r], &[a, b]),
        )
    })
}

/// Casts `type:value` to a type.
fn cast_to(value: &str, to: &str) -> String {
    with_context(|cx| {
        let (from, value) = datum(cx, value);
        let to = Type::from_name(to).unwrap();
        let cast = cast(from, to).unwrap_or_else(|| panic!("no cast from {from:?} to {to:?}"));
        match &cast.method {
            CastMethod::Function(f) => {
                let retyped = Function { returns: to, ..**f };
                shown(cx, &retyped, &[from], apply(cx, f, &[from], &[value]))
            }
            CastMethod::Relabel => shown(
                cx,
                &Function {
                    returns: to,
                    ..*nothing()
                },
                &[from],
                Ok(value),
            ),
            CastMethod::InOut => {
                let text = text::output(cx, from, &value).unwrap();
                let read = text_in(to, -1, &text, cx.format);
                shown(
                    cx,
                    &Function {
                        returns: to,
                        ..*nothing()
                    },
                    &[from],
                    read,
                )
            }
        }
    })
}

fn nothing() -> &'static Function {
    functions("pi").next().unwrap()
}

/// An aggregate over values of one type (`type:value` or `type!`).
fn aggregate_of(name: &str, ty: &str, values: &[&str]) -> String {
    with_context(|cx| {
        let ty = Type::from_name(ty).unwrap();
        let a = aggregates(name)
            .find(|a| a.args.len() == 1 && accepts(a.args[0], ty))
            .unwrap_or_else(|| panic!("no {name}({ty:?})"));
        let mut state = (a.new)();
        for value in values {
            let value = match *value {
                "NULL" => Datum::Null,
                text => text_in(ty, -1, text, cx.format).unwrap(),
            };
            if !(a.strict && value.is_null()) {
                state.add(cx, &[value]).unwrap();
            }
        }
        let returns = match a.returns {
            Type::AnyArray => ty.array().unwrap(),
            returns => returns,
        };
        let f = Function {
            returns,
            ..*nothing()
        };
        shown(cx, &f, &[ty], state.finish(cx))
    })
}

/// Checks calls written as (function, arguments, result or error).
fn check(cases: &[(&str, &[&str], &str)]) {
    for (name, args, expected) in cases {
        assert_eq!(call(name, args), *expected, "{name}{args:?}");
    }
}

fn check_ops(cases: &[(&str, &str, &str, &str)]) {
    for (left, symbol, right, expected) in cases {
        assert_eq!(
            op(left, symbol, right),
            *expected,
            "{left} {symbol} {right}"
        );
    }
}

#[test]
fn integer_operators_check_their_range() {
    check_ops(&[
        (
            "int4:2147483647",
            "+",
            "int4:1",
            "22003: integer out of range",
        ),
        (
            "int8:9223372036854775807",
            "+",
            "int4:1",
            "22003: bigint out of range",
        ),
        ("int2:200", "*", "int2:200", "22003: smallint out of range"),
        ("int4:1", "/", "int4:0", "22012: division by zero"),
        (
            "int4:-2147483648",
            "/",
            "int4:-1",
            "22003: integer out of range",
        ),
        ("int4:-2147483648", "%", "int4:-1", "0"),
        ("int4:-7", "/", "int4:2", "-3"),
        ("int4:-7", "%", "int4:2", "-1"),
        ("int2:7", "+", "int8:1", "8"),
        ("int4:1", "<<", "int4:33", "2"),
        ("int2:1", "<<", "int4:15", "-32768"),
        ("int4:6", "#", "int4:3", "5"),
        ("int8:5", "=", "int2:5", "t"),
    ]);
    check(&[
        ("abs", &["int2:-32768"], "22003: smallint out of range"),
        ("gcd", &["int4:-12", "int4:18"], "6"),
        (
            "gcd",
            &["int4:-2147483648", "int4:0"],
            "22003: integer out of range",
        ),
        ("lcm", &["int8:4", "int8:6"], "12"),
        ("to_hex", &["int4:-1"], "ffffffff"),
        (
            "generate_series",
            &["int4:3", "int4:1", "int4:-1"],
            "{3,2,1}",
        ),
        (
            "generate_series",
            &["int4:1", "int4:2", "int4:0"],
            "22023: step size cannot equal zero",
        ),
        (
            "generate_series",
            &["int8:9223372036854775806", "int8:9223372036854775807"],
            "{9223372036854775806,9223372036854775807}",
        ),
    ]);
}

#[test]
fn floats_overflow_underflow_and_order_nan_last() {
    check_ops(&[
        (
            "float8:1e308",
            "*",
            "float8:10",
            "22003: value out of range: overflow",
        ),
        (
            "float8:1e-308",
            "*",
            "float8:1e-308",
            "22003: value out of range: underflow",
        ),
        (
            "float4:1e38",
            "*",
            "float4:10",
            "22003: value out of range: overflow",
        ),
        ("float8:1", "/", "float8:0", "22012: division by zero"),
        ("float8:nan", "/", "float8:0", "NaN"),
        ("float8:nan", "=", "float8:nan", "t"),
        ("float8:nan", ">", "float8:infinity", "t"),
        ("float4:1.1", "=", "float8:1.1", "f"),
        ("float8:2", "^", "float8:10", "1024"),
        (
            "float8:-8",
            "^",
            "float8:0.5",
            "2201F: a negative number raised to a non-integer power yields a complex result",
        ),
    ]);
    check(&[
        (
            "sqrt",
            &["float8:-1"],
            "2201F: cannot take square root of a negative number",
        ),
        ("ln", &["float8:0"], "2201E: cannot take logarithm of zero"),
        ("round", &["float8:2.5"], "2"),
        ("sin", &["float8:infinity"], "22003: input is out of range"),
        (
            "exp",
            &["float8:1000"],
            "22003: value out of range: overflow",
        ),
        (
            "width_bucket",
            &["float8:5.35", "float8:0.024", "float8:10.06", "int4:5"],
            "3",
        ),
    ]);
}

#[test]
fn casts_round_check_and_name_as_postgresql() {
    for (value, to, expected) in [
        ("float8:2.5", "int4", "2"),
        ("numeric:2.5", "int4", "3"),
        ("float8:1e10", "int4", "22003: integer out of range"),
        ("float8:nan", "int8", "22003: bigint out of range"),
        (
            "numeric:nan",
            "int4",
            "0A000: cannot convert NaN to integer",
        ),
        ("int8:70000", "int2", "22003: smallint out of range"),
        ("bool:t", "text", "true"),
        ("bool:t", "name", "t"),
        ("int4:7", "bool", "t"),
        ("int4:42", "text", "42"),
        ("text:42", "int8", "42"),
        (
            "text:x",
            "int4",
            "22P02: invalid input syntax for type integer: \"x\"",
        ),
        ("bpchar:ab  ", "text", "ab"),
        ("int8:-1", "oid", "22003: OID out of range"),
        ("int4:-1", "oid", "4294967295"),
        ("date:2024-07-01", "timestamptz", "2024-07-01 00:00:00+02"),
        ("timestamptz:2024-07-01 23:30:00+00", "date", "2024-07-02"),
        (
            "date:5874897-12-31",
            "timestamp",
            "22008: date out of range for timestamp",
        ),
        ("float8:0.1", "numeric", "0.1"),
        (
            "numeric:1e40",
            "float4",
            "22003: \"10000000000000000000000000000000000000000\" is out of range for type real",
        ),
        ("text:pg_class", "regclass", "pg_class"),
        (
            "text:nope",
            "regclass",
            "42P01: relation \"nope\" does not exist",
        ),
        (
            "text:a.b.c.d",
            "regclass",
            "42601: improper relation name (too many dotted names): a.b.c.d",
        ),
        (
            "text:information_schema.tables",
            "regclass",
            "information_schema.tables",
        ),
        ("text:numeric(10,2)", "regtype", "numeric"),
        ("text:int[]", "regtype", "integer[]"),
        (
            "text:nope",
            "regtype",
            "42704: type \"nope\" does not exist",
        ),
        ("text:array_in", "regproc", "array_in"),
        (
            "text:abs",
            "regproc",
            "42725: more than one function named \"abs\"",
        ),
        ("oid:1259", "regclass", "pg_class"),
        ("oid:99", "regclass", "99"),
        ("oid:0", "regclass", "-"),
    ] {
        assert_eq!(cast_to(value, to), expected, "{value}::{to}");
    }
}

#[test]
fn casts_are_implicit_only_where_pg_cast_says_so() {
    let context = |from, to| cast(from, to).map(|c| c.context);
    assert_eq!(context(Type::Int4, Type::Int8), Some(CastContext::Implicit));
    assert_eq!(
        context(Type::Int8, Type::Int4),
        Some(CastContext::Assignment)
    );
    assert_eq!(context(Type::Int4, Type::Bool), Some(CastContext::Explicit));
    assert_eq!(
        context(Type::Int4, Type::Text),
        Some(CastContext::Assignment)
    );
    assert_eq!(context(Type::Text, Type::Int4), Some(CastContext::Explicit));
    assert_eq!(
        context(Type::Int4Array, Type::Text),
        Some(CastContext::Assignment)
    );
    assert_eq!(context(Type::Int4, Type::Date), None);
    assert_eq!(context(Type::Int4Array, Type::Int8Array), None);
}

#[test]
fn strings_are_cut_padded_and_split_by_characters() {
    check(&[
        ("substr", &["text:hello", "int4:-1", "int4:3"], "h"),
        ("substr", &["text:hello", "int4:0"], "hello"),
        ("substr", &["text:añb", "int4:2", "int4:1"], "ñ"),
        (
            "substr",
            &["text:abc", "int4:1", "int4:-1"],
            "22011: negative substring length not allowed",
        ),
        ("left", &["text:abc", "int4:-1"], "ab"),
        ("right", &["text:abc", "int4:-1"], "bc"),
        ("right", &["text:añb", "int4:2"], "ñb"),
        ("lpad", &["text:abc", "int4:2"], "ab"),
        ("lpad", &["text:hi", "int4:5", "text:xy"], "xyxhi"),
        ("rpad", &["text:x", "int4:5", "text:ab"], "xabab"),
        ("rpad", &["text:x", "int4:5", "text:"], "x"),
        (
            "lpad",
            &["text:a", "int4:2000000000"],
            "54000: requested length too large",
        ),
        (
            "repeat",
            &["text:ab", "int4:1000000000"],
            "54000: requested length too large",
        ),
        ("split_part", &["text:a,b,c", "text:,", "int4:-1"], "c"),
        ("split_part", &["text:a,b", "text:,", "int4:5"], ""),
        (
            "split_part",
            &["text:a", "text:,", "int4:0"],
            "22023: field position must not be zero",
        ),
        ("btrim", &["text:xyxtrimyyx", "text:xyz"], "trim"),
        (
            "overlay",
            &["text:Txxxxas", "text:hom", "int4:2", "int4:4"],
            "Thomas",
        ),
        ("translate", &["text:12345", "text:143", "text:ax"], "a2x5"),
        (
            "initcap",
            &["text:hello wORLD a1b c-d"],
            "Hello World A1b C-D",
        ),
        ("upper", &["text:straße"], "STRAßE"),
        ("reverse", &["text:añb"], "bña"),
        ("strpos", &["text:añb", "text:b"], "3"),
        ("length", &["bpchar:ab  "], "2"),
        ("octet_length", &["bpchar:ab  "], "4"),
        ("ascii", &["text:é"], "233"),
        ("chr", &["int4:0"], "54000: null character not permitted"),
        (
            "chr",
            &["int4:-1"],
            "22023: character number must be positive",
        ),
        (
            "chr",
            &["int4:55296"],
            "54000: requested character not valid for encoding: 55296",
        ),
        (
            "chr",
            &["int4:1114112"],
            "54000: requested character too large for encoding: 1114112",
        ),
        ("md5", &["text:abc"], "900150983cd24fb0d6963f7d28e17f72"),
        ("replace", &["text:abc", "text:", "text:x"], "abc"),
    ]);
    check_ops(&[
        ("text:a", "||", "bool:t", "atrue"),
        ("int4:1", "||", "text:x", "1x"),
        ("bpchar:x    ", "||", "text:y", "xy"),
        ("bpchar:a ", "=", "bpchar:a", "t"),
        ("text:abc", "^@", "text:ab", "t"),
    ]);
}

#[test]
fn quoting_and_format_write_sql() {
    check(&[
        ("quote_ident", &["text:select"], "\"select\""),
        ("quote_ident", &["text:plain_1"], "plain_1"),
        ("quote_ident", &["text:a\"b"], "\"a\"\"b\""),
        ("quote_literal", &["text:a\\b'c"], "E'a\\\\b''c'"),
        ("quote_literal", &["bool:t"], "'true'"),
        ("quote_nullable", &["text!"], "NULL"),
        (
            "format",
            &["text:%s|%I|%L|%%", "text:a", "text:b c", "text:d'e"],
            "a|\"b c\"|'d''e'|%",
        ),
        (
            "format",
            &["text:%2$s %1$s|%5s|%-5s|", "int4:1", "int4:2", "int4:3"],
            "2 1|    2|3    |",
        ),
        ("format", &["text:%*s|", "int4:4", "text:x"], "   x|"),
        (
            "format",
            &["text:%s"],
            "22023: too few arguments for format()",
        ),
        (
            "format",
            &["text:%x", "text:a"],
            "22023: unrecognized format() type specifier \"x\"",
        ),
        (
            "format",
            &["text:abc%", "text:a"],
            "22023: unterminated format() type specifier",
        ),
        (
            "format",
            &["text:%0$s", "text:a"],
            "22023: format specifies argument 0, but arguments are numbered from 1",
        ),
        (
            "format",
            &["text:%I", "text!"],
            "22004: null values cannot be formatted as an SQL identifier",
        ),
        (
            "concat",
            &["text:a", "int4:1", "text!", "bool:t", "bpchar:x  "],
            "a1tx  ",
        ),
        ("concat_ws", &["text:,", "int4:1", "text!", "int4:2"], "1,2"),
    ]);
}

#[test]
fn like_matches_and_escapes() {
    check_ops(&[
        ("text:abc", "~~", "text:a%", "t"),
        ("text:abc", "~~", "text:_b_", "t"),
        ("text:añc", "~~", "text:a_c", "t"),
        ("text:a%c", "~~", "text:a\\%c", "t"),
        ("text:abc", "~~", "text:a\\%c", "f"),
        ("text:mississippi", "~~", "text:%iss%ip%i", "t"),
        ("text:mississippi", "~~", "text:%iss%ip", "f"),
        ("text:", "~~", "text:%", "t"),
        ("text:", "~~", "text:", "t"),
        ("text:aXc", "~~*", "text:Ax_", "t"),
        ("text:abc", "!~~", "text:b%", "t"),
        (
            "text:a\\",
            "~~",
            "text:a\\",
            "22025: LIKE pattern must not end with escape character",
        ),
    ]);
    check(&[
        ("like_escape", &["text:a#%\\b", "text:#"], "a\\%\\\\b"),
        ("like_escape", &["text:a\\b", "text:"], "a\\\\b"),
        (
            "like_escape",
            &["text:a%b", "text:ab"],
            "22025: invalid escape string",
        ),
    ]);
}

#[test]
fn regular_expressions_take_the_longest_match() {
    check_ops(&[
        ("text:foobar", "~", "text:o{2}", "t"),
        ("text:É", "~*", "text:é", "t"),
        ("text:a\nb", "~", "text:a.b", "t"),
        ("text:a\nb", "~", "text:^b", "f"),
        ("text:foo bar", "~", "text:\\mbar\\M", "t"),
        ("text:foobar", "~", "text:\\ybar", "f"),
        ("text:a{x", "~", "text:a{x", "t"),
        ("text:]", "~", "text:[]]", "t"),
        ("text:٣", "~", "text:\\d", "f"),
        ("text:a|b", "~", "text:***=a|b", "t"),
        ("text:a b", "~", "text:(?x)a b", "f"),
        ("text:&", "~", "text:[&&]", "t"),
        ("text:a", "~", "text:[[:<:]]a[[:>:]]", "t"),
        (
            "text:a",
            "~",
            "text:(",
            "2201B: invalid regular expression: parentheses () not balanced",
        ),
        (
            "text:a",
            "~",
            "text:a)",
            "2201B: invalid regular expression: parentheses () not balanced",
        ),
        (
            "text:a",
            "~",
            "text:[",
            "2201B: invalid regular expression: brackets [] not balanced",
        ),
        (
            "text:a",
            "~",
            "text:*a",
            "2201B: invalid regular expression: quantifier operand invalid",
        ),
        (
            "text:a",
            "~",
            "text:a**",
            "2201B: invalid regular expression: quantifier operand invalid",
        ),
        (
            "text:a",
            "~",
            "text:[b-a]",
            "2201B: invalid regular expression: invalid character range",
        ),
        (
            "text:a",
            "~",
            "text:a{3,2}",
            "2201B: invalid regular expression: invalid repetition count(s)",
        ),
        (
            "text:a",
            "~",
            "text:[[:foo:]]",
            "2201B: invalid regular expression: invalid character class",
        ),
        (
            "text:a",
            "~",
            "text:\\q",
            "2201B: invalid regular expression: invalid escape \\ sequence",
        ),
    ]);
    check(&[
        ("substring", &["text:foobar", "text:o(b|)"], ""),
        ("substring", &["text:foobar", "text:foo|foobar"], "foobar"),
        ("substring", &["text:XY1234Z", "text:Y*([0-9]{1,3})"], "123"),
        ("substring", &["text:abc", "text:(?:ab|a)(c|bc)?"], "c"),
        (
            "regexp_replace",
            &["text:foobar", "text:o", "text:X"],
            "fXobar",
        ),
        (
            "regexp_replace",
            &["text:foobar", "text:o", "text:X", "text:g"],
            "fXXbar",
        ),
        (
            "regexp_replace",
            &["text:abc", "text:(b)", "text:[\\1\\&]"],
            "a[bb]c",
        ),
        (
            "regexp_replace",
            &["text:abc", "text:b*", "text:-", "text:g"],
            "-a--c-",
        ),
        (
            "regexp_replace",
            &["text:aab", "text:a*", "text:-", "text:g"],
            "--b-",
        ),
        (
            "regexp_replace",
            &["text:a", "text:a", "text:b", "text:z"],
            "22023: invalid regular expression option: \"z\"",
        ),
        (
            "regexp_match",
            &["text:foobarbequebaz", "text:(bar)(beque)"],
            "{bar,beque}",
        ),
        ("regexp_match", &["text:abc", "text:x"], "NULL"),
        (
            "regexp_match",
            &["text:a", "text:a", "text:g"],
            "22023: regexp_match() does not support the \"global\" option",
        ),
        ("regexp_split_to_array", &["text:abc", "text:b*"], "{a,c}"),
        (
            "regexp_split_to_array",
            &["text:aab", "text:a*"],
            "{\"\",b}",
        ),
        ("regexp_split_to_array", &["text:abc", "text:"], "{a,b,c}"),
        ("regexp_count", &["text:abab", "text:a"], "2"),
        ("regexp_like", &["text:A", "text:a", "text:i"], "t"),
    ]);
}

#[test]
fn numerics_keep_postgresql_scales() {
    check(&[
        ("round", &["numeric:-2.567", "int4:2"], "-2.57"),
        ("round", &["numeric:1234.5", "int4:-2"], "1200"),
        ("mod", &["numeric:7.5", "numeric:2"], "1.5"),
        ("div", &["numeric:7.5", "numeric:2"], "3"),
        ("gcd", &["numeric:12.5", "numeric:5"], "2.5"),
        ("lcm", &["numeric:4.0", "numeric:6"], "12.0"),
        ("factorial", &["int8:5"], "120"),
        (
            "factorial",
            &["int8:-1"],
            "22003: factorial of a negative number is undefined",
        ),
        ("log", &["numeric:100.0"], "2.0000000000000000"),
        ("log", &["numeric:2", "numeric:8"], "3.0000000000000000"),
        ("ln", &["numeric:2.0"], "0.6931471805599453"),
        ("exp", &["numeric:1.0"], "2.7182818284590452"),
        ("power", &["numeric:2", "numeric:0.5"], "1.4142135623730950"),
        ("sqrt", &["numeric:2.0"], "1.414213562373095"),
        ("trim_scale", &["numeric:1.50"], "1.5"),
        (
            "width_bucket",
            &["numeric:5.35", "numeric:0.024", "numeric:10.06", "int4:5"],
            "3",
        ),
        (
            "generate_series",
            &["numeric:1.0", "numeric:2.0", "numeric:0.5"],
            "{1.0,1.5,2.0}",
        ),
        (
            "generate_series",
            &["numeric:1", "numeric:infinity"],
            "22023: stop value cannot be infinity",
        ),
    ]);
}

#[test]
fn dates_compare_and_count_across_types() {
    check_ops(&[
        ("date:2024-01-31", "+", "int4:1", "2024-02-01"),
        ("date:infinity", "+", "int4:1", "infinity"),
        ("date:2024-03-01", "-", "date:2024-02-01", "29"),
        (
            "date:infinity",
            "-",
            "date:2024-01-01",
            "22008: cannot subtract infinite dates",
        ),
        (
            "date:5874897-12-31",
            "+",
            "int4:1",
            "22008: date out of range",
        ),
        ("date:5874897-12-31", ">", "timestamp:2024-01-01", "t"),
        ("date:infinity", "=", "timestamp:infinity", "t"),
        ("date:2024-01-01", "=", "timestamptz:2024-01-01", "t"),
        (
            "timestamp:2024-01-01",
            "=",
            "timestamptz:2023-12-31 23:00:00+00",
            "t",
        ),
    ]);
    check(&[
        (
            "make_date",
            &["int4:2024", "int4:2", "int4:30"],
            "22008: date field value out of range: 2024-02-30",
        ),
        (
            "make_date",
            &["int4:-44", "int4:3", "int4:15"],
            "0044-03-15 BC",
        ),
        (
            "make_date",
            &["int4:0", "int4:1", "int4:1"],
            "22008: date field value out of range: 0-01-01",
        ),
        (
            "make_timestamp",
            &[
                "int4:2024",
                "int4:1",
                "int4:2",
                "int4:3",
                "int4:4",
                "float8:5.678",
            ],
            "2024-01-02 03:04:05.678",
        ),
        (
            "make_timestamp",
            &[
                "int4:2024",
                "int4:1",
                "int4:2",
                "int4:25",
                "int4:0",
                "float8:0",
            ],
            "22008: time field value out of range: 25:00:00",
        ),
        ("to_timestamp", &["float8:0"], "1970-01-01 01:00:00+01"),
        (
            "to_timestamp",
            &["float8:1e300"],
            "22008: timestamp out of range: \"1e+300\"",
        ),
        (
            "to_timestamp",
            &["float8:nan"],
            "22008: timestamp cannot be NaN",
        ),
        (
            "timezone",
            &["text:UTC", "timestamp:2024-01-01"],
            "2024-01-01 01:00:00+01",
        ),
        (
            "timezone",
            &["text:America/New_York", "timestamptz:2024-07-01 12:00Z"],
            "2024-07-01 08:00:00",
        ),
        (
            "timezone",
            &["text:xx", "timestamp:2024-01-01"],
            "22023: time zone \"xx\" not recognized",
        ),
        (
            "date_part",
            &["text:epoch", "timestamptz:2024-01-01"],
            "1704063600",
        ),
        ("date_part", &["text:hour", "date:2024-01-01"], "0"),
        (
            "date_trunc",
            &["text:month", "timestamptz:2024-07-04 12:34"],
            "2024-07-01 00:00:00+02",
        ),
        (
            "date_trunc",
            &["text:day", "timestamptz:2024-07-04 12:34", "text:UTC"],
            "2024-07-04 02:00:00+02",
        ),
        ("isfinite", &["date:infinity"], "f"),
    ]);
}

#[test]
fn arrays_compare_contain_and_concatenate() {
    check_ops(&[
        ("_int4:{1,2}", "<", "_int4:{1,3}", "t"),
        ("_int4:{1}", "<", "_int4:{1,0}", "t"),
        ("_int4:{1,NULL}", "=", "_int4:{1,NULL}", "t"),
        ("_int4:{1,NULL}", "<", "_int4:{1,2}", "f"),
        ("_int4:{}", "<", "_int4:{1}", "t"),
        ("_int4:{1,2,NULL}", "@>", "_int4:{2}", "t"),
        ("_int4:{1}", "@>", "_int4:{NULL}", "f"),
        ("_int4:{1,2}", "&&", "_int4:{2,3}", "t"),
        ("_int4:{}", "<@", "_int4:{1}", "t"),
    ]);
    check(&[
        ("array_append", &["_int4:{1,2}", "int4:3"], "{1,2,3}"),
        ("array_append", &["_int4!", "int4:1"], "{1}"),
        ("array_prepend", &["int4:0", "_int4:{1,2}"], "{0,1,2}"),
        ("array_cat", &["_int4:{1}", "_int4:{2}"], "{1,2}"),
        ("array_cat", &["_int4!", "_int4!"], "NULL"),
        (
            "array_position",
            &["_int4:{1,2,NULL,2}", "int4:2", "int4:3"],
            "4",
        ),
        ("array_position", &["_int4:{1,NULL}", "int4!"], "2"),
        ("array_positions", &["_int4:{1,2,1}", "int4:1"], "{1,3}"),
        ("array_length", &["_int4:{}", "int4:1"], "NULL"),
        ("array_length", &["_int4:{1,2}", "int4:1"], "2"),
        ("array_length", &["_int4:{1,2}", "int4:2"], "NULL"),
        ("cardinality", &["_int4:{}"], "0"),
        ("array_dims", &["_int4:{1,2}"], "[1:2]"),
        ("array_remove", &["_int4:{1,NULL,1}", "int4:1"], "{NULL}"),
        (
            "array_replace",
            &["_int4:{1,NULL}", "int4!", "int4:5"],
            "{1,5}",
        ),
        (
            "string_to_array",
            &["text:a,b,,c", "text:,"],
            "{a,b,\"\",c}",
        ),
        ("string_to_array", &["text:abc", "text!"], "{a,b,c}"),
        ("string_to_array", &["text:", "text:,"], "{}"),
        (
            "string_to_array",
            &["text:a,b", "text:,", "text:b"],
            "{a,NULL}",
        ),
        ("array_to_string", &["_int4:{1,NULL,2}", "text:,"], "1,2"),
        (
            "array_to_string",
            &["_int4:{1,NULL,2}", "text:,", "text:*"],
            "1,*,2",
        ),
        ("unnest", &["_int4:{1,NULL}"], "{1,NULL}"),
        (
            "generate_subscripts",
            &["_text:{a,b}", "int4:1", "bool:t"],
            "{2,1}",
        ),
    ]);
}

#[test]
fn bytes_are_encoded_and_decoded() {
    check(&[
        (
            "encode",
            &["bytea:\\x0001ff5c", "text:escape"],
            "\\000\u{1}\\377\\\\",
        ),
        ("encode", &["bytea:abc", "text:base64"], "YWJj"),
        ("encode", &["bytea:\\xff00", "text:hex"], "ff00"),
        ("decode", &["text:6162", "text:hex"], "\\x6162"),
        ("decode", &["text:YWJj", "text:base64"], "\\x616263"),
        (
            "decode",
            &["text:a\\\\b\\001", "text:escape"],
            "\\x615c6201",
        ),
        (
            "decode",
            &["text:6", "text:hex"],
            "22023: invalid hexadecimal data: odd number of digits",
        ),
        (
            "decode",
            &["text:zz", "text:hex"],
            "22023: invalid hexadecimal digit: \"z\"",
        ),
        (
            "decode",
            &["text:YW!", "text:base64"],
            "22023: invalid symbol \"!\" found while decoding base64 sequence",
        ),
        (
            "decode",
            &["text:YW", "text:base64"],
            "22023: invalid base64 end sequence",
        ),
        (
            "encode",
            &["bytea:a", "text:foo"],
            "22023: unrecognized encoding: \"foo\"",
        ),
        (
            "get_byte",
            &["bytea:abc", "int4:3"],
            "2202E: index 3 out of valid range, 0..2",
        ),
        ("substr", &["bytea:abc", "int4:2"], "\\x6263"),
    ]);
}

#[test]
fn the_session_and_the_catalog_answer() {
    check(&[
        ("current_user", &[], "alice"),
        ("current_database", &[], "shop"),
        ("current_schema", &[], "NULL"),
        ("current_schemas", &["bool:t"], "{pg_catalog}"),
        ("current_setting", &["text:timezone"], "UTC"),
        (
            "current_setting",
            &["text:foo.bar"],
            "42704: unrecognized configuration parameter \"foo.bar\"",
        ),
        ("current_setting", &["text:foo.bar", "bool:t"], "NULL"),
        ("pg_typeof", &["int4:1"], "integer"),
        (
            "format_type",
            &["oid:1043", "int4:14"],
            "character varying(10)",
        ),
        ("format_type", &["oid:99999", "int4:0"], "???"),
        ("pg_get_userbyid", &["oid:10"], "alice"),
        ("pg_get_userbyid", &["oid:77"], "unknown (OID=77)"),
        ("pg_encoding_to_char", &["int4:6"], "UTF8"),
        ("pg_char_to_encoding", &["name:utf-8"], "6"),
        ("pg_table_is_visible", &["oid:1259"], "t"),
        ("pg_table_is_visible", &["oid:13425"], "f"),
        ("pg_table_is_visible", &["oid:99"], "NULL"),
        (
            "has_table_privilege",
            &["text:pg_class", "text:select, insert"],
            "t",
        ),
        (
            "has_table_privilege",
            &["text:pg_class", "text:foo"],
            "22023: unrecognized privilege type: \"foo\"",
        ),
        (
            "has_table_privilege",
            &["text:nope", "text:select"],
            "42P01: relation \"nope\" does not exist",
        ),
        ("to_regclass", &["text:nope"], "NULL"),
    ]);
}

#[test]
fn aggregates_have_postgresql_results() {
    for (name, ty, values, expected) in [
        ("avg", "int4", &["1", "2", "4"][..], "2.3333333333333333"),
        ("sum", "int4", &["2147483647", "1"], "2147483648"),
        (
            "sum",
            "int8",
            &["9223372036854775807", "1"],
            "9223372036854775808",
        ),
        ("sum", "int4", &[], "NULL"),
        ("count", "int4", &["1", "NULL"], "1"),
        ("avg", "int4", &["NULL"], "NULL"),
        ("stddev", "int4", &["1", "2", "4"], "1.5275252316519467"),
        ("stddev_pop", "int4", &["1", "2", "4"], "1.2472191289246471"),
        ("var_pop", "int4", &["1", "2", "4"], "1.5555555555555556"),
        ("var_samp", "int4", &["1", "2", "4"], "2.3333333333333333"),
        ("stddev", "int4", &["1"], "NULL"),
        ("var_pop", "int4", &["1"], "0"),
        (
            "stddev",
            "numeric",
            &["1.5", "2.25", "4"],
            "1.2829003598617210",
        ),
        (
            "var_pop",
            "numeric",
            &["1.5", "2.25", "4"],
            "1.09722222222222222222",
        ),
        (
            "avg",
            "numeric",
            &["1.5", "2.25", "4"],
            "2.5833333333333333",
        ),
        ("avg", "float8", &["1", "2", "4"], "2.3333333333333335"),
        ("stddev", "float8", &["1", "2", "4"], "1.5275252316519468"),
        (
            "stddev_pop",
            "float8",
            &["1", "2", "4"],
            "1.247219128924647",
        ),
        ("avg", "float8", &["infinity", "1"], "Infinity"),
        ("min", "text", &["b", "a", "NULL"], "a"),
        ("max", "numeric", &["2", "10"], "10"),
        ("bool_and", "bool", &["t", "f"], "f"),
        ("bool_or", "bool", &["t", "f"], "t"),
        ("bit_and", "int4", &["6", "3"], "2"),
        ("bit_or", "int2", &["-32768", "1"], "-32767"),
        ("array_agg", "text", &["a", "NULL"], "{a,NULL}"),
        ("array_agg", "int4", &[], "NULL"),
    ] {
        assert_eq!(
            aggregate_of(name, ty, values),
            expected,
            "{name}({ty}) of {values:?}"
        );
    }
}

#[test]
fn every_function_has_code_for_its_arguments_and_one_entry() {
    let mut seen = std::collections::HashSet::new();
    for f in all_functions() {
        assert!(
            seen.insert((f.name, f.args)),
            "{} {:?} twice",
            f.name,
            f.args
        );
        let fits = match f.eval {
            Eval::F0(_) => f.args.is_empty(),
            Eval::F1(_) => f.args.len() == 1,
            Eval::F2(_) => f.args.len() == 2,
            Eval::F3(_) => f.args.len() == 3,
            Eval::N(_) | Eval::Typed(_) | Eval::Set(_) => true,
        };
        assert!(fits, "{} {:?}", f.name, f.args);
    }
}

#[test]
fn commutators_are_operators_of_the_types_exchanged() {
    for o in all_operators() {
        if let (Some(left), Some(symbol)) = (o.left, o.commutator) {
            let mut found = operators(symbol).filter(|c| c.left == Some(o.right));
            assert!(
                found.any(|c| c.right == left),
                "{left:?} {} {:?}",
                o.symbol,
                o.right
            );
        }
    }
}
