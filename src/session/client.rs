//! What a session asks of whoever carries its replies to the client.

use std::future::Future;

use bytes::Bytes;
use smallvec::SmallVec;

use crate::base::{Report, Result};
use crate::sql::ir::Field;
use crate::types::{Datum, Format, Type};

/// The format codes of result columns as Bind gives them: none (all text), one for all, or one
/// per column.
#[derive(Clone, Debug, Default)]
pub struct Formats(pub SmallVec<[i16; 8]>);

impl Formats {
    pub fn all_binary() -> Formats {
        Formats(SmallVec::from_slice(&[1]))
    }

    pub fn is_binary(&self, column: usize) -> bool {
        match self.0.len() {
            0 => false,
            1 => self.0[0] == 1,
            _ => self.0.get(column) == Some(&1),
        }
    }
}

/// The last byte of ReadyForQuery.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    Idle,
    InBlock,
    Failed,
}

/// One message to the client. Rows go through [`Client::send_row`], because writing one can fail.
#[derive(Debug)]
pub enum Reply<'a> {
    ParseComplete,
    BindComplete,
    CloseComplete,
    NoData,
    PortalSuspended,
    EmptyQuery,
    ParameterDescription(&'a [Type]),
    RowDescription {
        fields: &'a [Field],
        formats: &'a Formats,
    },
    CommandComplete(&'a str),
    /// COPY starts, with this many columns in text format.
    CopyIn {
        columns: usize,
    },
    CopyOut {
        columns: usize,
    },
    CopyData(&'a [u8]),
    CopyDone,
    ParameterStatus {
        name: &'a str,
        value: &'a str,
    },
    Notice(&'a Report),
    /// `text` is the statement that the report's position points into.
    Error {
        report: &'a Report,
        text: Option<&'a str>,
    },
    Ready(Status),
}

/// What the client sends while a COPY FROM STDIN runs.
#[derive(Debug)]
pub enum CopyInput {
    Data(Bytes),
    Done,
    /// The client gives up, saying why.
    Fail(String),
}

/// The client's end of a session. `send` only buffers; nothing waits but the `async` functions.
pub trait Client: Send {
    fn send(&mut self, reply: Reply<'_>);

    /// Buffers one row. On an error nothing of it is left in the buffer.
    fn send_row(
        &mut self,
        row: &[Datum],
        fields: &[Field],
        formats: &Formats,
        format: &Format,
    ) -> Result<()>;

    /// The buffer is large enough to be worth a write before more is put in.
    fn is_full(&self) -> bool;

    /// Writes what is buffered; waits while the client does not read.
    fn flush(&mut self) -> impl Future<Output = Result<()>> + Send;

    /// The next message of a COPY FROM STDIN; Flush and Sync are skipped.
    fn receive_copy(&mut self) -> impl Future<Output = Result<CopyInput>> + Send;

    /// Returns when the client has closed its end; keeps what it sends meanwhile for later.
    fn gone(&mut self) -> impl Future<Output = ()> + Send;
}
