//! The statements that sessions choose from, and what their answers mean.

use std::collections::BTreeSet;
use std::ops::RangeInclusive;

use rand::RngExt;
use rand::rngs::StdRng;

use crate::record::{Effect, Element, Look, Object};
use crate::world::{LISTS_PER_TAG, World};

/// `v` has the elements, `n` their number. A list's row is made by its first append.
pub const SCHEMA: &str = "
    CREATE TABLE lists (id int PRIMARY KEY, tag int NOT NULL, n int NOT NULL, v text NOT NULL);
    CREATE INDEX lists_tag ON lists (tag);
    CREATE TABLE items (element int PRIMARY KEY, list int NOT NULL);
    CREATE INDEX items_list ON items (list);
    CREATE TABLE pairs (list int, element int, PRIMARY KEY (list, element))";

/// Most lists end with about so many elements.
const LENGTH_USUAL: usize = 16;

pub struct Answer {
    pub rows: Vec<Vec<String>>,
    pub count: u64,
}

pub struct Step {
    pub sql: String,
    pub look: Look,
    pub has_rows: bool,
    kind: Kind,
}

/// The set of a number.
type ToSet = fn(u32) -> Object;

enum Kind {
    Lists(Lists),
    Sets {
        object: ToSet,
        ids: RangeInclusive<u32>,
        is_partial: bool,
    },
    Insert(Vec<Append>),
}

/// A statement over rows of `lists`; rows are id, n, v.
struct Lists {
    ids: RangeInclusive<u32>,
    /// It searched for this tag.
    searched: Option<u32>,
    /// What is not in the answer may be there all the same.
    is_partial: bool,
    only: Only,
    walk: Walk,
    append: Option<(Element, Option<u32>)>,
}

/// How far a search goes.
#[derive(Clone, Copy)]
enum Walk {
    All,
    /// To the lowest or the highest id.
    Up,
    Down,
}

impl Walk {
    fn random(rng: &mut StdRng) -> Walk {
        [Walk::All, Walk::All, Walk::Up, Walk::Down][rng.random_range(0..4)]
    }

    fn limit(self) -> &'static str {
        match self {
            Walk::All => "",
            Walk::Up => " ORDER BY id LIMIT 1",
            Walk::Down => " ORDER BY id DESC LIMIT 1",
        }
    }

    /// Whether it came by an id, if these are all that it found.
    fn passed(self, id: u32, found: &BTreeSet<u32>) -> bool {
        match (self, found.first()) {
            (Walk::All, _) | (_, None) => true,
            (Walk::Up, Some(first)) => id < *first,
            (Walk::Down, Some(first)) => id > *first,
        }
    }
}

/// Which lists an UPDATE changes, by the number of their elements.
#[derive(Clone, Copy, PartialEq)]
enum Only {
    All,
    Even,
    Below(usize),
}

impl Only {
    fn random(rng: &mut StdRng) -> Only {
        match rng.random_range(0..10) {
            0..2 => Only::Even,
            2..4 => Only::Below(rng.random_range(1..LENGTH_USUAL)),
            _ => Only::All,
        }
    }

    fn condition(self) -> String {
        match self {
            Only::All => String::new(),
            Only::Even => " AND n % 2 = 0".to_owned(),
            Only::Below(count) => format!(" AND n < {count}"),
        }
    }

    fn holds(self, count: usize) -> bool {
        match self {
            Only::All => true,
            Only::Even => count.is_multiple_of(2),
            Only::Below(limit) => count < limit,
        }
    }
}

#[derive(Clone, Copy)]
struct Append {
    object: Object,
    element: Element,
    tag: Option<u32>,
}

impl Append {
    fn effect(self, is_certain: bool) -> Effect {
        let Append {
            object,
            element,
            tag,
        } = self;
        Effect::Append {
            object,
            element,
            tag,
            is_certain,
        }
    }
}

impl Step {
    /// Any statement.
    pub fn random(world: &World, rng: &mut StdRng) -> Step {
        match rng.random_range(0..100) {
            0..35 => Step::read(world, rng),
            35..70 => update(world, rng),
            70..77 => upsert(world, rng),
            _ => insert(world, rng),
        }
    }

    /// One that changes and locks nothing.
    pub fn read(world: &World, rng: &mut StdRng) -> Step {
        match rng.random_range(0..100) {
            0..55 => read_lists(world, rng, ""),
            _ => read_sets(world, rng, ""),
        }
    }

    /// One that only reads, and locks what it reads.
    pub fn lock(world: &World, rng: &mut StdRng) -> Step {
        const LOCKS: [&str; 8] = [
            " FOR UPDATE",
            " FOR UPDATE",
            " FOR NO KEY UPDATE",
            " FOR SHARE",
            " FOR SHARE",
            " FOR KEY SHARE",
            " FOR UPDATE NOWAIT",
            " FOR UPDATE SKIP LOCKED",
        ];
        let lock = LOCKS[rng.random_range(0..LOCKS.len())];
        match rng.random_range(0..100) {
            0..75 => read_lists(world, rng, lock),
            _ => read_sets(world, rng, lock),
        }
    }

    /// The first append to a list, if there is none.
    pub fn first_append(world: &World, list: u32, rng: &mut StdRng) -> Step {
        let on_conflict = ["", " ON CONFLICT DO NOTHING"][rng.random_range(0..2)];
        let (element, tag) = (world.element(), list / LISTS_PER_TAG);
        let append = Append {
            object: Object::List(list),
            element,
            tag: Some(tag),
        };
        Step {
            sql: format!("INSERT INTO lists VALUES ({list}, {tag}, 1, '{element}'){on_conflict}"),
            look: Look::Newest,
            has_rows: false,
            kind: Kind::Insert(vec![append]),
        }
    }

    /// Everything in these lists and sets, as a few statements.
    pub fn everything(ids: RangeInclusive<u32>) -> Vec<Step> {
        let (low, high) = (ids.start(), ids.end());
        let lists = Lists {
            ids: ids.clone(),
            searched: None,
            is_partial: false,
            only: Only::All,
            walk: Walk::All,
            append: None,
        };
        let sql = format!("SELECT id, n, v FROM lists WHERE id BETWEEN {low} AND {high}");
        let mut steps = vec![Step::over_lists(sql, Look::Snapshot, lists)];
        for (table, object) in SETS {
            let sql =
                format!("SELECT list, element FROM {table} WHERE list BETWEEN {low} AND {high}");
            steps.push(Step {
                sql,
                look: Look::Snapshot,
                has_rows: true,
                kind: Kind::Sets {
                    object,
                    ids: ids.clone(),
                    is_partial: false,
                },
            });
        }
        steps
    }

    fn over_lists(sql: String, look: Look, lists: Lists) -> Step {
        Step {
            sql,
            look,
            has_rows: true,
            kind: Kind::Lists(lists),
        }
    }

    /// The list that should have been appended to, if there is no such list.
    pub fn missing_list(&self, answer: &Answer) -> Option<u32> {
        match &self.kind {
            Kind::Lists(lists) if lists.append.is_some() && lists.only == Only::All => {
                let is_one = lists.ids.start() == lists.ids.end();
                (is_one && answer.count == 0).then_some(*lists.ids.start())
            }
            _ => None,
        }
    }

    /// What may have happened if no answer came.
    pub fn without_answer(&self) -> Vec<Effect> {
        match &self.kind {
            Kind::Lists(Lists {
                ids,
                append: Some((element, tag)),
                ..
            }) => {
                let (element, tag) = (*element, *tag);
                let appends = ids.clone().map(|id| Append {
                    object: Object::List(id),
                    element,
                    tag,
                });
                appends.map(|append| append.effect(false)).collect()
            }
            Kind::Insert(appends) => {
                // Else it would have failed, and not committed.
                let is_certain = !self.sql.ends_with("DO NOTHING");
                let effects = appends.iter().map(|append| append.effect(is_certain));
                effects.collect()
            }
            _ => Vec::new(),
        }
    }

    /// What a unique violation tells, or ON CONFLICT DO NOTHING; nothing if it must not be.
    pub fn after_duplicate(&self) -> Vec<Effect> {
        match &self.kind {
            Kind::Insert(appends) => appends
                .iter()
                .map(|append| Effect::Exists {
                    object: append.object,
                })
                .collect(),
            _ => Vec::new(),
        }
    }

    /// What an answer tells, or what is wrong with it.
    pub fn after(&self, answer: &Answer) -> Result<Vec<Effect>, String> {
        let effects = match &self.kind {
            Kind::Lists(lists) if self.has_rows => lists.after(&answer.rows),
            Kind::Lists(lists) => Ok(lists.after_count(answer.count)),
            Kind::Sets {
                object,
                ids,
                is_partial,
            } => Ok(sets_after(*object, ids.clone(), *is_partial, &answer.rows)),
            Kind::Insert(_) if answer.count == 0 => Ok(self.after_duplicate()),
            Kind::Insert(appends) => Ok(appends.iter().map(|append| append.effect(true)).collect()),
        };
        effects.map_err(|wrong| format!("{}: {wrong}: {:?}", self.sql, answer.rows))
    }
}

impl Lists {
    fn after(&self, rows: &[Vec<String>]) -> Result<Vec<Effect>, String> {
        let mut found = BTreeSet::new();
        let mut effects = Vec::new();
        for row in rows {
            let id: u32 = number(&row[0]);
            let mut elements: Vec<Element> = row[2].split(',').map(number).collect();
            if elements.len() != number::<usize>(&row[1]) {
                return Err("n is not the number of elements".to_owned());
            }
            if !self.ids.contains(&id) || !found.insert(id) {
                return Err(format!("list {id} does not belong here"));
            }
            let object = Object::List(id);
            if let Some((element, tag)) = self.append {
                if elements.pop() != Some(element) {
                    return Err(format!("list {id} does not end in {element}"));
                }
                if !self.only.holds(elements.len()) {
                    return Err(format!("list {id} does not meet the condition"));
                }
                effects.push(Effect::Read { object, elements });
                effects.push(
                    Append {
                        object,
                        element,
                        tag,
                    }
                    .effect(true),
                );
            } else {
                effects.push(Effect::Read { object, elements });
            }
        }
        let is_absent = |id: &u32| !found.contains(id) && self.walk.passed(*id, &found);
        let absent = self.ids.clone().filter(is_absent);
        effects.extend(absent.filter_map(|id| self.not_found(id)));
        Ok(effects)
    }

    /// Of an UPDATE of one list without RETURNING.
    fn after_count(&self, count: u64) -> Vec<Effect> {
        let id = *self.ids.start();
        match self.append {
            Some((element, tag)) if count > 0 => {
                vec![
                    Append {
                        object: Object::List(id),
                        element,
                        tag,
                    }
                    .effect(true),
                ]
            }
            _ => self.not_found(id).into_iter().collect(),
        }
    }

    fn not_found(&self, id: u32) -> Option<Effect> {
        let object = Object::List(id);
        match (self.searched, self.only) {
            _ if self.is_partial => None,
            (None, Only::All) => Some(Effect::Read {
                object,
                elements: Vec::new(),
            }),
            (None, Only::Below(count)) => Some(Effect::AtLeast { object, count }),
            (Some(tag), Only::All) => Some(Effect::NotTagged { object, tag }),
            _ => None,
        }
    }
}

fn sets_after(
    object: ToSet,
    ids: RangeInclusive<u32>,
    is_partial: bool,
    rows: &[Vec<String>],
) -> Vec<Effect> {
    if is_partial {
        return Vec::new();
    }
    let reads = ids.map(|id| {
        let mine = rows.iter().filter(|row| number::<u32>(&row[0]) == id);
        Effect::Read {
            object: object(id),
            elements: mine.map(|row| number(&row[1])).collect(),
        }
    });
    reads.collect()
}

/// Tables of sets, and what a set in them is.
const SETS: [(&str, ToSet); 2] = [("items", Object::Items), ("pairs", Object::Pairs)];

/// A condition on the ids of rows, which the planner meets by an index or, with `+ 0`, by a scan.
fn condition(column: &str, ids: &RangeInclusive<u32>, rng: &mut StdRng) -> String {
    let (low, high) = (ids.start(), ids.end());
    let scan = if rng.random_range(0..8) == 0 {
        " + 0"
    } else {
        ""
    };
    match low == high {
        true => format!("{column}{scan} = {low}"),
        false => format!("{column}{scan} BETWEEN {low} AND {high}"),
    }
}

/// The lists that a search for a tag may find.
fn lists_of_tag(tag: u32) -> RangeInclusive<u32> {
    tag.saturating_sub(1) * LISTS_PER_TAG..=tag * LISTS_PER_TAG + LISTS_PER_TAG - 1
}

/// One list or a few: their ids, the tag if they are those with a tag, and the condition.
fn some_lists(world: &World, rng: &mut StdRng) -> (RangeInclusive<u32>, Option<u32>, String) {
    let id = world.id(rng);
    match rng.random_range(0..10) {
        0..6 => (id..=id, None, condition("id", &(id..=id), rng)),
        6..8 => {
            let tag = id / LISTS_PER_TAG;
            (
                lists_of_tag(tag),
                Some(tag),
                condition("tag", &(tag..=tag), rng),
            )
        }
        _ => {
            let ids = id..=id + rng.random_range(1..4);
            (ids.clone(), None, condition("id", &ids, rng))
        }
    }
}

fn read_lists(world: &World, rng: &mut StdRng, lock: &str) -> Step {
    let (ids, searched, condition) = some_lists(world, rng);
    let walk = Walk::random(rng);
    let limit = walk.limit();
    let lists = Lists {
        ids,
        searched,
        is_partial: lock.ends_with("SKIP LOCKED"),
        only: Only::All,
        walk,
        append: None,
    };
    let sql = format!("SELECT id, n, v FROM lists WHERE {condition}{limit}{lock}");
    Step::over_lists(sql, look_with(lock), lists)
}

fn read_sets(world: &World, rng: &mut StdRng, lock: &str) -> Step {
    let (table, object) = SETS[rng.random_range(0..2)];
    let id = world.id(rng);
    let ids = id..=id + [0, 0, 1, 3][rng.random_range(0..4)];
    let condition = condition("list", &ids, rng);
    Step {
        sql: format!("SELECT list, element FROM {table} WHERE {condition}{lock}"),
        look: look_with(lock),
        has_rows: true,
        kind: Kind::Sets {
            object,
            ids,
            is_partial: lock.ends_with("SKIP LOCKED"),
        },
    }
}

fn look_with(lock: &str) -> Look {
    if lock.is_empty() {
        Look::Snapshot
    } else {
        Look::Newest
    }
}

fn update(world: &World, rng: &mut StdRng) -> Step {
    let (ids, searched, mut condition) = some_lists(world, rng);
    let element = world.element();
    let is_one = ids.start() == ids.end();
    let tag = (is_one && rng.random_range(0..4) == 0)
        .then(|| ids.start() / LISTS_PER_TAG + rng.random_range(0..2));
    let only = Only::random(rng);
    condition += &only.condition();
    // Of several lists nobody would know which.
    let has_rows = !is_one || searched.is_some() || rng.random_range(0..2) == 0;
    let returning = if has_rows { " RETURNING id, n, v" } else { "" };
    let set_tag = tag.map_or(String::new(), |tag| format!(", tag = {tag}"));
    let sql = format!(
        "UPDATE lists SET v = v || ',{element}', n = n + 1{set_tag} WHERE {condition}{returning}"
    );
    let append = Some((element, tag));
    let lists = Lists {
        ids,
        searched,
        is_partial: false,
        only,
        walk: Walk::All,
        append,
    };
    Step {
        sql,
        look: Look::Newest,
        has_rows,
        kind: Kind::Lists(lists),
    }
}

/// An append, be it the first one or not.
fn upsert(world: &World, rng: &mut StdRng) -> Step {
    let (id, element) = (world.id(rng), world.element());
    let tag = id / LISTS_PER_TAG;
    let lists = Lists {
        ids: id..=id,
        searched: None,
        is_partial: false,
        only: Only::All,
        walk: Walk::All,
        append: Some((element, Some(tag))),
    };
    let sql = format!(
        "INSERT INTO lists VALUES ({id}, {tag}, 1, '{element}') ON CONFLICT (id) DO UPDATE
         SET v = lists.v || ',{element}', n = lists.n + 1, tag = excluded.tag RETURNING id, n, v"
    );
    Step::over_lists(sql, Look::Newest, lists)
}

fn insert(world: &World, rng: &mut StdRng) -> Step {
    if rng.random_range(0..20) == 0 {
        // There may be such a list.
        return Step::first_append(world, world.id(rng), rng);
    }
    let (table, object) = SETS[rng.random_range(0..2)];
    let columns = if table == "items" {
        "element, list"
    } else {
        "list, element"
    };
    let count = [1, 1, 2, 3][rng.random_range(0..4)];
    let mut ids = BTreeSet::new();
    ids.extend((0..count).map(|_| world.id(rng)));
    let appends: Vec<(u32, Element)> = ids.into_iter().map(|id| (id, world.element())).collect();
    let values = appends.iter().map(|(id, element)| match table {
        "items" => format!("({element}, {id})"),
        _ => format!("({id}, {element})"),
    });
    let values: Vec<String> = values.collect();
    let appends = appends.iter().map(|(id, element)| Append {
        object: object(*id),
        element: *element,
        tag: None,
    });
    Step {
        sql: format!(
            "INSERT INTO {table} ({columns}) VALUES {}",
            values.join(", ")
        ),
        look: Look::Newest,
        has_rows: false,
        kind: Kind::Insert(appends.collect()),
    }
}

fn number<T: std::str::FromStr>(text: &str) -> T {
    text.parse()
        .unwrap_or_else(|_| panic!("{text:?} is no number"))
}
