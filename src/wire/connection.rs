//! One client's connection: its buffers, and the loop from message to reply.

use std::future::pending;
use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use tokio::sync::watch;

use crate::base::error::Severity;
use crate::base::{CancelFlag, Error, Report, Result, SqlState, terminated};
use crate::session::{Client, CopyInput, Formats, Reply, Session};
use crate::sql::ir::Field;
use crate::types::{Datum, Format};
use crate::wire::decode::{Body, decode};
use crate::wire::encode;
use crate::wire::frame::{Frame, Kind, take_frame};
use crate::wire::socket::Socket;

/// Past this, output is written before more is made.
const OUTPUT_BYTES_FULL: usize = 64 * 1024;
/// A buffer that has grown beyond this is given back once it is empty.
const OUTPUT_BYTES_KEPT: usize = 256 * 1024;
/// How much room there is for a read.
const READ_BYTES: usize = 16 * 1024;
/// How much is read ahead while a statement runs.
const AHEAD_BYTES_MAX: usize = 1024 * 1024;

pub(super) struct Connection {
    socket: Socket,
    input: BytesMut,
    output: Vec<u8>,
    message_bytes_max: usize,
    stop: watch::Receiver<bool>,
    /// Of the session, once there is one.
    cancel: Option<Arc<CancelFlag>>,
    state: State,
}

/// ```text
/// Open ── a fatal error sent ──► Closing ── written ──► Closed
///   └────────── the client has left ──────────────────────▲
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Open,
    Closing,
    Closed,
}

impl Connection {
    pub(super) fn new(
        socket: Socket,
        input: BytesMut,
        message_bytes_max: usize,
        stop: watch::Receiver<bool>,
    ) -> Connection {
        Connection {
            socket,
            input,
            output: Vec::with_capacity(8 * 1024),
            message_bytes_max,
            stop,
            cancel: None,
            state: State::Open,
        }
    }

    /// Sends messages that only the startup knows.
    pub(super) fn greet(&mut self, negotiation: Option<Vec<u8>>) {
        self.output.extend(negotiation.unwrap_or_default());
        encode::authentication_ok(&mut self.output);
    }

    pub(super) fn send_key(&mut self, pid: i32, secret: i32) {
        encode::backend_key(&mut self.output, pid, secret);
    }

    /// Serves the client until it leaves, is to leave, or a fatal error ends the session.
    pub(super) async fn serve(mut self, mut session: Session) {
        self.cancel = Some(session.cancel_flag());
        let _ = self.flush().await;
        while self.state == State::Open {
            match self.next_frame(session.idle_limit()).await {
                Ok(Some(frame)) => self.handle(frame, &mut session).await,
                Ok(None) => self.state = State::Closed,
                Err(error) => self.send_error(&error),
            }
        }
        // The transaction is rolled back and its locks freed before anything else is waited for.
        drop(session);
        if self.state == State::Closing {
            let _ = tokio::time::timeout(Duration::from_secs(5), self.write_output()).await;
            self.socket.close().await;
        }
    }

    /// Tells the client an error that ends its connection.
    pub(super) async fn refuse(mut self, error: &Error) {
        self.send_error(error);
        let _ = tokio::time::timeout(Duration::from_secs(5), self.write_output()).await;
        self.socket.close().await;
    }

    async fn handle(&mut self, frame: Frame, session: &mut Session) {
        match frame.kind {
            Kind::Terminate => {
                self.state = State::Closed;
                return;
            }
            // What is left of a COPY that has failed.
            Kind::CopyData | Kind::CopyDone | Kind::CopyFail => return,
            _ => {}
        }
        match decode(frame.kind, &frame.body) {
            Ok(request) => session.handle(request, self).await,
            Err(error) => {
                let extended = !matches!(frame.kind, Kind::Query | Kind::FunctionCall);
                session.reject(error, extended, self).await;
            }
        }
        let is_due = matches!(
            frame.kind,
            Kind::Query | Kind::Sync | Kind::Flush | Kind::FunctionCall
        );
        if is_due || self.is_full() {
            let _ = self.flush().await;
        }
    }

    /// The next message; `None`: the client has left.
    async fn next_frame(&mut self, limit: Option<(Duration, Report)>) -> Result<Option<Frame>> {
        let cancel = self.cancel.clone();
        if cancel.as_ref().is_some_and(|c| c.is_terminated()) {
            return Err(terminated());
        }
        if let Some(frame) = take_frame(&mut self.input, self.message_bytes_max)? {
            return Ok(Some(frame));
        }
        let mut stop = self.stop.clone();
        tokio::select! {
            biased;
            frame = self.read_frame() => frame,
            () = ended(cancel.as_deref()) => Err(terminated()),
            _ = stop.wait_for(|stop| *stop) => Err(terminated()),
            report = idle(limit) => Err(Error::Report(Box::new(report))),
        }
    }

    /// Reads until a message is whole. Can be dropped without losing bytes.
    async fn read_frame(&mut self) -> Result<Option<Frame>> {
        loop {
            if let Some(frame) = take_frame(&mut self.input, self.message_bytes_max)? {
                return Ok(Some(frame));
            }
            // Room grows with what has come, not with what a length claims.
            self.input.reserve(READ_BYTES.max(self.input.len()));
            match self.socket.read(&mut self.input).await {
                Ok(0) | Err(_) => return Ok(None),
                Ok(_) => {}
            }
        }
    }

    async fn write_output(&mut self) -> Result<()> {
        if self.output.is_empty() {
            return Ok(());
        }
        let cancel = self.cancel.clone();
        let written = tokio::select! {
            biased;
            written = self.socket.write_all(&self.output) => written,
            // A client that does not read cannot keep its session.
            () = ended(cancel.as_deref()), if self.state == State::Open => {
                Err(std::io::ErrorKind::ConnectionAborted.into())
            }
        };
        self.output.clear();
        if self.output.capacity() > OUTPUT_BYTES_KEPT {
            self.output.shrink_to(OUTPUT_BYTES_FULL);
        }
        written.map_err(|_| self.lost())
    }

    fn lost(&mut self) -> Error {
        self.state = State::Closed;
        Error::new(SqlState::CONNECTION_FAILURE, "connection to client lost")
    }

    fn send_error(&mut self, error: &Error) {
        self.send(Reply::Error {
            report: &error.report(),
            text: None,
        });
    }
}

impl Client for Connection {
    fn send(&mut self, reply: Reply<'_>) {
        if self.state != State::Open {
            return;
        }
        if let Reply::Error { report, text } = reply {
            encode::reply(&mut self.output, &Reply::Error { report, text });
            if report.severity == Severity::Fatal {
                self.state = State::Closing;
            }
            return;
        }
        encode::reply(&mut self.output, &reply);
    }

    fn send_row(
        &mut self,
        row: &[Datum],
        fields: &[Field],
        formats: &Formats,
        format: &Format,
    ) -> Result<()> {
        encode::row(&mut self.output, row, fields, formats, format)
    }

    fn is_full(&self) -> bool {
        self.output.len() >= OUTPUT_BYTES_FULL
    }

    async fn flush(&mut self) -> Result<()> {
        if self.state == State::Closed {
            return Err(self.lost());
        }
        self.write_output().await
    }

    async fn receive_copy(&mut self) -> Result<CopyInput> {
        loop {
            let Some(frame) = self.read_frame().await? else {
                return Err(self.lost());
            };
            return Ok(match frame.kind {
                Kind::CopyData => CopyInput::Data(frame.body.freeze()),
                Kind::CopyDone => CopyInput::Done,
                Kind::CopyFail => CopyInput::Fail(Body(&frame.body).string()?.to_owned()),
                Kind::Flush | Kind::Sync => continue,
                Kind::Terminate => return Err(self.lost()),
                _ => {
                    return Err(Error::new(
                        SqlState::PROTOCOL_VIOLATION,
                        format!(
                            "unexpected message type 0x{:02X} during COPY from stdin",
                            frame.byte
                        ),
                    ));
                }
            });
        }
    }

    async fn gone(&mut self) {
        loop {
            if self.input.len() >= AHEAD_BYTES_MAX {
                return pending().await;
            }
            self.input.reserve(READ_BYTES);
            match self.socket.read(&mut self.input).await {
                Ok(0) | Err(_) => {
                    self.state = State::Closed;
                    return;
                }
                Ok(_) => {}
            }
        }
    }
}

/// Returns when the client has been silent for too long.
async fn idle(limit: Option<(Duration, Report)>) -> Report {
    match limit {
        None => pending().await,
        Some((limit, report)) => {
            tokio::time::sleep(limit).await;
            report
        }
    }
}

/// Returns when the session has been terminated.
async fn ended(cancel: Option<&CancelFlag>) {
    match cancel {
        None => pending().await,
        Some(cancel) => cancel.terminated().await,
    }
}
