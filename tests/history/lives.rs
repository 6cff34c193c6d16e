//! A run: histories of several lives of the server each, ended by kill -9, and their checks.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use tokio_postgres::{Client, Config, NoTls};

use crate::check::check;
use crate::common::{Engine, Server, skip, tool};
use crate::record::{Effect, Element, History, Level, Object, Outcome};
use crate::session::Session;
use crate::steps::SCHEMA;
use crate::world::World;

const SESSIONS: usize = 8;
const LIVES: usize = 3;
/// Less would hardly be a test.
const COMMITTED_PER_SECOND: f64 = 20.0;
const LIFE_MS: std::ops::Range<u64> = 150..700;

/// A sync then takes so much longer. What is not yet synced, and must not be shown, is more then.
const SLOW_SYNC_MICROS: u32 = 4000;

pub struct Run {
    /// Of the transactions.
    pub level: Level,
    /// By which they are judged.
    pub expected: Level,
    pub seconds: f64,
    pub seed: u64,
}

#[derive(Default)]
pub struct Report {
    pub histories: usize,
    pub kills: usize,
    pub committed: usize,
    pub aborted: usize,
    pub unknown: usize,
    pub seconds: f64,
    pub is_enough: bool,
    pub violations: Vec<String>,
}

/// What histories run on.
pub enum Target<'s> {
    /// It is killed if it is a Walnut.
    Own(&'s mut Server),
    Elsewhere(Box<Config>),
}

/// What lists and sets hold, those that are empty left out.
type Content = BTreeMap<Object, Vec<Element>>;

impl Run {
    /// Runs histories until the time is over or one is wrong.
    pub async fn on(&self, mut target: Target<'_>) -> Report {
        let mut rng = StdRng::seed_from_u64(self.seed);
        let mut world = Arc::new(World::new(self.level));
        let mut report = Report::default();
        let start = Instant::now();
        target.prepare().await;
        let mut before: Option<(RangeInclusive<u32>, Content)> = None;
        loop {
            let history = self
                .history(&mut target, &world, &mut rng, &mut report)
                .await;
            report.count(&history);
            report.violations = check(&history, self.expected);
            let ids = world.ids();
            let content = target.content(&world, ids.clone()).await;
            if let Some((ids, was)) = before.replace((ids, content)) {
                let is = target.content(&world, ids.clone()).await;
                if is != was {
                    let text = format!("what was there is not: {was:?}\nbut {is:?}");
                    report.violations.push(text);
                }
                target.remove(ids).await;
            }
            report.seconds = start.elapsed().as_secs_f64();
            if !report.violations.is_empty() {
                return report;
            }
            // Where others keep the machine busy it goes on for as much as it should see.
            report.is_enough = report.committed as f64 > COMMITTED_PER_SECOND * self.seconds;
            let is_late = report.seconds > 10.0 * self.seconds;
            if report.seconds > self.seconds && (report.is_enough || is_late) {
                target.verify().await;
                return report;
            }
            Arc::get_mut(&mut world)
                .expect("no session is left")
                .next_history();
        }
    }

    async fn history(
        &self,
        target: &mut Target<'_>,
        world: &Arc<World>,
        rng: &mut StdRng,
        report: &mut Report,
    ) -> History {
        let mut history = History::default();
        for _ in 0..LIVES {
            let sessions: Vec<_> = target.sessions(world, rng).await;
            let tasks = sessions
                .into_iter()
                .map(|session| tokio::spawn(session.run()));
            let tasks: Vec<_> = tasks.collect();
            tokio::time::sleep(Duration::from_millis(rng.random_range(LIFE_MS))).await;
            report.kills += usize::from(target.kill());
            world.stop.store(true, Ordering::Relaxed);
            for task in tasks {
                history.take(task.await.unwrap());
            }
            world.stop.store(false, Ordering::Relaxed);
            target.restart(rng);
            let mut witness = target.session(world, SESSIONS, rng.random()).await;
            witness.witness(world.ids()).await;
            history.take(witness);
            if !history.complaints.is_empty() {
                break;
            }
        }
        history
    }
}

impl History {
    fn take(&mut self, session: Session) {
        self.transactions.extend(session.transactions);
        self.complaints.extend(session.complaints);
    }
}

impl Report {
    fn count(&mut self, history: &History) {
        self.histories += 1;
        for transaction in &history.transactions {
            match transaction.outcome {
                Outcome::Committed => self.committed += 1,
                Outcome::Aborted => self.aborted += 1,
                Outcome::Unknown => self.unknown += 1,
            }
        }
    }
}

impl Target<'_> {
    fn config(&self) -> Config {
        match self {
            Target::Own(server) => server.config(),
            Target::Elsewhere(config) => Config::clone(config),
        }
    }

    async fn client(&self) -> Client {
        let (client, connection) = self.config().connect(NoTls).await.expect("a session");
        tokio::spawn(connection);
        client
    }

    async fn prepare(&self) {
        let client = self.client().await;
        let drop = "DROP TABLE IF EXISTS lists, items, pairs";
        client.batch_execute(drop).await.unwrap();
        client.batch_execute(SCHEMA).await.unwrap();
        if self.is_postgres() {
            // It looks for deadlocks after a second.
            for sql in [
                "ALTER SYSTEM SET deadlock_timeout = '5ms'",
                "SELECT pg_reload_conf()",
            ] {
                client.batch_execute(sql).await.unwrap();
            }
        }
    }

    fn is_postgres(&self) -> bool {
        matches!(self, Target::Own(server) if server.engine == Engine::Postgres)
    }

    async fn session(&self, world: &Arc<World>, number: usize, seed: u64) -> Session {
        let session = Session::open(&self.config(), world, number, seed).await;
        session.expect("a session")
    }

    async fn sessions(&self, world: &Arc<World>, rng: &mut StdRng) -> Vec<Session> {
        let mut sessions = Vec::new();
        for number in 0..SESSIONS {
            sessions.push(self.session(world, number, rng.random()).await);
        }
        sessions
    }

    /// Whether it was one to be killed.
    fn kill(&mut self) -> bool {
        match self {
            Target::Own(server) if server.engine == Engine::Walnut => {
                server.kill();
                true
            }
            _ => false,
        }
    }

    fn restart(&mut self, rng: &mut StdRng) {
        let Target::Own(server) = self else { return };
        if server.engine == Engine::Walnut {
            match rng.random_range(0..2) {
                0 => server.wrap(&[]),
                _ => slow_down(server),
            }
            server.restart();
            if rng.random_range(0..4) == 0 {
                server.kill();
                server.restart();
            }
        }
    }

    async fn content(&self, world: &Arc<World>, ids: RangeInclusive<u32>) -> Content {
        let mut session = self.session(world, SESSIONS, 0).await;
        session.witness(ids).await;
        let transaction = session.transactions.remove(0);
        let effects = transaction.statements.into_iter().flat_map(|s| s.effects);
        let reads = effects.filter_map(|effect| match effect {
            Effect::Read {
                object,
                mut elements,
            } => {
                if !object.is_ordered() {
                    elements.sort_unstable();
                }
                (!elements.is_empty()).then_some((object, elements))
            }
            _ => None,
        });
        reads.collect()
    }

    /// Each index against its table, and all pages.
    async fn verify(&self) {
        if let Target::Own(server) = self
            && server.engine == Engine::Walnut
        {
            let check = "SELECT walnut_check()";
            self.client()
                .await
                .query_one(check, &[])
                .await
                .expect(check);
        }
    }

    /// What has stayed through another history's kills goes, so that tables stay small.
    async fn remove(&self, ids: RangeInclusive<u32>) {
        let client = self.client().await;
        for (table, column) in [("lists", "id"), ("items", "list"), ("pairs", "list")] {
            let sql = format!("DELETE FROM {table} WHERE {column} <= {}", ids.end());
            client.batch_execute(&sql).await.unwrap();
        }
    }
}

/// Has strace hold up each sync of the next start.
fn slow_down(server: &mut Server) {
    let Some(strace) = tool("strace") else {
        return skip("strace is not installed: syncs are not slow");
    };
    let inject = format!("inject=fdatasync:delay_enter={SLOW_SYNC_MICROS}");
    let program = strace.to_str().unwrap();
    server.wrap(&[
        program,
        "-D",
        "-f",
        "--seccomp-bpf",
        "-qqq",
        "-o",
        "/dev/null",
        "-e",
        "trace=fdatasync",
        "-e",
        &inject,
        "--",
    ]);
}
