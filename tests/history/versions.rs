//! What the answers of a history amount to: who appended what, which transactions committed, the
//! order of each list, and what each read saw of others. What is wrong without any order among
//! transactions is found here.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use crate::record::{Effect, Element, History, Object, Outcome, Time};

pub struct Writer {
    pub transaction: usize,
    /// The tag that the append gave the list.
    tag: Option<u32>,
    is_certain: bool,
    is_undone: bool,
}

/// What a statement saw of others.
pub struct Sight {
    pub transaction: usize,
    pub statement: usize,
    pub object: Object,
    pub what: Seen,
    /// When its transaction began.
    begun: Time,
}

pub enum Seen {
    /// All that there was, but for what the transaction had appended itself.
    Elements(Vec<Element>),
    NotTagged(u32),
    AtLeast(usize),
    Exists,
}

#[derive(Default)]
pub struct Versions {
    writers: HashMap<(Object, Element), Writer>,
    pub sights: Vec<Sight>,
    /// By transaction. Of unknown outcome, but seen, is committed.
    pub is_committed: Vec<bool>,
    /// Each list as the longest read of it.
    orders: BTreeMap<Object, Vec<Element>>,
    /// Committed beyond doubt, and in no order: all elements of sets, those of lists that nobody
    /// saw.
    unordered: BTreeMap<Object, Vec<Element>>,
    /// Since when each is known not to be empty.
    known_since: HashMap<Object, Time>,
    pub wrong: Vec<String>,
}

impl Versions {
    pub fn of(history: &History) -> Versions {
        let mut versions = Versions::default();
        versions.register_writers(history);
        for number in 0..history.transactions.len() {
            versions.replay(history, number);
        }
        versions.resolve_outcomes(history);
        versions.find_orders();
        versions.find_known(history);
        versions.find_unordered();
        versions.judge_reads();
        versions
    }

    /// The transaction that appended this.
    pub fn writer(&self, object: Object, element: Element) -> usize {
        self.writers[&(object, element)].transaction
    }

    pub fn orders(&self) -> impl Iterator<Item = (Object, &[Element])> {
        self.orders
            .iter()
            .map(|(object, order)| (*object, &order[..]))
    }

    /// What must have been there when the sight was taken (its last elements suffice: those before
    /// them in a list follow from the order), and what cannot have been there yet.
    pub fn before_and_after(&self, sight: &Sight) -> (Vec<Element>, Vec<Element>) {
        let object = sight.object;
        let order = self.orders.get(&object).map_or(&[][..], Vec::as_slice);
        let never_seen = self.unordered.get(&object).map_or(&[][..], Vec::as_slice);
        match &sight.what {
            Seen::Elements(elements) if object.is_ordered() => {
                let next = order.get(elements.len());
                let after = next.into_iter().chain(never_seen).copied();
                (
                    elements.last().copied().into_iter().collect(),
                    after.collect(),
                )
            }
            Seen::Elements(elements) => {
                let seen: HashSet<_> = elements.iter().collect();
                let after = never_seen.iter().filter(|e| !seen.contains(e)).copied();
                (elements.clone(), after.collect())
            }
            Seen::NotTagged(tag) => {
                let after = self.since_when_tagged(object, order, *tag);
                let before = self.first_other_than(object, order, *tag);
                let before = before.filter(|_| self.is_known_to(sight));
                (before.into_iter().collect(), after.into_iter().collect())
            }
            Seen::AtLeast(count) => {
                let before = order
                    .get(count - 1)
                    .filter(|_| self.is_known_to(sight))
                    .copied();
                (before.into_iter().collect(), Vec::new())
            }
            Seen::Exists => (order.first().copied().into_iter().collect(), Vec::new()),
        }
    }

    /// The append after which the list has had this tag for good. Who did not find it there looked
    /// before that, whichever of the earlier versions it was.
    fn since_when_tagged(&self, object: Object, order: &[Element], tag: u32) -> Option<Element> {
        let is_other = |e: &Element| self.tag_of(object, *e).is_some_and(|t| t != tag);
        let last_change = order.iter().rposition(is_other);
        let mut later = order[last_change.map_or(0, |at| at + 1)..].iter();
        later
            .find(|e| self.tag_of(object, **e) == Some(tag))
            .copied()
    }

    /// The first append after which the list did not have this tag.
    fn first_other_than(&self, object: Object, order: &[Element], tag: u32) -> Option<Element> {
        let is_other = |e: &&Element| self.tag_of(object, **e).is_some_and(|t| t != tag);
        order.iter().find(is_other).copied()
    }

    /// The tag that an append gave its list.
    fn tag_of(&self, object: Object, element: Element) -> Option<u32> {
        self.writers[&(object, element)].tag
    }

    /// Whether there was such a list before the sight's transaction began.
    fn is_known_to(&self, sight: &Sight) -> bool {
        self.known_since
            .get(&sight.object)
            .is_some_and(|since| *since < sight.begun)
    }

    fn register_writers(&mut self, history: &History) {
        for (transaction, t) in history.transactions.iter().enumerate() {
            for effect in t.statements.iter().flat_map(|s| &s.effects) {
                let Effect::Append {
                    object,
                    element,
                    tag,
                    is_certain,
                } = *effect
                else {
                    continue;
                };
                let writer = Writer {
                    transaction,
                    tag,
                    is_certain,
                    is_undone: false,
                };
                let before = self.writers.insert((object, element), writer);
                assert!(before.is_none(), "{element} is appended twice to {object}");
            }
        }
    }

    /// Follows a transaction through its statements: marks what it took back, and takes its own
    /// appends from what it read.
    fn replay(&mut self, history: &History, number: usize) {
        let begun = history.transactions[number].begun();
        let mut own: Vec<(usize, Object, Element)> = Vec::new();
        for (place, statement) in history.transactions[number].statements.iter().enumerate() {
            for effect in &statement.effects {
                let (object, what) = match effect {
                    Effect::Append {
                        object, element, ..
                    } => {
                        own.push((place, *object, *element));
                        continue;
                    }
                    Effect::UndoneFrom { statement } => {
                        let (kept, undone) = own.into_iter().partition(|(at, ..)| at < statement);
                        own = kept;
                        for (_, object, element) in undone as Vec<_> {
                            self.writers.get_mut(&(object, element)).unwrap().is_undone = true;
                        }
                        continue;
                    }
                    // Its own may be what it met.
                    Effect::NotTagged { object, .. }
                    | Effect::AtLeast { object, .. }
                    | Effect::Exists { object }
                        if own.iter().any(|(_, o, _)| o == object) =>
                    {
                        continue;
                    }
                    Effect::NotTagged { object, tag } => (*object, Seen::NotTagged(*tag)),
                    Effect::AtLeast { object, count } => (*object, Seen::AtLeast(*count)),
                    Effect::Exists { object } => (*object, Seen::Exists),
                    Effect::Read { object, elements } => {
                        let mine = own.iter().filter(|(_, o, _)| o == object).map(|o| o.2);
                        let foreign = self.split_own(number, *object, elements, mine.collect());
                        (*object, Seen::Elements(foreign))
                    }
                };
                self.sights.push(Sight {
                    transaction: number,
                    statement: place,
                    object,
                    what,
                    begun,
                });
            }
        }
    }

    /// What a read saw of others; complains unless all that is the reader's own is there.
    fn split_own(
        &mut self,
        number: usize,
        object: Object,
        elements: &[Element],
        mut mine: Vec<Element>,
    ) -> Vec<Element> {
        let is_own = |element: &&Element| {
            let writer = self.writers.get(&(object, **element));
            writer.is_some_and(|w| w.transaction == number)
        };
        let (mut own, foreign): (Vec<Element>, Vec<Element>) = elements.iter().partition(is_own);
        let is_tail = elements.ends_with(&own);
        if !object.is_ordered() {
            own.sort_unstable();
            mine.sort_unstable();
        }
        if own != mine || (object.is_ordered() && !is_tail) {
            self.wrong.push(format!(
                "T{number} reads {object} as {elements:?}: it should end in its own {mine:?}"
            ));
        }
        let distinct: HashSet<_> = elements.iter().collect();
        if distinct.len() < elements.len() {
            self.wrong.push(format!(
                "T{number} reads {object} as {elements:?}: one of them twice"
            ));
        }
        foreign
    }

    fn resolve_outcomes(&mut self, history: &History) {
        let outcomes = history.transactions.iter().map(|t| t.outcome);
        self.is_committed = outcomes.map(|o| o == Outcome::Committed).collect();
        for sight in &self.sights {
            let Seen::Elements(elements) = &sight.what else {
                continue;
            };
            for element in elements {
                if let Some(writer) = self.writers.get(&(sight.object, *element))
                    && history.transactions[writer.transaction].outcome == Outcome::Unknown
                {
                    self.is_committed[writer.transaction] = true;
                }
            }
        }
    }

    fn find_orders(&mut self) {
        for sight in &self.sights {
            if let Seen::Elements(elements) = &sight.what
                && sight.object.is_ordered()
            {
                let order = self.orders.entry(sight.object).or_default();
                if elements.len() > order.len() {
                    order.clone_from(elements);
                }
            }
        }
    }

    fn find_known(&mut self, history: &History) {
        for sight in &self.sights {
            let t = &history.transactions[sight.transaction];
            if let Seen::Elements(elements) = &sight.what
                && !elements.is_empty()
                && let Some(at) = t.statements[sight.statement].ended
            {
                let since = self.known_since.entry(sight.object).or_insert(at);
                *since = at.min(*since);
            }
        }
    }

    fn find_unordered(&mut self) {
        let seen: HashSet<(Object, Element)> = (self.sights.iter())
            .filter_map(|sight| match &sight.what {
                Seen::Elements(elements) => Some((sight.object, elements)),
                _ => None,
            })
            .flat_map(|(object, elements)| elements.iter().map(move |e| (object, *e)))
            .collect();
        let mut unordered: BTreeMap<Object, BTreeSet<Element>> = BTreeMap::new();
        for (&(object, element), writer) in &self.writers {
            let is_there = self.is_committed[writer.transaction] && !writer.is_undone;
            let is_seen = seen.contains(&(object, element));
            let belongs = if object.is_ordered() {
                writer.is_certain && !is_seen
            } else {
                writer.is_certain || is_seen
            };
            if is_there && belongs {
                unordered.entry(object).or_default().insert(element);
            }
        }
        let as_lists = unordered
            .into_iter()
            .map(|(o, e)| (o, e.into_iter().collect()));
        self.unordered = as_lists.collect();
    }

    /// G1a, and lists that contradict each other.
    fn judge_reads(&mut self) {
        let mut wrong = BTreeSet::new();
        for sight in &self.sights {
            let Seen::Elements(elements) = &sight.what else {
                continue;
            };
            let (reader, object) = (sight.transaction, sight.object);
            for element in elements {
                match self.writers.get(&(object, *element)) {
                    None => {
                        wrong.insert(format!("invented: T{reader} reads {element} in {object}"));
                    }
                    Some(w) if w.is_undone || !self.is_committed[w.transaction] => {
                        wrong.insert(format!(
                            "G1a: T{reader} reads {element} in {object}, which T{} rolled back",
                            w.transaction
                        ));
                    }
                    Some(_) => {}
                }
            }
            if let Some(order) = self.orders.get(&object)
                && !order.starts_with(elements)
            {
                wrong.insert(format!(
                    "an append is lost: T{reader} reads {object} as {elements:?}, another read is \
                     {order:?}"
                ));
            }
        }
        self.wrong.extend(wrong);
    }
}
