//! The message flow of COPY, the same in both protocols.

use crate::base::blocking;
use crate::base::{Error, Result, SqlState};
use crate::session::Session;
use crate::session::client::{Client, CopyInput, Reply};
use crate::session::run::while_connected;
use crate::sql::{CopyIn, CopyOut};

/// How many lines are sent between looks at the cancel flag and at other tasks.
const LINES_PER_TURN: u32 = 256;

impl Session {
    pub(super) async fn copy_in<C: Client>(
        &mut self,
        mut copy: CopyIn,
        client: &mut C,
    ) -> Result<String> {
        client.send(Reply::CopyIn {
            columns: copy.columns(),
        });
        client.flush().await?;
        let cancel = self.cx.cancel.clone();
        loop {
            let input = tokio::select! {
                biased;
                () = cancel.cancelled() => Err(cancel.check().err().unwrap_or_else(no_transaction)),
                input = client.receive_copy() => input,
            };
            match input? {
                CopyInput::Data(bytes) => {
                    let txn = self.txn.as_mut().ok_or_else(no_transaction)?;
                    while_connected(copy.push(txn, &bytes), &cancel, client).await?;
                }
                CopyInput::Done => {
                    let txn = self.txn.as_mut().ok_or_else(no_transaction)?;
                    return while_connected(copy.finish(txn), &cancel, client).await;
                }
                CopyInput::Fail(why) => {
                    return Err(Error::new(
                        SqlState::QUERY_CANCELED,
                        format!("COPY from stdin failed: {why}"),
                    ));
                }
            }
        }
    }

    pub(super) async fn copy_out<C: Client>(
        &mut self,
        mut copy: CopyOut,
        client: &mut C,
    ) -> Result<String> {
        client.send(Reply::CopyOut {
            columns: copy.columns(),
        });
        let mut line = Vec::new();
        let heavy = copy.is_heavy();
        let mut more = true;
        while more {
            more = blocking(heavy, || {
                for _ in 0..LINES_PER_TURN {
                    line.clear();
                    if !copy.next(&mut line)? {
                        return Ok::<_, Error>(false);
                    }
                    client.send(Reply::CopyData(&line));
                    if client.is_full() {
                        break;
                    }
                }
                Ok(true)
            })?;
            self.cx.cancel.check()?;
            if client.is_full() || !more {
                self.wait_shown().await?;
            }
            if client.is_full() {
                client.flush().await?;
            }
            tokio::task::consume_budget().await;
        }
        client.send(Reply::CopyDone);
        Ok(copy.tag())
    }
}

fn no_transaction() -> Error {
    Error::new(SqlState::INTERNAL_ERROR, "COPY has no transaction")
}
