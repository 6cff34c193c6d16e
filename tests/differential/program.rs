//! A program: steps of one session, and what is known of each that its answer depends on.

use std::fmt;

use crate::answer::Terms;

/// A parameter's value as text.
pub type Value = Option<String>;

#[derive(Clone, Debug)]
pub enum Ask {
    /// One message of the simple protocol; its statements are one transaction.
    Simple(String),
    /// Through the extended protocol. Without a text the statement of that name runs once more.
    Prepared {
        name: String,
        sql: Option<String>,
        values: Vec<Value>,
        /// Values and rows in binary.
        binary: bool,
    },
}

#[derive(Clone, Debug)]
pub enum Step {
    Ask(Ask, Terms),
    /// Walnut dies and starts again; on both sides a new session goes on.
    Kill,
    /// Walnut is stopped and started.
    Restart,
}

pub type Program = Vec<Step>;

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Step::Kill => f.write_str("-- kill -9"),
            Step::Restart => f.write_str("-- restart"),
            Step::Ask(ask, terms) => {
                match ask {
                    Ask::Simple(sql) => write!(f, "{sql};")?,
                    Ask::Prepared {
                        name,
                        sql,
                        values,
                        binary,
                    } => {
                        let sql = sql.as_deref().unwrap_or("(again)");
                        let format = if *binary { "binary" } else { "text" };
                        write!(f, "{sql}; -- prepared as {name:?}, {format}, {values:?}")?;
                    }
                }
                if terms.loose {
                    f.write_str(" -- loose")?;
                }
                Ok(())
            }
        }
    }
}

pub fn listing(program: &[Step]) -> String {
    program.iter().map(|step| format!("  {step}\n")).collect()
}

/// The shortest program found, by leaving out steps, that still `fails`.
pub fn shrink(mut program: Program, mut fails: impl FnMut(&[Step]) -> bool) -> Program {
    let mut size = program.len().div_ceil(2);
    loop {
        let before = program.len();
        let mut end = program.len();
        while end > 0 {
            let start = end.saturating_sub(size);
            let mut shorter = program.clone();
            shorter.drain(start..end);
            if !shorter.is_empty() && fails(&shorter) {
                program = shorter;
            }
            end = start;
        }
        if size > 1 {
            size = size.div_ceil(2);
        } else if program.len() == before {
            return program;
        }
    }
}
