//! `walnut check`: verifies a data directory on which no server runs.
//!
//! First the data file as it lies there: superblocks, page map, the checksum of every page. If all
//! is well the database is opened as a start does it, log and all, and every tree, every index
//! against its table and the free list are verified. Damage is printed and gives exit code 1.

use std::io::{IsTerminal, Write as _};
use std::time::{Duration, Instant};

use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use walnut::base::{Error, Result, SqlState};
use walnut::database::{Checked, Database};

use crate::inspect;
use crate::options::DataDirectory;

#[derive(Args)]
pub(crate) struct Check {
    #[command(flatten)]
    directory: DataDirectory,

    /// Print the report as one JSON object
    #[arg(long)]
    json: bool,
}

/// # Errors
/// When there is damage, or it could not be looked for.
pub(crate) fn check(check: &Check, runtime: &tokio::runtime::Runtime) -> Result<()> {
    let mut progress = Progress::new();
    let found = Database::check(&check.directory.data, runtime, &mut |done, all| {
        progress.tell(done, all)
    });
    progress.finish();
    let checked = found?;
    let report = match check.json {
        true => json(&checked),
        false => text(&checked),
    };
    let printed = writeln!(std::io::stdout().lock(), "{report}");
    printed.map_err(|error| Error::io("print the report", error))?;
    match checked.damage.len() {
        0 => Ok(()),
        n => Err(Error::new(
            SqlState::DATA_CORRUPTED,
            format!(
                "{} is damaged in {n} places",
                check.directory.data.display()
            ),
        )),
    }
}

fn text(checked: &Checked) -> String {
    let file = &checked.file;
    let mut lines = vec![format!(
        "data file: {} pages, {} nodes of the page map, {} of {} slots free",
        file.pages, file.nodes, file.free_slots, file.slots
    )];
    lines.extend(
        checked
            .rows
            .map(|rows| format!("tables and indexes: {rows} rows")),
    );
    lines.extend(checked.damage.iter().map(Error::to_string));
    lines.push(match checked.damage.is_empty() {
        true => "no damage".to_owned(),
        false => format!("damage: {}", checked.damage.len()),
    });
    lines.join("\n")
}

fn json(checked: &Checked) -> String {
    let file = &checked.file;
    let rows = checked
        .rows
        .map_or("null".to_owned(), |rows| rows.to_string());
    let damage: Vec<String> = checked
        .damage
        .iter()
        .map(|error| inspect::text(error).to_string())
        .collect();
    format!(
        "{{\"pages\":{},\"nodes\":{},\"slots\":{},\"free_slots\":{},\"rows\":{rows},\"damage\":[{}]}}",
        file.pages,
        file.nodes,
        file.slots,
        file.free_slots,
        damage.join(",")
    )
}

/// A bar on a terminal, a line now and then elsewhere; nothing for what takes less than a second.
struct Progress {
    started: Instant,
    bar: Option<ProgressBar>,
    last_line: Instant,
}

const PATIENCE: Duration = Duration::from_secs(1);
const BETWEEN_LINES: Duration = Duration::from_secs(5);

impl Progress {
    fn new() -> Progress {
        let now = Instant::now();
        Progress {
            started: now,
            bar: None,
            last_line: now,
        }
    }

    fn tell(&mut self, done: u64, all: u64) {
        if self.started.elapsed() < PATIENCE {
            return;
        }
        if std::io::stderr().is_terminal() {
            let bar = self.bar.get_or_insert_with(|| {
                let style = ProgressStyle::with_template("{bar:40} {pos}/{len} pages, {eta} left");
                ProgressBar::new(all).with_style(style.expect("a template that is right"))
            });
            bar.set_position(done);
        } else if self.last_line.elapsed() > BETWEEN_LINES {
            self.last_line = Instant::now();
            eprintln!("{done} of {all} pages");
        }
    }

    fn finish(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}
