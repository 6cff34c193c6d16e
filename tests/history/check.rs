//! Whether a history keeps the promises of an isolation level.
//!
//! Each level puts moments in an order (the commit order of the server): of commits, of snapshots.
//! What came back tells of many pairs of moments which was first; a cycle among them is a violation.
//!
//! - *ww*: an element follows another in a list: one committed before the other could write;
//! - *wr*: an element was read: it was committed before the reader looked;
//! - *rw*: an element was not there: the reader looked before it was committed;
//! - *time*: an answer had come before a request was sent.
//!
//! What the moments of a transaction are:
//!
//! - READ COMMITTED: its commit, and before that one look for each statement, or for each row of a
//!   statement that locks rows (those are read when they are locked).
//! - REPEATABLE READ: one look, then the commit. A transaction that overwrites another looked after
//!   that one's commit. These cycles are those of snapshot isolation: G0, G1c, G-single, and all
//!   in which no two *rw* follow each other.
//! - SERIALIZABLE: one moment for all of it, for transactions that committed. What aborted ones
//!   saw keeps the rules of REPEATABLE READ.
//!
//! PostgreSQL promises the *time* edges at every level. What is lost in a crash is a cycle too: it
//! was seen, and later not.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use crate::graph::{Graph, Node};
use crate::record::{Effect, Element, History, Level, Look, Object, Outcome, Time};
use crate::versions::{Seen, Sight, Versions};

/// Why a moment comes before another.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Edge {
    Ww(Object, Element, Element),
    Wr(Object, Element),
    Rw(Object, Element),
    Time,
    /// A look comes before the same transaction's commit.
    Within,
}

/// Moments of one transaction, in a time span that its client knows.
struct Moment {
    transaction: usize,
    begun: Time,
    ended: Option<Time>,
}

/// All violations, in readable form.
pub fn check(history: &History, level: Level) -> Vec<String> {
    let versions = Versions::of(history);
    let mut found = history.complaints.clone();
    found.extend(versions.wrong.iter().cloned());
    if !found.is_empty() {
        let named = found.iter().flat_map(|text| transactions_named(text));
        let named: BTreeSet<usize> = named.collect();
        let told = named.into_iter().map(|number| describe(history, number));
        found.extend(told.collect::<Vec<_>>());
        return found;
    }
    found.extend(Order::of(history, &versions, level).violations());
    if level == Level::Serializable && found.is_empty() {
        found.extend(Order::of(history, &versions, Level::RepeatableRead).violations());
    }
    found
}

/// What must come before what.
struct Order<'h> {
    history: &'h History,
    level: Level,
    graph: Graph<Edge>,
    /// Of the graph's first nodes; those behind them stand for the time.
    moments: Vec<Moment>,
    /// By transaction: its commit.
    commits: Vec<Option<Node>>,
    /// By transaction: its only look, where it has one.
    looks: Vec<Option<Node>>,
    /// Looks of statements, and of statements at one object.
    statement_looks: BTreeMap<(usize, usize, Option<Object>), Node>,
}

impl<'h> Order<'h> {
    fn of(history: &'h History, versions: &Versions, level: Level) -> Order<'h> {
        let count = history.transactions.len();
        let mut order = Order {
            history,
            level,
            graph: Graph::new(),
            moments: Vec::new(),
            commits: vec![None; count],
            looks: vec![None; count],
            statement_looks: BTreeMap::new(),
        };
        for number in 0..count {
            order.add_transaction(number, versions.is_committed[number]);
        }
        for sight in &versions.sights {
            order.add_sight(sight, versions);
        }
        for (object, elements) in versions.orders() {
            for pair in elements.windows(2) {
                let [from, to] = [0, 1].map(|at| versions.writer(object, pair[at]));
                if from == to {
                    continue;
                }
                let to = match level {
                    Level::RepeatableRead => order.looks[to],
                    _ => order.commits[to],
                };
                order.add_edge(order.commits[from], to, Edge::Ww(object, pair[0], pair[1]));
            }
        }
        order.add_time();
        order
    }

    fn add_transaction(&mut self, number: usize, is_committed: bool) {
        let t = &self.history.transactions[number];
        let begun = t.begun();
        if self.level == Level::RepeatableRead {
            let first_answer = t.statements.first().and_then(|s| s.ended);
            self.looks[number] = Some(self.add_moment(number, begun, first_answer));
        }
        if is_committed {
            let may_commit_from = match self.level {
                Level::Serializable => begun,
                _ => t.commit_begun,
            };
            let ended = t.ended.filter(|_| t.outcome == Outcome::Committed);
            self.commits[number] = Some(self.add_moment(number, may_commit_from, ended));
            self.add_edge(self.looks[number], self.commits[number], Edge::Within);
        }
    }

    fn add_sight(&mut self, sight: &Sight, versions: &Versions) {
        let Some(look) = self.look_of(sight) else {
            return;
        };
        let (before, after) = versions.before_and_after(sight);
        for element in before {
            let writer = versions.writer(sight.object, element);
            self.add_edge(
                self.commits[writer],
                Some(look),
                Edge::Wr(sight.object, element),
            );
        }
        for element in after {
            let writer = versions.writer(sight.object, element);
            self.add_edge(
                Some(look),
                self.commits[writer],
                Edge::Rw(sight.object, element),
            );
        }
    }

    /// The moment of a sight; none if the level promises nothing about it.
    fn look_of(&mut self, sight: &Sight) -> Option<Node> {
        let number = sight.transaction;
        let statement = &self.history.transactions[number].statements[sight.statement];
        // An error tells of the newest state, whatever the snapshot.
        if self.level != Level::ReadCommitted && !matches!(sight.what, Seen::Exists) {
            return match self.level {
                Level::Serializable => self.commits[number],
                _ => self.looks[number],
            };
        }
        let is_alone = statement.look == Look::Newest || matches!(sight.what, Seen::Exists);
        let key = (number, sight.statement, is_alone.then_some(sight.object));
        if let Some(&look) = self.statement_looks.get(&key) {
            return Some(look);
        }
        let look = self.add_moment(number, statement.begun, statement.ended);
        self.statement_looks.insert(key, look);
        if self.level == Level::ReadCommitted {
            self.add_edge(Some(look), self.commits[number], Edge::Within);
        }
        Some(look)
    }

    fn add_moment(&mut self, transaction: usize, begun: Time, ended: Option<Time>) -> Node {
        self.moments.push(Moment {
            transaction,
            begun,
            ended,
        });
        self.graph.add_node()
    }

    fn add_edge(&mut self, from: Option<Node>, to: Option<Node>, edge: Edge) {
        if let (Some(from), Some(to)) = (from, to) {
            self.graph.add_edge(from, to, edge);
        }
    }

    /// A chain of nodes, one for each answer: from what the answer ended to what was sent later.
    fn add_time(&mut self) {
        let ends = self.moments.iter().enumerate();
        let mut ends: Vec<(Time, Node)> = ends
            .filter_map(|(node, moment)| Some((moment.ended?, node)))
            .collect();
        ends.sort_unstable();
        let chain: Vec<Node> = ends.iter().map(|_| self.graph.add_node()).collect();
        for (at, (_, ended)) in ends.iter().enumerate() {
            self.graph.add_edge(*ended, chain[at], Edge::Time);
            if let Some(next) = chain.get(at + 1) {
                self.graph.add_edge(chain[at], *next, Edge::Time);
            }
        }
        for (node, moment) in self.moments.iter().enumerate() {
            let earlier = ends.partition_point(|(ended, _)| *ended < moment.begun);
            if let Some(last) = earlier.checked_sub(1) {
                self.graph.add_edge(chain[last], node, Edge::Time);
            }
        }
    }

    fn violations(&self) -> Vec<String> {
        // The fewer *rw* a cycle has, the more it says.
        let cycles = self.graph.cycles(|edge| match edge {
            Edge::Rw(..) => 10,
            _ => 1,
        });
        cycles.iter().map(|cycle| self.tell(cycle)).collect()
    }

    fn tell(&self, cycle: &[(Node, Edge)]) -> String {
        let cycle = self.without_time_nodes(cycle);
        let mut text = format!("{} at {}:\n", self.name(&cycle), self.level.name());
        let mut named = BTreeSet::new();
        for (at, (node, edge)) in cycle.iter().enumerate() {
            let number = self.moments[*node].transaction;
            let next = self.moments[cycle[(at + 1) % cycle.len()].0].transaction;
            let why = match edge {
                Edge::Ww(object, a, b) => format!("ww, {b} follows {a} in {object}"),
                Edge::Wr(object, e) => format!("wr, {e} in {object} was there"),
                Edge::Rw(object, e) => format!("rw, {e} in {object} was not there yet"),
                Edge::Time => "time, the answer had come before the other was sent".to_owned(),
                Edge::Within => "its own commit".to_owned(),
            };
            writeln!(text, "  T{number} before T{next}: {why}").unwrap();
            named.insert(number);
        }
        for number in named {
            text += &describe(self.history, number);
        }
        text
    }

    /// Steps along the chain of time become one.
    fn without_time_nodes(&self, cycle: &[(Node, Edge)]) -> Vec<(Node, Edge)> {
        cycle
            .iter()
            .filter(|(node, _)| *node < self.moments.len())
            .copied()
            .collect()
    }

    fn name(&self, cycle: &[(Node, Edge)]) -> &'static str {
        let count = |is: fn(&Edge) -> bool| cycle.iter().filter(|(_, edge)| is(edge)).count();
        let rw = count(|e| matches!(e, Edge::Rw(..)));
        let ww = count(|e| matches!(e, Edge::Ww(..)));
        let wr = count(|e| matches!(e, Edge::Wr(..)));
        let time = count(|e| matches!(e, Edge::Time));
        match (rw, ww, wr, time) {
            (0, _, 0, 0) => "G0, dirty write",
            (0, ..) => "G1c, circular information flow",
            (1, 0, 0, _) => "a stale read, or what was acknowledged is lost",
            (1, 0, 1, 0) => "a transaction is seen in part (G1b, G-single)",
            (1, 0, 1, _) => "out of the order of time, or what was shown is lost",
            (1, 1.., 0, 0) => "a lost update (G-single)",
            (1, ..) => "G-single",
            _ => "G2",
        }
    }
}

/// T12 and the like.
fn transactions_named(text: &str) -> Vec<usize> {
    let words = text.split(|c: char| !c.is_ascii_alphanumeric());
    words
        .filter_map(|word| word.strip_prefix('T')?.parse().ok())
        .collect()
}

fn describe(history: &History, number: usize) -> String {
    let t = &history.transactions[number];
    let mut text = format!("  T{number}: session {}, {:?}\n", t.session, t.outcome);
    for statement in &t.statements {
        let ended = statement
            .ended
            .map_or("no answer".to_owned(), |t| t.to_string());
        writeln!(text, "    {}–{ended} {}", statement.begun, statement.sql).unwrap();
        for effect in &statement.effects {
            let what = match effect {
                Effect::Append { .. } => continue,
                Effect::Read { object, elements } => format!("{object}: {elements:?}"),
                Effect::NotTagged { object, tag } => format!("{object} is not under tag {tag}"),
                Effect::AtLeast { object, count } => format!("{object} has {count}, or is not"),
                Effect::Exists { object } => format!("{object} exists"),
                Effect::UndoneFrom { statement } => format!("back to before statement {statement}"),
            };
            writeln!(text, "        {what}").unwrap();
        }
    }
    let ended = t.ended.map_or("no answer".to_owned(), |t| t.to_string());
    writeln!(text, "    {}–{ended} its end", t.commit_begun).unwrap();
    text
}
