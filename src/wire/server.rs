//! The listeners, and the tasks of the sessions.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use tokio::net::{TcpListener, UnixListener, UnixStream};
use tokio::sync::{Semaphore, mpsc, watch};
use tokio::task::{JoinError, JoinSet};

use crate::base::{Error, Registration, Result, Sessions, SqlState, terminated};
use crate::database::Database;
use crate::session::{Identity, Session};
use crate::wire::connection::Connection;
use crate::wire::socket::Socket;
use crate::wire::startup::{Opening, Wish, as_fatal, open};

/// How a server can be reached, and its limits.
#[derive(Clone, Debug)]
pub struct Config {
    pub addresses: Vec<SocketAddr>,
    pub port: u16,
    /// Where the Unix socket goes; `None`: there is none.
    pub socket_dir: Option<PathBuf>,
    pub max_connections: usize,
    /// Lets clients of other machines in, although there are no passwords.
    pub allow_remote: bool,
    /// The longest message of a client that has been let in.
    pub message_bytes_max: usize,
    pub data_directory: PathBuf,
    /// Settings that all sessions start with, as [`crate::session::server_setting`] gives them.
    pub settings: Vec<(&'static str, String)>,
}

/// How long a client may take to say what it wants.
const STARTUP_SECONDS: u64 = 60;
/// How long sessions have to end when the server stops.
const STOP_SECONDS: u64 = 5;
/// The longest path that fits into a Unix socket's address.
const SOCKET_PATH_BYTES_MAX: usize = 107;

/// A server whose listeners are bound.
pub struct Server {
    tcp: Vec<TcpListener>,
    unix: Option<(UnixListener, SocketFile)>,
    shared: Arc<Shared>,
}

/// What the tasks share.
struct Shared {
    config: Config,
    database: Arc<Database>,
    sessions: Arc<Sessions>,
    places: Arc<Semaphore>,
    facts: Vec<(&'static str, String)>,
    stop: watch::Sender<bool>,
}

/// Removes the file of a Unix socket when dropped.
struct SocketFile(PathBuf);

impl Drop for SocketFile {
    fn drop(&mut self) {
        let _ = rustix::fs::unlink(&self.0);
    }
}

impl Server {
    pub async fn bind(config: Config, database: Arc<Database>) -> Result<Server> {
        let mut tcp = Vec::new();
        for address in &config.addresses {
            let bound = TcpListener::bind(address).await;
            tcp.push(bound.map_err(|e| Error::io(format!("listen on {address}"), e))?);
        }
        let unix = match &config.socket_dir {
            Some(dir) => Some(bind_unix(dir, config.port).await?),
            None => None,
        };
        let listen: Vec<_> = config
            .addresses
            .iter()
            .map(|a| a.ip().to_string())
            .collect();
        let mut facts = vec![
            ("port", config.port.to_string()),
            ("max_connections", config.max_connections.to_string()),
            (
                "data_directory",
                config.data_directory.display().to_string(),
            ),
            ("listen_addresses", listen.join(",")),
        ];
        facts.extend(config.settings.iter().cloned());
        Ok(Server {
            tcp,
            unix,
            shared: Arc::new(Shared {
                places: Arc::new(Semaphore::new(config.max_connections)),
                config,
                database,
                sessions: Arc::default(),
                facts,
                stop: watch::channel(false).0,
            }),
        })
    }

    /// The addresses really bound, which differ from those asked for when the port was 0.
    pub fn addresses(&self) -> Vec<SocketAddr> {
        self.tcp
            .iter()
            .filter_map(|listener| listener.local_addr().ok())
            .collect()
    }

    /// Serves clients until `stop` is ready; then tells them to go and waits for it.
    pub async fn run(self, stop: impl Future<Output = ()>) {
        let (sender, mut accepted) = mpsc::channel(64);
        let mut accepting = JoinSet::new();
        for listener in self.tcp {
            accepting.spawn(accept_tcp(listener, sender.clone()));
        }
        let mut socket_file = None;
        if let Some((listener, file)) = self.unix {
            accepting.spawn(accept_unix(listener, sender.clone()));
            socket_file = Some(file);
        }
        let mut tasks = JoinSet::new();
        let mut stop = std::pin::pin!(stop);
        loop {
            tokio::select! {
                () = &mut stop => break,
                Some(socket) = accepted.recv() => {
                    // Clients that have not said yet what they want are limited, too.
                    if tasks.len() <= 2 * self.shared.config.max_connections + 16 {
                        tasks.spawn(serve(socket, self.shared.clone()));
                    }
                }
                Some(ended) = tasks.join_next() => log_panic(&ended),
            }
        }
        accepting.abort_all();
        drop(socket_file);
        self.shared.stop.send_replace(true);
        self.shared.sessions.terminate_all();
        let all_ended = async {
            while let Some(ended) = tasks.join_next().await {
                log_panic(&ended);
            }
        };
        if tokio::time::timeout(Duration::from_secs(STOP_SECONDS), all_ended)
            .await
            .is_err()
        {
            tracing::warn!("{} sessions did not end in time", tasks.len());
            tasks.shutdown().await;
        }
    }
}

/// A panic ends its session only.
fn log_panic(ended: &std::result::Result<(), JoinError>) {
    if let Err(error) = ended
        && error.is_panic()
    {
        tracing::error!("a session has ended by a panic: {error}");
    }
}

async fn accept_tcp(listener: TcpListener, accepted: mpsc::Sender<Socket>) {
    let mut pause = Pause::default();
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                pause = Pause::default();
                let _ = stream.set_nodelay(true);
                if accepted.send(Socket::Tcp(stream)).await.is_err() {
                    return;
                }
            }
            Err(error) => pause.wait(&error).await,
        }
    }
}

async fn accept_unix(listener: UnixListener, accepted: mpsc::Sender<Socket>) {
    let mut pause = Pause::default();
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                pause = Pause::default();
                if accepted.send(Socket::Unix(stream)).await.is_err() {
                    return;
                }
            }
            Err(error) => pause.wait(&error).await,
        }
    }
}

/// Grows with each failure, as when there are no file descriptors left.
#[derive(Default)]
struct Pause {
    ms: u64,
}

impl Pause {
    async fn wait(&mut self, error: &io::Error) {
        self.ms = (2 * self.ms).clamp(10, 1000);
        tracing::warn!("could not accept a connection: {error}");
        tokio::time::sleep(Duration::from_millis(self.ms)).await;
    }
}

/// One connection, from its first byte to its last.
async fn serve(mut socket: Socket, shared: Arc<Shared>) {
    let mut stop = shared.stop.subscribe();
    let mut input = BytesMut::with_capacity(8 * 1024);
    let limit = Duration::from_secs(STARTUP_SECONDS);
    let opening = tokio::select! {
        opening = tokio::time::timeout(limit, open(&mut socket, &mut input)) => opening,
        _ = stop.wait_for(|stop| *stop) => return,
    };
    let wish = match opening {
        Err(_) | Ok(Ok(Opening::Closed)) => return,
        Ok(Ok(Opening::Cancel { pid, secret })) => return shared.sessions.cancel(pid, secret),
        Ok(Ok(Opening::Session(wish))) => Ok(wish),
        Ok(Err(error)) => Err(error),
    };
    let address = socket.address();
    let message_bytes_max = shared.config.message_bytes_max;
    let mut connection = Connection::new(socket, input, message_bytes_max, stop);
    let admitted = wish.and_then(|wish| admit(wish, address, &shared));
    let (wish, place) = match admitted {
        Ok(admitted) => admitted,
        Err(error) => return connection.refuse(&as_fatal(error)).await,
    };
    let made = start_session(&wish, address, &shared).await;
    let (mut session, registration) = match made {
        Ok(made) => made,
        Err(error) => return connection.refuse(&as_fatal(error)).await,
    };
    connection.greet(wish.negotiation);
    session.greet(&mut connection);
    connection.send_key(registration.pid, registration.secret);
    session.ready(&mut connection);
    connection.serve(session).await;
    drop(registration);
    drop(place);
}

type Place = tokio::sync::OwnedSemaphorePermit;

/// Decides whether a client may come in (W4), and keeps a place for it.
fn admit(wish: Wish, address: Option<SocketAddr>, shared: &Shared) -> Result<(Wish, Place)> {
    if *shared.stop.borrow() {
        return Err(terminated());
    }
    if let Some(address) = address
        && !address.ip().is_loopback()
        && !shared.config.allow_remote
    {
        return Err(Error::new(
            SqlState::INVALID_AUTHORIZATION_SPECIFICATION,
            format!(
                "no entry for host \"{}\": only this machine is let in",
                address.ip()
            ),
        ));
    }
    let place = shared.places.clone().try_acquire_owned().map_err(|_| {
        let message = "sorry, too many clients already";
        Error::new(SqlState::TOO_MANY_CONNECTIONS, message)
    })?;
    Ok((wish, place))
}

/// Connects to the database that a client wishes for.
async fn start_session(
    wish: &Wish,
    address: Option<SocketAddr>,
    shared: &Shared,
) -> Result<(Session, Registration)> {
    let registration = shared.sessions.register()?;
    let cancel = registration.cancel.clone();
    let connected = shared.database.connect(&wish.database, &cancel).await?;
    let identity = Identity {
        user: wish.user.clone(),
        backend_pid: registration.pid,
        client: address,
        sessions: shared.sessions.clone(),
    };
    let session = Session::new(connected, identity, cancel, &shared.facts, &wish.settings)?;
    registration.show(session.observed());
    Ok((session, registration))
}

/// Binds `.s.PGSQL.<port>`, taking the place of a socket that nobody listens on any more.
async fn bind_unix(dir: &Path, port: u16) -> Result<(UnixListener, SocketFile)> {
    let path = dir.join(format!(".s.PGSQL.{port}"));
    let what = || format!("listen on {}", path.display());
    if path.as_os_str().len() > SOCKET_PATH_BYTES_MAX {
        let long = io::Error::other(format!(
            "the path is longer than {SOCKET_PATH_BYTES_MAX} bytes; choose another --socket-dir"
        ));
        return Err(Error::io(what(), long));
    }
    if UnixStream::connect(&path).await.is_ok() {
        return Err(Error::io(what(), io::ErrorKind::AddrInUse.into()));
    }
    let _ = rustix::fs::unlink(&path);
    let listener = UnixListener::bind(&path).map_err(|e| Error::io(what(), e))?;
    Ok((listener, SocketFile(path)))
}
