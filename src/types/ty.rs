//! The types and what `pg_type` says of them.

use crate::base::Oid;

/// A type that Walnut knows. Arrays are types of their own, as in `pg_type`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Type {
    Bool,
    Bytea,
    Char,
    Name,
    Int8,
    Int2,
    Int4,
    Regproc,
    Text,
    Oid,
    Regclass,
    Regtype,
    Regnamespace,
    Float4,
    Float8,
    /// A string literal or parameter whose type the context has not told yet.
    Unknown,
    Bpchar,
    Varchar,
    Date,
    Timestamp,
    Timestamptz,
    Numeric,
    PgLsn,
    Void,
    /// A row, as `row(1, 2)` makes it; it can be compared but not stored.
    Record,
    BoolArray,
    ByteaArray,
    CharArray,
    NameArray,
    Int2Array,
    Int4Array,
    Int8Array,
    TextArray,
    OidArray,
    Float4Array,
    Float8Array,
    BpcharArray,
    VarcharArray,
    DateArray,
    TimestampArray,
    TimestamptzArray,
    NumericArray,
    PgLsnArray,
    /// Pseudo-types of function signatures; no value has them.
    AnyElement,
    AnyArray,
    Any,
}

/// `pg_type.typcategory`, as far as it steers the choice of operators.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Category {
    Array,
    Boolean,
    DateTime,
    Numeric,
    Pseudo,
    String,
    User,
    Unknown,
    Internal,
}

/// One row of the table below: (type, oid, name in pg_type, SQL name, length, element, category,
/// preferred in its category).
type Row = (
    Type,
    u32,
    &'static str,
    &'static str,
    i16,
    Option<Type>,
    Category,
    bool,
);

use Category as C;
use Type as T;

/// In the order of the variants of [`Type`], so that a type is its own index.
static TABLE: [Row; 46] = [
    (T::Bool, 16, "bool", "boolean", 1, None, C::Boolean, true),
    (T::Bytea, 17, "bytea", "bytea", -1, None, C::User, false),
    (T::Char, 18, "char", "\"char\"", 1, None, C::Internal, false),
    (T::Name, 19, "name", "name", 64, None, C::String, false),
    (T::Int8, 20, "int8", "bigint", 8, None, C::Numeric, false),
    (T::Int2, 21, "int2", "smallint", 2, None, C::Numeric, false),
    (T::Int4, 23, "int4", "integer", 4, None, C::Numeric, false),
    (
        T::Regproc,
        24,
        "regproc",
        "regproc",
        4,
        None,
        C::Numeric,
        false,
    ),
    (T::Text, 25, "text", "text", -1, None, C::String, true),
    (T::Oid, 26, "oid", "oid", 4, None, C::Numeric, true),
    (
        T::Regclass,
        2205,
        "regclass",
        "regclass",
        4,
        None,
        C::Numeric,
        false,
    ),
    (
        T::Regtype,
        2206,
        "regtype",
        "regtype",
        4,
        None,
        C::Numeric,
        false,
    ),
    (
        T::Regnamespace,
        4089,
        "regnamespace",
        "regnamespace",
        4,
        None,
        C::Numeric,
        false,
    ),
    (T::Float4, 700, "float4", "real", 4, None, C::Numeric, false),
    (
        T::Float8,
        701,
        "float8",
        "double precision",
        8,
        None,
        C::Numeric,
        true,
    ),
    (
        T::Unknown,
        705,
        "unknown",
        "unknown",
        -2,
        None,
        C::Unknown,
        false,
    ),
    (
        T::Bpchar,
        1042,
        "bpchar",
        "character",
        -1,
        None,
        C::String,
        false,
    ),
    (
        T::Varchar,
        1043,
        "varchar",
        "character varying",
        -1,
        None,
        C::String,
        false,
    ),
    (T::Date, 1082, "date", "date", 4, None, C::DateTime, false),
    (
        T::Timestamp,
        1114,
        "timestamp",
        "timestamp without time zone",
        8,
        None,
        C::DateTime,
        false,
    ),
    (
        T::Timestamptz,
        1184,
        "timestamptz",
        "timestamp with time zone",
        8,
        None,
        C::DateTime,
        true,
    ),
    (
        T::Numeric,
        1700,
        "numeric",
        "numeric",
        -1,
        None,
        C::Numeric,
        false,
    ),
    (T::PgLsn, 3220, "pg_lsn", "pg_lsn", 8, None, C::User, false),
    (T::Void, 2278, "void", "void", 4, None, C::Pseudo, false),
    (
        T::Record,
        2249,
        "record",
        "record",
        -1,
        None,
        C::Pseudo,
        false,
    ),
    (
        T::BoolArray,
        1000,
        "_bool",
        "boolean[]",
        -1,
        Some(T::Bool),
        C::Array,
        false,
    ),
    (
        T::ByteaArray,
        1001,
        "_bytea",
        "bytea[]",
        -1,
        Some(T::Bytea),
        C::Array,
        false,
    ),
    (
        T::CharArray,
        1002,
        "_char",
        "\"char\"[]",
        -1,
        Some(T::Char),
        C::Array,
        false,
    ),
    (
        T::NameArray,
        1003,
        "_name",
        "name[]",
        -1,
        Some(T::Name),
        C::Array,
        false,
    ),
    (
        T::Int2Array,
        1005,
        "_int2",
        "smallint[]",
        -1,
        Some(T::Int2),
        C::Array,
        false,
    ),
    (
        T::Int4Array,
        1007,
        "_int4",
        "integer[]",
        -1,
        Some(T::Int4),
        C::Array,
        false,
    ),
    (
        T::Int8Array,
        1016,
        "_int8",
        "bigint[]",
        -1,
        Some(T::Int8),
        C::Array,
        false,
    ),
    (
        T::TextArray,
        1009,
        "_text",
        "text[]",
        -1,
        Some(T::Text),
        C::Array,
        false,
    ),
    (
        T::OidArray,
        1028,
        "_oid",
        "oid[]",
        -1,
        Some(T::Oid),
        C::Array,
        false,
    ),
    (
        T::Float4Array,
        1021,
        "_float4",
        "real[]",
        -1,
        Some(T::Float4),
        C::Array,
        false,
    ),
    (
        T::Float8Array,
        1022,
        "_float8",
        "double precision[]",
        -1,
        Some(T::Float8),
        C::Array,
        false,
    ),
    (
        T::BpcharArray,
        1014,
        "_bpchar",
        "character[]",
        -1,
        Some(T::Bpchar),
        C::Array,
        false,
    ),
    (
        T::VarcharArray,
        1015,
        "_varchar",
        "character varying[]",
        -1,
        Some(T::Varchar),
        C::Array,
        false,
    ),
    (
        T::DateArray,
        1182,
        "_date",
        "date[]",
        -1,
        Some(T::Date),
        C::Array,
        false,
    ),
    (
        T::TimestampArray,
        1115,
        "_timestamp",
        "timestamp without time zone[]",
        -1,
        Some(T::Timestamp),
        C::Array,
        false,
    ),
    (
        T::TimestamptzArray,
        1185,
        "_timestamptz",
        "timestamp with time zone[]",
        -1,
        Some(T::Timestamptz),
        C::Array,
        false,
    ),
    (
        T::NumericArray,
        1231,
        "_numeric",
        "numeric[]",
        -1,
        Some(T::Numeric),
        C::Array,
        false,
    ),
    (
        T::PgLsnArray,
        3221,
        "_pg_lsn",
        "pg_lsn[]",
        -1,
        Some(T::PgLsn),
        C::Array,
        false,
    ),
    (
        T::AnyElement,
        2283,
        "anyelement",
        "anyelement",
        4,
        None,
        C::Pseudo,
        false,
    ),
    (
        T::AnyArray,
        2277,
        "anyarray",
        "anyarray",
        -1,
        None,
        C::Pseudo,
        false,
    ),
    (T::Any, 2276, "any", "\"any\"", 4, None, C::Pseudo, false),
];

/// No type that Walnut knows has a larger OID.
const OID_MAX: usize = 4089;

/// In [`BY_OID`] and [`ARRAY_OF`]: no such type.
const NONE: u8 = u8::MAX;

/// OID to row of [`TABLE`].
#[expect(clippy::cast_possible_truncation, reason = "there are 46 rows")]
static BY_OID: [u8; OID_MAX + 1] = {
    let mut by_oid = [NONE; OID_MAX + 1];
    let mut i = 0;
    while i < TABLE.len() {
        by_oid[TABLE[i].1 as usize] = i as u8;
        i += 1;
    }
    by_oid
};

/// Row of an element type to row of its array type.
#[expect(clippy::cast_possible_truncation, reason = "there are 46 rows")]
static ARRAY_OF: [u8; TABLE.len()] = {
    let mut array_of = [NONE; TABLE.len()];
    let mut i = 0;
    while i < TABLE.len() {
        if let Some(element) = TABLE[i].5 {
            array_of[element as usize] = i as u8;
        }
        i += 1;
    }
    array_of
};

const _: () = {
    let mut i = 0;
    while i < TABLE.len() {
        assert!(
            TABLE[i].0 as usize == i,
            "TABLE is in the order of the variants"
        );
        i += 1;
    }
};

fn at(index: u8) -> Option<Type> {
    TABLE.get(usize::from(index)).map(|row| row.0)
}

impl Type {
    fn row(self) -> &'static Row {
        &TABLE[self as usize]
    }

    /// An OID whose text is the name of an object.
    pub fn is_reg(self) -> bool {
        matches!(
            self,
            Type::Regclass | Type::Regproc | Type::Regtype | Type::Regnamespace
        )
    }

    /// Every type with a row in `pg_type`.
    pub fn all() -> impl Iterator<Item = Type> {
        TABLE.iter().map(|row| row.0)
    }

    pub fn oid(self) -> Oid {
        Oid(self.row().1)
    }

    pub fn from_oid(oid: Oid) -> Option<Type> {
        at(*BY_OID.get(oid.0 as usize)?)
    }

    /// `pg_type.typname`.
    pub fn name(self) -> &'static str {
        self.row().2
    }

    /// As `format_type` writes it without a modifier; error messages use it.
    pub fn sql_name(self) -> &'static str {
        self.row().3
    }

    /// `pg_type.typlen`: -1 for variable length.
    #[expect(
        clippy::len_without_is_empty,
        reason = "a length that a type has, not its own"
    )]
    pub fn len(self) -> i16 {
        self.row().4
    }

    /// The element type of an array type.
    pub fn element(self) -> Option<Type> {
        self.row().5
    }

    /// The array type over this element type.
    pub fn array(self) -> Option<Type> {
        at(ARRAY_OF[self as usize])
    }

    pub fn category(self) -> Category {
        self.row().6
    }

    /// Preferred in its category when operators are resolved.
    pub fn is_preferred(self) -> bool {
        self.row().7
    }

    /// Values are held as [`super::Datum::Text`].
    pub fn is_text(self) -> bool {
        matches!(
            self,
            T::Text | T::Varchar | T::Bpchar | T::Name | T::Unknown
        )
    }

    /// Looks up a name as written in SQL (`int`, `int4`, `double precision`, `_int4`…), in lower
    /// case, without schema, modifier or brackets.
    pub fn from_name(name: &str) -> Option<Type> {
        let canonical = match name {
            "int" => "int4",
            "decimal" | "dec" => "numeric",
            "float" => "float8",
            "\"char\"" => "char",
            "char" => "bpchar",
            other => other,
        };
        TABLE
            .iter()
            .find(|row| row.2 == canonical || row.3 == canonical)
            .map(|row| row.0)
    }
}

#[cfg(test)]
mod tests {
    use super::Type;

    #[test]
    fn every_type_is_found_by_its_oid_and_its_array_by_its_element() {
        for ty in Type::all() {
            assert_eq!(Type::from_oid(ty.oid()), Some(ty));
            if let Some(element) = ty.element() {
                assert_eq!(element.array(), Some(ty));
            }
        }
        assert_eq!(Type::Void.array(), None);
        assert_eq!(Type::from_oid(crate::base::Oid(u32::MAX)), None);
        assert_eq!(Type::from_name("double precision"), Some(Type::Float8));
    }
}
