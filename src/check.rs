//! `walnut check`: verifies a data directory on which no server runs.
//!
//! First the data file as it lies there: superblocks, page map, the checksum of every page. That
//! writes nothing. If a start would get by, the database is opened as it does it, log and all, and
//! every tree, every index against its table and the free list are verified. Damage is printed and
//! gives exit code 1.

use std::io::Write as _;

use clap::Args;
use walnut::base::{Error, Result, SqlState};
use walnut::database::{Checked, Database};

use crate::inspect;
use crate::options::DataDirectory;
use crate::progress::Teller;

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
    let mut teller = Teller::new();
    let checked = Database::check(&check.directory.data, runtime, &mut |p| teller.tell(p))?;
    drop(teller);
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
