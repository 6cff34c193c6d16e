//! Statements as written: what `parse` makes and `bind` reads. Names are folded to lower case
//! unless quoted; nothing is resolved. Positions are byte offsets in the text given to `parse`.

use crate::table::{Deferral, KeyAction};
use crate::txn::LockMode;

/// A byte offset in the statement text.
pub type Position = usize;

/// One statement of a query string, with the part of the text it came from.
#[derive(Clone, Debug)]
pub struct Parsed {
    pub statement: Statement,
    pub start: Position,
    pub end: Position,
}

#[derive(Clone, Debug)]
pub struct Ident {
    pub name: String,
    pub position: Position,
}

/// A possibly qualified name, outermost part first: `pg_catalog.pg_class`.
#[derive(Clone, Debug)]
pub struct Name {
    pub parts: Vec<Ident>,
}

/// A type as written: `varchar(10)`, `int4[]`, `pg_catalog.int8`.
#[derive(Clone, Debug)]
pub struct TypeName {
    pub name: Name,
    pub modifiers: Vec<i64>,
    pub array_dimensions: usize,
}

#[derive(Clone, Debug)]
pub enum Statement {
    /// SELECT, VALUES and TABLE.
    Query(Box<Query>),
    Insert(Box<Insert>),
    Update(Box<Update>),
    Delete(Box<Delete>),
    CreateTable(Box<CreateTable>),
    CreateTableAs {
        name: Name,
        if_not_exists: bool,
        columns: Vec<Ident>,
        query: Box<Query>,
        with_data: bool,
    },
    CreateIndex(Box<CreateIndex>),
    CreateSequence(Box<CreateSequence>),
    AlterSequence(Box<AlterSequence>),
    AlterTable(Box<AlterTable>),
    Drop {
        kind: ObjectKind,
        names: Vec<Name>,
        if_exists: bool,
        cascade: bool,
    },
    CreateDatabase {
        name: String,
        options: Vec<DatabaseOption>,
    },
    AlterDatabase {
        name: String,
        action: AlterDatabase,
    },
    DropDatabase {
        name: String,
        if_exists: bool,
        force: bool,
    },
    Truncate {
        tables: Vec<Name>,
        restart_identity: bool,
        cascade: bool,
    },
    Copy(Box<Copy>),
    /// There is nothing to vacuum; the named tables and columns must exist.
    Vacuum {
        analyze: bool,
        tables: Vec<(Name, Vec<Ident>)>,
    },
    Analyze {
        tables: Vec<(Name, Vec<Ident>)>,
    },
    Explain {
        analyze: bool,
        options: Vec<(String, String)>,
        statement: Box<Statement>,
    },
    Transaction(Transaction),
    Set {
        local: bool,
        name: String,
        value: SetValue,
    },
    Reset {
        name: String,
    },
    ResetAll,
    Show {
        name: String,
    },
    ShowAll,
    Discard(String),
    Prepare {
        name: String,
        types: Vec<TypeName>,
        statement: Box<Statement>,
    },
    Execute {
        name: String,
        args: Vec<Expr>,
    },
    Deallocate {
        name: Option<String>,
    },
    Declare {
        name: String,
        binary: bool,
        scroll: bool,
        hold: bool,
        query: Box<Query>,
    },
    Fetch {
        cursor: String,
        direction: FetchDirection,
        is_move: bool,
    },
    Close {
        cursor: Option<String>,
    },
    LockTable {
        tables: Vec<Name>,
        mode: LockMode,
        nowait: bool,
    },
    /// No names: all.
    SetConstraints {
        names: Vec<Name>,
        deferred: bool,
    },
    Checkpoint,
    /// Parsed, but this server cannot run it: the tag for the 0A000 message ("CREATE VIEW").
    Unsupported(String),
    /// Nothing between two semicolons.
    Empty,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ObjectKind {
    Table,
    Index,
    View,
    Sequence,
    Schema,
}

#[derive(Clone, Debug, PartialEq)]
pub enum AlterDatabase {
    Rename(String),
    /// A role's name, or CURRENT_USER and the like in lower case.
    Owner(String),
    Options(Vec<DatabaseOption>),
}

/// `name = value` after CREATE or ALTER DATABASE.
#[derive(Clone, Debug, PartialEq)]
pub struct DatabaseOption {
    /// CONNECTION LIMIT is `connection_limit`.
    pub name: String,
    /// `None`: DEFAULT.
    pub value: Option<OptionValue>,
    pub position: usize,
}

#[derive(Clone, Debug, PartialEq)]
pub enum OptionValue {
    Number(String),
    /// A word or a string.
    Text(String),
}

impl OptionValue {
    pub fn text(&self) -> &str {
        match self {
            OptionValue::Number(text) | OptionValue::Text(text) => text,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FetchDirection {
    /// Negative goes back; `i64::MAX` is ALL.
    Relative(i64),
    Absolute(i64),
    Forward(i64),
    Backward(i64),
}

#[derive(Clone, Debug)]
pub enum Transaction {
    /// BEGIN and START TRANSACTION.
    Begin {
        is_start: bool,
        modes: TransactionModes,
    },
    /// COMMIT and END.
    Commit {
        chain: bool,
    },
    /// ROLLBACK and ABORT.
    Rollback {
        chain: bool,
    },
    SetTransaction {
        session: bool,
        modes: TransactionModes,
    },
    /// SET TRANSACTION SNAPSHOT.
    Snapshot(String),
    Savepoint(String),
    Release(String),
    RollbackTo(String),
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TransactionModes {
    pub isolation: Option<Isolation>,
    pub read_only: Option<bool>,
    pub deferrable: Option<bool>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Isolation {
    ReadUncommitted,
    #[default]
    ReadCommitted,
    RepeatableRead,
    Serializable,
}

#[derive(Clone, Debug)]
pub enum SetValue {
    Default,
    /// The list as written, unquoted: `SET search_path = a, "b"` gives two.
    Values(Vec<String>),
}

#[derive(Clone, Debug)]
pub struct Query {
    pub with: Vec<Cte>,
    pub recursive: bool,
    pub body: QueryBody,
    pub order_by: Vec<OrderBy>,
    pub limit: Option<Expr>,
    pub offset: Option<Expr>,
    pub locking: Vec<Locking>,
}

#[derive(Clone, Debug)]
pub struct Cte {
    pub name: Ident,
    pub columns: Vec<Ident>,
    pub query: Query,
}

#[derive(Clone, Debug)]
pub enum QueryBody {
    Select(Box<Select>),
    Values(Vec<Vec<Expr>>),
    Query(Box<Query>),
    SetOp {
        op: SetOp,
        all: bool,
        left: Box<QueryBody>,
        right: Box<QueryBody>,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SetOp {
    Union,
    Intersect,
    Except,
}

#[derive(Clone, Debug)]
pub struct Select {
    pub distinct: Distinct,
    pub items: Vec<SelectItem>,
    /// Comma-separated; cross-joined.
    pub from: Vec<TableRef>,
    pub filter: Option<Expr>,
    pub group_by: Vec<Expr>,
    pub having: Option<Expr>,
}

#[derive(Clone, Debug)]
pub enum Distinct {
    All,
    Distinct,
    On(Vec<Expr>),
}

#[derive(Clone, Debug)]
pub enum SelectItem {
    /// `*`
    Wildcard(Position),
    /// `t.*`
    QualifiedWildcard(Name),
    Expr {
        expr: Expr,
        alias: Option<Ident>,
    },
}

#[derive(Clone, Debug)]
pub struct OrderBy {
    pub expr: Expr,
    pub descending: bool,
    pub nulls_first: Option<bool>,
}

#[derive(Clone, Debug)]
pub struct Locking {
    pub strength: LockStrength,
    pub of: Vec<Ident>,
    pub wait: LockWait,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LockStrength {
    KeyShare,
    Share,
    NoKeyUpdate,
    Update,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LockWait {
    Wait,
    Nowait,
    SkipLocked,
}

#[derive(Clone, Debug)]
pub enum TableRef {
    Table {
        name: Name,
        alias: Option<Alias>,
    },
    Subquery {
        query: Box<Query>,
        lateral: bool,
        alias: Option<Alias>,
    },
    /// A function in FROM: `generate_series(1, 3) WITH ORDINALITY AS g(i, n)`.
    Function {
        name: Name,
        args: Vec<Expr>,
        with_ordinality: bool,
        lateral: bool,
        alias: Option<Alias>,
    },
    Join {
        kind: JoinKind,
        left: Box<TableRef>,
        right: Box<TableRef>,
        condition: JoinCondition,
        position: Position,
        /// `(a JOIN b …) AS name`: the only name by which its columns are then known.
        alias: Option<Alias>,
    },
}

#[derive(Clone, Debug)]
pub struct Alias {
    pub name: Ident,
    pub columns: Vec<Ident>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JoinKind {
    Inner,
    Left,
    Right,
    Full,
    Cross,
}

#[derive(Clone, Debug)]
pub enum JoinCondition {
    None,
    On(Expr),
    Using(Vec<Ident>),
    Natural,
}

#[derive(Clone, Debug)]
pub struct Insert {
    pub table: Name,
    pub alias: Option<Ident>,
    pub columns: Vec<TargetColumn>,
    /// `None`: DEFAULT VALUES.
    pub source: Option<Query>,
    pub overriding: Option<Overriding>,
    pub on_conflict: Option<OnConflict>,
    pub returning: Vec<SelectItem>,
    pub with: Vec<Cte>,
}

/// What becomes of values given for identity columns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Overriding {
    /// They are taken even for GENERATED ALWAYS.
    System,
    /// They are not taken.
    User,
}

/// ON CONFLICT, which begins at `position`.
#[derive(Clone, Debug)]
pub struct OnConflict {
    pub target: Option<ConflictTarget>,
    pub action: ConflictAction,
    pub position: Position,
}

#[derive(Clone, Debug)]
pub enum ConflictTarget {
    /// `(columns) WHERE filter`: the unique indexes of these columns. `position` is that of the
    /// parenthesis.
    Columns {
        columns: Vec<IndexColumn>,
        filter: Option<Expr>,
        position: Position,
    },
    Constraint(Ident),
}

#[derive(Clone, Debug)]
pub enum ConflictAction {
    Nothing,
    Update {
        assignments: Vec<Assignment>,
        filter: Option<Expr>,
    },
}

#[derive(Clone, Debug)]
pub struct Update {
    pub table: Name,
    pub alias: Option<Alias>,
    pub assignments: Vec<Assignment>,
    pub from: Vec<TableRef>,
    pub filter: Option<Expr>,
    pub returning: Vec<SelectItem>,
    pub with: Vec<Cte>,
}

/// A column to assign to: `a`, or `a.field`, which no column here has.
#[derive(Clone, Debug)]
pub struct TargetColumn {
    pub column: Ident,
    pub field: Option<Ident>,
}

#[derive(Clone, Debug)]
pub struct Assignment {
    pub columns: Vec<TargetColumn>,
    /// Written `(columns) = …`: the value is a row or a query of as many columns.
    pub row: bool,
    pub value: Expr,
}

#[derive(Clone, Debug)]
pub struct Delete {
    pub table: Name,
    pub alias: Option<Alias>,
    pub using: Vec<TableRef>,
    pub filter: Option<Expr>,
    pub returning: Vec<SelectItem>,
    pub with: Vec<Cte>,
}

#[derive(Clone, Debug)]
pub struct CreateTable {
    pub name: Name,
    pub if_not_exists: bool,
    pub temporary: bool,
    pub unlogged: bool,
    pub columns: Vec<ColumnDef>,
    pub constraints: Vec<TableConstraint>,
    /// `WITH (fillfactor = 100)`: checked for known names, otherwise without effect.
    pub options: Vec<(String, String)>,
}

#[derive(Clone, Debug)]
pub struct ColumnDef {
    pub name: Ident,
    pub ty: TypeName,
    pub collation: Option<Name>,
    pub not_null: bool,
    pub null: bool,
    /// The expression and its text, which the catalog keeps.
    pub default: Option<(Expr, String)>,
    /// Where DEFAULT was written again, which bind refuses.
    pub repeated_default: Option<Position>,
    pub identity: Option<Box<IdentityColumn>>,
    /// Where GENERATED … AS IDENTITY was written again.
    pub repeated_identity: Option<Position>,
    pub default_position: Option<Position>,
    /// PRIMARY KEY, UNIQUE, CHECK and REFERENCES written at the column.
    pub constraints: Vec<TableConstraint>,
}

/// GENERATED … AS IDENTITY.
#[derive(Clone, Debug)]
pub struct IdentityColumn {
    /// ALWAYS, not BY DEFAULT.
    pub always: bool,
    pub options: SequenceOptions,
    pub position: Position,
}

#[derive(Clone, Debug)]
pub struct CreateSequence {
    pub name: Name,
    pub if_not_exists: bool,
    pub options: SequenceOptions,
}

#[derive(Clone, Debug)]
pub struct AlterSequence {
    pub name: Name,
    pub if_exists: bool,
    pub action: AlterSequenceAction,
}

#[derive(Clone, Debug)]
pub enum AlterSequenceAction {
    Options(SequenceOptions),
    Rename(Ident),
}

/// What was said of a sequence. An inner `None` is NO MINVALUE, NO MAXVALUE, RESTART without a
/// value, and OWNED BY NONE.
#[derive(Clone, Debug, Default)]
pub struct SequenceOptions {
    /// And where AS stands.
    pub ty: Option<(TypeName, Position)>,
    pub increment: Option<i64>,
    pub min: Option<Option<i64>>,
    pub max: Option<Option<i64>>,
    pub start: Option<i64>,
    pub restart: Option<Option<i64>>,
    pub cache: Option<i64>,
    pub cycle: Option<bool>,
    pub owned_by: Option<Option<Name>>,
    /// SEQUENCE NAME of an identity column, and where it stands.
    pub name: Option<(Name, Position)>,
}

#[derive(Clone, Debug)]
pub enum AlterIdentity {
    Add(IdentityColumn),
    Set {
        always: Option<bool>,
        options: SequenceOptions,
    },
    Drop {
        if_exists: bool,
    },
}

#[derive(Clone, Debug)]
pub struct TableConstraint {
    pub name: Option<Ident>,
    pub kind: ConstraintKind,
}

#[derive(Clone, Debug)]
pub enum ConstraintKind {
    PrimaryKey(Vec<Ident>, Deferral),
    Unique(Vec<Ident>, Deferral),
    Check(Expr, String),
    ForeignKey(Box<ForeignKey>),
}

#[derive(Clone, Debug)]
pub struct ForeignKey {
    pub columns: Vec<Ident>,
    pub table: Name,
    /// Nothing means the primary key.
    pub references: Vec<Ident>,
    pub match_full: bool,
    pub on_delete: KeyAction,
    pub on_update: KeyAction,
    /// What SET NULL and SET DEFAULT change on a deletion; nothing means all columns.
    pub delete_sets: Vec<Ident>,
    pub deferral: Deferral,
    pub not_valid: bool,
    /// What PostgreSQL does not have either: its message, and where it points.
    pub refused: Option<(&'static str, Position)>,
}

impl ForeignKey {
    /// With nothing but the defaults.
    pub fn new(columns: Vec<Ident>, table: Name) -> ForeignKey {
        ForeignKey {
            columns,
            table,
            references: Vec::new(),
            match_full: false,
            on_delete: KeyAction::NoAction,
            on_update: KeyAction::NoAction,
            delete_sets: Vec::new(),
            deferral: Deferral::default(),
            not_valid: false,
            refused: None,
        }
    }
}

#[derive(Clone, Debug)]
pub struct CreateIndex {
    pub name: Option<Ident>,
    pub table: Name,
    pub unique: bool,
    pub if_not_exists: bool,
    pub method: Option<String>,
    pub columns: Vec<IndexColumn>,
    pub filter: Option<Expr>,
    pub concurrently: bool,
    pub include: Vec<Ident>,
}

#[derive(Clone, Debug)]
pub struct IndexColumn {
    pub expr: Expr,
    /// `None`: neither ASC nor DESC was written.
    pub descending: Option<bool>,
    pub nulls_first: Option<bool>,
}

#[derive(Clone, Debug)]
pub struct AlterTable {
    pub table: Name,
    pub if_exists: bool,
    pub actions: Vec<AlterAction>,
}

#[derive(Clone, Debug)]
pub enum AlterAction {
    AddConstraint(TableConstraint),
    AddColumn {
        column: ColumnDef,
        if_not_exists: bool,
    },
    DropColumn {
        column: Ident,
        if_exists: bool,
        cascade: bool,
    },
    DropConstraint {
        name: Ident,
        if_exists: bool,
        cascade: bool,
    },
    ValidateConstraint {
        name: Ident,
    },
    AlterConstraint {
        name: Ident,
        deferral: Deferral,
    },
    SetDefault {
        column: Ident,
        default: Option<(Expr, String)>,
    },
    SetNotNull {
        column: Ident,
        not_null: bool,
    },
    Identity {
        column: Ident,
        change: Box<AlterIdentity>,
    },
    RenameColumn {
        from: Ident,
        to: Ident,
    },
    RenameTable {
        to: Ident,
    },
    Unsupported(String),
}

#[derive(Clone, Debug)]
pub struct Copy {
    pub source: CopySource,
    pub from_stdin: bool,
    pub format: CopyFormat,
    pub delimiter: Option<String>,
    pub null: Option<String>,
    pub header: bool,
    /// HEADER MATCH: the header line must name the columns.
    pub header_match: bool,
    pub quote: Option<String>,
    pub escape: Option<String>,
    pub force_quote: Vec<Ident>,
    pub force_quote_all: bool,
    pub force_not_null: Vec<Ident>,
    pub force_null: Vec<Ident>,
    pub freeze: bool,
}

#[derive(Clone, Debug)]
pub enum CopySource {
    Table { name: Name, columns: Vec<Ident> },
    Query(Box<Query>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CopyFormat {
    Text,
    Csv,
    Binary,
}

#[derive(Clone, Debug)]
pub struct Expr {
    pub kind: ExprKind,
    /// Where PostgreSQL would point its caret: the operator of a binary expression, the start of
    /// anything else.
    pub position: Position,
}

#[derive(Clone, Debug)]
pub enum ExprKind {
    /// A possibly qualified column, or `t` alone as a whole row.
    Column(Name),
    Null,
    Bool(bool),
    /// An integer or decimal literal as written, without sign.
    Number(String),
    /// A string literal, unescaped.
    String(String),
    /// `$n`, from 1.
    Param(usize),
    /// A prefix or infix operator by its symbol (`+`, `~~*`, `OPERATOR(pg_catalog.~)` is `~`).
    /// LIKE and ILIKE come as `~~`, `!~~`, `~~*`, `!~~*`.
    Unary {
        op: String,
        arg: Box<Expr>,
    },
    Binary {
        op: String,
        left: Box<Expr>,
        right: Box<Expr>,
    },
    And(Vec<Expr>),
    Or(Vec<Expr>),
    Not(Box<Expr>),
    IsNull {
        arg: Box<Expr>,
        negated: bool,
    },
    /// IS \[NOT\] TRUE, FALSE; `value: None` is UNKNOWN.
    IsBool {
        arg: Box<Expr>,
        value: Option<bool>,
        negated: bool,
    },
    IsDistinct {
        left: Box<Expr>,
        right: Box<Expr>,
        negated: bool,
    },
    Between {
        arg: Box<Expr>,
        low: Box<Expr>,
        high: Box<Expr>,
        negated: bool,
        symmetric: bool,
    },
    In {
        arg: Box<Expr>,
        list: Vec<Expr>,
        negated: bool,
    },
    InSubquery {
        arg: Box<Expr>,
        query: Box<Query>,
        negated: bool,
    },
    /// `left op ANY (array)`, or ALL.
    AnyAll {
        left: Box<Expr>,
        op: String,
        all: bool,
        array: Box<Expr>,
    },
    AnyAllSubquery {
        left: Box<Expr>,
        op: String,
        all: bool,
        query: Box<Query>,
    },
    Exists {
        query: Box<Query>,
    },
    Scalar(Box<Query>),
    ArraySubquery(Box<Query>),
    /// `escape` of LIKE … ESCAPE.
    Like {
        op: String,
        arg: Box<Expr>,
        pattern: Box<Expr>,
        escape: Option<Box<Expr>>,
    },
    Case {
        operand: Option<Box<Expr>>,
        branches: Vec<(Expr, Expr)>,
        default: Option<Box<Expr>>,
    },
    Cast {
        arg: Box<Expr>,
        ty: TypeName,
    },
    Collate {
        arg: Box<Expr>,
        collation: Name,
    },
    /// A function call, COALESCE, NULLIF, GREATEST, CURRENT_TIMESTAMP, EXTRACT, SUBSTRING,
    /// POSITION, TRIM and the like included, under the names of PostgreSQL's functions
    /// (`coalesce`, `extract`, `btrim`…).
    Call(Box<Call>),
    Array(Vec<Expr>),
    Row(Vec<Expr>),
    Subscript {
        arg: Box<Expr>,
        index: Box<Expr>,
    },
    AtTimeZone {
        arg: Box<Expr>,
        zone: Box<Expr>,
    },
    /// DEFAULT in VALUES and SET.
    Default,
    /// Parsed but unknown to us: what it is, for the 0A000 message.
    Unsupported(String),
}

#[derive(Clone, Debug)]
pub struct Call {
    pub name: Name,
    pub args: Vec<Expr>,
    /// `count(*)`
    pub star: bool,
    pub distinct: bool,
    pub order_by: Vec<OrderBy>,
    pub filter: Option<Expr>,
    /// OVER was written (not supported yet: bind says so).
    pub over: bool,
    /// VARIADIC before the last argument.
    pub variadic: bool,
}
