//! SIGKILL under load, again and again: after each restart nothing acknowledged is missing,
//! nothing is half there, sums agree, and every index agrees with its table.
//!
//! `WALNUT_CRASH_SEED` repeats a run's choices (the moments of the kills stay as random as the
//! scheduler); `WALNUT_CRASH_ROUNDS` sets the number of kills.

// A test fails by its `unwrap`.
#![allow(clippy::unwrap_used)]

mod common;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use common::{Server, run_ok, skip, tool};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use tokio_postgres::{Client, Config, NoTls, Row};

const CLIENTS: i32 = 8;
const ACCOUNTS: i32 = 40;
const STARTING_BALANCE: i64 = 1000;
/// The accounts' unique codes are `code(id, version)`; an update of the key raises the version.
const SLOTS: i32 = 60;
/// Keys of an index that are looked up one by one after a restart.
const KEYS_CHECKED: usize = 150;

const SCHEMA: &str = "
    CREATE TABLE accounts (id integer PRIMARY KEY, balance bigint NOT NULL);
    CREATE TABLE transfers (client integer, n integer, source integer, target integer,
                            amount bigint, PRIMARY KEY (client, n));
    CREATE TABLE ledger (client integer, n integer, PRIMARY KEY (client, n));
    CREATE TABLE items (id integer PRIMARY KEY, client integer NOT NULL, n integer NOT NULL,
                        code text UNIQUE, grp integer, note text);
    CREATE INDEX items_grp ON items (grp);
    CREATE INDEX items_client_n ON items (client, n);
    CREATE INDEX transfers_target ON transfers (target);";

/// What a client knows about its transactions.
#[derive(Clone, Debug, Default)]
struct ClientLedger {
    /// Answered with success.
    acknowledged: BTreeSet<i32>,
    /// COMMIT was sent, no answer came.
    in_doubt: Option<i32>,
}

type Ledgers = BTreeMap<i32, ClientLedger>;

/// What the server holds after a restart.
#[derive(Clone, Debug, Default)]
struct Found {
    ledger: BTreeSet<(i32, i32)>,
    /// (client, n) → (source, target, amount)
    transfers: BTreeMap<(i32, i32), (i32, i32, i64)>,
    balances: BTreeMap<i32, i64>,
    /// The newest (client, n) in each item's row.
    items: BTreeMap<i32, (i32, i32)>,
}

/// Compares what the clients know with what is there. Every line of the answer is a lost, an
/// invented or a half transaction.
fn check(ledgers: &Ledgers, found: &Found) -> Vec<String> {
    let mut wrong = Vec::new();
    for (client, ledger) in ledgers {
        for n in &ledger.acknowledged {
            if !found.ledger.contains(&(*client, *n)) {
                wrong.push(format!(
                    "lost: client {client}'s acknowledged transaction {n}"
                ));
            }
        }
    }
    for (client, n) in &found.ledger {
        let known = ledgers
            .get(client)
            .is_some_and(|l| l.acknowledged.contains(n) || l.in_doubt == Some(*n));
        if !known {
            wrong.push(format!("invented: transaction {n} of client {client}"));
        }
    }
    let transfers: BTreeSet<(i32, i32)> = found.transfers.keys().copied().collect();
    for (client, n) in found.ledger.symmetric_difference(&transfers) {
        wrong.push(format!(
            "half: client {client}'s transaction {n}: ledger or transfer alone"
        ));
    }
    let mut balances: BTreeMap<i32, i64> =
        (1..=ACCOUNTS).map(|id| (id, STARTING_BALANCE)).collect();
    for (source, target, amount) in found.transfers.values() {
        *balances.entry(*source).or_default() -= amount;
        *balances.entry(*target).or_default() += amount;
    }
    for (id, balance) in &balances {
        let there = found.balances.get(id);
        if there != Some(balance) {
            wrong.push(format!(
                "half: account {id} holds {there:?}, its transfers make {balance}"
            ));
        }
    }
    let sum: i64 = found.balances.values().sum();
    if sum != i64::from(ACCOUNTS) * STARTING_BALANCE {
        wrong.push(format!("half: the accounts' sum is {sum}"));
    }
    for (id, (client, n)) in &found.items {
        if *n > 0 && !found.ledger.contains(&(*client, *n)) {
            wrong.push(format!("half: item {id} is of {client}'s transaction {n}"));
        }
    }
    wrong
}

/// Runs transactions until the server is gone.
async fn client_load(
    config: Config,
    client_id: i32,
    mut n: i32,
    seed: u64,
    stop: Arc<AtomicBool>,
) -> ClientLedger {
    let mut ledger = ClientLedger::default();
    let mut rng = StdRng::seed_from_u64(seed);
    let Ok((mut client, connection)) = config.connect(NoTls).await else {
        return ledger;
    };
    tokio::spawn(connection);
    while !stop.load(Ordering::Relaxed) {
        n += 1;
        match transaction(&mut client, client_id, n, &mut rng).await {
            Ok(()) => {
                ledger.acknowledged.insert(n);
            }
            Err(Failure::Refused(error)) => {
                panic!("client {client_id}, transaction {n}: {error:?}")
            }
            Err(Failure::Retry) => {}
            Err(Failure::BeforeCommit) => return ledger,
            Err(Failure::InCommit) => {
                ledger.in_doubt = Some(n);
                return ledger;
            }
        }
    }
    ledger
}

enum Failure {
    /// A deadlock or a lost race for a key: rolled back, as it may.
    Retry,
    /// Any other answer of the server is a bug.
    Refused(tokio_postgres::Error),
    BeforeCommit,
    InCommit,
}

impl From<tokio_postgres::Error> for Failure {
    fn from(error: tokio_postgres::Error) -> Failure {
        match error.code().map(|c| c.code().to_string()).as_deref() {
            Some("40P01" | "23505") => Failure::Retry,
            // The server says that it is going.
            Some("57P01" | "57P02" | "57P03") | None => Failure::BeforeCommit,
            Some(_) => Failure::Refused(error),
        }
    }
}

/// A transfer, its history, an item's row under changing keys, and the ledger's entry.
async fn transaction(
    client: &mut Client,
    me: i32,
    n: i32,
    rng: &mut StdRng,
) -> Result<(), Failure> {
    let source = rng.random_range(1..=ACCOUNTS);
    let target = rng.random_range(1..=ACCOUNTS);
    let amount = i64::from(rng.random_range(1..100));
    let slot = rng.random_range(1..=SLOTS);
    let statements: Vec<String> = vec![
        format!("UPDATE accounts SET balance = balance - {amount} WHERE id = {source}"),
        format!("UPDATE accounts SET balance = balance + {amount} WHERE id = {target}"),
        format!("INSERT INTO transfers VALUES ({me}, {n}, {source}, {target}, {amount})"),
        match rng.random_range(0..4) {
            0 => format!("DELETE FROM items WHERE id = {slot}"),
            1 => format!(
                "UPDATE items SET client = {me}, n = {n}, code = 'c' || id::text || '.{me}.{n}',
                                  grp = {} WHERE id = {slot}",
                rng.random_range(0..10)
            ),
            2 => format!(
                "UPDATE items SET id = id + {SLOTS}, client = {me}, n = {n} WHERE id = {slot}"
            ),
            _ => format!(
                "INSERT INTO items VALUES ({slot}, {me}, {n}, 'c{slot}.{me}.{n}', {}, repeat('x', {}))",
                rng.random_range(0..10),
                rng.random_range(0..400)
            ),
        },
        format!("INSERT INTO ledger VALUES ({me}, {n})"),
    ];
    let transaction = client.transaction().await?;
    for statement in &statements {
        transaction.execute(statement, &[]).await?;
    }
    if rng.random_range(0..20) == 0 {
        transaction.rollback().await?;
        return Err(Failure::Retry);
    }
    match transaction.commit().await {
        Ok(()) => Ok(()),
        Err(error) if error.code().is_none() => Err(Failure::InCommit),
        // Refused by name: it did not happen. A shutdown's answer leaves it open.
        Err(error) => match Failure::from(error) {
            Failure::BeforeCommit => Err(Failure::InCommit),
            other => Err(other),
        },
    }
}

async fn read_found(client: &Client) -> Found {
    let rows = |sql: &'static str| async move { client.query(sql, &[]).await.unwrap() };
    let pair = |row: &Row| (row.get(0), row.get(1));
    Found {
        ledger: rows("SELECT client, n FROM ledger")
            .await
            .iter()
            .map(pair)
            .collect(),
        transfers: rows("SELECT client, n, source, target, amount FROM transfers")
            .await
            .iter()
            .map(|r| (pair(r), (r.get(2), r.get(3), r.get(4))))
            .collect(),
        balances: rows("SELECT id, balance FROM accounts")
            .await
            .iter()
            .map(|r| (r.get(0), r.get(1)))
            .collect(),
        items: rows("SELECT id, client, n FROM items")
            .await
            .iter()
            .map(|r| (r.get(0), (r.get(1), r.get(2))))
            .collect(),
    }
}

/// Each index against its table: a key's rows by condition and the whole by order must be what a
/// scan finds.
async fn check_indexes(client: &Client, round: usize) -> Vec<String> {
    let mut wrong = Vec::new();
    for (table, keys) in [
        ("accounts", "id"),
        ("transfers", "client, n"),
        ("transfers", "target"),
        ("ledger", "client, n"),
        ("items", "id"),
        ("items", "code"),
        ("items", "grp"),
        ("items", "client, n"),
    ] {
        let columns: Vec<&str> = keys.split(", ").collect();
        let scan = text_rows(client, &format!("SELECT {keys} FROM {table}")).await;
        let mut sorted = scan.clone();
        sorted.sort();
        let mut ordered = text_rows(
            client,
            &format!("SELECT {keys} FROM {table} ORDER BY {keys}"),
        )
        .await;
        ordered.sort();
        if ordered != sorted {
            wrong.push(format!(
                "{table} ({keys}): {} rows in order, {} scanned",
                ordered.len(),
                sorted.len()
            ));
        }
        let mut distinct = sorted.clone();
        distinct.dedup();
        // All keys of a small table, every nth of a large one.
        let step = distinct.len() / KEYS_CHECKED + 1;
        let some = distinct.iter().skip(round % step).step_by(step);
        for key in some.filter(|k| k.iter().all(Option::is_some)) {
            let condition: Vec<String> = columns
                .iter()
                .zip(key)
                .map(|(c, v)| format!("{c} = '{}'", v.as_deref().unwrap_or_default()))
                .collect();
            let sql = format!(
                "SELECT {keys} FROM {table} WHERE {}",
                condition.join(" AND ")
            );
            let by_key = text_rows(client, &sql).await.len();
            let by_scan = sorted.iter().filter(|k| *k == key).count();
            if by_key != by_scan {
                wrong.push(format!(
                    "{table} {key:?}: {by_key} by index, {by_scan} scanned"
                ));
            }
        }
    }
    wrong
}

async fn text_rows(client: &Client, sql: &str) -> Vec<Vec<Option<String>>> {
    use tokio_postgres::SimpleQueryMessage::Row;
    let messages = client.simple_query(sql).await.unwrap();
    messages
        .iter()
        .filter_map(|m| match m {
            Row(row) => Some(
                (0..row.len())
                    .map(|i| row.get(i).map(str::to_string))
                    .collect(),
            ),
            _ => None,
        })
        .collect()
}

fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name)
        .ok()
        .map_or(default, |v| v.parse().unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_acknowledged_is_lost_and_nothing_is_half_there_after_kills() {
    let seed = setting("WALNUT_CRASH_SEED", rand::rng().random());
    let rounds = setting("WALNUT_CRASH_ROUNDS", 22);
    eprintln!("WALNUT_CRASH_SEED={seed}");
    let mut rng = StdRng::seed_from_u64(seed);
    let mut server = Server::start_small();
    let client = server.connect().await;
    client.batch_execute(SCHEMA).await.unwrap();
    for id in 1..=ACCOUNTS {
        let sql = format!("INSERT INTO accounts VALUES ({id}, {STARTING_BALANCE})");
        client.execute(&sql, &[]).await.unwrap();
    }
    drop(client);

    let mut ledgers = Ledgers::new();
    for round in 1..=rounds {
        let stop = Arc::new(AtomicBool::new(false));
        let loads: Vec<_> = (0..CLIENTS)
            .map(|id| {
                // A transaction's number is used once, also when its outcome is not known.
                let first = i32::try_from(round).unwrap() * 1_000_000;
                let load = client_load(server.config(), id, first, rng.random(), Arc::clone(&stop));
                (id, tokio::spawn(load))
            })
            .collect();
        tokio::time::sleep(Duration::from_millis(rng.random_range(20..800))).await;
        server.kill();
        stop.store(true, Ordering::Relaxed);
        let mut acknowledged = 0;
        let mut in_doubt = BTreeMap::new();
        for (id, load) in loads {
            let known = load.await.unwrap();
            acknowledged += known.acknowledged.len();
            let all = ledgers.entry(id).or_default();
            all.acknowledged.extend(known.acknowledged);
            all.in_doubt = known.in_doubt;
            in_doubt.insert(id, known.in_doubt);
        }
        if round % 4 == 0 {
            // Killed again while it starts, or right after.
            server.restart();
            server.kill();
        }
        server.restart();
        let client = server.connect().await;
        let found = read_found(&client).await;
        let mut wrong = check(&ledgers, &found);
        wrong.extend(check_indexes(&client, usize::try_from(round).unwrap()).await);
        assert!(
            wrong.is_empty(),
            "round {round}, seed {seed}, in doubt {in_doubt:?}:\n{}",
            wrong.join("\n")
        );
        // What was in doubt is settled now: it stays as it was found.
        for (id, ledger) in &mut ledgers {
            if let Some(n) = ledger.in_doubt.take()
                && found.ledger.contains(&(*id, n))
            {
                ledger.acknowledged.insert(n);
            }
        }
        eprintln!(
            "round {round}: {acknowledged} acknowledged, {} in all",
            found.ledger.len()
        );
    }
    let total: usize = ledgers.values().map(|l| l.acknowledged.len()).sum();
    assert!(
        total > 20 * usize::try_from(rounds).unwrap(),
        "only {total}: hardly a load"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_sums_of_tpcb_agree_after_kills() {
    let Some(pgbench) = tool("pgbench") else {
        return skip("pgbench is not installed");
    };
    let seed = setting("WALNUT_CRASH_SEED", rand::rng().random());
    eprintln!("WALNUT_CRASH_SEED={seed}");
    let mut rng = StdRng::seed_from_u64(seed);
    let mut server = Server::start_small();
    run_ok(server.libpq(&pgbench).args(["-i", "-s", "1", "-q"]), "");
    let mut history = 0;
    for round in 0..6 {
        let mode = ["simple", "extended", "prepared"][round % 3];
        let mut load = server.libpq(&pgbench);
        load.args(["-n", "-c", "8", "-j", "2", "-T", "20", "-M", mode]);
        let load = std::thread::spawn(move || {
            common::run(&mut load, "", Duration::from_secs(60));
        });
        tokio::time::sleep(Duration::from_millis(rng.random_range(300..1200))).await;
        server.kill();
        load.join().unwrap();
        server.restart();
        let client = server.connect().await;
        let row = client
            .query_one(
                "SELECT (SELECT sum(abalance) FROM pgbench_accounts),
                        (SELECT sum(bbalance) FROM pgbench_branches),
                        (SELECT sum(tbalance) FROM pgbench_tellers),
                        (SELECT coalesce(sum(delta), 0) FROM pgbench_history),
                        (SELECT count(*) FROM pgbench_history),
                        (SELECT count(*) FROM pgbench_accounts)",
                &[],
            )
            .await
            .unwrap();
        let values: [i64; 6] = std::array::from_fn(|i| row.get(i));
        assert!(
            values[..4].iter().all(|s| *s == values[0]),
            "round {round}, seed {seed}: a, b, t, history: {values:?}"
        );
        assert!(
            values[4] >= history,
            "round {round}: history went back to {}",
            values[4]
        );
        assert_eq!(values[5], 100_000);
        history = values[4];
    }
    assert!(history > 0, "no transaction in six rounds");
}

/// A state that two clients' four transactions leave, all acknowledged.
fn sound() -> (Ledgers, Found) {
    let mut ledgers = Ledgers::new();
    let mut found = Found {
        balances: (1..=ACCOUNTS).map(|id| (id, STARTING_BALANCE)).collect(),
        ..Found::default()
    };
    for (client, n) in [(0, 1), (0, 2), (1, 1), (1, 2)] {
        ledgers.entry(client).or_default().acknowledged.insert(n);
        found.ledger.insert((client, n));
        found.transfers.insert((client, n), (n, 10 + client, 5));
        *found.balances.get_mut(&n).unwrap() -= 5;
        *found.balances.get_mut(&(10 + client)).unwrap() += 5;
    }
    found.items.insert(7, (1, 2));
    (ledgers, found)
}

fn undo(found: &mut Found, key: (i32, i32)) {
    found.ledger.remove(&key);
    let (source, target, amount) = found.transfers.remove(&key).unwrap();
    *found.balances.get_mut(&source).unwrap() += amount;
    *found.balances.get_mut(&target).unwrap() -= amount;
}

#[test]
fn the_checker_finds_nothing_in_a_sound_state() {
    let (mut ledgers, mut found) = sound();
    assert_eq!(check(&ledgers, &found), Vec::<String>::new());
    // One in doubt may be there …
    let one = ledgers.get_mut(&0).unwrap();
    one.acknowledged.remove(&2);
    one.in_doubt = Some(2);
    assert_eq!(check(&ledgers, &found), Vec::<String>::new());
    // … or not at all.
    undo(&mut found, (0, 2));
    assert_eq!(check(&ledgers, &found), Vec::<String>::new());
}

#[test]
fn the_checker_finds_a_lost_acknowledged_transaction() {
    let (ledgers, mut found) = sound();
    undo(&mut found, (0, 2));
    let wrong = check(&ledgers, &found);
    assert!(wrong.iter().any(|w| w.starts_with("lost")), "{wrong:?}");
}

#[test]
fn the_checker_finds_an_invented_transaction() {
    let (mut ledgers, found) = sound();
    ledgers.get_mut(&1).unwrap().acknowledged.remove(&2);
    let wrong = check(&ledgers, &found);
    assert!(wrong.iter().any(|w| w.starts_with("invented")), "{wrong:?}");
}

#[test]
fn the_checker_finds_every_half_of_a_transaction() {
    type Damage = fn(&mut Found);
    let damages: [(&str, Damage); 6] = [
        ("the ledger's entry alone is gone", |f| {
            f.ledger.remove(&(1, 2));
        }),
        ("the transfer alone is gone", |f| {
            f.transfers.remove(&(1, 2));
        }),
        ("one account was not debited", |f| {
            *f.balances.get_mut(&2).unwrap() += 5
        }),
        ("money moved between two accounts, the sum is right", |f| {
            *f.balances.get_mut(&2).unwrap() += 5;
            *f.balances.get_mut(&3).unwrap() -= 5;
        }),
        ("an account is gone", |f| {
            f.balances.remove(&40);
        }),
        ("an item is of a transaction that did not happen", |f| {
            f.items.insert(8, (0, 77));
        }),
    ];
    for (what, damage) in damages {
        let (mut ledgers, mut found) = sound();
        // Also when the damaged transaction is one in doubt.
        let one = ledgers.get_mut(&1).unwrap();
        one.acknowledged.remove(&2);
        one.in_doubt = Some(2);
        damage(&mut found);
        let wrong = check(&ledgers, &found);
        assert!(
            wrong.iter().any(|w| w.starts_with("half")),
            "{what}: {wrong:?}"
        );
    }
}
