//! Histories made by hand, one for each anomaly: what the checker must find in them at which
//! level, and where it must find nothing.

use crate::check::check;
use crate::record::{
    Effect, Element, History, Level, Look, Object, Outcome, Statement, Time, Transaction,
};

const X: Object = Object::List(1);
const Y: Object = Object::List(2);
const SET: Object = Object::Items(1);
const OTHER_SET: Object = Object::Pairs(1);

fn append(object: Object, element: Element) -> Effect {
    Effect::Append {
        object,
        element,
        tag: None,
        is_certain: true,
    }
}

fn move_to(object: Object, element: Element, tag: u32) -> Effect {
    Effect::Append {
        object,
        element,
        tag: Some(tag),
        is_certain: true,
    }
}

fn read(object: Object, elements: &[Element]) -> Effect {
    Effect::Read {
        object,
        elements: elements.to_vec(),
    }
}

/// A statement and the span of time that it took.
fn statement(begun: Time, ended: Time, effects: Vec<Effect>) -> Statement {
    let (sql, look) = (String::new(), Look::Snapshot);
    Statement {
        sql,
        begun,
        ended: Some(ended),
        look,
        effects,
    }
}

/// Its COMMIT was sent at the first of these times, and answered at the other.
fn committed(commit: (Time, Time), statements: Vec<Statement>) -> Transaction {
    ended(Outcome::Committed, commit.0, Some(commit.1), statements)
}

fn ended(
    outcome: Outcome,
    commit_begun: Time,
    ended: Option<Time>,
    statements: Vec<Statement>,
) -> Transaction {
    Transaction {
        session: 0,
        statements,
        outcome,
        commit_begun,
        ended,
    }
}

/// One of a single statement.
fn autocommit(begun: Time, ended: Time, effects: Vec<Effect>) -> Transaction {
    committed((begun, ended), vec![statement(begun, ended, effects)])
}

/// All of them at the same time: only what they read orders them.
fn together(transactions: Vec<Vec<Effect>>) -> Vec<Transaction> {
    transactions
        .into_iter()
        .map(|effects| autocommit(10, 20, effects))
        .collect()
}

fn found(transactions: Vec<Transaction>, level: Level) -> String {
    let history = History {
        transactions,
        complaints: Vec::new(),
    };
    check(&history, level).join("\n")
}

/// What is found at each level contains this; an empty word stands for nothing.
#[track_caller]
fn assert_found(transactions: &[Transaction], words: [&str; 3]) {
    for (level, word) in Level::ALL.into_iter().zip(words) {
        let text = found(transactions.to_vec(), level);
        assert!(
            text.contains(word),
            "{}: no {word:?} in {text}",
            level.name()
        );
        assert!(
            !word.is_empty() || text.is_empty(),
            "{}: {text}",
            level.name()
        );
    }
}

const EVERYWHERE_A: [&str; 3] = ["G1a"; 3];

#[test]
fn transactions_one_after_another_are_in_order() {
    let history = [
        autocommit(1, 2, vec![read(X, &[]), append(X, 1)]),
        autocommit(
            3,
            4,
            vec![
                read(X, &[1]),
                append(X, 2),
                read(X, &[1, 2]),
                append(SET, 3),
            ],
        ),
        autocommit(5, 6, vec![read(X, &[1, 2]), read(SET, &[3]), read(Y, &[])]),
    ];
    assert_found(&history, ["", "", ""]);
}

#[test]
fn g0_writes_of_two_transactions_interleave() {
    let history = together(vec![
        vec![append(X, 1), append(Y, 11)],
        vec![append(X, 2), append(Y, 12)],
        vec![read(X, &[1, 2])],
        vec![read(Y, &[12, 11])],
    ]);
    assert_found(&history, ["G0", "G0", "G0"]);
}

#[test]
fn g1a_what_was_rolled_back_is_read() {
    let writer = ended(
        Outcome::Aborted,
        10,
        Some(20),
        vec![statement(1, 2, vec![append(X, 1)])],
    );
    let reader = autocommit(3, 4, vec![read(X, &[1])]);
    assert_found(&[writer, reader], EVERYWHERE_A);
}

#[test]
fn g1a_what_was_rolled_back_to_a_savepoint_is_read() {
    let writer = committed(
        (10, 20),
        vec![
            statement(1, 2, vec![append(X, 1)]),
            statement(3, 4, vec![append(X, 2)]),
            statement(5, 6, vec![Effect::UndoneFrom { statement: 1 }]),
        ],
    );
    let others = |elements| autocommit(21, 22, vec![read(X, elements)]);
    assert_found(&[writer.clone(), others(&[1])], ["", "", ""]);
    assert_found(&[writer, others(&[1, 2])], EVERYWHERE_A);
}

#[test]
fn what_nobody_appended_is_invented() {
    assert_found(&together(vec![vec![read(X, &[7])]]), ["invented"; 3]);
    assert_found(&together(vec![vec![read(SET, &[7])]]), ["invented"; 3]);
}

#[test]
fn g1b_a_transaction_is_read_in_the_middle() {
    let history = together(vec![
        vec![append(X, 1), append(X, 2)],
        vec![read(X, &[1])],
        vec![read(X, &[1, 2])],
    ]);
    assert_found(&history, ["G1b"; 3]);
    let history = together(vec![
        vec![append(SET, 1), append(OTHER_SET, 2)],
        vec![read(SET, &[1]), read(OTHER_SET, &[])],
    ]);
    assert_found(&history, ["G1b"; 3]);
}

#[test]
fn g1c_two_transactions_read_from_each_other() {
    let history = together(vec![
        vec![append(X, 1), read(SET, &[2])],
        vec![append(SET, 2), read(X, &[1])],
    ]);
    assert_found(&history, ["G1c"; 3]);
}

#[test]
fn own_appends_must_be_read() {
    assert_found(
        &together(vec![vec![append(X, 1), read(X, &[])]]),
        ["its own"; 3],
    );
    assert_found(
        &together(vec![vec![append(SET, 1), read(SET, &[])]]),
        ["its own"; 3],
    );
}

#[test]
fn a_lost_append_leaves_two_lists_that_contradict() {
    let history = together(vec![
        vec![append(X, 1)],
        vec![append(X, 2)],
        vec![read(X, &[1])],
        vec![read(X, &[2])],
    ]);
    assert_found(&history, ["an append is lost"; 3]);
}

#[test]
fn what_was_acknowledged_and_is_not_there_is_lost() {
    for object in [X, SET] {
        let history = [
            autocommit(1, 2, vec![append(object, 1)]),
            autocommit(3, 4, vec![read(object, &[])]),
        ];
        assert_found(&history, ["acknowledged is lost"; 3]);
        // At the same time it may be either way.
        let history = [
            autocommit(1, 4, vec![append(object, 1)]),
            autocommit(3, 5, vec![read(object, &[])]),
        ];
        assert_found(&history, ["", "", ""]);
    }
}

/// The writer's COMMIT was not answered; one saw what it wrote, and later it is gone.
#[test]
fn what_was_shown_and_is_not_there_is_lost() {
    for object in [X, SET] {
        let wrote = vec![statement(1, 2, vec![append(object, 1)])];
        let writer = ended(Outcome::Unknown, 3, None, wrote);
        let reader = autocommit(5, 6, vec![read(object, &[1])]);
        let later = autocommit(7, 8, vec![read(object, &[])]);
        assert_found(&[writer.clone(), later.clone()], ["", "", ""]);
        assert_found(&[writer.clone(), reader.clone()], ["", "", ""]);
        assert_found(&[writer, reader, later], ["what was shown is lost"; 3]);
    }
}

#[test]
fn what_an_error_told_and_is_not_there_is_lost() {
    let writer = ended(
        Outcome::Unknown,
        1,
        None,
        vec![statement(1, 2, vec![append(X, 1)])],
    );
    let told = vec![statement(3, 4, vec![Effect::Exists { object: X }])];
    let refused = ended(Outcome::Aborted, 3, Some(4), told);
    let later = [
        autocommit(5, 6, vec![read(X, &[])]),
        autocommit(7, 8, vec![read(X, &[1])]),
    ];
    let history = [&[writer, refused], &later[..]].concat();
    assert_found(&history, ["what was shown is lost"; 3]);
}

#[test]
fn an_unknown_outcome_is_whole() {
    let wrote = vec![statement(1, 2, vec![append(X, 1), append(Y, 2)])];
    let writer = ended(Outcome::Unknown, 3, None, wrote);
    let half = autocommit(5, 6, vec![read(X, &[1]), read(Y, &[])]);
    assert_found(&[writer, half], ["in part"; 3]);
}

#[test]
fn a_lost_update() {
    let reads_first = vec![
        statement(1, 20, vec![read(X, &[])]),
        statement(21, 30, vec![append(X, 2)]),
    ];
    let history = [
        autocommit(1, 30, vec![append(X, 1)]),
        committed((31, 32), reads_first),
        autocommit(40, 41, vec![read(X, &[1, 2])]),
    ];
    assert_found(&history, ["", "lost update", "lost update"]);
}

#[test]
fn g_single_a_transaction_sees_half_of_another() {
    let writer = autocommit(10, 30, vec![append(X, 1), append(Y, 2)]);
    let read = |at, object, elements: &[_]| statement(at, at + 1, vec![read(object, elements)]);
    let reader = committed((40, 41), vec![read(11, X, &[]), read(20, Y, &[2])]);
    assert_found(&[writer.clone(), reader], ["", "in part", "in part"]);
    // Backwards in time is wrong at READ COMMITTED too.
    let reader = committed((40, 41), vec![read(11, X, &[1]), read(20, Y, &[])]);
    assert_found(
        &[writer, reader],
        ["what was shown is lost", "in part", "in part"],
    );
}

#[test]
fn a_read_that_is_not_repeatable() {
    let reads = [
        statement(1, 20, vec![read(X, &[])]),
        statement(21, 30, vec![read(X, &[1])]),
    ];
    let history = [
        committed((31, 32), reads.to_vec()),
        autocommit(1, 30, vec![append(X, 1)]),
    ];
    assert_found(&history, ["", "in part", "in part"]);
    // An aborted transaction's reads are repeatable as well.
    let reader = ended(Outcome::Aborted, 31, Some(32), reads.to_vec());
    assert_found(&[reader, history[1].clone()], ["", "in part", "in part"]);
}

#[test]
fn g2_item_write_skew() {
    let history = together(vec![
        vec![read(X, &[]), read(Y, &[]), append(X, 1)],
        vec![read(X, &[]), read(Y, &[]), append(Y, 2)],
        vec![read(X, &[1]), read(Y, &[2])],
    ]);
    assert_found(&history, ["", "", "G2"]);
}

#[test]
fn g2_each_inserts_what_the_other_did_not_find() {
    let history = together(vec![
        vec![read(SET, &[]), append(OTHER_SET, 1)],
        vec![read(OTHER_SET, &[]), append(SET, 2)],
    ]);
    assert_found(&history, ["", "", "G2"]);
}

#[test]
fn g2_each_moves_a_list_to_where_the_other_found_none() {
    let searched = |object, tag| Effect::NotTagged { object, tag };
    let mut history = vec![autocommit(1, 2, vec![move_to(X, 1, 1), move_to(Y, 2, 1)])];
    history.push(autocommit(10, 20, vec![searched(X, 5), move_to(Y, 3, 5)]));
    history.push(autocommit(10, 20, vec![searched(Y, 5), move_to(X, 4, 5)]));
    history.push(autocommit(30, 40, vec![read(X, &[1, 4]), read(Y, &[2, 3])]));
    assert_found(&history, ["", "", "G2"]);
}

/// Two snapshots that see two independent commits in different orders.
#[test]
fn a_long_fork() {
    let history = together(vec![
        vec![append(X, 1)],
        vec![append(Y, 2)],
        vec![read(X, &[1]), read(Y, &[])],
        vec![read(X, &[]), read(Y, &[2])],
    ]);
    assert_found(&history, ["G2"; 3]);
}

/// Fekete's read-only anomaly: without the reader the two writers have an order.
#[test]
fn a_reader_alone_can_break_the_order() {
    let history = [
        committed(
            (40, 41),
            vec![statement(
                1,
                2,
                vec![read(X, &[]), read(Y, &[]), append(X, 1)],
            )],
        ),
        autocommit(3, 4, vec![append(Y, 2)]),
        autocommit(5, 6, vec![read(X, &[]), read(Y, &[2])]),
        autocommit(50, 51, vec![read(X, &[1]), read(Y, &[2])]),
    ];
    assert_found(&history, ["", "", "G2"]);
    let without = [history[0].clone(), history[1].clone(), history[3].clone()];
    assert_found(&without, ["", "", ""]);
}

#[test]
fn a_search_finds_what_has_the_tag_for_good() {
    let moved = autocommit(1, 2, vec![move_to(X, 1, 7)]);
    let seen = autocommit(9, 10, vec![read(X, &[1])]);
    let blind = autocommit(3, 4, vec![Effect::NotTagged { object: X, tag: 7 }]);
    assert_found(&[moved.clone(), seen.clone(), blind.clone()], ["lost"; 3]);
    // It may have looked while the list had another tag.
    let away = autocommit(2, 5, vec![move_to(X, 2, 8)]);
    let back = autocommit(2, 5, vec![move_to(X, 3, 7)]);
    let seen = autocommit(9, 10, vec![read(X, &[1, 2, 3])]);
    assert_found(&[moved, away, back, seen, blind], ["", "", ""]);
}

#[test]
fn rows_that_a_statement_locks_are_read_one_by_one() {
    let mut locking = statement(1, 30, vec![read(X, &[]), read(SET, &[2])]);
    let history = |statement: &Statement| {
        let writers = [
            autocommit(3, 4, vec![append(X, 1)]),
            autocommit(5, 6, vec![append(SET, 2)]),
            autocommit(40, 41, vec![read(X, &[1])]),
        ];
        let reader = committed((50, 51), vec![statement.clone()]);
        [&writers[..], &[reader]].concat()
    };
    assert_found(&history(&locking), ["what was shown is lost"; 3]);
    locking.look = Look::Newest;
    assert_found(
        &history(&locking),
        ["", "what was shown is lost", "what was shown is lost"],
    );
}

/// That no list had fewer than two elements told of the second.
#[test]
fn what_a_search_without_a_find_told_is_shown() {
    let history = [
        autocommit(1, 2, vec![append(X, 1)]),
        autocommit(3, 20, vec![append(X, 2)]),
        autocommit(3, 4, vec![read(X, &[1])]),
        autocommit(
            5,
            6,
            vec![Effect::AtLeast {
                object: X,
                count: 2,
            }],
        ),
        autocommit(30, 31, vec![read(X, &[1, 2])]),
    ];
    assert_found(&history, [""; 3]);
    let behind = autocommit(7, 8, vec![read(X, &[1])]);
    assert_found(
        &[&history[..], &[behind]].concat(),
        ["what was shown is lost"; 3],
    );
}
