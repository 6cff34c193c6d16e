//! text, varchar, char(n), name and "char".

use crate::base::{Error, Result, SqlState};
use crate::sql::func::catalog::reg_to_text;
use crate::sql::func::define::{comparisons, eval, function, operator, text, wrong_argument};
use crate::sql::func::{CastMethod, Eval, EvalContext, Function, Operator, cast};
use crate::types::Type::{AnyElement, Bpchar, Bytea, Int4, Name};
use crate::types::{Datum, Type, text_out};

const TEXT: Type = Type::Text;
const ANY: Type = Type::Any;

/// PostgreSQL's limit of one value (MaxAllocSize).
const TEXT_BYTES_MAX: usize = 0x3FFF_FFFF;

/// Comparison by bytes, as `LIKE` optimisation uses it; here it is the order of the type anyway.
macro_rules! pattern {
    ($T:ident, $prefix:literal) => {
        &[
            operator!($T "~<~" $T => Bool, concat!($prefix, "_pattern_lt"),
                eval!(|a: Text, b: Text| Ok(Datum::Bool(a < b))); commutator "~>~"),
            operator!($T "~<=~" $T => Bool, concat!($prefix, "_pattern_le"),
                eval!(|a: Text, b: Text| Ok(Datum::Bool(a <= b))); commutator "~>=~"),
            operator!($T "~>=~" $T => Bool, concat!($prefix, "_pattern_ge"),
                eval!(|a: Text, b: Text| Ok(Datum::Bool(a >= b))); commutator "~<=~"),
            operator!($T "~>~" $T => Bool, concat!($prefix, "_pattern_gt"),
                eval!(|a: Text, b: Text| Ok(Datum::Bool(a > b))); commutator "~<~"),
        ]
    };
}

pub(super) static OPERATORS: &[&[Operator]] = &[
    comparisons!(Text(Text) Text(Text),
        ["texteq", "textne", "text_lt", "text_le", "text_gt", "text_ge"]; |_, a, b| a.cmp(b)),
    comparisons!(Name(Text) Name(Text), "name"; |_, a, b| a.cmp(b)),
    comparisons!(Name(Text) Text(Text),
        ["nameeqtext", "namenetext", "namelttext", "nameletext", "namegttext", "namegetext"];
        |_, a, b| a.cmp(b)),
    comparisons!(Text(Text) Name(Text),
        ["texteqname", "textnename", "textltname", "textlename", "textgtname", "textgename"];
        |_, a, b| a.cmp(b)),
    comparisons!(Bpchar(Text) Bpchar(Text), "bpchar";
        |_, a, b| a.trim_end_matches(' ').cmp(b.trim_end_matches(' '))),
    comparisons!(Char(Char) Char(Char), "char"; |_, a, b| a.cmp(b)),
    pattern!(Text, "text"),
    pattern!(Bpchar, "bpchar"),
    &[
        operator!(Text "||" Text => Text, "textcat", eval!(|a: Text, b: Text| concat2(a, b))),
        operator!(stable Text "||" AnyElement => Text, "textanycat", Eval::Typed(concat_any)),
        operator!(stable AnyElement "||" Text => Text, "anytextcat", Eval::Typed(concat_any)),
        operator!(Text "^@" Text => Bool, "starts_with",
            eval!(|a: Text, b: Text| Ok(Datum::Bool(a.starts_with(b.as_str()))))),
    ],
];

pub(super) static FUNCTIONS: &[&[Function]] = &[
    &[
        function(
            "length",
            &[TEXT],
            Int4,
            eval!(|s: Text| count(s.chars().count())),
        ),
        function(
            "length",
            &[Bpchar],
            Int4,
            eval!(|s: Text| count(s.trim_end_matches(' ').chars().count())),
        ),
        function(
            "char_length",
            &[TEXT],
            Int4,
            eval!(|s: Text| count(s.chars().count())),
        ),
        function(
            "char_length",
            &[Bpchar],
            Int4,
            eval!(|s: Text| count(s.trim_end_matches(' ').chars().count())),
        ),
        function(
            "character_length",
            &[TEXT],
            Int4,
            eval!(|s: Text| count(s.chars().count())),
        ),
        function(
            "character_length",
            &[Bpchar],
            Int4,
            eval!(|s: Text| count(s.trim_end_matches(' ').chars().count())),
        ),
        function(
            "octet_length",
            &[TEXT],
            Int4,
            eval!(|s: Text| count(s.len())),
        ),
        function(
            "octet_length",
            &[Bpchar],
            Int4,
            eval!(|s: Text| count(s.len())),
        ),
        function(
            "bit_length",
            &[TEXT],
            Int4,
            eval!(|s: Text| count(s.len() * 8)),
        ),
        function("lower", &[TEXT], TEXT, eval!(|s: Text| text(lower(s)))),
        function("upper", &[TEXT], TEXT, eval!(|s: Text| text(upper(s)))),
        function("initcap", &[TEXT], TEXT, eval!(|s: Text| text(initcap(s)))),
        function(
            "reverse",
            &[TEXT],
            TEXT,
            eval!(|s: Text| text(s.chars().rev().collect::<String>())),
        ),
        function(
            "ascii",
            &[TEXT],
            Int4,
            eval!(|s: Text| {
                Ok(Datum::Int4(
                    s.chars().next().map_or(0, |c| u32::from(c).cast_signed()),
                ))
            }),
        ),
        function("chr", &[Int4], TEXT, eval!(|n: Int4| chr(*n))),
        function(
            "md5",
            &[TEXT],
            TEXT,
            eval!(|s: Text| text(format!("{:x}", md5::compute(s)))),
        ),
        function(
            "md5",
            &[Bytea],
            TEXT,
            eval!(|s: Bytea| text(format!("{:x}", md5::compute(s)))),
        ),
    ],
    &[
        function(
            "substr",
            &[TEXT, Int4],
            TEXT,
            eval!(|s: Text, from: Int4| text(substring(s, *from, None)?)),
        ),
        function(
            "substr",
            &[TEXT, Int4, Int4],
            TEXT,
            eval!(|s: Text, from: Int4, n: Int4| text(substring(s, *from, Some(*n))?)),
        ),
        function(
            "substring",
            &[TEXT, Int4],
            TEXT,
            eval!(|s: Text, from: Int4| text(substring(s, *from, None)?)),
        ),
        function(
            "substring",
            &[TEXT, Int4, Int4],
            TEXT,
            eval!(|s: Text, from: Int4, n: Int4| text(substring(s, *from, Some(*n))?)),
        ),
        function(
            "position",
            &[TEXT, TEXT],
            Int4,
            eval!(|s: Text, x: Text| position(s, x)),
        ),
        function(
            "strpos",
            &[TEXT, TEXT],
            Int4,
            eval!(|s: Text, x: Text| position(s, x)),
        ),
        function(
            "left",
            &[TEXT, Int4],
            TEXT,
            eval!(|s: Text, n: Int4| text(left(s, *n))),
        ),
        function(
            "right",
            &[TEXT, Int4],
            TEXT,
            eval!(|s: Text, n: Int4| text(right(s, *n))),
        ),
        function(
            "overlay",
            &[TEXT, TEXT, Int4],
            TEXT,
            eval!(|s: Text, new: Text, from: Int4| {
                overlay(
                    s,
                    new,
                    *from,
                    i32::try_from(new.chars().count()).unwrap_or(i32::MAX),
                )
            }),
        ),
        function(
            "overlay",
            &[TEXT, TEXT, Int4, Int4],
            TEXT,
            eval!(|s: Text, new: Text, from: Int4, n: Int4| overlay(s, new, *from, *n)),
        ),
        function(
            "split_part",
            &[TEXT, TEXT, Int4],
            TEXT,
            eval!(|s: Text, by: Text, n: Int4| split_part(s, by, *n)),
        ),
        function(
            "starts_with",
            &[TEXT, TEXT],
            Type::Bool,
            eval!(|s: Text, x: Text| Ok(Datum::Bool(s.starts_with(x.as_str())))),
        ),
    ],
    &[
        function(
            "lpad",
            &[TEXT, Int4],
            TEXT,
            eval!(|s: Text, n: Int4| pad(s, *n, " ", |s, pad| [pad, s].concat())),
        ),
        function(
            "lpad",
            &[TEXT, Int4, TEXT],
            TEXT,
            eval!(|s: Text, n: Int4, by: Text| pad(s, *n, by, |s, pad| [pad, s].concat())),
        ),
        function(
            "rpad",
            &[TEXT, Int4],
            TEXT,
            eval!(|s: Text, n: Int4| pad(s, *n, " ", |s, pad| [s, pad].concat())),
        ),
        function(
            "rpad",
            &[TEXT, Int4, TEXT],
            TEXT,
            eval!(|s: Text, n: Int4, by: Text| pad(s, *n, by, |s, pad| [s, pad].concat())),
        ),
        function(
            "ltrim",
            &[TEXT],
            TEXT,
            eval!(|s: Text| text(s.trim_start_matches(' '))),
        ),
        function(
            "rtrim",
            &[TEXT],
            TEXT,
            eval!(|s: Text| text(s.trim_end_matches(' '))),
        ),
        function(
            "btrim",
            &[TEXT],
            TEXT,
            eval!(|s: Text| text(s.trim_matches(' '))),
        ),
        function(
            "ltrim",
            &[TEXT, TEXT],
            TEXT,
            eval!(|s: Text, set: Text| text(s.trim_start_matches(|c| set.contains(c)))),
        ),
        function(
            "rtrim",
            &[TEXT, TEXT],
            TEXT,
            eval!(|s: Text, set: Text| text(s.trim_end_matches(|c| set.contains(c)))),
        ),
        function(
            "btrim",
            &[TEXT, TEXT],
            TEXT,
            eval!(|s: Text, set: Text| text(s.trim_matches(|c| set.contains(c)))),
        ),
        function(
            "replace",
            &[TEXT, TEXT, TEXT],
            TEXT,
            eval!(|s: Text, from: Text, to: Text| {
                text(if from.is_empty() {
                    s.clone()
                } else {
                    s.replace(from.as_str(), to)
                })
            }),
        ),
        function(
            "translate",
            &[TEXT, TEXT, TEXT],
            TEXT,
            eval!(|s: Text, from: Text, to: Text| text(translate(s, from, to))),
        ),
        function(
            "repeat",
            &[TEXT, Int4],
            TEXT,
            eval!(|s: Text, n: Int4| repeat(s, *n)),
        ),
    ],
    &[
        function("concat", &[ANY], TEXT, Eval::Typed(concat))
            .variadic()
            .sees_null()
            .stable(),
        function("concat_ws", &[TEXT, ANY], TEXT, Eval::Typed(concat_ws))
            .variadic()
            .sees_null()
            .stable(),
        function("format", &[TEXT], TEXT, Eval::Typed(format))
            .sees_null()
            .stable(),
        function("format", &[TEXT, ANY], TEXT, Eval::Typed(format))
            .variadic()
            .sees_null()
            .stable(),
        function(
            "quote_ident",
            &[TEXT],
            TEXT,
            eval!(|s: Text| text(quote_ident(s))),
        ),
        function(
            "quote_literal",
            &[TEXT],
            TEXT,
            eval!(|s: Text| text(quote_literal(s))),
        ),
        function("quote_literal", &[AnyElement], TEXT, Eval::Typed(quote_any)).stable(),
        function("quote_nullable", &[TEXT], TEXT, Eval::Typed(quote_any)).sees_null(),
        function(
            "quote_nullable",
            &[AnyElement],
            TEXT,
            Eval::Typed(quote_any),
        )
        .sees_null()
        .stable(),
        function(
            "name",
            &[TEXT],
            Name,
            eval!(|s: Text| text(super::cast::name(s))),
        ),
    ],
];

fn count(n: usize) -> Result<Datum> {
    match i32::try_from(n) {
        Ok(n) => Ok(Datum::Int4(n)),
        Err(_) => super::define::out_of_range("integer"),
    }
}

fn concat2(a: &str, b: &str) -> Result<Datum> {
    let mut s = String::with_capacity(a.len() + b.len());
    s.push_str(a);
    s.push_str(b);
    Ok(Datum::Text(s))
}

/// The text form of a value, as the type's output function gives it.
pub(crate) fn output(cx: &EvalContext<'_>, ty: Type, value: &Datum) -> Result<String> {
    if let (true, Datum::Oid(oid)) = (ty.is_reg(), value) {
        return match reg_to_text(cx, ty, *oid)? {
            Datum::Text(s) => Ok(s),
            _ => wrong_argument(),
        };
    }
    let mut bytes = Vec::new();
    text_out(ty, value, cx.format, &mut bytes);
    String::from_utf8(bytes).map_err(|_| {
        Error::new(
            SqlState::CHARACTER_NOT_IN_REPERTOIRE,
            "invalid byte sequence for encoding \"UTF8\"",
        )
    })
}

/// A value cast to text, which for some types (boolean, char(n)) is not its output.
fn as_text(cx: &EvalContext<'_>, ty: Type, value: &Datum) -> Result<String> {
    let value = match cast(ty, TEXT).map(|c| &c.method) {
        Some(CastMethod::Function(Function {
            eval: Eval::F1(eval),
            ..
        })) => eval(cx, value)?,
        Some(CastMethod::InOut) => return output(cx, ty, value),
        _ => value.clone(),
    };
    match value {
        Datum::Text(s) => Ok(s),
        other => output(cx, ty, &other),
    }
}

fn concat_any(cx: &EvalContext<'_>, types: &[Type], args: &[Datum]) -> Result<Datum> {
    match (types, args) {
        ([l, r], [a, b]) => concat2(&as_text(cx, *l, a)?, &as_text(cx, *r, b)?),
        _ => wrong_argument(),
    }
}

fn concat(cx: &EvalContext<'_>, types: &[Type], args: &[Datum]) -> Result<Datum> {
    joined(cx, "", types, args)
}

fn concat_ws(cx: &EvalContext<'_>, types: &[Type], args: &[Datum]) -> Result<Datum> {
    match args.first() {
        Some(Datum::Text(separator)) => joined(cx, separator, &types[1..], &args[1..]),
        _ => Ok(Datum::Null),
    }
}

fn joined(cx: &EvalContext<'_>, by: &str, types: &[Type], args: &[Datum]) -> Result<Datum> {
    let values = types.iter().zip(args).filter(|(_, value)| !value.is_null());
    let parts: Result<Vec<String>> = values.map(|(ty, value)| output(cx, *ty, value)).collect();
    text(parts?.join(by))
}

/// As in PostgreSQL's C locale, only ASCII letters have a case.
pub(super) fn lower(s: &str) -> String {
    s.to_ascii_lowercase()
}

fn upper(s: &str) -> String {
    s.to_ascii_uppercase()
}

fn initcap(s: &str) -> String {
    let mut inside = false;
    let change = |c: char| {
        let changed = match inside {
            true => c.to_ascii_lowercase(),
            false => c.to_ascii_uppercase(),
        };
        inside = c.is_ascii_alphanumeric();
        changed
    };
    s.chars().map(change).collect()
}

fn chr(n: i32) -> Result<Datum> {
    let limit = |what: String| Err(Error::new(SqlState::PROGRAM_LIMIT_EXCEEDED, what));
    let Ok(code) = u32::try_from(n) else {
        return Err(Error::new(
            SqlState::INVALID_PARAMETER_VALUE,
            "character number must be positive",
        ));
    };
    match char::from_u32(code) {
        Some('\0') => limit("null character not permitted".to_owned()),
        Some(c) => text(c),
        None if code > 0x10_FFFF => {
            limit(format!("requested character too large for encoding: {n}"))
        }
        None => limit(format!("requested character not valid for encoding: {n}")),
    }
}

/// The byte where the character number `n` (from 0) begins, or the end.
fn char_at(s: &str, n: usize) -> usize {
    if s.is_ascii() {
        return n.min(s.len());
    }
    s.char_indices().nth(n).map_or(s.len(), |(at, _)| at)
}

/// `length` characters from the character `from` (from 1; it may lie before the text).
pub(super) fn range(length: usize, from: i32, n: Option<i32>) -> Result<(usize, usize)> {
    let from = i64::from(from);
    let end = match n {
        Some(n) if n < 0 => {
            return Err(Error::new(
                SqlState::SUBSTRING_ERROR,
                "negative substring length not allowed",
            ));
        }
        Some(n) => from + i64::from(n),
        None => i64::MAX,
    };
    let place = |at: i64| usize::try_from(at.max(1) - 1).unwrap_or(length).min(length);
    Ok((place(from), place(end)))
}

fn substring(s: &str, from: i32, n: Option<i32>) -> Result<&str> {
    let (start, end) = range(s.len(), from, n)?;
    let start_at = char_at(s, start);
    let rest = &s[start_at..];
    Ok(&rest[..char_at(rest, end.saturating_sub(start))])
}

fn position(s: &str, x: &str) -> Result<Datum> {
    match s.find(x) {
        Some(at) => count(s[..at].chars().count() + 1),
        None => Ok(Datum::Int4(0)),
    }
}

/// All but the last `-n` characters when `n` is negative.
fn left(s: &str, n: i32) -> &str {
    let n = match usize::try_from(n) {
        Ok(n) => n,
        Err(_) => s.chars().count().saturating_sub(n.unsigned_abs() as usize),
    };
    &s[..char_at(s, n)]
}

fn right(s: &str, n: i32) -> &str {
    let skip = match usize::try_from(n) {
        Ok(n) => s.chars().count().saturating_sub(n),
        Err(_) => n.unsigned_abs() as usize,
    };
    &s[char_at(s, skip)..]
}

fn overlay(s: &str, new: &str, from: i32, n: i32) -> Result<Datum> {
    if from <= 0 {
        return Err(Error::new(
            SqlState::SUBSTRING_ERROR,
            "negative substring length not allowed",
        ));
    }
    let Some(rest) = from.checked_add(n) else {
        return super::define::out_of_range("integer");
    };
    text(
        [
            substring(s, 1, Some(from - 1))?,
            new,
            substring(s, rest, None)?,
        ]
        .concat(),
    )
}

fn split_part(s: &str, by: &str, n: i32) -> Result<Datum> {
    if n == 0 {
        return Err(Error::new(
            SqlState::INVALID_PARAMETER_VALUE,
            "field position must not be zero",
        ));
    }
    let place = n.unsigned_abs() as usize - 1;
    if by.is_empty() {
        return text(if place == 0 { s } else { "" });
    }
    let part = if n > 0 {
        s.split(by).nth(place)
    } else {
        s.rsplit(by).nth(place)
    };
    text(part.unwrap_or(""))
}

#[cold]
fn too_large<T>() -> Result<T> {
    Err(Error::new(
        SqlState::PROGRAM_LIMIT_EXCEEDED,
        "requested length too large",
    ))
}

fn pad(s: &str, n: i32, by: &str, join: fn(&str, &str) -> String) -> Result<Datum> {
    let n = usize::try_from(n).unwrap_or(0);
    if n > TEXT_BYTES_MAX / 4 {
        return too_large();
    }
    let s = &s[..char_at(s, n)];
    let missing = n - s.chars().count();
    let pad: String = by.chars().cycle().take(missing).collect();
    text(join(s, &pad))
}

fn repeat(s: &str, n: i32) -> Result<Datum> {
    let n = usize::try_from(n).unwrap_or(0);
    if s.len().saturating_mul(n) > TEXT_BYTES_MAX {
        return too_large();
    }
    text(s.repeat(n))
}

fn translate(s: &str, from: &str, to: &str) -> String {
    let to: Vec<char> = to.chars().collect();
    s.chars()
        .filter_map(|c| match from.chars().position(|f| f == c) {
            Some(at) => to.get(at).copied(),
            None => Some(c),
        })
        .collect()
}

/// Words that PostgreSQL's grammar does not take as any name; in order.
static KEYWORDS: &[&str] = &[
    "all",
    "analyse",
    "analyze",
    "and",
    "any",
    "array",
    "as",
    "asc",
    "asymmetric",
    "authorization",
    "between",
    "bigint",
    "binary",
    "bit",
    "boolean",
    "both",
    "case",
    "cast",
    "char",
    "character",
    "check",
    "coalesce",
    "collate",
    "collation",
    "column",
    "concurrently",
    "constraint",
    "create",
    "cross",
    "current_catalog",
    "current_date",
    "current_role",
    "current_schema",
    "current_time",
    "current_timestamp",
    "current_user",
    "dec",
    "decimal",
    "default",
    "deferrable",
    "desc",
    "distinct",
    "do",
    "else",
    "end",
    "except",
    "exists",
    "extract",
    "false",
    "fetch",
    "float",
    "for",
    "foreign",
    "freeze",
    "from",
    "full",
    "grant",
    "greatest",
    "group",
    "grouping",
    "having",
    "ilike",
    "in",
    "initially",
    "inner",
    "inout",
    "int",
    "integer",
    "intersect",
    "interval",
    "into",
    "is",
    "isnull",
    "join",
    "lateral",
    "leading",
    "least",
    "left",
    "like",
    "limit",
    "localtime",
    "localtimestamp",
    "national",
    "natural",
    "nchar",
    "none",
    "normalize",
    "not",
    "notnull",
    "null",
    "nullif",
    "numeric",
    "offset",
    "on",
    "only",
    "or",
    "order",
    "out",
    "outer",
    "overlaps",
    "overlay",
    "placing",
    "position",
    "precision",
    "primary",
    "real",
    "references",
    "returning",
    "right",
    "row",
    "select",
    "session_user",
    "setof",
    "similar",
    "smallint",
    "some",
    "substring",
    "symmetric",
    "table",
    "tablesample",
    "then",
    "time",
    "timestamp",
    "to",
    "trailing",
    "treat",
    "trim",
    "true",
    "union",
    "unique",
    "user",
    "using",
    "values",
    "varchar",
    "variadic",
    "verbose",
    "when",
    "where",
    "window",
    "with",
    "xmlattributes",
    "xmlconcat",
    "xmlelement",
    "xmlexists",
    "xmlforest",
    "xmlnamespaces",
    "xmlparse",
    "xmlpi",
    "xmlroot",
    "xmlserialize",
    "xmltable",
];

/// The name as SQL text, quoted where it must be.
pub fn quote_ident(s: &str) -> String {
    let plain = s.starts_with(|c: char| c.is_ascii_lowercase() || c == '_')
        && s.bytes()
            .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == b'_')
        && KEYWORDS.binary_search(&s).is_err();
    if plain {
        s.to_owned()
    } else {
        format!("\"{}\"", s.replace('"', "\"\""))
    }
}

/// The text as an SQL literal.
pub fn quote_literal(s: &str) -> String {
    let escape = if s.contains('\\') { "E" } else { "" };
    format!("{escape}'{}'", s.replace('\\', "\\\\").replace('\'', "''"))
}

fn quote_any(cx: &EvalContext<'_>, types: &[Type], args: &[Datum]) -> Result<Datum> {
    match (types, args) {
        (_, [Datum::Null]) => text("NULL"),
        ([ty], [value]) => text(quote_literal(&as_text(cx, *ty, value)?)),
        _ => wrong_argument(),
    }
}

/// `format`: `%[position$][-][width]type`, a width being a number, `*` or `*position$`.
fn format(cx: &EvalContext<'_>, types: &[Type], args: &[Datum]) -> Result<Datum> {
    let Some(Datum::Text(template)) = args.first() else {
        return Ok(Datum::Null);
    };
    let mut formatter = Formatter {
        cx,
        types,
        args,
        next: 1,
    };
    let mut out = String::with_capacity(template.len());
    let mut rest = template.as_str();
    while let Some(at) = rest.find('%') {
        out.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        if let Some(after) = rest.strip_prefix('%') {
            out.push('%');
            rest = after;
        } else {
            rest = formatter.specifier(rest, &mut out)?;
        }
    }
    out.push_str(rest);
    Ok(Datum::Text(out))
}

struct Formatter<'a> {
    cx: &'a EvalContext<'a>,
    types: &'a [Type],
    args: &'a [Datum],
    /// The argument that the next specifier without a position takes.
    next: usize,
}

impl<'a> Formatter<'a> {
    /// Formats one specifier, whose `%` has been read; gives what follows it.
    fn specifier<'t>(&mut self, spec: &'t str, out: &mut String) -> Result<&'t str> {
        let mut rest = spec;
        let mut position = None;
        let mut width = None;
        if let Some((n, after)) = number(rest)? {
            match after.strip_prefix('$') {
                Some(after) => (position, rest) = (Some(n), after),
                None => (width, rest) = (Some(n), after),
            }
        }
        let mut left = false;
        if width.is_none() {
            while let Some(after) = rest.strip_prefix('-') {
                (left, rest) = (true, after);
            }
            if let Some(after) = rest.strip_prefix('*') {
                rest = after;
                let mut at = None;
                if let Some((n, after)) = number(rest)? {
                    let Some(after) = after.strip_prefix('$') else {
                        return Err(format_error(
                            "width argument position must be ended by \"$\"",
                        ));
                    };
                    (at, rest) = (Some(n), after);
                }
                width = Some(self.width(at)?);
            } else if let Some((n, after)) = number(rest)? {
                (width, rest) = (Some(n), after);
            }
        }
        let Some(kind) = rest.chars().next() else {
            return Err(format_error("unterminated format() type specifier")
                .with_hint("For a single \"%\" use \"%%\"."));
        };
        if !matches!(kind, 's' | 'I' | 'L') {
            return Err(
                format_error(&format!("unrecognized format() type specifier \"{kind}\""))
                    .with_hint("For a single \"%\" use \"%%\"."),
            );
        }
        let (ty, value) = self.argument(position)?;
        let value = self.value(kind, ty, value)?;
        let width = width.unwrap_or(0);
        left |= width < 0;
        let missing = (width.unsigned_abs() as usize).saturating_sub(value.chars().count());
        let padding = " ".repeat(missing);
        out.push_str(&if left {
            value + &padding
        } else {
            padding + &value
        });
        Ok(&rest[1..])
    }

    fn argument(&mut self, position: Option<i32>) -> Result<(Type, &'a Datum)> {
        let at = match position {
            Some(0) => {
                return Err(format_error(
                    "format specifies argument 0, but arguments are numbered from 1",
                ));
            }
            Some(n) => n.unsigned_abs() as usize,
            None => self.next,
        };
        self.next = at + 1;
        match (self.types.get(at), self.args.get(at)) {
            (Some(ty), Some(value)) => Ok((*ty, value)),
            _ => Err(format_error("too few arguments for format()")),
        }
    }

    fn width(&mut self, position: Option<i32>) -> Result<i32> {
        let (ty, value) = self.argument(position)?;
        if value.is_null() {
            return Ok(0);
        }
        let s = output(self.cx, ty, value)?;
        match crate::types::text_in(Type::Int4, -1, &s, self.cx.format)? {
            Datum::Int4(n) => Ok(n),
            _ => wrong_argument(),
        }
    }

    fn value(&self, kind: char, ty: Type, value: &Datum) -> Result<String> {
        if value.is_null() {
            return match kind {
                's' => Ok(String::new()),
                'L' => Ok("NULL".to_owned()),
                _ => Err(Error::new(
                    SqlState::NULL_VALUE_NOT_ALLOWED,
                    "null values cannot be formatted as an SQL identifier",
                )),
            };
        }
        let s = output(self.cx, ty, value)?;
        Ok(match kind {
            's' => s,
            'I' => quote_ident(&s),
            _ => quote_literal(&s),
        })
    }
}

/// Leading digits, if any, and what follows them.
fn number(s: &str) -> Result<Option<(i32, &str)>> {
    let end = s.find(|c: char| !c.is_ascii_digit()).unwrap_or(s.len());
    if end == 0 {
        return Ok(None);
    }
    match s[..end].parse() {
        Ok(n) => Ok(Some((n, &s[end..]))),
        Err(_) => Err(format_error("number is out of range")),
    }
}

fn format_error(what: &str) -> Error {
    Error::new(SqlState::INVALID_PARAMETER_VALUE, what)
}
