//! Tells people how far something is that takes long.

use std::io::{IsTerminal, stderr};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};
use walnut::database::Progress;

const PATIENCE: Duration = Duration::from_secs(1);
const BETWEEN_LINES: Duration = Duration::from_secs(5);
const MEGABYTE: u64 = 1 << 20;

/// A bar on a terminal, a line now and then elsewhere; nothing for what takes less than a second.
/// What was shown of a bar goes away when it is dropped.
pub(crate) struct Teller {
    /// When the next is to be told.
    next: Instant,
    bar: Option<ProgressBar>,
}

impl Teller {
    pub(crate) fn new() -> Teller {
        Teller {
            next: Instant::now() + PATIENCE,
            bar: None,
        }
    }

    pub(crate) fn tell(&mut self, progress: Progress) {
        if Instant::now() < self.next {
            return;
        }
        let (done, of, unit) = match progress {
            Progress::Log { bytes, of } => (bytes / MEGABYTE, of / MEGABYTE, "MB of log"),
            Progress::Pages { done, of } => (done, of, "pages"),
        };
        if stderr().is_terminal() {
            let bar = self.bar.get_or_insert_with(|| {
                let style =
                    ProgressStyle::with_template("{bar:40} {pos} of {len} {msg}, {eta} left");
                ProgressBar::new(of).with_style(style.expect("a template that is right"))
            });
            bar.set_length(of);
            bar.set_message(unit);
            bar.set_position(done);
        } else {
            self.next = Instant::now() + BETWEEN_LINES;
            eprintln!("{done} of {of} {unit}");
        }
    }
}

impl Drop for Teller {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}
