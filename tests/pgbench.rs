//! Unmodified pgbench: it initialises, runs its three scripts in all three protocols, no
//! transaction fails, and the sums agree afterwards.
//!
//! `WALNUT_PGBENCH_SCALE`, `WALNUT_PGBENCH_CLIENTS` (a list) and `WALNUT_PGBENCH_SECONDS` make the
//! runs larger: `WALNUT_PGBENCH_SCALE=10 WALNUT_PGBENCH_CLIENTS=1,16,64 cargo test --test pgbench`.

// A test fails by its `unwrap`.
#![allow(clippy::unwrap_used)]

mod common;

use std::path::PathBuf;

use common::{Server, run_ok, skip, tool};

const SCRIPTS: [&str; 3] = ["tpcb-like", "simple-update", "select-only"];

struct Bench {
    server: Server,
    pgbench: PathBuf,
}

impl Bench {
    fn new() -> Option<Bench> {
        Bench::on(Some(Server::start()))
    }

    fn on(server: Option<Server>) -> Option<Bench> {
        let (Some(pgbench), Some(server)) = (tool("pgbench"), server) else {
            skip("pgbench or PostgreSQL is not installed");
            return None;
        };
        Some(Bench { server, pgbench })
    }

    fn run(&self, args: &[&str]) -> String {
        run_ok(self.server.libpq(&self.pgbench).args(args), "")
    }

    fn initialise(&self, steps: &[&str]) {
        let scale = setting("WALNUT_PGBENCH_SCALE", "1");
        let mut args = vec!["-i", "-s", &scale, "-q"];
        args.extend(steps);
        let output = self.run(&args);
        assert!(output.contains("done in"), "{output}");
    }

    /// A run whose transactions all succeed.
    fn load(&self, args: &[&str]) {
        let seconds = setting("WALNUT_PGBENCH_SECONDS", "2");
        let mut all = vec!["-T", &seconds];
        all.extend(args);
        assert!(self.count(&all) > 0);
    }

    /// How many transactions a run has made, all of which succeed.
    fn count(&self, args: &[&str]) -> i64 {
        let output = self.run(args);
        let number = |before: &str| -> i64 {
            let line = output.lines().find(|l| l.starts_with(before));
            let line = line.unwrap_or_else(|| panic!("no line {before:?} in\n{output}"));
            let digits = line[before.len()..].trim_start();
            digits
                .split(|c: char| !c.is_ascii_digit())
                .next()
                .unwrap()
                .parse()
                .unwrap()
        };
        assert_eq!(number("number of failed transactions:"), 0, "{output}");
        assert!(!output.contains("aborted"), "{output}");
        number("number of transactions actually processed:")
    }

    async fn check_sums(&self) {
        let client = self.server.connect().await;
        let row = client
            .query_one(
                "SELECT (SELECT coalesce(sum(abalance), 0) FROM pgbench_accounts),
                        (SELECT coalesce(sum(bbalance), 0) FROM pgbench_branches),
                        (SELECT coalesce(sum(tbalance), 0) FROM pgbench_tellers),
                        (SELECT coalesce(sum(delta), 0) FROM pgbench_history)",
                &[],
            )
            .await
            .unwrap();
        let sums: [i64; 4] = std::array::from_fn(|i| row.get(i));
        assert!(
            sums.iter().all(|s| *s == sums[0]),
            "a, b, t, history: {sums:?}"
        );
    }
}

fn setting(name: &str, default: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| default.to_string())
}

#[tokio::test(flavor = "multi_thread")]
async fn every_script_runs_in_every_protocol_and_the_sums_agree() {
    let Some(bench) = Bench::new() else { return };
    bench.initialise(&[]);
    for protocol in ["simple", "extended", "prepared"] {
        for clients in setting("WALNUT_PGBENCH_CLIENTS", "1,16").split(',') {
            for script in SCRIPTS {
                // Only tpcb-like writes all four tables, so that the sums stay equal;
                // simple-update gets a fresh start below.
                if script == "simple-update" {
                    continue;
                }
                bench.load(&["-n", "-M", protocol, "-c", clients, "-j", "2", "-b", script]);
            }
            bench.check_sums().await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn foreign_keys_are_made_and_kept() {
    let Some(bench) = Bench::new() else { return };
    bench.initialise(&["--foreign-keys"]);
    for protocol in ["simple", "prepared"] {
        for clients in setting("WALNUT_PGBENCH_CLIENTS", "1,16").split(',') {
            bench.load(&["-n", "-M", protocol, "-c", clients, "-j", "2"]);
        }
    }
    bench.check_sums().await;
    let client = bench.server.connect().await;
    let keys = "SELECT count(*) FROM pg_constraint WHERE contype = 'f' AND convalidated";
    let keys: i64 = client.query_one(keys, &[]).await.unwrap().get(0);
    assert_eq!(keys, 5);
    let error = client.execute("DELETE FROM pgbench_branches", &[]).await;
    let code = error.unwrap_err().code().cloned();
    assert_eq!(code.as_ref().map(|code| code.code()), Some("23503"));
}

#[tokio::test(flavor = "multi_thread")]
async fn simple_update_keeps_accounts_and_history_equal() {
    let Some(bench) = Bench::new() else { return };
    bench.initialise(&[]);
    for protocol in ["simple", "extended", "prepared"] {
        for clients in setting("WALNUT_PGBENCH_CLIENTS", "1,16").split(',') {
            bench.load(&[
                "-n",
                "-M",
                protocol,
                "-c",
                clients,
                "-j",
                "2",
                "-b",
                "simple-update",
            ]);
        }
    }
    let client = bench.server.connect().await;
    let row = client
        .query_one(
            "SELECT (SELECT sum(abalance) FROM pgbench_accounts),
                    (SELECT sum(delta) FROM pgbench_history),
                    (SELECT max(abs(bbalance)) FROM pgbench_branches)",
            &[],
        )
        .await
        .unwrap();
    assert_eq!(row.get::<_, i64>(0), row.get::<_, i64>(1));
    assert_eq!(
        row.get::<_, i32>(2),
        0,
        "simple-update leaves the branches alone"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn without_n_it_vacuums_and_truncates_history_first() {
    let Some(bench) = Bench::new() else { return };
    bench.initialise(&["-I", "dtgvp"]);
    bench.load(&["-c", "4", "-j", "2", "-M", "prepared"]);
    bench.check_sums().await;
    // The accounts keep their balances while history is emptied: no equal sums after this one.
    bench.load(&["-c", "4", "-M", "extended"]);
    bench.load(&["-v", "-c", "2", "-M", "simple"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn data_generated_by_the_server_is_the_same() {
    let Some(bench) = Bench::new() else { return };
    bench.initialise(&["-I", "dtGvp"]);
    let client = bench.server.connect().await;
    let row = client
        .query_one(
            "SELECT count(*), min(aid), max(aid), sum(bid), sum(abalance) FROM pgbench_accounts",
            &[],
        )
        .await
        .unwrap();
    let scale: i64 = setting("WALNUT_PGBENCH_SCALE", "1").parse().unwrap();
    assert_eq!(row.get::<_, i64>(0), 100_000 * scale);
    assert_eq!(row.get::<_, i32>(1), 1);
    assert_eq!(i64::from(row.get::<_, i32>(2)), 100_000 * scale);
    assert_eq!(row.get::<_, i64>(4), 0);
    bench.load(&["-n", "-c", "4", "-j", "2", "-M", "prepared"]);
    bench.check_sums().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn it_initialises_again_over_what_is_there_and_reconnects_per_transaction() {
    let Some(bench) = Bench::new() else { return };
    bench.initialise(&[]);
    bench.initialise(&[]);
    bench.initialise(&["-I", "dtgvp"]);
    bench.load(&["-n", "-C", "-c", "2", "-M", "simple"]);
    bench.check_sums().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn upserts_of_hot_keys_are_all_counted() {
    let servers = [Some(Server::start()), Server::start_postgres()];
    for bench in servers.into_iter().filter_map(Bench::on) {
        let client = bench.server.connect().await;
        let table = "CREATE TABLE hot (id int PRIMARY KEY, n bigint NOT NULL)";
        client.batch_execute(table).await.unwrap();
        let mut made = 0;
        for protocol in ["simple", "extended", "prepared"] {
            let script = [
                "-f",
                concat!(env!("CARGO_MANIFEST_DIR"), "/sql/upserts.pgbench"),
            ];
            let args = ["-n", "-M", protocol, "-c", "8", "-j", "2", "-t", "100"];
            made += bench.count(&[&args[..], &script].concat());
        }
        let sum = client
            .query_one("SELECT sum(n)::bigint FROM hot", &[])
            .await;
        assert_eq!(sum.unwrap().get::<_, i64>(0), made);
    }
}
