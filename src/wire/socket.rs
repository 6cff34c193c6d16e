//! A client's socket, of either family.

use std::io;
use std::net::SocketAddr;

use bytes::BytesMut;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream};

pub(super) enum Socket {
    Tcp(TcpStream),
    Unix(UnixStream),
}

impl Socket {
    /// Reads what there is; 0: the other side has closed. Can be dropped without losing bytes.
    pub(super) async fn read(&mut self, into: &mut BytesMut) -> io::Result<usize> {
        match self {
            Socket::Tcp(stream) => stream.read_buf(into).await,
            Socket::Unix(stream) => stream.read_buf(into).await,
        }
    }

    pub(super) async fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self {
            Socket::Tcp(stream) => stream.write_all(bytes).await,
            Socket::Unix(stream) => stream.write_all(bytes).await,
        }
    }

    /// Sends the end of the stream. Failing is no matter: the client is gone then.
    pub(super) async fn close(&mut self) {
        let _ = match self {
            Socket::Tcp(stream) => stream.shutdown().await,
            Socket::Unix(stream) => stream.shutdown().await,
        };
    }

    /// The peer's address; `None` for Unix sockets.
    pub(super) fn address(&self) -> Option<SocketAddr> {
        match self {
            Socket::Tcp(stream) => {
                let address = stream.peer_addr().ok()?;
                Some(SocketAddr::new(address.ip().to_canonical(), address.port()))
            }
            Socket::Unix(_) => None,
        }
    }
}
