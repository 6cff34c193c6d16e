//! Tables with their indexes kept in step: the catalog, the codecs of rows and keys.

mod def;

pub use def::{Catalog, CheckDef, ColumnDef, ForeignKeyDef, IndexColumn, IndexDef, TableDef};
