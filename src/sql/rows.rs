//! The rows of a statement, pulled one by one.

use std::sync::Arc;

use crate::base::Result;
use crate::sql::exec::{Operator, Run, nulls, open};
use crate::sql::ir::Field;
use crate::sql::prepared::Prepared;
use crate::types::Datum;

/// A result set. It stands alone, so a portal can keep it between calls.
pub struct Rows {
    prepared: Arc<Prepared>,
    source: Source,
    row: Vec<Datum>,
}

enum Source {
    /// Computed as they are asked for.
    Running { run: Run, root: Box<dyn Operator> },
    /// Complete, with the tag of what made them.
    Ready {
        rows: std::vec::IntoIter<Vec<Datum>>,
        tag: String,
    },
}

impl Rows {
    pub(super) fn running(prepared: &Arc<Prepared>, run: Run) -> Rows {
        Rows {
            prepared: Arc::clone(prepared),
            row: nulls(run.plan.width),
            source: Source::Running {
                root: open(&run.plan.root),
                run,
            },
        }
    }

    pub(super) fn ready(prepared: &Arc<Prepared>, rows: Vec<Vec<Datum>>, tag: String) -> Rows {
        Rows {
            prepared: Arc::clone(prepared),
            row: Vec::new(),
            source: Source::Ready {
                rows: rows.into_iter(),
                tag,
            },
        }
    }

    pub fn fields(&self) -> &[Field] {
        self.prepared.fields.as_deref().unwrap_or_default()
    }

    /// The next row, borrowed until the call after; `None` after the last.
    #[expect(clippy::should_implement_trait, reason = "the row is borrowed")]
    pub fn next(&mut self) -> Result<Option<&[Datum]>> {
        match &mut self.source {
            Source::Running { run, root } => {
                let found = root.next(&run.context(), &mut self.row)?;
                Ok(found.then_some(&self.row[..]))
            }
            Source::Ready { rows, .. } => match rows.next() {
                Some(row) => {
                    self.row = row;
                    Ok(Some(&self.row))
                }
                None => Ok(None),
            },
        }
    }

    /// Whether `next` may take long: it reads without a whole key, sorts, joins or aggregates.
    pub fn is_heavy(&self) -> bool {
        match &self.source {
            Source::Running { run, .. } => run.plan.heavy,
            Source::Ready { .. } => false,
        }
    }

    /// The command tag once `returned` rows have been sent.
    pub fn tag(&self, returned: u64) -> String {
        match &self.source {
            Source::Running { .. } => format!("SELECT {returned}"),
            Source::Ready { tag, .. } => tag.clone(),
        }
    }
}
