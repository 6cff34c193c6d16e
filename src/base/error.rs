//! Errors by what the caller should do with them.
//!
//! - [`Error::Report`]: the statement is wrong or cannot be done now: tell the user. It carries
//!   PostgreSQL's SQLSTATE and fields.
//! - [`Error::Corrupt`]: bytes on disk are not the bytes written: tell the user, do not serve them.
//! - [`Error::Io`]: the operating system refused.
//! - [`Error::Poisoned`]: the log has failed; nothing commits any more and the process must stop.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

pub type Result<T, E = Error> = std::result::Result<T, E>;

#[derive(Clone, Debug)]
pub enum Error {
    Report(Box<Report>),
    Corrupt {
        file: PathBuf,
        offset: u64,
        what: String,
    },
    Io {
        what: String,
        source: Arc<std::io::Error>,
    },
    Poisoned(Arc<str>),
}

/// A five-character SQLSTATE (PostgreSQL's Appendix A).
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct SqlState(pub [u8; 5]);

/// The fields of an ErrorResponse or NoticeResponse (PostgreSQL's protocol documentation, 55.8).
#[derive(Clone, Debug)]
pub struct Report {
    pub severity: Severity,
    pub code: SqlState,
    pub message: String,
    pub detail: Option<String>,
    pub hint: Option<String>,
    /// Where in the statement text, as a byte offset from 0. The wire layer turns it into
    /// PostgreSQL's 1-based character position.
    pub position: Option<usize>,
    pub context: Option<String>,
    pub schema: Option<String>,
    pub table: Option<String>,
    pub column: Option<String>,
    pub data_type: Option<String>,
    pub constraint: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    Notice,
    Warning,
    Error,
    /// The session ends after it.
    Fatal,
}

impl Report {
    pub fn new(severity: Severity, code: SqlState, message: impl Into<String>) -> Report {
        Report {
            severity,
            code,
            message: message.into(),
            detail: None,
            hint: None,
            position: None,
            context: None,
            schema: None,
            table: None,
            column: None,
            data_type: None,
            constraint: None,
        }
    }
}

impl Error {
    /// An error for the user. Further fields are added with the `with_` methods.
    pub fn new(code: SqlState, message: impl Into<String>) -> Error {
        Error::Report(Box::new(Report::new(Severity::Error, code, message)))
    }

    /// 0A000, naming what is missing: `unsupported("window functions")`.
    pub fn unsupported(what: impl fmt::Display) -> Error {
        Error::new(
            SqlState::FEATURE_NOT_SUPPORTED,
            format!("{what} not supported yet"),
        )
    }

    /// The operating system refused `what` (an operation and a path).
    pub fn io(what: impl Into<String>, source: std::io::Error) -> Error {
        Error::Io {
            what: what.into(),
            source: Arc::new(source),
        }
    }

    fn with(mut self, set: impl FnOnce(&mut Report)) -> Error {
        if let Error::Report(report) = &mut self {
            set(report);
        }
        self
    }

    pub fn with_detail(self, detail: impl Into<String>) -> Error {
        self.with(|r| r.detail = Some(detail.into()))
    }

    pub fn with_hint(self, hint: impl Into<String>) -> Error {
        self.with(|r| r.hint = Some(hint.into()))
    }

    pub fn with_context(self, context: impl Into<String>) -> Error {
        self.with(|r| r.context = Some(context.into()))
    }

    /// Sets the position (a byte offset in the statement text) unless one is set already.
    pub fn at(self, position: usize) -> Error {
        self.with(|r| {
            r.position.get_or_insert(position);
        })
    }

    pub fn with_table(self, schema: &str, table: &str) -> Error {
        self.with(|r| {
            r.schema = Some(schema.to_owned());
            r.table = Some(table.to_owned());
        })
    }

    pub fn with_column(self, column: impl Into<String>) -> Error {
        self.with(|r| r.column = Some(column.into()))
    }

    pub fn with_constraint(self, constraint: impl Into<String>) -> Error {
        self.with(|r| r.constraint = Some(constraint.into()))
    }

    /// The fields to send to a client, whatever the error is.
    pub fn report(&self) -> Report {
        let error = |code, message| Report::new(Severity::Error, code, message);
        match self {
            Error::Report(report) => (**report).clone(),
            Error::Corrupt { .. } => error(SqlState::DATA_CORRUPTED, self.to_string()),
            Error::Io { source, .. } => {
                let code = match source.kind() {
                    std::io::ErrorKind::StorageFull => SqlState::DISK_FULL,
                    _ => SqlState::IO_ERROR,
                };
                error(code, self.to_string())
            }
            Error::Poisoned(_) => {
                Report::new(Severity::Fatal, SqlState::IO_ERROR, self.to_string())
            }
        }
    }

    pub fn sqlstate(&self) -> SqlState {
        self.report().code
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Report(r) => write!(f, "{} ({})", r.message, r.code),
            Error::Corrupt { file, offset, what } => {
                write!(
                    f,
                    "corrupt data in {} at offset {offset}: {what}",
                    file.display()
                )
            }
            Error::Io { what, source } => write!(f, "could not {what}: {source}"),
            Error::Poisoned(why) => write!(f, "the write-ahead log has failed: {why}"),
        }
    }
}

impl std::error::Error for Error {}

impl SqlState {
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or("XX000")
    }
}

impl fmt::Display for SqlState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for SqlState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

macro_rules! sqlstates {
    ($($name:ident = $code:literal;)*) => {
        impl SqlState { $(pub const $name: SqlState = SqlState(*$code);)* }
    };
}

sqlstates! {
    SUCCESSFUL_COMPLETION = b"00000";
    WARNING = b"01000";
    CONNECTION_FAILURE = b"08006";
    PROTOCOL_VIOLATION = b"08P01";
    FEATURE_NOT_SUPPORTED = b"0A000";
    CARDINALITY_VIOLATION = b"21000";
    DATA_EXCEPTION = b"22000";
    STRING_DATA_RIGHT_TRUNCATION = b"22001";
    NUMERIC_VALUE_OUT_OF_RANGE = b"22003";
    NULL_VALUE_NOT_ALLOWED = b"22004";
    INVALID_DATETIME_FORMAT = b"22007";
    DATETIME_FIELD_OVERFLOW = b"22008";
    INVALID_TIME_ZONE_DISPLACEMENT_VALUE = b"22009";
    SUBSTRING_ERROR = b"22011";
    DIVISION_BY_ZERO = b"22012";
    INVALID_ARGUMENT_FOR_LOGARITHM = b"2201E";
    INVALID_ARGUMENT_FOR_POWER_FUNCTION = b"2201F";
    INVALID_ARGUMENT_FOR_WIDTH_BUCKET = b"2201G";
    INVALID_REGULAR_EXPRESSION = b"2201B";
    INVALID_ROW_COUNT_IN_LIMIT_CLAUSE = b"2201W";
    INVALID_ROW_COUNT_IN_RESULT_OFFSET_CLAUSE = b"2201X";
    SEQUENCE_GENERATOR_LIMIT_EXCEEDED = b"2200H";
    INVALID_ESCAPE_SEQUENCE = b"22025";
    CHARACTER_NOT_IN_REPERTOIRE = b"22021";
    INVALID_PARAMETER_VALUE = b"22023";
    ARRAY_SUBSCRIPT_ERROR = b"2202E";
    INVALID_TEXT_REPRESENTATION = b"22P02";
    INVALID_BINARY_REPRESENTATION = b"22P03";
    BAD_COPY_FILE_FORMAT = b"22P04";
    UNTRANSLATABLE_CHARACTER = b"22P05";
    NOT_NULL_VIOLATION = b"23502";
    FOREIGN_KEY_VIOLATION = b"23503";
    UNIQUE_VIOLATION = b"23505";
    CHECK_VIOLATION = b"23514";
    INVALID_CURSOR_STATE = b"24000";
    INVALID_TRANSACTION_STATE = b"25000";
    ACTIVE_SQL_TRANSACTION = b"25001";
    READ_ONLY_SQL_TRANSACTION = b"25006";
    NO_ACTIVE_SQL_TRANSACTION = b"25P01";
    IN_FAILED_SQL_TRANSACTION = b"25P02";
    IDLE_IN_TRANSACTION_SESSION_TIMEOUT = b"25P03";
    INVALID_SQL_STATEMENT_NAME = b"26000";
    INVALID_AUTHORIZATION_SPECIFICATION = b"28000";
    INVALID_PASSWORD = b"28P01";
    DEPENDENT_OBJECTS_STILL_EXIST = b"2BP01";
    INVALID_CURSOR_NAME = b"34000";
    INVALID_SAVEPOINT_SPECIFICATION = b"3B001";
    INVALID_CATALOG_NAME = b"3D000";
    INVALID_SCHEMA_NAME = b"3F000";
    SERIALIZATION_FAILURE = b"40001";
    DEADLOCK_DETECTED = b"40P01";
    SYNTAX_ERROR = b"42601";
    INSUFFICIENT_PRIVILEGE = b"42501";
    INVALID_NAME = b"42602";
    NAME_TOO_LONG = b"42622";
    DUPLICATE_COLUMN = b"42701";
    AMBIGUOUS_COLUMN = b"42702";
    UNDEFINED_COLUMN = b"42703";
    UNDEFINED_OBJECT = b"42704";
    DUPLICATE_OBJECT = b"42710";
    DUPLICATE_ALIAS = b"42712";
    AMBIGUOUS_FUNCTION = b"42725";
    GROUPING_ERROR = b"42803";
    DATATYPE_MISMATCH = b"42804";
    WRONG_OBJECT_TYPE = b"42809";
    INVALID_FOREIGN_KEY = b"42830";
    GENERATED_ALWAYS = b"428C9";
    CANNOT_COERCE = b"42846";
    UNDEFINED_FUNCTION = b"42883";
    UNDEFINED_TABLE = b"42P01";
    UNDEFINED_PARAMETER = b"42P02";
    DUPLICATE_CURSOR = b"42P03";
    DUPLICATE_DATABASE = b"42P04";
    DUPLICATE_PREPARED_STATEMENT = b"42P05";
    DUPLICATE_SCHEMA = b"42P06";
    DUPLICATE_TABLE = b"42P07";
    INVALID_COLUMN_REFERENCE = b"42P10";
    INVALID_TABLE_DEFINITION = b"42P16";
    INVALID_OBJECT_DEFINITION = b"42P17";
    AMBIGUOUS_PARAMETER = b"42P08";
    AMBIGUOUS_ALIAS = b"42P09";
    INDETERMINATE_DATATYPE = b"42P18";
    INDETERMINATE_COLLATION = b"42P22";
    DISK_FULL = b"53100";
    OUT_OF_MEMORY = b"53200";
    TOO_MANY_CONNECTIONS = b"53300";
    PROGRAM_LIMIT_EXCEEDED = b"54000";
    STATEMENT_TOO_COMPLEX = b"54001";
    TOO_MANY_COLUMNS = b"54011";
    TOO_MANY_ARGUMENTS = b"54023";
    OBJECT_NOT_IN_PREREQUISITE_STATE = b"55000";
    OBJECT_IN_USE = b"55006";
    CANT_CHANGE_RUNTIME_PARAM = b"55P02";
    LOCK_NOT_AVAILABLE = b"55P03";
    QUERY_CANCELED = b"57014";
    ADMIN_SHUTDOWN = b"57P01";
    CANNOT_CONNECT_NOW = b"57P03";
    IDLE_SESSION_TIMEOUT = b"57P05";
    IO_ERROR = b"58030";
    INTERNAL_ERROR = b"XX000";
    DATA_CORRUPTED = b"XX001";
}
