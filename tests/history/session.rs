//! A session: it runs random transactions and writes down what it sent and what came back.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use tokio_postgres::types::Type;
use tokio_postgres::{Client, Config, NoTls, Row, SimpleQueryMessage};

use crate::record::{Effect, Level, Look, Outcome, Statement, Time, Transaction};
use crate::steps::{Answer, Step};
use crate::world::World;

const STATEMENTS_MAX: usize = 5;

/// What a server may answer when transactions meet: serialization failure, deadlock, duplicate
/// key, lock not available.
const CONFLICTS: [&str; 4] = ["40001", "40P01", DUPLICATE, "55P03"];
const DUPLICATE: &str = "23505";

pub struct Session {
    number: usize,
    client: Client,
    world: Arc<World>,
    rng: StdRng,
    is_extended: bool,
    at_hand: Vec<Statement>,
    /// The last UPDATE did not find it.
    missing_list: Option<u32>,
    pub transactions: Vec<Transaction>,
    pub complaints: Vec<String>,
}

enum Failure {
    /// The connection is gone.
    Broken,
    Refused {
        code: String,
    },
}

/// How a transaction goes on.
enum Next {
    Statement,
    Rollback,
}

impl Session {
    /// None if the server is not there.
    pub async fn open(
        config: &Config,
        world: &Arc<World>,
        number: usize,
        seed: u64,
    ) -> Option<Session> {
        let (client, connection) = config.connect(NoTls).await.ok()?;
        tokio::spawn(connection);
        let level = world.level.name();
        let setting = format!("SET default_transaction_isolation = '{level}'");
        client.batch_execute(&setting).await.ok()?;
        Some(Session {
            number,
            client,
            world: Arc::clone(world),
            rng: StdRng::seed_from_u64(seed),
            is_extended: number % 2 == 1,
            at_hand: Vec::new(),
            missing_list: None,
            transactions: Vec::new(),
            complaints: Vec::new(),
        })
    }

    /// Runs transactions until it is told to stop, or the connection breaks.
    pub async fn run(mut self) -> Session {
        while !self.world.stop.load(Ordering::Relaxed) && self.complaints.is_empty() {
            let result = match self.rng.random_range(0..100) {
                0..25 => self.autocommit().await,
                25..32 => self.batch().await,
                32..50 => self.block(true).await,
                _ => self.block(false).await,
            };
            if result.is_err() {
                break;
            }
        }
        self
    }

    /// Reads everything there is, in one transaction; the lists and sets of these numbers.
    pub async fn witness(&mut self, ids: std::ops::RangeInclusive<u32>) {
        let steps = Step::everything(ids);
        self.control("BEGIN").await.ok().expect("BEGIN");
        for step in steps {
            let result = self.step(step).await;
            assert!(
                matches!(result, Ok(Next::Statement)),
                "{:?}",
                self.complaints
            );
        }
        self.commit().await.ok().expect("COMMIT");
    }

    /// A statement that is a transaction of its own.
    async fn autocommit(&mut self) -> Result<(), Failure> {
        let step = match (self.rng.random_range(0..10), self.missing_list) {
            (0, _) => Step::lock(&self.world, &mut self.rng),
            (_, Some(list)) => Step::first_append(&self.world, list, &mut self.rng),
            _ => Step::random(&self.world, &mut self.rng),
        };
        let commit_begun = self.world.tick();
        match self.step(step).await {
            Ok(next) => {
                let outcome = match next {
                    Next::Statement => Outcome::Committed,
                    Next::Rollback => Outcome::Aborted,
                };
                let ended = self.world.tick();
                self.end(outcome, commit_begun, Some(ended));
                Ok(())
            }
            Err(broken) => {
                self.end(Outcome::Unknown, commit_begun, None);
                Err(broken)
            }
        }
    }

    /// A few statements in one query string: an implicit transaction.
    async fn batch(&mut self) -> Result<(), Failure> {
        let count = self.rng.random_range(2..=STATEMENTS_MAX);
        let steps: Vec<Step> = (0..count)
            .map(|_| Step::random(&self.world, &mut self.rng))
            .collect();
        let texts: Vec<&str> = steps.iter().map(|step| &step.sql[..]).collect();
        let begun = self.world.tick();
        let answers = self.ask_simple(&texts.join("; ")).await;
        let ended = self.world.tick();
        let is_broken = matches!(answers, Err(Failure::Broken));
        let (outcome, ended) = match &answers {
            Ok(_) => (Outcome::Committed, Some(ended)),
            Err(Failure::Broken) => (Outcome::Unknown, None),
            Err(Failure::Refused { code }) => {
                self.judge(code, "a batch");
                (Outcome::Aborted, Some(ended))
            }
        };
        let mut answers = answers.unwrap_or_default().into_iter();
        for step in steps {
            let effects = match answers.next() {
                Some(answer) => self.effects_of(&step, &answer),
                None => step.without_answer(),
            };
            self.record(step, begun, ended, effects);
        }
        self.end(outcome, begun, ended);
        if is_broken {
            Err(Failure::Broken)
        } else {
            Ok(())
        }
    }

    async fn block(&mut self, is_read_only: bool) -> Result<(), Failure> {
        let result = self.statements_of_block(is_read_only).await;
        let result = match result {
            Ok(Next::Statement) if self.rng.random_range(0..10) > 0 => self.commit().await,
            Ok(_) => self.rollback().await,
            Err(broken) => Err(broken),
        };
        if result.is_err() && !self.at_hand.is_empty() {
            // COMMIT was not sent.
            let at = self.world.tick();
            self.end(Outcome::Aborted, at, None);
        }
        result
    }

    async fn statements_of_block(&mut self, is_read_only: bool) -> Result<Next, Failure> {
        let is_declared = is_read_only && self.rng.random_range(0..2) == 0;
        let mut begin = "BEGIN".to_owned();
        if self.rng.random_range(0..2) == 0 {
            begin += &format!(" ISOLATION LEVEL {}", self.world.level.name());
        }
        begin += if is_declared { " READ ONLY" } else { "" };
        self.control(&begin).await?;
        for _ in 0..self.rng.random_range(1..=STATEMENTS_MAX) {
            let is_within = !is_declared && self.rng.random_range(0..7) == 0;
            let next = match is_within {
                true => self.within_savepoint(is_read_only).await?,
                false => self.random_step(is_read_only).await?,
            };
            if matches!(next, Next::Rollback) {
                return Ok(next);
            }
        }
        Ok(Next::Statement)
    }

    async fn random_step(&mut self, is_read_only: bool) -> Result<Next, Failure> {
        let step = match (is_read_only, self.missing_list) {
            (true, _) => Step::read(&self.world, &mut self.rng),
            (false, Some(list)) => Step::first_append(&self.world, list, &mut self.rng),
            (false, None) => match self.rng.random_range(0..8) {
                0 => Step::lock(&self.world, &mut self.rng),
                _ => Step::random(&self.world, &mut self.rng),
            },
        };
        self.step(step).await
    }

    /// A statement or two that are rolled back, or not.
    async fn within_savepoint(&mut self, is_read_only: bool) -> Result<Next, Failure> {
        self.control("SAVEPOINT s").await?;
        let first = self.at_hand.len();
        for _ in 0..self.rng.random_range(1..3) {
            if matches!(self.random_step(is_read_only).await?, Next::Rollback) {
                if self.rng.random_range(0..2) == 0 {
                    return Ok(Next::Rollback);
                }
                return self.undo(first).await;
            }
        }
        if self.rng.random_range(0..2) == 0 {
            return self.undo(first).await;
        }
        self.control("RELEASE s").await?;
        Ok(Next::Statement)
    }

    async fn undo(&mut self, first: usize) -> Result<Next, Failure> {
        let begun = self.world.tick();
        self.control("ROLLBACK TO s").await?;
        let ended = Some(self.world.tick());
        let (sql, look) = ("ROLLBACK TO s".to_owned(), Look::Newest);
        let effects = vec![Effect::UndoneFrom { statement: first }];
        self.at_hand.push(Statement {
            sql,
            begun,
            ended,
            look,
            effects,
        });
        Ok(Next::Statement)
    }

    async fn step(&mut self, step: Step) -> Result<Next, Failure> {
        let begun = self.world.tick();
        let answer = self.ask(&step).await;
        let ended = Some(self.world.tick());
        let mut next = Next::Statement;
        let (ended, effects) = match &answer {
            Ok(answer) => (ended, self.effects_of(&step, answer)),
            Err(Failure::Broken) => (None, step.without_answer()),
            Err(Failure::Refused { code }) => {
                self.judge(code, &step.sql);
                next = Next::Rollback;
                let effects = match code == DUPLICATE {
                    true => step.after_duplicate(),
                    false => Vec::new(),
                };
                if code == DUPLICATE && effects.is_empty() {
                    self.complaints
                        .push(format!("{}: a duplicate key", step.sql));
                }
                (ended, effects)
            }
        };
        let missing = answer
            .as_ref()
            .ok()
            .and_then(|answer| step.missing_list(answer));
        self.record(step, begun, ended, effects);
        if matches!(answer, Err(Failure::Broken)) {
            return Err(Failure::Broken);
        }
        self.missing_list = missing;
        Ok(next)
    }

    fn record(&mut self, step: Step, begun: Time, ended: Option<Time>, effects: Vec<Effect>) {
        let Step { sql, look, .. } = step;
        self.at_hand.push(Statement {
            sql,
            begun,
            ended,
            look,
            effects,
        });
    }

    fn effects_of(&mut self, step: &Step, answer: &Answer) -> Vec<Effect> {
        step.after(answer).unwrap_or_else(|wrong| {
            self.complaints.push(wrong);
            Vec::new()
        })
    }

    /// An error that no conflict explains is a violation.
    fn judge(&mut self, code: &str, sql: &str) {
        let is_allowed = CONFLICTS.contains(&code);
        if !is_allowed || (code == "40001" && self.world.level == Level::ReadCommitted) {
            self.complaints.push(format!("{sql}: ERROR {code}"));
        }
    }

    async fn commit(&mut self) -> Result<(), Failure> {
        let begun = self.world.tick();
        let result = self.control("COMMIT").await;
        let ended = self.world.tick();
        match &result {
            Ok(()) => self.end(Outcome::Committed, begun, Some(ended)),
            Err(Failure::Broken) => self.end(Outcome::Unknown, begun, None),
            Err(Failure::Refused { code }) => {
                self.judge(code, "COMMIT");
                self.end(Outcome::Aborted, begun, Some(ended));
                return Ok(());
            }
        }
        result
    }

    async fn rollback(&mut self) -> Result<(), Failure> {
        let begun = self.world.tick();
        self.control("ROLLBACK").await?;
        let ended = self.world.tick();
        self.end(Outcome::Aborted, begun, Some(ended));
        Ok(())
    }

    fn end(&mut self, outcome: Outcome, commit_begun: u64, ended: Option<u64>) {
        let statements = std::mem::take(&mut self.at_hand);
        let session = self.number;
        self.transactions.push(Transaction {
            session,
            statements,
            outcome,
            commit_begun,
            ended,
        });
    }

    async fn control(&mut self, sql: &str) -> Result<(), Failure> {
        self.client.batch_execute(sql).await.map_err(failure)
    }

    async fn ask(&mut self, step: &Step) -> Result<Answer, Failure> {
        if !self.is_extended {
            let mut answers = self.ask_simple(&step.sql).await?;
            return Ok(answers.remove(0));
        }
        if !step.has_rows {
            let count = self.client.execute(&step.sql, &[]).await.map_err(failure)?;
            return Ok(Answer {
                rows: Vec::new(),
                count,
            });
        }
        let rows = self.client.query(&step.sql, &[]).await.map_err(failure)?;
        let rows: Vec<Vec<String>> = rows.iter().map(texts).collect();
        let count = rows.len() as u64;
        Ok(Answer { rows, count })
    }

    /// One answer for each statement.
    async fn ask_simple(&self, sql: &str) -> Result<Vec<Answer>, Failure> {
        let messages = self.client.simple_query(sql).await.map_err(failure)?;
        let mut answers = Vec::new();
        let mut rows = Vec::new();
        for message in messages {
            match message {
                SimpleQueryMessage::Row(row) => {
                    let columns = 0..row.len();
                    rows.push(columns.map(|i| row.get(i).unwrap().to_owned()).collect());
                }
                SimpleQueryMessage::CommandComplete(count) => {
                    answers.push(Answer {
                        rows: std::mem::take(&mut rows),
                        count,
                    });
                }
                _ => {}
            }
        }
        Ok(answers)
    }
}

fn texts(row: &Row) -> Vec<String> {
    let text = |i: usize| match row.columns()[i].type_() {
        &Type::INT4 => row.get::<_, i32>(i).to_string(),
        _ => row.get(i),
    };
    (0..row.len()).map(text).collect()
}

fn failure(error: tokio_postgres::Error) -> Failure {
    match error.code().map(|code| code.code().to_owned()) {
        // Of a server that goes.
        Some(code) if code.starts_with("57P") => Failure::Broken,
        Some(code) => Failure::Refused { code },
        None => Failure::Broken,
    }
}
