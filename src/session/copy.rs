//! The message flow of COPY, the same in both protocols.

use crate::base::{Error, Result, SqlState};
use crate::session::Session;
use crate::session::client::{Client, CopyInput, Reply};
use crate::session::run::while_connected;
use crate::sql::exec::{CopyIn, CopyOut};

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
        let mut lines = 0u64;
        while copy.next(&mut line)? {
            client.send(Reply::CopyData(&line));
            line.clear();
            lines += 1;
            if client.is_full() {
                client.flush().await?;
            }
            if lines.is_multiple_of(256) {
                self.cx.cancel.check()?;
                tokio::task::consume_budget().await;
            }
        }
        client.send(Reply::CopyDone);
        Ok(copy.tag())
    }
}

fn no_transaction() -> Error {
    Error::new(SqlState::INTERNAL_ERROR, "COPY has no transaction")
}
