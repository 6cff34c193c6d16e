//! Relations of `pg_catalog` and `information_schema`, computed from the catalog, the session and
//! the registry of functions whenever they are read.
//!
//! Names, OIDs and columns are PostgreSQL 15's; `columns` tells where a type differs. A relation
//! that describes what Walnut does not have (partitions, triggers, comments) is empty; one whose
//! facts exist but are not told here is missing.
//!
//! Functions, operators and casts have OIDs of their own (10000 to 16383), which hold within one
//! version of Walnut. All that is owned belongs to one role, the session's, with OID 10.

mod activity;
mod builtins;
mod columns;
pub(super) mod definitions;
mod dependencies;
mod information_schema;
mod locks;
mod log;
pub mod names;
pub(super) mod procs;
mod relations;
pub(super) mod roles;
mod sequences;
mod types;
mod values;

use crate::sql::ir::SystemRelation;
use crate::types::Datum;

/// `relation!(1259, "pg_class", columns::PG_CLASS, relations::pg_class)`; without a function the
/// relation is empty. A schema may stand before the name.
macro_rules! relation {
    ($oid:literal, $name:literal, $columns:expr) => {
        relation!($oid, $name, $columns, |_| Vec::new())
    };
    ($oid:literal, $name:literal, $columns:expr, $rows:expr) => {
        relation!($oid, "pg_catalog", $name, $columns, $rows)
    };
    ($oid:literal, $schema:literal, $name:literal, $columns:expr, $rows:expr) => {
        SystemRelation {
            oid: $oid,
            schema: $schema,
            name: $name,
            columns: $columns,
            rows: $rows,
        }
    };
}

static RELATIONS: &[SystemRelation] = &[
    relation!(2601, "pg_am", columns::PG_AM, builtins::pg_am),
    relation!(
        2604,
        "pg_attrdef",
        columns::PG_ATTRDEF,
        relations::pg_attrdef
    ),
    relation!(
        1249,
        "pg_attribute",
        columns::PG_ATTRIBUTE,
        relations::pg_attribute
    ),
    relation!(1261, "pg_auth_members", columns::PG_AUTH_MEMBERS),
    relation!(2605, "pg_cast", columns::PG_CAST, builtins::pg_cast),
    relation!(1259, "pg_class", columns::PG_CLASS, relations::pg_class),
    relation!(
        3456,
        "pg_collation",
        columns::PG_COLLATION,
        builtins::pg_collation
    ),
    relation!(
        2606,
        "pg_constraint",
        columns::PG_CONSTRAINT,
        relations::pg_constraint
    ),
    relation!(
        1262,
        "pg_database",
        columns::PG_DATABASE,
        roles::pg_database
    ),
    relation!(
        2608,
        "pg_depend",
        columns::PG_DEPEND,
        dependencies::pg_depend
    ),
    relation!(2609, "pg_description", columns::PG_DESCRIPTION),
    relation!(3501, "pg_enum", columns::PG_ENUM),
    relation!(3079, "pg_extension", columns::PG_EXTENSION),
    relation!(1417, "pg_foreign_server", columns::PG_FOREIGN_SERVER),
    relation!(3118, "pg_foreign_table", columns::PG_FOREIGN_TABLE),
    relation!(2610, "pg_index", columns::PG_INDEX, relations::pg_index),
    relation!(
        12043,
        "pg_indexes",
        columns::PG_INDEXES,
        relations::pg_indexes
    ),
    relation!(2611, "pg_inherits", columns::PG_INHERITS),
    relation!(
        2612,
        "pg_language",
        columns::PG_LANGUAGE,
        builtins::pg_language
    ),
    relation!(12073, "pg_locks", columns::PG_LOCKS, locks::pg_locks),
    relation!(12038, "pg_matviews", columns::PG_MATVIEWS),
    relation!(
        2615,
        "pg_namespace",
        columns::PG_NAMESPACE,
        relations::pg_namespace
    ),
    relation!(
        2617,
        "pg_operator",
        columns::PG_OPERATOR,
        builtins::pg_operator
    ),
    relation!(3350, "pg_partitioned_table", columns::PG_PARTITIONED_TABLE),
    relation!(3256, "pg_policy", columns::PG_POLICY),
    relation!(1255, "pg_proc", columns::PG_PROC, procs::pg_proc),
    relation!(6104, "pg_publication", columns::PG_PUBLICATION),
    relation!(
        6237,
        "pg_publication_namespace",
        columns::PG_PUBLICATION_NAMESPACE
    ),
    relation!(6106, "pg_publication_rel", columns::PG_PUBLICATION_REL),
    relation!(3541, "pg_range", columns::PG_RANGE),
    relation!(2618, "pg_rewrite", columns::PG_REWRITE),
    relation!(12000, "pg_roles", columns::PG_ROLES, roles::pg_roles),
    relation!(
        2224,
        "pg_sequence",
        columns::PG_SEQUENCE,
        sequences::pg_sequence
    ),
    relation!(
        12048,
        "pg_sequences",
        columns::PG_SEQUENCES,
        sequences::pg_sequences
    ),
    relation!(
        12104,
        "pg_settings",
        columns::PG_SETTINGS,
        roles::pg_settings
    ),
    relation!(2396, "pg_shdescription", columns::PG_SHDESCRIPTION),
    relation!(
        12222,
        "pg_stat_activity",
        columns::PG_STAT_ACTIVITY,
        activity::pg_stat_activity
    ),
    relation!(
        12289,
        "pg_stat_bgwriter",
        columns::PG_STAT_BGWRITER,
        log::pg_stat_bgwriter
    ),
    relation!(
        12266,
        "pg_stat_database",
        columns::PG_STAT_DATABASE,
        log::pg_stat_database
    ),
    relation!(12295, "pg_stat_io", columns::PG_STAT_IO, log::pg_stat_io),
    relation!(12293, "pg_stat_wal", columns::PG_STAT_WAL, log::pg_stat_wal),
    relation!(3381, "pg_statistic_ext", columns::PG_STATISTIC_EXT),
    relation!(12033, "pg_tables", columns::PG_TABLES, relations::pg_tables),
    relation!(
        1213,
        "pg_tablespace",
        columns::PG_TABLESPACE,
        builtins::pg_tablespace
    ),
    relation!(2620, "pg_trigger", columns::PG_TRIGGER),
    relation!(1247, "pg_type", columns::PG_TYPE, types::pg_type),
    relation!(12014, "pg_user", columns::PG_USER, roles::pg_user),
    relation!(12028, "pg_views", columns::PG_VIEWS, relations::pg_views),
    relation!(
        13295,
        "information_schema",
        "columns",
        columns::INFORMATION_SCHEMA_COLUMNS,
        information_schema::columns
    ),
    relation!(
        13300,
        "information_schema",
        "constraint_column_usage",
        columns::INFORMATION_SCHEMA_CONSTRAINT_COLUMN_USAGE,
        information_schema::constraint_column_usage
    ),
    relation!(
        13329,
        "information_schema",
        "key_column_usage",
        columns::INFORMATION_SCHEMA_KEY_COLUMN_USAGE,
        information_schema::key_column_usage
    ),
    relation!(
        13339,
        "information_schema",
        "referential_constraints",
        columns::INFORMATION_SCHEMA_REFERENTIAL_CONSTRAINTS,
        information_schema::referential_constraints
    ),
    relation!(
        13382,
        "information_schema",
        "schemata",
        columns::INFORMATION_SCHEMA_SCHEMATA,
        information_schema::schemata
    ),
    relation!(
        13386,
        "information_schema",
        "sequences",
        columns::INFORMATION_SCHEMA_SEQUENCES,
        sequences::information_schema_sequences
    ),
    relation!(
        13411,
        "information_schema",
        "table_constraints",
        columns::INFORMATION_SCHEMA_TABLE_CONSTRAINTS,
        information_schema::table_constraints
    ),
    relation!(
        13425,
        "information_schema",
        "tables",
        columns::INFORMATION_SCHEMA_TABLES,
        information_schema::tables
    ),
];

type Rows = Vec<Vec<Datum>>;

/// The relation of that name; without a schema, one of `pg_catalog`.
pub fn relation(schema: Option<&str>, name: &str) -> Option<&'static SystemRelation> {
    let schema = schema.unwrap_or("pg_catalog");
    relations().find(|r| r.schema == schema && r.name == name)
}

pub fn relations() -> impl Iterator<Item = &'static SystemRelation> {
    RELATIONS.iter()
}

/// PostgreSQL defines it as a view (OIDs from 12000 on are those of initdb's scripts).
fn is_view(relation: &SystemRelation) -> bool {
    relation.oid >= 12000
}

#[cfg(test)]
mod tests;
