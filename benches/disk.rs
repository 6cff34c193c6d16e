//! Measures what a small durable write costs, to choose how the log writes its groups.
//!
//! `cargo bench --bench disk [-- --seconds N] [--dir DIR]`
//!
//! One thread writes and syncs blocks one behind the other in a 16 MiB file, each way in turn,
//! round by round. Syncs per second are the median of the rounds, the times those of all rounds.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use rustix::fs::OFlags;

const FILE_BYTES: u64 = 16 << 20;
const ALIGNED: usize = 4096;
const ROUNDS: usize = 5;

struct Way {
    name: &'static str,
    flags: OFlags,
    /// Whether the file holds synced zeros before; else it is one large hole.
    zeroed: bool,
    /// Whether each write is followed by fdatasync.
    sync: bool,
    block: usize,
}

const fn way(name: &'static str, flags: OFlags, sync: bool, block: usize) -> Way {
    Way {
        name,
        flags,
        zeroed: true,
        sync,
        block,
    }
}

const WAYS: [Way; 10] = [
    way("fdatasync", OFlags::empty(), true, 4096),
    way("O_DSYNC", OFlags::DSYNC, false, 4096),
    way("O_DIRECT, fdatasync", OFlags::DIRECT, true, 4096),
    way(
        "O_DIRECT, O_DSYNC",
        OFlags::DIRECT.union(OFlags::DSYNC),
        false,
        4096,
    ),
    Way {
        zeroed: false,
        ..way("fdatasync into a hole", OFlags::empty(), true, 4096)
    },
    Way {
        zeroed: false,
        ..way("O_DIRECT into a hole", OFlags::DIRECT, true, 4096)
    },
    way("O_DIRECT, fdatasync", OFlags::DIRECT, true, 512),
    way("O_DIRECT, fdatasync", OFlags::DIRECT, true, 8192),
    way("O_DIRECT, fdatasync", OFlags::DIRECT, true, 16384),
    way("fdatasync", OFlags::empty(), true, 512),
];

/// A file of 16 MiB, synced.
fn prepare(path: &Path, zeroed: bool) {
    let _ = std::fs::remove_file(path);
    let file = File::create(path).expect("a file");
    match zeroed {
        true => file.write_all_at(&vec![0; 16 << 20], 0).expect("zeros"),
        false => file.set_len(FILE_BYTES).expect("a hole"),
    }
    file.sync_all().expect("a sync");
}

/// Syncs per second; the time of each goes into `times`.
fn run(way: &Way, dir: &Path, time: Duration, times: &mut Histogram<u64>) -> f64 {
    let path = dir.join("walnut-bench-disk");
    prepare(&path, way.zeroed);
    let mut options = OpenOptions::new();
    options
        .write(true)
        .custom_flags(way.flags.bits().cast_signed());
    let file = options.open(&path).expect("the file just made");
    let memory = vec![7; way.block + ALIGNED];
    let block = &memory[memory.as_ptr().align_offset(ALIGNED)..][..way.block];
    let (started, mut at, mut syncs) = (Instant::now(), 0, 0_u32);
    while started.elapsed() < time && at < FILE_BYTES {
        let before = Instant::now();
        file.write_all_at(block, at).expect("a write");
        if way.sync {
            file.sync_data().expect("a sync");
        }
        times.saturating_record(u64::try_from(before.elapsed().as_nanos()).unwrap_or(u64::MAX));
        at += block.len() as u64;
        syncs += 1;
    }
    let rate = f64::from(syncs) / started.elapsed().as_secs_f64();
    let _ = std::fs::remove_file(&path);
    rate
}

fn main() {
    let mut arguments = std::env::args().skip(1);
    let (mut seconds, mut dir) = (0.5, std::env::temp_dir());
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--seconds" => {
                let value = arguments.next().and_then(|v| v.parse().ok());
                seconds = value.expect("--seconds takes a number");
            }
            "--dir" => dir = PathBuf::from(arguments.next().expect("--dir takes a directory")),
            _ => {}
        }
    }
    let histogram = || Histogram::new_with_bounds(1, 60_000_000_000, 3).expect("sane bounds");
    let mut all: Vec<(Vec<f64>, Histogram<u64>)> =
        WAYS.iter().map(|_| (Vec::new(), histogram())).collect();
    for _ in 0..ROUNDS {
        for (way, (rates, times)) in WAYS.iter().zip(&mut all) {
            rates.push(run(way, &dir, Duration::from_secs_f64(seconds), times));
        }
    }
    println!(
        "{:<24}{:>8}{:>10}{:>10}{:>10}",
        "way", "bytes", "syncs/s", "p50 us", "p99 us"
    );
    for (way, (mut rates, times)) in WAYS.iter().zip(all) {
        rates.sort_by(f64::total_cmp);
        let micros = |quantile| times.value_at_quantile(quantile) as f64 / 1000.0;
        println!(
            "{:<24}{:>8}{:>10.0}{:>10.1}{:>10.1}",
            way.name,
            way.block,
            rates[ROUNDS / 2],
            micros(0.5),
            micros(0.99)
        );
    }
}
