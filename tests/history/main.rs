//! Random histories: sessions beside each other append to lists and read them, the server is
//! killed in between, and what came back is judged by what an isolation level promises, as Elle
//! does (Kingsbury and Alvaro, VLDB 2020). `check.rs` says what is looked for.
//!
//! - `record.rs`: what the clients know;
//! - `world.rs`, `steps.rs`, `session.rs`, `lives.rs`: who asks, and what;
//! - `versions.rs`, `graph.rs`, `check.rs`: whether the answers fit together;
//! - `anomalies.rs`: histories made by hand, and what must be found in them.
//!
//! The same clients and the same checker run on PostgreSQL 15: nothing is found at its levels, and
//! something is when a level is judged by a stronger one.
//!
//! `WALNUT_HISTORY_SECONDS` sets how long each level runs, `WALNUT_HISTORY_LEVELS` chooses some
//! (`read committed,serializable`), `WALNUT_HISTORY_SEED` repeats a run's choices (not the moments
//! of the kills), `WALNUT_HISTORY_SERVER=host:port` has a server that runs already judged, which
//! is not killed.

// A test fails by its `unwrap`; this is no library.
#![allow(clippy::unwrap_used, unreachable_pub)]

#[cfg(test)]
mod anomalies;
mod check;
#[path = "../common/mod.rs"]
mod common;
mod graph;
mod lives;
mod record;
mod session;
mod steps;
mod versions;
mod world;

use common::{Server, skip};
use lives::{Report, Run, Target};
use record::Level;
use tokio_postgres::Config;

const SECONDS: f64 = 14.0;
const ORACLE_SECONDS: f64 = 2.0;
/// How long a weaker level may go undiscovered.
const CATCH_SECONDS: f64 = 60.0;

fn setting(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

fn seconds(default: f64) -> f64 {
    setting("WALNUT_HISTORY_SECONDS").map_or(default, |text| text.parse().unwrap())
}

fn is_chosen(level: Level) -> bool {
    let Some(chosen) = setting("WALNUT_HISTORY_LEVELS") else {
        return true;
    };
    chosen.split(',').any(|name| name == level.name())
}

async fn run(target: Target<'_>, level: Level, expected: Level, seconds: f64) -> Report {
    let seed = setting("WALNUT_HISTORY_SEED").map_or_else(rand::random, |s| s.parse().unwrap());
    eprintln!(
        "{} as {}: WALNUT_HISTORY_SEED={seed}",
        level.name(),
        expected.name()
    );
    let report = Run {
        level,
        expected,
        seconds,
        seed,
    }
    .on(target)
    .await;
    eprintln!(
        "{} as {}: {} histories, {} kills, {} committed, {} aborted, {} unknown in {:.1} s, {} \
         violations",
        level.name(),
        expected.name(),
        report.histories,
        report.kills,
        report.committed,
        report.aborted,
        report.unknown,
        report.seconds,
        report.violations.len()
    );
    report
}

async fn assert_clean(target: Target<'_>, level: Level, default_seconds: f64) {
    if !is_chosen(level) {
        return;
    }
    let report = run(target, level, level, seconds(default_seconds)).await;
    assert!(
        report.violations.is_empty(),
        "{}",
        report.violations.join("\n")
    );
    assert!(report.is_enough, "only {} committed", report.committed);
}

/// One that runs already, or a Walnut.
async fn assert_walnut_is_clean(level: Level) {
    if let Some(address) = setting("WALNUT_HISTORY_SERVER") {
        let (host, port) = address.split_once(':').unwrap();
        let mut config = Config::new();
        config
            .host(host)
            .port(port.parse().unwrap())
            .user("postgres")
            .dbname("postgres");
        return assert_clean(Target::Elsewhere(config.into()), level, SECONDS).await;
    }
    let mut server = Server::start_small();
    assert_clean(Target::Own(&mut server), level, SECONDS).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn read_committed_keeps_its_promises_through_kills() {
    assert_walnut_is_clean(Level::ReadCommitted).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn repeatable_read_keeps_its_promises_through_kills() {
    assert_walnut_is_clean(Level::RepeatableRead).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn serializable_keeps_its_promises_through_kills() {
    assert_walnut_is_clean(Level::Serializable).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn postgres_keeps_the_promises_of_each_level() {
    for level in Level::ALL {
        let Some(mut server) = Server::start_postgres() else {
            return skip("PostgreSQL 15 is not installed");
        };
        assert_clean(Target::Own(&mut server), level, ORACLE_SECONDS).await;
    }
}

/// A level judged by the next one.
async fn assert_found_out(start: fn() -> Option<Server>) {
    // A later statement that sees more: by an edge back to what it had read, or by time alone.
    let unrepeatable: &[&str] = &["G-single", "G1c"];
    for (level, expected, anomalies) in [
        (Level::ReadCommitted, Level::RepeatableRead, unrepeatable),
        (Level::RepeatableRead, Level::Serializable, &["G2"]),
    ] {
        let Some(mut server) = start() else {
            return skip("PostgreSQL 15 is not installed");
        };
        let report = run(Target::Own(&mut server), level, expected, CATCH_SECONDS).await;
        let text = report.violations.join("\n");
        assert!(
            anomalies.iter().any(|anomaly| text.contains(anomaly)),
            "{} as {}: {text}",
            level.name(),
            expected.name()
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_weaker_level_of_postgres_is_found_out() {
    assert_found_out(Server::start_postgres).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_weaker_level_of_walnut_is_found_out() {
    assert_found_out(|| Some(Server::start_small())).await;
}
