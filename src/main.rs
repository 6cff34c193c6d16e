//! The command line.

mod check;
mod inspect;
mod options;
mod progress;

use std::io::IsTerminal;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};
use tokio::runtime::{Builder, Runtime};
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::EnvFilter;
use walnut::base::{Error, Result};
use walnut::database::{Database, Options};
use walnut::session::server_setting;
use walnut::wire::{Config, Server};

use options::DataDirectory;
use progress::Teller;

/// Commits copy pages of 8 KiB and sessions free what the log's writer and others made: an
/// allocator with per-thread heaps that gives such blocks back cheaply.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// PostgreSQL in a nutshell: a Postgres-wire-compatible database in one binary.
#[derive(Parser)]
#[command(version, args_conflicts_with_subcommands = true)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    serve: Serve,
}

#[derive(Subcommand)]
enum Command {
    /// Serves a data directory (what happens without a command, too)
    Serve(Serve),
    /// Prints the log of a data directory, whether a server runs on it or not
    Wal(inspect::Wal),
    /// Verify a data directory on which no server runs
    Check(check::Check),
}

#[derive(Args)]
struct Serve {
    #[command(flatten)]
    directory: DataDirectory,

    /// The host name or address to listen on
    #[arg(long, default_value = "127.0.0.1", value_name = "ADDR")]
    listen: String,

    #[arg(long, default_value_t = 5432, value_name = "N")]
    port: u16,

    /// Where to put the Unix socket [default: the data directory, so `psql -h DIR` finds it]
    #[arg(long, value_name = "DIR")]
    socket_dir: Option<PathBuf>,

    #[arg(long, default_value_t = 100, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    max_connections: u16,

    /// Listen beyond this machine although there are no passwords yet: anyone who reaches the
    /// port can read and change everything
    #[arg(long)]
    insecure_listen: bool,

    /// A setting for all sessions, or one of the server's own: checkpoint_timeout, fsync,
    /// max_transaction_memory, max_wal_size, shared_buffers, wal_segment_size
    #[arg(short = 'c', value_name = "NAME=VALUE")]
    settings: Vec<String>,

    /// The longest message accepted from a client
    #[arg(long, default_value_t = (1 << 30) - 1, value_name = "BYTES", hide = true)]
    message_bytes_max: usize,
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_target(false)
        .with_ansi(std::io::stderr().is_terminal())
        .init();
    let runtime = match runtime() {
        Ok(runtime) => runtime,
        Err(error) => return fail(&Error::io("start the runtime", error)),
    };
    let serve = match cli.command {
        Some(Command::Serve(serve)) => serve,
        Some(Command::Wal(wal)) => return finish(inspect::print_log(&wal)),
        Some(Command::Check(directory)) => return finish(check::check(&directory, &runtime)),
        None => cli.serve,
    };
    let result = runtime.block_on(run(serve));
    runtime.shutdown_background();
    finish(result)
}

fn finish(result: Result<()>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(&error),
    }
}

/// How many tasks a worker runs before it looks whether more sockets are ready. Seldom is cheap,
/// but a worker with few tasks left lets the others look and wake one another for it: with 16
/// clients on two cores, 8 instead of tokio's 61 gives a tenth more point reads.
const EVENT_INTERVAL: u32 = 8;

/// More than there can be sessions: each may have a thread on which it computes, or waits for an
/// advisory lock, and must not keep the others from running.
const THREADS_MAX: usize = u16::MAX as usize + 64;

fn runtime() -> std::io::Result<Runtime> {
    Builder::new_multi_thread()
        .max_blocking_threads(THREADS_MAX)
        .event_interval(EVENT_INTERVAL)
        .enable_all()
        .build()
}

fn fail(error: &Error) -> ExitCode {
    let report = error.report();
    match report.hint {
        Some(hint) => eprintln!("walnut: {} ({hint})", report.message),
        None => eprintln!("walnut: {}", report.message),
    }
    ExitCode::FAILURE
}

async fn run(serve: Serve) -> Result<()> {
    let addresses = addresses(&serve).await?;
    let stop = stop_signal()?;
    let mut settings = settings(&serve.settings)?;
    for name in ["shared_buffers", "max_transaction_memory"] {
        if !settings.iter().any(|(given, _)| *given == name) {
            settings.push((name, quarter_of_memory().to_string()));
        }
    }
    let options = database_options(&settings);
    if !options.fsync {
        tracing::warn!("fsync is off: a crash of this machine loses or ruins the data");
    }
    let mut teller = Teller::new();
    let opened = Database::open_telling(&serve.directory.data, options, &mut |p| teller.tell(p));
    drop(teller);
    let (database, recovered) = opened?;
    tracing::info!("{recovered}");
    let is_default_dir = serve.socket_dir.is_none();
    let socket_dir = serve
        .socket_dir
        .unwrap_or_else(|| serve.directory.data.clone());
    let config = Config {
        addresses,
        port: serve.port,
        socket_dir: Some(std::path::absolute(&socket_dir).unwrap_or(socket_dir)),
        max_connections: serve.max_connections.into(),
        allow_remote: serve.insecure_listen,
        message_bytes_max: serve.message_bytes_max,
        data_directory: std::path::absolute(&serve.directory.data).unwrap_or(serve.directory.data),
        settings,
    };
    let server = bind(config.clone(), is_default_dir, &database).await?;
    announce(&config, &server);
    tokio::select! {
        () = server.run(stop) => {}
        error = database.wait_poisoned() => {
            // Nothing may run any more: recovery decides what was committed.
            eprintln!("walnut: {error}");
            std::process::exit(1);
        }
    }
    let closing = tokio::task::spawn_blocking(move || database.shutdown());
    closing
        .await
        .map_err(|e| Error::io("shut down", e.into()))??;
    tracing::info!("shut down");
    Ok(())
}

/// The settings given with `-c`.
fn settings(given: &[String]) -> Result<Vec<(&'static str, String)>> {
    let parse = |setting: &String| {
        let what = || format!("take the setting \"{setting}\"");
        let refused = |why: &str| Error::io(what(), std::io::Error::other(why));
        let (name, value) = setting
            .split_once('=')
            .ok_or_else(|| refused("it must look like NAME=VALUE"))?;
        let (name, value) = server_setting(name.trim(), value.trim())?;
        match name {
            "port" | "max_connections" => Err(refused("it has an option of its own, see --help")),
            "data_directory" => Err(refused("use --data")),
            "listen_addresses" => Err(refused("use --listen")),
            _ => Ok((name, value)),
        }
    };
    given.iter().map(parse).collect()
}

/// A quarter of the machine's memory in kB, what people are told to give PostgreSQL's
/// shared_buffers.
fn quarter_of_memory() -> u64 {
    let info = rustix::system::sysinfo();
    (info.totalram * u64::from(info.mem_unit) / 4 / 1024).max(128)
}

fn database_options(settings: &[(&'static str, String)]) -> Options {
    let mut options = Options::default();
    for (name, value) in settings {
        match (*name, value.parse::<u64>()) {
            ("fsync", _) => options.fsync = value == "on",
            ("wal_segment_size", Ok(kilobytes)) => options.wal.segment_bytes = kilobytes * 1024,
            ("max_transaction_memory", Ok(kilobytes)) => {
                options.max_transaction_memory = kilobytes * 1024;
            }
            ("shared_buffers", Ok(kilobytes)) => options.shared_buffers = kilobytes * 1024,
            ("max_wal_size", Ok(kilobytes)) => options.max_wal_size = kilobytes * 1024,
            ("checkpoint_timeout", Ok(millis)) => {
                options.checkpoint_timeout = Duration::from_millis(millis);
            }
            _ => {}
        }
    }
    options
}

/// A data directory may lie too deep for a Unix socket; then TCP has to do, unless a directory
/// was asked for.
async fn bind(config: Config, may_skip: bool, database: &Arc<Database>) -> Result<Server> {
    let without = Config {
        socket_dir: None,
        ..config.clone()
    };
    let long = config
        .socket_dir
        .as_ref()
        .is_some_and(|d| d.as_os_str().len() > 90);
    match may_skip && long {
        true => {
            tracing::warn!("no Unix socket: the path of the data directory is too long for one");
            Server::bind(without, database.clone()).await
        }
        false => Server::bind(config, database.clone()).await,
    }
}

/// The addresses to listen on; beyond this machine only if the operator insists.
async fn addresses(serve: &Serve) -> Result<Vec<SocketAddr>> {
    let what = || format!("listen on {}", serve.listen);
    let found = tokio::net::lookup_host((serve.listen.as_str(), serve.port)).await;
    let found: Vec<_> = found.map_err(|e| Error::io(what(), e))?.collect();
    let is_remote = |a: &SocketAddr| !a.ip().to_canonical().is_loopback();
    if found.iter().any(is_remote) && !serve.insecure_listen {
        return Err(Error::io(
            what(),
            std::io::Error::other(
                "there are no passwords yet, so only this machine may connect; \
                 --insecure-listen opens it to everyone",
            ),
        ));
    }
    Ok(found)
}

fn announce(config: &Config, server: &Server) {
    for address in server.addresses() {
        let (host, port) = (address.ip(), address.port());
        tracing::info!("ready: psql -h {host} -p {port} -U postgres");
    }
    if let Some(dir) = &config.socket_dir {
        let dir = dir.display();
        tracing::info!("ready: psql -h {dir} -p {} -U postgres", config.port);
    }
}

/// Ready at the first SIGINT or SIGTERM; a second one ends the process at once.
fn stop_signal() -> Result<impl Future<Output = ()>> {
    let register = |kind| signal(kind).map_err(|e| Error::io("wait for signals", e));
    let mut interrupt = register(SignalKind::interrupt())?;
    let mut terminate = register(SignalKind::terminate())?;
    Ok(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
        tracing::info!("stopping");
        tokio::spawn(async move {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
            std::process::exit(1);
        });
    })
}
