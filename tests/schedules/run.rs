//! Running a schedule: who has finished, and who waits for whom, after each step.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};

use crate::common::raw::{self, Raw};
use crate::common::{Engine, Server};
use crate::format::{Line, Schedule, Step};
use crate::session::{Event, Session};

/// A step that neither ends nor waits for a session by then hangs.
const STEP_LIMIT: Duration = Duration::from_secs(60);
const POLL: Duration = Duration::from_millis(3);

/// How a step differs from what its file says.
pub struct Failure {
    pub number: usize,
    pub what: String,
}

/// A server, and a connection that looks at what the sessions do and takes part in nothing.
pub struct Stage {
    pub engine: Engine,
    port: u16,
    control: Raw,
}

impl Stage {
    pub fn new(server: &Server) -> Stage {
        Stage {
            engine: server.engine,
            port: server.port,
            control: Raw::session(server.port),
        }
    }

    /// The first column of a query's rows, or its error.
    fn ask(&mut self, sql: &str) -> Result<Vec<String>, String> {
        let messages = self
            .control
            .query(sql)
            .expect("the control connection lives");
        if let Some((_, error)) = messages.iter().find(|m| m.0 == b'E') {
            let field = |name| raw::field(error, name).unwrap_or_default();
            return Err(format!("ERROR {}: {}", field(b'C'), field(b'M')));
        }
        let rows = messages.iter().filter(|m| m.0 == b'D');
        Ok(rows
            .map(|(_, body)| String::from_utf8_lossy(&body[6..]).into_owned())
            .collect())
    }

    /// Waits until the sessions of the last schedule hold nothing, then drops its tables.
    fn clear(&mut self) {
        let start = Instant::now();
        let others = "SELECT pid FROM pg_locks WHERE pid <> pg_backend_pid()";
        while !self.ask(others).unwrap().is_empty() {
            assert!(
                start.elapsed() < STEP_LIMIT,
                "locks of sessions that have ended"
            );
            std::thread::sleep(POLL);
        }
        let tables = "SELECT tablename::text FROM pg_tables WHERE schemaname = 'public'";
        for table in self.ask(tables).unwrap() {
            self.ask(&format!("DROP TABLE IF EXISTS {table} CASCADE"))
                .unwrap();
        }
    }
}

/// Runs a schedule and compares; with `record` it takes down what it finds instead.
pub fn run(
    stage: &mut Stage,
    head: &mut [Line],
    schedule: &mut Schedule,
    record: bool,
) -> Vec<Failure> {
    stage.clear();
    let (sender, events) = channel();
    let mut running = Running {
        stage,
        sessions: BTreeMap::new(),
        sender,
        events,
        early: Vec::new(),
        snapshot: String::new(),
    };
    let mut failures = Vec::new();
    let mut lines = head.iter_mut().chain(&mut schedule.lines);
    for line in lines.by_ref() {
        let goes_on = match line {
            Line::Text(_) => true,
            Line::Setup(setup) => running.set_up(setup, record, &mut failures),
            Line::Step(step) => running.step(step, record, &mut failures),
        };
        if !goes_on {
            break;
        }
    }
    // Behind the step at which it stopped.
    for line in lines {
        if let Line::Step(step) = line {
            never_reached(step, record, &mut failures);
        }
    }
    failures
}

fn never_reached(step: &mut Step, record: bool, failures: &mut Vec<Failure>) {
    if record {
        step.stops = None;
    }
    if step.stops.is_some() || !step.walnut.is_empty() {
        let what = "a mark that is never reached".to_owned();
        failures.push(Failure {
            number: step.number,
            what,
        });
    }
}

struct Running<'a> {
    stage: &'a mut Stage,
    sessions: BTreeMap<String, Session>,
    sender: Sender<Event>,
    events: Receiver<Event>,
    /// What has come too early: it belongs to a later step.
    early: Vec<Event>,
    /// The name of the snapshot that was exported last.
    snapshot: String,
}

/// What is known of a step so far: who has ended in it and with what lines.
type Ended = BTreeMap<String, Vec<String>>;

impl Running<'_> {
    /// Whether the schedule goes on.
    fn set_up(
        &mut self,
        setup: &mut crate::format::Setup,
        record: bool,
        failures: &mut Vec<Failure>,
    ) -> bool {
        let error = self.stage.ask(&setup.sql).err();
        let is_walnut = self.stage.engine == Engine::Walnut;
        if record && is_walnut && error.as_ref().is_none_or(|e| is_unsupported(e)) {
            setup.stops.clone_from(&error);
        }
        let expected = setup.stops.clone().filter(|_| is_walnut);
        if error != expected {
            let what = format!("setup gives {error:?}, not {expected:?}");
            failures.push(Failure {
                number: setup.number,
                what,
            });
        }
        error.is_none()
    }

    /// Whether the schedule goes on.
    fn step(&mut self, step: &mut Step, record: bool, failures: &mut Vec<Failure>) -> bool {
        let number = step.number;
        let found = match self.play(step) {
            Ok(found) => found,
            Err(what) => {
                failures.push(Failure { number, what });
                return false;
            }
        };
        if self.stage.engine == Engine::Postgres {
            if record {
                step.outcome = found;
            } else if found != step.outcome {
                failures.push(differs(step, &step.outcome, &found));
            }
            return true;
        }
        if record {
            step.stops = found
                .last()
                .filter(|f| is_unsupported(f) && found != step.outcome)
                .cloned();
        }
        self.compare_walnut(step, &found, failures)
    }

    fn compare_walnut(&self, step: &Step, found: &[String], failures: &mut Vec<Failure>) -> bool {
        if let Some(stops) = &step.stops {
            if found.last() != Some(stops) {
                let mut failure = differs(step, std::slice::from_ref(stops), found);
                failure
                    .what
                    .insert_str(0, "the mark `walnut stops` is stale\n");
                failures.push(failure);
            }
            return false;
        }
        let expected = match step.walnut.as_slice() {
            [] => &step.outcome,
            own => own,
        };
        if found != expected {
            failures.push(differs(step, expected, found));
        }
        true
    }

    /// Carries the step out: the lines that come of it.
    fn play(&mut self, step: &Step) -> Result<Vec<String>, String> {
        if !self.sessions.contains_key(&step.session) {
            let session = Session::open(self.stage.port, &step.session, self.sender.clone());
            if self.stage.engine == Engine::Postgres {
                // Only who says otherwise looks for a deadlock, so it is known who finds it.
                let sql = format!("SET deadlock_timeout = {}", STEP_LIMIT.as_millis());
                self.sessions.insert(step.session.clone(), session);
                self.send(&step.session, &sql);
                self.settle(&[])?;
            } else {
                self.sessions.insert(step.session.clone(), session);
            }
        }
        let session = &self.sessions[&step.session];
        if !step.sql.is_empty() {
            if session.busy || session.closed {
                return Err(format!("{} is not ready for {}", step.session, step.sql));
            }
            let sql = self.with_names(&step.sql);
            self.send(&step.session, &sql);
        }
        let (mut ended, waits) = self.settle(&step.ends)?;
        let mut lines = ended.remove(&step.session).unwrap_or_default();
        if let Some(blockers) = waits.get(&step.session) {
            lines.push(format!("waits for {}", blockers.join(", ")));
        }
        for (session, outcome) in ended {
            lines.extend(outcome.into_iter().map(|line| format!("{session}: {line}")));
        }
        if let Some(name) = lines.iter().find(|line| is_snapshot(line)) {
            self.snapshot.clone_from(name);
        }
        let pids_asked = step.sql.contains('{');
        Ok(lines
            .into_iter()
            .map(|line| match self.snapshot.is_empty() {
                true => line,
                false => line.replace(&self.snapshot, "{snapshot}"),
            })
            .map(|line| self.normalized(line, pids_asked))
            .collect())
    }

    fn send(&mut self, session: &str, sql: &str) {
        self.sessions.get_mut(session).expect("opened").send(sql);
    }

    /// `{s1}` stands for the process number of session s1, `{snapshot}` for the snapshot exported
    /// last.
    fn with_names(&self, sql: &str) -> String {
        let mut sql = sql.replace("{snapshot}", &self.snapshot);
        for session in self.sessions.values() {
            sql = sql.replace(&format!("{{{}}}", session.name), &session.pid.to_string());
        }
        sql
    }

    /// Process numbers become names of sessions, and the other numbers of a deadlock's detail N.
    fn normalized(&self, line: String, pids_asked: bool) -> String {
        let is_detail = line.contains("DETAIL: ");
        if !is_detail && !pids_asked {
            return line;
        }
        let mut out = String::new();
        let mut rest = line.as_str();
        while let Some(start) = rest.find(|c: char| c.is_ascii_digit()) {
            let digits = rest[start..]
                .find(|c: char| !c.is_ascii_digit())
                .unwrap_or(rest.len() - start);
            let number = &rest[start..start + digits];
            let in_word = rest[..start].ends_with(|c: char| c.is_ascii_alphanumeric());
            let session = self.sessions.values().find(|s| s.pid.to_string() == number);
            out.push_str(&rest[..start]);
            out.push_str(match session {
                _ if in_word => number,
                Some(session) => &session.name,
                None if is_detail => "N",
                None => number,
            });
            rest = &rest[start + digits..];
        }
        out + rest
    }

    /// Waits until those named have ended and each of the others has ended or waits, in the end,
    /// for a session that does nothing: that can change only by a further step.
    fn settle(
        &mut self,
        ends: &[String],
    ) -> Result<(Ended, BTreeMap<String, Vec<String>>), String> {
        let start = Instant::now();
        let mut ended = Ended::new();
        for event in std::mem::take(&mut self.early) {
            self.take(event, ends, &mut ended);
        }
        loop {
            if let Ok(event) = self.events.recv_timeout(POLL) {
                self.take(event, ends, &mut ended);
                continue;
            }
            let all_ended = ends.iter().all(|name| ended.contains_key(name));
            if all_ended && let Some(waits) = self.stable_waits(ends, &mut ended) {
                return Ok((ended, waits));
            }
            if start.elapsed() > STEP_LIMIT {
                let busy = self
                    .sessions
                    .values()
                    .filter(|s| s.busy)
                    .map(|s| s.name.as_str());
                let busy: Vec<_> = busy.collect();
                return Err(format!(
                    "neither ended nor waiting for a session: {busy:?}; ended: {ended:?}"
                ));
            }
        }
    }

    /// The end of a session whose statement has ended already belongs to the step that waits for it.
    fn take(&mut self, event: Event, ends: &[String], ended: &mut Ended) {
        let session = self.sessions.get_mut(&event.session).expect("known");
        let is_awaited = ends.contains(&event.session) && !ended.contains_key(&event.session);
        if !session.busy && !is_awaited {
            return self.early.push(event);
        }
        session.busy = false;
        session.closed = event.closed;
        ended.entry(event.session).or_default().extend(event.lines);
    }

    /// Who waits for whom, if that stands still.
    fn stable_waits(
        &mut self,
        ends: &[String],
        ended: &mut Ended,
    ) -> Option<BTreeMap<String, Vec<String>>> {
        let busy: Vec<(String, i32)> = self
            .sessions
            .values()
            .filter(|s| s.busy)
            .map(|s| (s.name.clone(), s.pid))
            .collect();
        let mut waits = BTreeMap::new();
        for (name, pid) in &busy {
            waits.insert(name.clone(), self.blockers(*pid)?);
        }
        if let Ok(event) = self.events.try_recv() {
            self.take(event, ends, ended);
            return None;
        }
        let mut leads_to_idle: BTreeSet<&str> = BTreeSet::new();
        for _ in 0..waits.len() {
            for (name, blockers) in &waits {
                let mut blockers = blockers.iter().map(String::as_str);
                if blockers.all(|b| !waits.contains_key(b) || leads_to_idle.contains(b)) {
                    leads_to_idle.insert(name);
                }
            }
        }
        (leads_to_idle.len() == waits.len()).then_some(waits)
    }

    /// The sessions that a process waits for; none if it runs, or waits for something else.
    fn blockers(&mut self, pid: i32) -> Option<Vec<String>> {
        let sql = format!("SELECT DISTINCT unnest(pg_blocking_pids({pid}))::text");
        let pids = self.stage.ask(&sql).expect("pg_blocking_pids");
        let name = |pid: &String| {
            let mut all = self.sessions.values();
            all.find(|s| s.pid.to_string() == *pid)
                .map(|s| s.name.clone())
        };
        let mut names = pids.iter().map(name).collect::<Option<Vec<_>>>()?;
        names.sort();
        (!names.is_empty()).then_some(names)
    }
}

fn is_unsupported(line: &str) -> bool {
    line.starts_with("ERROR 0A000: ")
}

fn differs(step: &Step, expected: &[String], found: &[String]) -> Failure {
    let list = |lines: &[String]| {
        lines
            .iter()
            .map(|line| format!("      {line}\n"))
            .collect::<String>()
    };
    let what = format!(
        "{}: {}\n    expected\n{}    found\n{}",
        step.session,
        step.sql,
        list(expected),
        list(found)
    );
    Failure {
        number: step.number,
        what,
    }
}

/// Whether a row is the name of an exported snapshot, such as 00000003-0000001B-1.
fn is_snapshot(line: &str) -> bool {
    let parts: Vec<&str> = line.split('-').collect();
    let is_hex = |part: &&str| part.bytes().all(|b| b.is_ascii_hexdigit());
    let lengths: Vec<usize> = parts.iter().map(|part| part.len()).collect();
    matches!(lengths[..], [8, 8, n] if n > 0) && parts.iter().all(is_hex)
}
