//! What the clients know: transactions, their statements, and what came back.

use std::fmt;

/// A moment by the clients' common clock, which ticks at each sending and each receiving.
pub type Time = u64;

/// What an append adds. Each is appended by one transaction only, so that it names it.
pub type Element = u32;

/// What transactions append to and read. A list keeps its elements in the order in which they
/// came, a set does not.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Object {
    /// A row of `lists`.
    List(u32),
    /// The rows of `items` with this number, which has an index.
    Items(u32),
    /// The rows of `pairs` with this number, the first column of its primary key.
    Pairs(u32),
}

impl Object {
    pub fn is_ordered(self) -> bool {
        matches!(self, Object::List(_))
    }
}

impl fmt::Display for Object {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Object::List(id) => write!(f, "list {id}"),
            Object::Items(id) => write!(f, "items {id}"),
            Object::Pairs(id) => write!(f, "pairs {id}"),
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Level {
    ReadCommitted,
    RepeatableRead,
    Serializable,
}

impl Level {
    pub const ALL: [Level; 3] = [
        Level::ReadCommitted,
        Level::RepeatableRead,
        Level::Serializable,
    ];

    /// As SQL spells it.
    pub fn name(self) -> &'static str {
        match self {
            Level::ReadCommitted => "read committed",
            Level::RepeatableRead => "repeatable read",
            Level::Serializable => "serializable",
        }
    }
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Effect {
    /// `tag`: the tag that this append gave the list, if it changed it. `is_certain`: if the
    /// transaction committed, this is there; of a statement without an answer nobody knows.
    Append {
        object: Object,
        element: Element,
        tag: Option<u32>,
        is_certain: bool,
    },
    /// All elements, the transaction's own included.
    Read {
        object: Object,
        elements: Vec<Element>,
    },
    /// A search for the lists with this tag did not find this one.
    NotTagged { object: Object, tag: u32 },
    /// It has so many elements, unless there is no such list at all.
    AtLeast { object: Object, count: usize },
    /// An error told that it is not empty.
    Exists { object: Object },
    /// What the statements from this one on appended was rolled back.
    UndoneFrom { statement: usize },
}

/// What a statement looks at.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Look {
    /// One snapshot.
    Snapshot,
    /// Each row when it is locked: at READ COMMITTED that is the newest.
    Newest,
}

#[derive(Clone, Debug)]
pub struct Statement {
    pub sql: String,
    pub begun: Time,
    /// When its answer came, if one did.
    pub ended: Option<Time>,
    pub look: Look,
    pub effects: Vec<Effect>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Outcome {
    Committed,
    Aborted,
    /// The connection broke before COMMIT was answered.
    Unknown,
}

#[derive(Clone, Debug)]
pub struct Transaction {
    pub session: usize,
    pub statements: Vec<Statement>,
    pub outcome: Outcome,
    /// When COMMIT was sent, or what is a transaction of its own.
    pub commit_begun: Time,
    /// When its answer came.
    pub ended: Option<Time>,
}

impl Transaction {
    pub fn begun(&self) -> Time {
        self.statements
            .first()
            .map_or(self.commit_begun, |s| s.begun)
    }
}

#[derive(Clone, Debug, Default)]
pub struct History {
    pub transactions: Vec<Transaction>,
    /// What was wrong in an answer by itself.
    pub complaints: Vec<String>,
}
