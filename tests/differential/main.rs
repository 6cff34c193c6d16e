//! Random programs against two servers: each statement of a random session is answered by Walnut
//! and by PostgreSQL 15, and the answers must be the same to the byte: columns with their types,
//! rows, tags, notices, errors with all fields, the transaction's status. At a program's end the
//! contents of all tables, the positions of sequences and the catalogs are compared, and Walnut's
//! pages checked; in between, Walnut is killed or restarted now and then.
//!
//! - `generator/`: writes the next step, for the tables that PostgreSQL's catalog shows (`schema.rs`);
//! - `program.rs`, `link.rs`, `pair.rs`: a step, and who it is asked of;
//! - `answer.rs`: what came back, and how it compares.
//!
//! A program that fails is shortened as long as it fails, and printed.
//!
//! What PostgreSQL leaves to chance (the order of its heap, of its hash tables) is not asked for, or
//! not compared: rows are compared as a bag unless ORDER BY decides; where a statement goes through
//! several rows and both servers fail by one of them, any of 21xxx, 22xxx and 23xxx is as good as
//! another (counted as "by chance"). What Walnut answers with 0A000 is counted and not asked of
//! PostgreSQL.
//!
//! Without settings the same programs run each time, so that a change fails by what it changed.
//! `WALNUT_DIFFERENTIAL_SECONDS` sets how long to go on, with new programs;
//! `WALNUT_DIFFERENTIAL_SEED` repeats a run,
//! `WALNUT_DIFFERENTIAL_FAILURES` how many different failures end it.

// A test fails by its `unwrap`; this is no library.
#![allow(clippy::unwrap_used, unreachable_pub)]

mod answer;
#[path = "../common/mod.rs"]
mod common;
mod generator;
mod link;
mod pair;
mod program;
mod schema;

use std::time::{Duration, Instant};

use generator::Generator;
use pair::{Difference, Pair};
use program::{Program, listing, shrink};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

const SECONDS: f64 = 8.0;
const SEED: u64 = 1;
const SHRINK_SECONDS: u64 = 60;
const STEPS: std::ops::Range<usize> = 10..60;

fn setting<T: std::str::FromStr>(name: &str) -> Option<T> {
    std::env::var(name).ok().and_then(|text| text.parse().ok())
}

#[test]
fn walnut_answers_random_programs_as_postgres_does() {
    let Some(mut pair) = Pair::start() else {
        return common::skip("PostgreSQL 15 is not installed");
    };
    let long: Option<f64> = setting("WALNUT_DIFFERENTIAL_SECONDS");
    let chosen = long.map_or(SEED, |_| rand::random());
    let seed: u64 = setting("WALNUT_DIFFERENTIAL_SEED").unwrap_or(chosen);
    let seconds = long.unwrap_or(SECONDS);
    let failures_max = setting("WALNUT_DIFFERENTIAL_FAILURES").unwrap_or(1);
    eprintln!("WALNUT_DIFFERENTIAL_SEED={seed}");
    let start = Instant::now();
    let (mut programs, mut failures) = (0_u64, 0);
    while start.elapsed().as_secs_f64() < seconds && failures < failures_max {
        let seed = seed.wrapping_add(programs);
        if let Err((program, difference)) = random_program(&mut pair, seed) {
            eprintln!(
                "\nprogram {programs} (WALNUT_DIFFERENTIAL_SEED={seed}), found after {:.1} s",
                start.elapsed().as_secs_f64()
            );
            report(&mut pair, program, difference);
            failures += 1;
        }
        programs += 1;
    }
    let counts = &pair.counts;
    eprintln!(
        "{programs} programs, {} statements ({} failed on both, {:.1} % not supported, {} by \
         chance), {} rows, {} kills, {} restarts in {:.0} s",
        counts.statements,
        counts.failed,
        counts.unsupported as f64 * 100.0 / counts.statements as f64,
        counts.by_chance,
        counts.rows,
        counts.kills,
        counts.restarts,
        start.elapsed().as_secs_f64()
    );
    for (message, count) in &counts.missing {
        eprintln!("{count:6} {message}");
    }
    assert_eq!(failures, 0, "programs with different answers");
}

/// Writes a program while it runs.
fn random_program(pair: &mut Pair, seed: u64) -> Result<(), (Program, Difference)> {
    let mut rng = StdRng::seed_from_u64(seed);
    let steps = rng.random_range(STEPS);
    let mut generator = Generator::new(rng);
    let mut program = Program::new();
    pair.reset();
    for _ in 0..steps {
        let step = generator.step(pair);
        program.push(step);
        if let Err(difference) = pair.step(program.last().unwrap()) {
            return Err((program, difference));
        }
    }
    pair.compare_all()
        .map_err(|difference| (program, difference))
}

fn report(pair: &mut Pair, program: Program, first: Difference) {
    let long = program.clone();
    let deadline = Instant::now() + Duration::from_secs(SHRINK_SECONDS);
    let program = shrink(program, |shorter| {
        Instant::now() < deadline
            && matches!(pair.run(shorter), Err((_, found)) if found.what == first.what)
    });
    match pair.run(&program) {
        Err((_, found)) => {
            eprintln!("{}:\n{}{}", found.what, listing(&program), found.report);
        }
        // It depends on more than the program.
        Ok(()) => eprintln!("{} once:\n{}{}", first.what, listing(&long), first.report),
    }
}
