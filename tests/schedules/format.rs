//! The text of a schedule file: parsed into lines that can be written back unchanged.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

/// A file of schedules.
pub struct File {
    pub path: PathBuf,
    /// What stands before the first schedule.
    pub head: Vec<Line>,
    pub schedules: Vec<Schedule>,
}

pub struct Schedule {
    pub name: String,
    pub lines: Vec<Line>,
}

pub enum Line {
    /// A comment or an empty line.
    Text(String),
    Setup(Setup),
    Step(Step),
}

/// A statement that prepares the ground; it must succeed.
pub struct Setup {
    pub number: usize,
    pub sql: String,
    pub stops: Option<String>,
}

/// What one session does next.
pub struct Step {
    pub number: usize,
    pub session: String,
    /// Those whose statements end within this step, however long it takes.
    pub ends: Vec<String>,
    /// Nothing is sent if it is empty.
    pub sql: String,
    pub outcome: Vec<String>,
    /// What Walnut does instead, and why that is right.
    pub walnut: Vec<String>,
    pub because: Option<String>,
    /// Walnut lacks something: its error, with which the schedule ends there.
    pub stops: Option<String>,
}

const INDENT: &str = "    ";
const STOPS: &str = "walnut stops: ";
const WALNUT: &str = "walnut: ";
const BECAUSE: &str = "because: ";

impl File {
    pub fn read(path: &Path) -> File {
        File::parse(path, &fs::read_to_string(path).unwrap())
    }

    pub fn parse(path: &Path, text: &str) -> File {
        let mut file = File {
            path: path.to_owned(),
            head: Vec::new(),
            schedules: Vec::new(),
        };
        for (i, line) in text.lines().enumerate() {
            let place = format!("{}:{}", path.display(), i + 1);
            if let Some(name) = line.strip_prefix("schedule ") {
                file.schedules.push(Schedule {
                    name: name.to_owned(),
                    lines: Vec::new(),
                });
                continue;
            }
            let lines = match file.schedules.last_mut() {
                Some(schedule) => &mut schedule.lines,
                None => &mut file.head,
            };
            match line.strip_prefix(INDENT) {
                Some(outcome) => attach(lines, outcome).unwrap_or_else(|e| panic!("{place}: {e}")),
                None => {
                    lines.push(parse_line(line, i + 1).unwrap_or_else(|e| panic!("{place}: {e}")))
                }
            }
        }
        file.check();
        file
    }

    /// Marks that say what they must.
    fn check(&self) {
        for step in self.schedules.iter().flat_map(Schedule::steps) {
            let place = format!("{}:{}", self.path.display(), step.number);
            let reason = step.because.is_some();
            assert_eq!(
                !step.walnut.is_empty(),
                reason,
                "{place}: `walnut:` and `because:` go together"
            );
            let stops = step.stops.as_deref().unwrap_or("ERROR 0A000: ");
            assert!(
                stops.starts_with("ERROR 0A000: "),
                "{place}: only what is not supported stops a schedule"
            );
        }
    }

    pub fn write(&self) {
        let mut text = String::new();
        self.head.iter().for_each(|line| line.print(&mut text));
        for schedule in &self.schedules {
            writeln!(text, "schedule {}", schedule.name).unwrap();
            schedule.lines.iter().for_each(|line| line.print(&mut text));
        }
        fs::write(&self.path, text).unwrap();
    }
}

impl Schedule {
    pub fn steps(&self) -> impl Iterator<Item = &Step> {
        self.lines.iter().filter_map(|line| match line {
            Line::Step(step) => Some(step),
            _ => None,
        })
    }
}

/// A line that is not indented.
fn parse_line(line: &str, number: usize) -> Result<Line, String> {
    if line.is_empty() || line.starts_with('#') {
        return Ok(Line::Text(line.to_owned()));
    }
    if let Some(sql) = line.strip_prefix("setup: ") {
        return Ok(Line::Setup(Setup {
            number,
            sql: sql.to_owned(),
            stops: None,
        }));
    }
    let (who, sql) = line.split_once(':').ok_or("neither a step nor a comment")?;
    let (session, ends) = match who.split_once(" (ends ") {
        Some((session, ends)) => (
            session,
            ends.strip_suffix(')').ok_or("no ) after the sessions")?,
        ),
        None => (who, ""),
    };
    let is_name = |name: &str| !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric());
    if !is_name(session) {
        return Err(format!("{session:?} cannot name a session"));
    }
    Ok(Line::Step(Step {
        number,
        session: session.to_owned(),
        ends: ends
            .split(", ")
            .filter(|name| is_name(name))
            .map(str::to_owned)
            .collect(),
        sql: sql.trim().to_owned(),
        outcome: Vec::new(),
        walnut: Vec::new(),
        because: None,
        stops: None,
    }))
}

/// Adds an indented line to the step or setup before it.
fn attach(lines: &mut [Line], outcome: &str) -> Result<(), String> {
    let stops = outcome.strip_prefix(STOPS).map(str::to_owned);
    match lines.last_mut() {
        Some(Line::Setup(setup)) if stops.is_some() => setup.stops = stops,
        Some(Line::Step(step)) => {
            if stops.is_some() {
                step.stops = stops;
            } else if let Some(line) = outcome.strip_prefix(WALNUT) {
                step.walnut.push(line.to_owned());
            } else if let Some(reason) = outcome.strip_prefix(BECAUSE) {
                step.because = Some(reason.to_owned());
            } else {
                step.outcome.push(outcome.to_owned());
            }
        }
        _ => return Err("an outcome without a step".to_owned()),
    }
    Ok(())
}

impl Line {
    fn print(&self, text: &mut String) {
        match self {
            Line::Text(line) => writeln!(text, "{line}").unwrap(),
            Line::Setup(setup) => {
                writeln!(text, "setup: {}", setup.sql).unwrap();
                print_marked(text, STOPS, setup.stops.as_slice());
            }
            Line::Step(step) => {
                let ends = match step.ends.as_slice() {
                    [] => String::new(),
                    ends => format!(" (ends {})", ends.join(", ")),
                };
                let line = format!("{}{ends}: {}", step.session, step.sql);
                writeln!(text, "{}", line.trim_end()).unwrap();
                print_marked(text, "", &step.outcome);
                print_marked(text, WALNUT, &step.walnut);
                print_marked(text, BECAUSE, step.because.as_slice());
                print_marked(text, STOPS, step.stops.as_slice());
            }
        }
    }
}

fn print_marked(text: &mut String, mark: &str, lines: &[String]) {
    for line in lines {
        writeln!(text, "{INDENT}{mark}{line}").unwrap();
    }
}
