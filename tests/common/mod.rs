//! What the integration tests share: a server of their own (Walnut, or PostgreSQL 15 where it is
//! the oracle), the tools around it, and connections.
//!
//! Every test starts its own server in a temporary directory on a free port, so tests run side by
//! side. A tool that is not installed skips the test with a word about it, unless
//! `WALNUT_REQUIRE_TOOLS=1` (CI), where a skip is a failure.
//!
//! `WALNUT_TEST_ORACLE=1` runs the tests that would start Walnut against PostgreSQL 15 instead:
//! what fails then is wrong with the test.

// Each test binary compiles this module and uses its own part of it.
#![allow(dead_code, unreachable_pub)]

pub mod raw;

use std::fs::{self, File};
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixListener};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rand::RngExt;
use tempfile::TempDir;
use tokio_postgres::{Client, Config, NoTls};

const START_LIMIT: Duration = Duration::from_secs(30);
const STOP_LIMIT: Duration = Duration::from_secs(30);
const COMMAND_LIMIT: Duration = Duration::from_secs(240);
const POSTGRES_BIN: &str = "/usr/lib/postgresql/15/bin";

/// Ends a test that cannot run here: says why, or fails where tools are required.
pub fn skip(why: &str) {
    if std::env::var("WALNUT_REQUIRE_TOOLS").is_ok_and(|v| v == "1") {
        panic!("WALNUT_REQUIRE_TOOLS=1, but: {why}");
    }
    eprintln!("SKIPPED: {why}");
}

/// The path of an installed program.
pub fn tool(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain([PathBuf::from(POSTGRES_BIN)])
        .map(|dir| dir.join(name))
        .find(|file| file.is_file())
}

/// A Python that has psycopg 3: the environment `.ci/run` makes, or the system's.
pub fn python_with_psycopg() -> Option<PathBuf> {
    let venv = Path::new(env!("CARGO_TARGET_TMPDIR")).join("psycopg/bin/python");
    [Some(venv), tool("python3")]
        .into_iter()
        .flatten()
        .find(|python| {
            Command::new(python)
                .args(["-c", "import psycopg"])
                .output()
                .is_ok_and(|o| o.status.success())
        })
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Engine {
    Walnut,
    Postgres,
}

/// A running server with a directory of its own. Killed and removed when dropped.
pub struct Server {
    pub engine: Engine,
    pub port: u16,
    dir: TempDir,
    child: Option<Child>,
    /// What Walnut is run by, and how: the next start uses it.
    pub wrapper: Vec<String>,
    /// Further arguments of `walnut serve`.
    pub arguments: Vec<String>,
}

/// What starting a server on a directory came to.
pub struct Refused {
    pub code: Option<i32>,
    pub output: String,
}

const SMALL: [&str; 3] = [
    "shared_buffers=1MB",
    "max_wal_size=2MB",
    "wal_segment_size=1MB",
];

impl Server {
    /// Walnut in a new directory.
    pub fn start() -> Server {
        Server::start_with(&[])
    }

    /// Walnut with so little memory and log that pages come and go and checkpoints never cease.
    pub fn start_small() -> Server {
        Server::start_with(&SMALL)
    }

    /// The same in a directory of another file system.
    pub fn start_small_in(parent: &Path) -> Server {
        let dir = TempDir::with_prefix_in("walnut-test-", parent).unwrap();
        Server::launch(Engine::Walnut, dir, &SMALL)
    }

    /// Walnut with `name=value` settings.
    pub fn start_with(settings: &[&str]) -> Server {
        if std::env::var("WALNUT_TEST_ORACLE").is_ok_and(|v| v == "1") {
            return Server::start_postgres().expect("PostgreSQL 15 is installed");
        }
        let dir = TempDir::with_prefix("walnut-test-").unwrap();
        Server::launch(Engine::Walnut, dir, settings)
    }

    /// PostgreSQL 15 in a new cluster (locale C, UTF-8, UTC), or none if it is not installed.
    pub fn start_postgres() -> Option<Server> {
        let initdb = Path::new(POSTGRES_BIN).join("initdb");
        if !initdb.is_file() {
            return None;
        }
        let dir = TempDir::with_prefix("walnut-oracle-").unwrap();
        if let Some((uid, gid)) = postgres_user() {
            std::os::unix::fs::chown(dir.path(), Some(uid), Some(gid)).unwrap();
        }
        let out = as_postgres(Command::new(initdb))
            .args([
                "--locale=C",
                "-E",
                "UTF8",
                "-U",
                "postgres",
                "-A",
                "trust",
                "-N",
                "-D",
            ])
            .arg(dir.path().join("data"))
            .output()
            .unwrap();
        assert!(out.status.success(), "initdb: {}", text(&out));
        Some(Server::launch(Engine::Postgres, dir, &[]))
    }

    /// A Walnut that is to run in a new directory, by what `wrapper` says.
    pub fn prepare(wrapper: &[&str], arguments: &[&str]) -> Server {
        let owned = |words: &[&str]| words.iter().map(|&w| w.to_owned()).collect();
        Server {
            engine: Engine::Walnut,
            port: free_port(),
            dir: TempDir::with_prefix("walnut-test-").unwrap(),
            child: None,
            wrapper: owned(wrapper),
            arguments: owned(arguments),
        }
    }

    /// Has the next start go by way of another program.
    pub fn wrap(&mut self, wrapper: &[&str]) {
        self.wrapper = wrapper.iter().map(|&word| word.to_owned()).collect();
    }

    fn launch(engine: Engine, dir: TempDir, settings: &[&str]) -> Server {
        let arguments = settings
            .iter()
            .flat_map(|s| ["-c".to_owned(), (*s).to_owned()]);
        let mut server = Server {
            engine,
            port: 0,
            dir,
            child: None,
            wrapper: Vec::new(),
            arguments: arguments.collect(),
        };
        let mut last = String::new();
        for _ in 0..5 {
            server.port = free_port();
            match server.try_run() {
                Ok(()) => return server,
                // Somebody else may have taken the port in between.
                Err(refused) => last = refused.output,
            }
        }
        panic!("{engine:?} does not start: {last}");
    }

    pub fn data(&self) -> PathBuf {
        self.dir.path().join("data")
    }

    fn log(&self) -> PathBuf {
        self.dir.path().join("server.log")
    }

    /// The command that serves `data` on `port`.
    pub fn command(&self, data: &Path, port: u16) -> Command {
        match self.engine {
            Engine::Walnut => {
                let walnut = env!("CARGO_BIN_EXE_walnut");
                let mut command = match self.wrapper.split_first() {
                    None => Command::new(walnut),
                    Some((program, words)) => {
                        let mut command = Command::new(program);
                        command.args(words).arg(walnut);
                        command
                    }
                };
                command.arg("serve").arg("--data").arg(data);
                command.args(["--port", &port.to_string()]);
                command.args(&self.arguments);
                command
            }
            Engine::Postgres => {
                let mut command =
                    as_postgres(Command::new(Path::new(POSTGRES_BIN).join("postgres")));
                command.arg("-D").arg(data).args(["-p", &port.to_string()]);
                command.arg("-k").arg(self.dir.path());
                for setting in ["fsync=off", "timezone=UTC", "log_timezone=UTC"] {
                    command.args(["-c", setting]);
                }
                command
            }
        }
    }

    /// Runs the server on its directory and port until it accepts a session.
    pub fn try_run(&mut self) -> Result<(), Refused> {
        assert!(self.child.is_none(), "already running");
        let log = File::options()
            .create(true)
            .append(true)
            .open(self.log())
            .unwrap();
        let mut command = self.command(&self.data(), self.port);
        command
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log);
        let mut child = command.spawn().unwrap();
        let start = Instant::now();
        loop {
            if self.answers() {
                self.child = Some(child);
                return Ok(());
            }
            if let Some(status) = child.try_wait().unwrap() {
                return Err(Refused {
                    code: status.code(),
                    output: self.log_tail(),
                });
            }
            if start.elapsed() > START_LIMIT {
                let _ = child.kill();
                let _ = child.wait();
                panic!("no session after {START_LIMIT:?}: {}", self.log_tail());
            }
            thread::sleep(Duration::from_millis(5));
        }
    }

    /// Whether a session can be had, and it is one of this server: another one may have been
    /// faster to take the port.
    fn answers(&self) -> bool {
        let Some(mut raw) = raw::Raw::connect(self.port) else {
            return false;
        };
        let started = raw.start_session();
        let shown = started.and_then(|_| raw.query("SHOW data_directory"));
        let data = self.data();
        shown.is_ok_and(|messages| {
            let mut rows = messages.iter().filter(|(kind, _)| *kind == b'D');
            rows.any(|(_, row)| row.ends_with(data.as_os_str().as_encoded_bytes()))
        })
    }

    /// SIGKILL, as `kill -9`.
    pub fn kill(&mut self) {
        let mut child = self.child.take().expect("running");
        child.kill().unwrap();
        child.wait().unwrap();
    }

    /// Starts again on the same directory and port after [`Server::kill`] or [`Server::stop`].
    pub fn restart(&mut self) {
        let start = Instant::now();
        loop {
            match self.try_run() {
                Ok(()) => return,
                // PostgreSQL refuses while processes of the killed server are still there.
                Err(_) if self.engine == Engine::Postgres && start.elapsed() < START_LIMIT => {
                    thread::sleep(Duration::from_millis(50));
                }
                Err(refused) => {
                    panic!(
                        "does not start again ({:?}): {}",
                        refused.code, refused.output
                    )
                }
            }
        }
    }

    /// SIGTERM, then waits for the end. Gives the exit code.
    pub fn stop(&mut self) -> Option<i32> {
        self.signal(rustix::process::Signal::TERM);
        self.wait_exit()
    }

    pub fn pid(&self) -> u32 {
        self.child.as_ref().expect("running").id()
    }

    pub fn signal(&self, signal: rustix::process::Signal) {
        let child = self.child.as_ref().expect("running");
        rustix::process::kill_process(rustix::process::Pid::from_child(child), signal).unwrap();
    }

    pub fn wait_exit(&mut self) -> Option<i32> {
        let mut child = self.child.take().expect("running");
        let start = Instant::now();
        loop {
            if let Some(status) = child.try_wait().unwrap() {
                return status.code();
            }
            if start.elapsed() > STOP_LIMIT {
                child.kill().unwrap();
                child.wait().unwrap();
                panic!(
                    "still running {STOP_LIMIT:?} after the signal: {}",
                    self.log_tail()
                );
            }
            thread::sleep(Duration::from_millis(5));
        }
    }

    /// Whether the process is still there.
    pub fn is_running(&mut self) -> bool {
        let child = self.child.as_mut().expect("started");
        child.try_wait().unwrap().is_none()
    }

    /// Tries to start a further server and gives its refusal.
    pub fn start_refused(&self, data: &Path, port: u16) -> Refused {
        let mut command = self.command(data, port);
        let out = run(&mut command, "", Duration::from_secs(20));
        Refused {
            code: out.status.code(),
            output: text(&out),
        }
    }

    pub fn log_tail(&self) -> String {
        let log = fs::read_to_string(self.log()).unwrap_or_default();
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(30)..].join("\n")
    }

    /// `host=… port=…` for libpq and tokio-postgres.
    pub fn conninfo(&self) -> String {
        format!(
            "host=127.0.0.1 port={} user=postgres dbname=postgres",
            self.port
        )
    }

    pub fn config(&self) -> Config {
        self.conninfo().parse().unwrap()
    }

    /// A session through tokio-postgres.
    pub async fn connect(&self) -> Client {
        self.try_connect().await.expect("a session")
    }

    pub async fn try_connect(&self) -> Result<Client, tokio_postgres::Error> {
        let (client, connection) = self.config().connect(NoTls).await?;
        tokio::spawn(connection);
        Ok(client)
    }

    /// A libpq program (psql, pgbench) that will talk to this server.
    pub fn libpq(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        for (name, _) in std::env::vars() {
            if name.starts_with("PG") {
                command.env_remove(name);
            }
        }
        command
            .env("PGHOST", "127.0.0.1")
            .env("PGPORT", self.port.to_string())
            .env("PGUSER", "postgres")
            .env("PGDATABASE", "postgres")
            .env("PGSSLMODE", "prefer")
            .env("LC_ALL", "C.UTF-8")
            .env("PAGER", "cat")
            .current_dir(self.dir.path());
        command
    }

    /// A directory that lives as long as the server, for files of a test.
    pub fn scratch(&self) -> &Path {
        self.dir.path()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if thread::panicking() {
            eprintln!("--- {:?}'s log ---\n{}", self.engine, self.log_tail());
        }
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
        if self.engine == Engine::Postgres {
            // The killed postmaster's processes notice within moments; the directory is
            // removed once they stop writing into it.
            thread::sleep(Duration::from_millis(100));
        }
    }
}

/// Runs a command to its end with this standard input; a command that hangs is a failure.
pub fn run(command: &mut Command, stdin: &str, limit: Duration) -> Output {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|e| panic!("{command:?}: {e}"));
    let mut pipe = child.stdin.take().unwrap();
    let (mut out, mut err) = (child.stdout.take().unwrap(), child.stderr.take().unwrap());
    thread::scope(|scope| {
        // A program that ends without reading its input is no failure of the test.
        scope.spawn(move || pipe.write_all(stdin.as_bytes()).ok());
        let stdout = scope.spawn(move || read_all(&mut out));
        let stderr = scope.spawn(move || read_all(&mut err));
        let start = Instant::now();
        let status = loop {
            if let Some(status) = child.try_wait().unwrap() {
                break status;
            }
            if start.elapsed() > limit {
                child.kill().unwrap();
                child.wait().unwrap();
                let (out, err) = (stdout.join().unwrap(), stderr.join().unwrap());
                panic!(
                    "{command:?} still runs after {limit:?}\n{}\n{}",
                    String::from_utf8_lossy(&out),
                    String::from_utf8_lossy(&err)
                );
            }
            thread::sleep(Duration::from_millis(2));
        };
        Output {
            status,
            stdout: stdout.join().unwrap(),
            stderr: stderr.join().unwrap(),
        }
    })
}

fn read_all(from: &mut impl Read) -> Vec<u8> {
    let mut all = Vec::new();
    from.read_to_end(&mut all).unwrap();
    all
}

/// Runs a command that must succeed.
pub fn run_ok(command: &mut Command, stdin: &str) -> String {
    let out = run(command, stdin, COMMAND_LIMIT);
    assert!(
        out.status.success(),
        "{command:?}: {}\n{}",
        out.status,
        text(&out)
    );
    text(&out)
}

/// Standard output and standard error of a finished command.
pub fn text(out: &Output) -> String {
    format!(
        "{}{}",
        String::from_utf8_lossy(&out.stdout),
        String::from_utf8_lossy(&out.stderr)
    )
}

/// Isolation levels of sessions that race each other.
pub const LEVELS: [&str; 4] = [
    "READ COMMITTED",
    "READ COMMITTED",
    "REPEATABLE READ",
    "SERIALIZABLE",
];

/// Whether a statement succeeded, or failed by one of the codes that are `expected`; `None` when the
/// server is gone.
pub async fn attempt(client: &Client, sql: &str, expected: &[&str]) -> Option<bool> {
    let Err(error) = client.batch_execute(sql).await else {
        return Some(true);
    };
    let code = error.code()?.code();
    assert!(expected.contains(&code), "{sql}: {error:?}");
    Some(false)
}

/// A port nobody listens on, below the range from which the kernel gives outgoing connections
/// theirs. No other test process gets it while this one runs, not even while a server restarts: the
/// listener of that name, in no file system and on no network, goes with the process.
pub fn free_port() -> u16 {
    loop {
        let port = rand::rng().random_range(20_000..32_000);
        let name = SocketAddr::from_abstract_name(format!("walnut-test-port-{port}")).unwrap();
        let Ok(reserved) = UnixListener::bind_addr(&name) else {
            continue;
        };
        if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            std::mem::forget(reserved);
            return port;
        }
    }
}

/// PostgreSQL refuses to run as root: the ids of its user, when we are root.
fn postgres_user() -> Option<(u32, u32)> {
    let id = |args: &[&str]| -> Option<u32> {
        let out = Command::new("id").args(args).output().ok()?;
        String::from_utf8(out.stdout).ok()?.trim().parse().ok()
    };
    if id(&["-u"])? != 0 {
        return None;
    }
    Some((id(&["-u", "postgres"])?, id(&["-g", "postgres"])?))
}

fn as_postgres(mut command: Command) -> Command {
    if let Some((uid, gid)) = postgres_user() {
        command.uid(uid).gid(gid).current_dir("/");
    }
    command
}
