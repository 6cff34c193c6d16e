//! `walnut wal`: prints a log for people, or as lines of JSON.
//!
//! Reads only, group by group, so it may run beside the server. Damage is an error that names
//! file and offset; a torn tail is told and is none.

use std::fmt::{self, Display, Write as _};
use std::io::{self, BufWriter, ErrorKind, Write};
use std::path::Path;
use std::time::Duration;

use clap::Args;
use walnut::base::{Error, Lsn, Result};
use walnut::database::Database;
use walnut::pages::{Edit, edits};
use walnut::wal::{Group, GroupBlob, LogReader, Record, TornTail};

use crate::options::DataDirectory;

#[derive(Args)]
pub(crate) struct Wal {
    #[command(flatten)]
    directory: DataDirectory,

    /// Leave out the transactions that end at or before this position, such as 0/1A2B3C
    #[arg(long, value_name = "LSN", default_value_t = Lsn::ZERO)]
    from: Lsn,

    /// Leave out the transactions that start at or behind this position
    #[arg(long, value_name = "LSN", default_value_t = Lsn::NEWEST, hide_default_value = true)]
    to: Lsn,

    /// Go on with what is appended, until interrupted
    #[arg(long)]
    follow: bool,

    /// Print totals only
    #[arg(long, conflicts_with = "follow")]
    stats: bool,

    /// Print one JSON object a line
    #[arg(long)]
    json: bool,
}

/// How often `--follow` looks for more.
const POLL: Duration = Duration::from_millis(100);
/// How many looks in vain it takes until the tail is checked for damage.
const POLLS_PER_CHECK: u32 = 20;

/// Why printing ends early: the log cannot be read, or nobody reads what is printed.
enum Stop {
    Log(Error),
    Output(io::Error),
}

impl From<Error> for Stop {
    fn from(error: Error) -> Stop {
        Stop::Log(error)
    }
}

impl From<io::Error> for Stop {
    fn from(error: io::Error) -> Stop {
        Stop::Output(error)
    }
}

/// # Errors
/// The damage found, after everything before it was printed.
pub(crate) fn print_log(wal: &Wal) -> Result<()> {
    let mut out = BufWriter::new(io::stdout().lock());
    let printed = print(wal, &mut out);
    let flushed = out.flush();
    match printed.and_then(|()| Ok(flushed?)) {
        // A pager that was left, or `head`.
        Err(Stop::Output(error)) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        Err(Stop::Output(error)) => Err(Error::io("print the log", error)),
        Err(Stop::Log(error)) => Err(error),
        Ok(()) => Ok(()),
    }
}

fn print(wal: &Wal, out: &mut impl Write) -> Result<(), Stop> {
    let mut printer = Printer {
        out,
        json: wal.json,
    };
    let result = walk(wal, &mut printer);
    if let (Err(Stop::Log(Error::Corrupt { file, offset, what })), true) = (&result, wal.json) {
        printer.damage(file, *offset, what)?;
    }
    result
}

fn walk<W: Write>(wal: &Wal, printer: &mut Printer<'_, W>) -> Result<(), Stop> {
    let mut reader = Database::read_log(&wal.directory.data)?;
    let mut totals = Totals::default();
    let mut idle = 0;
    loop {
        match reader.next_group()? {
            Some(group) if group.start >= wal.to => break,
            Some(group) => {
                idle = 0;
                visit(wal, &reader, &group, printer, &mut totals)?;
            }
            None if wal.follow => {
                printer.out.flush()?;
                if idle % POLLS_PER_CHECK == 0 {
                    reader.check_tail()?;
                }
                idle += 1;
                std::thread::sleep(POLL);
            }
            None => {
                totals.tail = reader.check_tail()?;
                break;
            }
        }
    }
    match (wal.stats, &totals.tail) {
        (true, _) => printer.totals(&totals)?,
        (false, Some(tail)) => printer.tail(tail)?,
        (false, None) => {}
    }
    Ok(())
}

/// Prints or counts what lies in the range of a group.
fn visit<W: Write>(
    wal: &Wal,
    reader: &LogReader,
    group: &Group,
    printer: &mut Printer<'_, W>,
    totals: &mut Totals,
) -> Result<(), Stop> {
    let blobs = reader.blobs(group)?;
    let is_wanted = |start: Lsn, end: Lsn| start < wal.to && (end > wal.from || start >= wal.from);
    if !is_wanted(group.start, group.end) {
        return Ok(());
    }
    match wal.stats {
        true => totals.add_group(group),
        false => printer.group(group)?,
    }
    let mut count = 0;
    for blob in blobs.iter().filter(|b| is_wanted(b.start, b.end)) {
        count += 1;
        match wal.stats {
            true => totals.add_blob(blob),
            false => printer.blob(group, blob)?,
        }
        let mut lsn = blob.start;
        for record in &blob.records {
            let edits = edits_of(record);
            let edits = edits.ok_or_else(|| reader.corrupt(group, lsn, "not edits of a page"))?;
            match wal.stats {
                true => totals.add_record(record, &edits),
                false => printer.record(lsn, record, &edits)?,
            }
            lsn.0 += record.log_bytes();
        }
    }
    totals.blobs_per_group_max = totals.blobs_per_group_max.max(count);
    Ok(())
}

/// `None` for bytes that recovery would refuse.
fn edits_of<'a>(record: &Record<'a>) -> Option<Vec<Edit<'a>>> {
    match record {
        Record::PageWrite { edits: list, .. } => edits(list).collect(),
        _ => Some(Vec::new()),
    }
}

/// The numbers in a record that names spaces or an annex, each with its meaning.
fn numbers_of(record: &Record<'_>) -> Vec<(&'static str, u64)> {
    match *record {
        Record::SpaceClone { from, to } => vec![("from", from.into()), ("to", to.into())],
        Record::SpaceDrop { space } => vec![("space", space.into())],
        Record::Annex(annex) => vec![("number", annex.number), ("holds", annex.bytes)],
        _ => Vec::new(),
    }
}

fn type_name(record: &Record<'_>) -> &'static str {
    match record {
        Record::Begin { .. } => "begin",
        Record::PageWrite { .. } => "page write",
        Record::PageRefs { .. } => "page references",
        Record::SpaceClone { .. } => "space clone",
        Record::SpaceDrop { .. } => "space drop",
        Record::Annex(_) => "annex",
        Record::Commit { .. } => "commit",
    }
}

/// When a blob says it was committed.
fn commit_micros(blob: &GroupBlob<'_>) -> Option<i64> {
    blob.records.iter().find_map(|record| match record {
        Record::Commit { unix_micros, .. } => Some(*unix_micros),
        _ => None,
    })
}

/// As ISO 8601 in UTC, if a calendar knows it.
fn time(unix_micros: Option<i64>) -> String {
    let time = unix_micros.and_then(|micros| jiff::Timestamp::from_microsecond(micros).ok());
    time.map_or_else(|| "at an unknown time".to_owned(), |t| t.to_string())
}

#[derive(Default)]
struct Totals {
    groups: u64,
    empty_groups: u64,
    blobs: u64,
    begins: u64,
    page_writes: u64,
    page_refs: u64,
    space_changes: u64,
    annexes: u64,
    annex_bytes: u64,
    commits: u64,
    writes: u64,
    shifts: u64,
    images: u64,
    blob_bytes: u64,
    edit_bytes: u64,
    padding_bytes: u64,
    disk_bytes: u64,
    blobs_per_group_max: u64,
    tail: Option<TornTail>,
}

impl Totals {
    fn add_group(&mut self, group: &Group) {
        self.groups += 1;
        self.empty_groups += u64::from(group.bytes() == 0);
        self.padding_bytes += group.padding_bytes();
        self.disk_bytes += group.disk_bytes;
    }

    fn add_blob(&mut self, blob: &GroupBlob<'_>) {
        self.blobs += 1;
        self.blob_bytes += blob.end.0 - blob.start.0;
    }

    fn add_record(&mut self, record: &Record<'_>, edits: &[Edit<'_>]) {
        match record {
            Record::Begin { .. } => self.begins += 1,
            Record::PageWrite { edits: list, .. } => {
                self.page_writes += 1;
                self.edit_bytes += list.len() as u64;
            }
            Record::PageRefs { .. } => self.page_refs += 1,
            Record::SpaceClone { .. } | Record::SpaceDrop { .. } => self.space_changes += 1,
            Record::Annex(annex) => {
                self.annexes += 1;
                self.annex_bytes += annex.bytes;
            }
            Record::Commit { .. } => self.commits += 1,
        }
        for edit in edits {
            match edit {
                Edit::Write { .. } => self.writes += 1,
                Edit::Shift { .. } => self.shifts += 1,
                Edit::Clear => self.images += 1,
            }
        }
    }

    /// The average over the groups that are not empty.
    fn blobs_per_group(&self) -> f64 {
        let with_blobs = self.groups - self.empty_groups;
        #[expect(clippy::cast_precision_loss, reason = "two decimals are printed")]
        let average = self.blobs as f64 / with_blobs.max(1) as f64;
        average
    }
}

/// A value in a line of JSON.
pub(crate) enum Value {
    Number(i128),
    Text(String),
    Bool(bool),
}

fn number(n: impl Into<i128>) -> Value {
    Value::Number(n.into())
}

/// A string as JSON writes it.
pub(crate) fn text(t: impl Display) -> Value {
    Value::Text(t.to_string())
}

impl Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Value::Number(n) => n.fmt(f),
            Value::Bool(b) => b.fmt(f),
            Value::Text(text) => {
                f.write_char('"')?;
                for c in text.chars() {
                    match c {
                        '"' | '\\' => write!(f, "\\{c}")?,
                        '\0'..' ' => write!(f, "\\u{:04x}", u32::from(c))?,
                        _ => f.write_char(c)?,
                    }
                }
                f.write_char('"')
            }
        }
    }
}

struct Printer<'a, W> {
    out: &'a mut W,
    json: bool,
}

impl<W: Write> Printer<'_, W> {
    fn object(&mut self, fields: &[(&str, Value)]) -> io::Result<()> {
        for (index, (name, value)) in fields.iter().enumerate() {
            let before = if index == 0 { '{' } else { ',' };
            write!(self.out, "{before}\"{name}\":{value}")?;
        }
        writeln!(self.out, "}}")
    }

    fn group(&mut self, group: &Group) -> io::Result<()> {
        let Group {
            number: n,
            incarnation,
            file,
            offset,
            start,
            end,
            disk_bytes,
            ..
        } = group;
        let (file, bytes) = (file.display(), group.bytes());
        if self.json {
            return self.object(&[
                ("kind", text("group")),
                ("number", number(*n)),
                ("incarnation", number(*incarnation)),
                ("file", text(file)),
                ("offset", number(*offset)),
                ("start", text(start)),
                ("end", text(end)),
                ("bytes", number(bytes)),
                ("disk_bytes", number(*disk_bytes)),
                // One that does not match ends the output as damage or as a torn tail.
                ("crc_ok", Value::Bool(true)),
            ]);
        }
        writeln!(
            self.out,
            "group {n}, incarnation {incarnation}: {start} to {end}, {bytes} bytes \
             ({disk_bytes} on disk) in {file} at offset {offset}, CRC ok"
        )
    }

    fn blob(&mut self, group: &Group, blob: &GroupBlob<'_>) -> io::Result<()> {
        let GroupBlob {
            txn,
            start,
            end,
            records,
        } = blob;
        let micros = commit_micros(blob);
        if self.json {
            return self.object(&[
                ("kind", text("blob")),
                ("group", number(group.number)),
                ("transaction", number(txn.0)),
                ("start", text(start)),
                ("end", text(end)),
                ("bytes", number(end.0 - start.0)),
                ("records", number(records.len() as u64)),
                ("committed", text(time(micros))),
                ("unix_micros", number(micros.unwrap_or(0))),
            ]);
        }
        let (bytes, time) = (end.0 - start.0, time(micros));
        let txn = txn.0;
        writeln!(
            self.out,
            "  transaction {txn}: {start} to {end}, {bytes} bytes, committed {time}"
        )
    }

    fn record(&mut self, lsn: Lsn, record: &Record<'_>, edits: &[Edit<'_>]) -> io::Result<()> {
        let (name, bytes) = (type_name(record), record.log_bytes());
        let (page, base) = match record {
            Record::PageWrite { page, base, .. } => (Some(page), Some(base)),
            Record::PageRefs { first, .. } => (Some(first), None),
            _ => (None, None),
        };
        let numbers = numbers_of(record);
        if self.json {
            let mut fields = vec![
                ("kind", text("record")),
                ("type", text(name)),
                ("lsn", text(lsn)),
                ("bytes", number(bytes)),
            ];
            if let Some(page) = page {
                fields.push(("space", number(page.space)));
                fields.push(("page", number(page.number)));
            }
            fields.extend(base.map(|base| ("base", text(base))));
            let numbers = numbers.into_iter();
            fields.extend(numbers.map(|(part, n)| (part, number(n))));
            self.object(&fields)?;
        } else {
            write!(self.out, "    {lsn} {name}")?;
            if let Some(page) = page {
                write!(self.out, " of page {page}")?;
            }
            if let Some(base) = base {
                write!(self.out, " at {base}")?;
            }
            for (part, n) in numbers {
                write!(self.out, " {part} {n}")?;
            }
            writeln!(self.out, ", {bytes} bytes")?;
        }
        edits.iter().try_for_each(|edit| self.edit(edit))
    }

    fn edit(&mut self, edit: &Edit<'_>) -> io::Result<()> {
        let (name, fields) = match *edit {
            Edit::Write { offset, bytes } => {
                ("write", vec![("offset", offset), ("length", bytes.len())])
            }
            Edit::Shift { from, to, len } => {
                ("shift", vec![("from", from), ("to", to), ("length", len)])
            }
            Edit::Clear => ("image", vec![]),
        };
        if self.json {
            let mut object = vec![("kind", text("edit")), ("type", text(name))];
            object.extend(fields.iter().map(|(name, n)| (*name, number(*n as u64))));
            return self.object(&object);
        }
        write!(self.out, "      {name}")?;
        for (name, n) in fields {
            write!(self.out, " {name} {n}")?;
        }
        writeln!(self.out)
    }

    fn tail(&mut self, tail: &TornTail) -> io::Result<()> {
        let TornTail {
            group,
            file,
            offset,
            bytes,
            what,
        } = tail;
        let file = file.display();
        if self.json {
            return self.object(&[
                ("kind", text("torn tail")),
                ("group", number(*group)),
                ("file", text(file)),
                ("offset", number(*offset)),
                ("bytes", number(*bytes)),
                ("what", text(what)),
            ]);
        }
        writeln!(
            self.out,
            "torn tail: {bytes} bytes of group {group} in {file} at offset {offset}, being written \
             or cut off by a crash: {what}; never acknowledged, the next start clears it"
        )
    }

    fn damage(&mut self, file: &Path, offset: u64, what: &str) -> io::Result<()> {
        self.object(&[
            ("kind", text("damage")),
            ("file", text(file.display())),
            ("offset", number(offset)),
            ("what", text(what)),
        ])
    }

    fn totals(&mut self, totals: &Totals) -> io::Result<()> {
        let lines = [
            ("groups", totals.groups),
            ("empty_groups", totals.empty_groups),
            ("blobs", totals.blobs),
            ("begin_records", totals.begins),
            ("page_write_records", totals.page_writes),
            ("page_reference_records", totals.page_refs),
            ("space_change_records", totals.space_changes),
            ("annex_records", totals.annexes),
            ("annex_bytes", totals.annex_bytes),
            ("commit_records", totals.commits),
            ("write_edits", totals.writes),
            ("shift_edits", totals.shifts),
            ("image_edits", totals.images),
            ("blob_bytes", totals.blob_bytes),
            ("edit_bytes", totals.edit_bytes),
            ("padding_bytes", totals.padding_bytes),
            ("disk_bytes", totals.disk_bytes),
            ("blobs_per_group_max", totals.blobs_per_group_max),
            (
                "torn_tail_bytes",
                totals.tail.as_ref().map_or(0, |tail| tail.bytes),
            ),
        ];
        let average = format!("{:.2}", totals.blobs_per_group());
        if self.json {
            let mut object = vec![("kind", text("totals"))];
            object.extend(lines.map(|(name, n)| (name, number(n))));
            object.push(("blobs_per_group", text(average)));
            return self.object(&object);
        }
        for (name, n) in lines {
            writeln!(self.out, "{:<20} {n}", name.replace('_', " "))?;
        }
        writeln!(self.out, "{:<20} {average}", "blobs per group")
    }
}
