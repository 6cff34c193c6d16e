//! Waiting, leading, failing.

use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread;
use std::time::{Duration, Instant};

use super::disk::{Fault, TestDisk};
use super::{
    DATABASE, blob, commit, create, dir, open, options, segment_path, stream, within_seconds,
};
use crate::base::sync::{AtomicU64, AtomicUsize, Mutex, Ordering};
use crate::base::{Error, Lsn, Result, SqlState, TxnId};
use crate::disk::Disk;
use crate::wal::coordinator::block_on;
use crate::wal::{Log, Options, Position};

/// Counts its wakes and notes their order.
struct Counter {
    name: usize,
    wakes: AtomicUsize,
    order: Arc<Mutex<Vec<usize>>>,
}

impl Wake for Counter {
    fn wake(self: Arc<Self>) {
        self.wakes.fetch_add(1, Ordering::SeqCst);
        self.order.lock().push(self.name);
    }
}

fn counter(name: usize, order: &Arc<Mutex<Vec<usize>>>) -> Arc<Counter> {
    Arc::new(Counter {
        name,
        wakes: AtomicUsize::new(0),
        order: Arc::clone(order),
    })
}

fn poll<F: Future + Unpin>(future: &mut F, counter: &Arc<Counter>) -> Poll<F::Output> {
    let waker = Waker::from(Arc::clone(counter));
    Pin::new(future).poll(&mut Context::from_waker(&waker))
}

/// Waits for what others bring about.
fn until(happened: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !happened() {
        assert!(Instant::now() < deadline, "it does not happen");
        thread::yield_now();
    }
}

fn is_poisoned<T>(result: &Result<T>) -> bool {
    matches!(result, Err(Error::Poisoned(_)))
}

#[test]
fn a_lone_commit_is_led_on_its_own_thread_and_a_crowd_by_the_writer_thread() {
    let disk = TestDisk::default();
    let log = create(&disk);
    let (disk2, log2) = (disk.clone(), Arc::clone(&log));
    let lone = thread::Builder::new().name("lone".to_owned());
    lone.spawn(move || {
        for txn in 0..20 {
            commit(&log2, blob(txn, 10));
        }
        assert_eq!(disk2.take_sync_threads(), vec!["lone"; 20]);
    })
    .unwrap()
    .join()
    .unwrap();
    log.reserve_and_enqueue(blob(30, 10));
    let lsn = log.reserve_and_enqueue(blob(31, 10));
    log.wait_commit_at_least(lsn).unwrap();
    disk.take_sync_threads();
    // The last group held two blobs: somebody else is about.
    commit(&log, blob(32, 10));
    assert_eq!(disk.take_sync_threads(), ["wal-writer"]);
}

#[test]
fn nothing_is_acknowledged_or_visible_before_its_sync_returns() {
    let disk = TestDisk::default();
    let log = create(&disk);
    disk.close_gate();
    let end = log.reserve_and_enqueue(blob(1, 10));
    let waiter = thread::spawn({
        let log = Arc::clone(&log);
        move || log.wait_commit_at_least(end)
    });
    disk.wait_for_sync_at_gate();
    thread::sleep(Duration::from_millis(50));
    assert_eq!((log.written_lsn(), log.durable_lsn()), (end, Lsn::ZERO));
    assert!(!waiter.is_finished());
    disk.open_gate();
    within_seconds(move || waiter.join().unwrap().unwrap());
    assert_eq!(log.durable_lsn(), end);
}

/// A follower that loses the election and parks just after the leader looked at the queue must
/// be found by somebody, without a timer.
#[test]
fn a_follower_that_loses_the_election_is_served_next() {
    let disk = TestDisk::default();
    let log = create(&disk);
    within_seconds(move || {
        for round in 0..300 {
            disk.close_gate();
            let first = log.reserve_and_enqueue(blob(2 * round, 10));
            let leader = thread::spawn({
                let log = Arc::clone(&log);
                move || log.wait_commit_at_least(first).unwrap()
            });
            disk.wait_for_sync_at_gate();
            if round % 2 == 0 {
                disk.open_gate();
            }
            let second = log.reserve_and_enqueue(blob(2 * round + 1, 10));
            let follower = thread::spawn({
                let log = Arc::clone(&log);
                move || log.wait_commit_at_least(second).unwrap()
            });
            disk.open_gate();
            leader.join().unwrap();
            follower.join().unwrap();
        }
    });
}

#[test]
fn a_hole_holds_back_what_is_behind_it_and_wakes_nobody_too_early() {
    let disk = TestDisk::default();
    let log = create(&disk);
    let order = Arc::default();
    let before = log.reserve_and_enqueue(blob(1, 10));
    let late = blob(2, 10);
    let hole = log.reserve(late.len());
    let behind = log.reserve_and_enqueue(blob(3, 10));
    let last = log.reserve_and_enqueue(blob(4, 10));
    let (one, three, four) = (counter(1, &order), counter(3, &order), counter(4, &order));
    let mut wait_four = log.commit_at_least(last);
    let mut wait_three = log.commit_at_least(behind);
    let mut wait_one = log.commit_at_least(before);
    disk.close_gate();
    assert!(poll(&mut wait_three, &three).is_pending());
    assert!(poll(&mut wait_four, &four).is_pending());
    assert!(poll(&mut wait_one, &one).is_pending());
    disk.open_gate();
    let wakes = |c: &Counter| c.wakes.load(Ordering::SeqCst);
    until(|| wakes(&one) == 1);
    assert!(poll(&mut wait_one, &one).is_ready());
    thread::sleep(Duration::from_millis(30));
    assert_eq!(log.durable_lsn(), before);
    assert_eq!((wakes(&three), wakes(&four)), (0, 0));
    // Nobody waits for the one that fills the hole, yet those behind it go on.
    hole.publish(late);
    until(|| wakes(&three) == 1 && wakes(&four) == 1);
    assert_eq!(*order.lock(), [1, 3, 4], "earliest first");
    assert!(poll(&mut wait_three, &three).is_ready());
    assert!(poll(&mut wait_four, &four).is_ready());
    drop((wait_one, wait_three, wait_four));
    drop(log);
    let txns: Vec<_> = open(&disk).replayed.into_iter().map(|r| r.1).collect();
    assert_eq!(txns, [1, 2, 3, 4].map(TxnId));
}

#[test]
fn one_sync_covers_all_that_came_during_the_sync_before_and_wakes_them_once_in_order() {
    let disk = TestDisk::default();
    let log = create(&disk);
    let order = Arc::default();
    disk.close_gate();
    let ends: Vec<_> = (0..40)
        .map(|txn| {
            let end = log.reserve_and_enqueue(blob(txn, 10));
            if txn == 0 {
                log.write_soon();
                disk.wait_for_sync_at_gate();
            }
            end
        })
        .collect();
    let mut waits: Vec<_> = ends.iter().map(|end| log.commit_at_least(*end)).collect();
    let counters: Vec<_> = (0..40).map(|name| counter(name, &order)).collect();
    for (wait, counter) in waits.iter_mut().zip(&counters).rev() {
        assert!(poll(wait, counter).is_pending());
    }
    disk.take_sync_threads();
    disk.open_gate();
    log.wait_commit_at_least(ends[39]).unwrap();
    until(|| order.lock().len() == 40);
    assert_eq!(*order.lock(), (0..40).collect::<Vec<_>>());
    assert_eq!(disk.take_sync_threads(), ["wal-writer"]);
}

#[test]
fn a_wait_that_is_dropped_leaves_nothing_behind_and_its_commit_becomes_durable() {
    let disk = TestDisk::default();
    let log = create(&disk);
    disk.close_gate();
    let order = Arc::default();
    let counter = counter(0, &order);
    let first = log.reserve_and_enqueue(blob(0, 10));
    let second = log.reserve_and_enqueue(blob(1, 10));
    let mut wait = log.commit_at_least(first);
    assert!(poll(&mut wait, &counter).is_pending());
    drop(wait);
    disk.open_gate();
    log.wait_commit_at_least(second).unwrap();
    assert_eq!(counter.wakes.load(Ordering::SeqCst), 0);
    // The writer thread has looked for the last time.
    thread::sleep(Duration::from_millis(20));
    let third = log.reserve_and_enqueue(blob(2, 10));
    drop(log.commit_at_least(third));
    until(|| log.durable_lsn() == third);
}

#[test]
fn concurrent_commits_are_all_durable_and_lie_in_the_order_of_their_lsns() {
    let disk = TestDisk::default();
    let log = create(&disk);
    let taken = Arc::new(Mutex::new(Vec::new()));
    within_seconds({
        let (log, taken) = (Arc::clone(&log), Arc::clone(&taken));
        move || {
            thread::scope(|scope| {
                for worker in 0..8_u64 {
                    let (log, taken) = (&log, &taken);
                    scope.spawn(move || {
                        for i in 0..300 {
                            let txn = worker * 1000 + i;
                            let bytes = usize::try_from(txn * 37 % 900).unwrap();
                            block_on(log.wait_room()).unwrap();
                            let end = commit(log, blob(txn, bytes));
                            assert!(log.durable_lsn() >= end);
                            taken.lock().push((end, TxnId(txn)));
                        }
                    });
                }
            });
        }
    });
    drop(log);
    let mut taken = taken.lock().clone();
    taken.sort_unstable();
    assert_eq!(open(&disk).replayed, taken);
}

#[test]
fn an_acknowledged_commit_survives_a_power_cut_at_any_time() {
    let disk = TestDisk::default();
    let log = create(&disk);
    let acknowledged = AtomicU64::new(0);
    thread::scope(|scope| {
        let writers: Vec<_> = (0..4_u64)
            .map(|writer| {
                let (log, acknowledged) = (&log, &acknowledged);
                scope.spawn(move || {
                    for i in 0..150 {
                        let end = commit(log, blob(writer + 4 * i, 500));
                        acknowledged.fetch_max(end.0, Ordering::SeqCst);
                        thread::sleep(Duration::from_micros(100));
                    }
                })
            })
            .collect();
        while !writers.iter().all(|writer| writer.is_finished()) {
            let promised = Lsn(acknowledged.load(Ordering::SeqCst));
            let opened = open(&disk.copy(true));
            assert!(opened.recovered.end >= promised);
            let blob_bytes = blob(0, 500).len() as u64;
            for (n, (end, _)) in (1..).zip(&opened.replayed) {
                assert_eq!(end.0, n * blob_bytes);
            }
        }
    });
    drop(log);
    assert_eq!(open(&disk.copy(true)).replayed.len(), 600);
}

/// Everybody who waits: the leader's commit, followers of both forms, one who wants room.
fn everybody_gets_the_failure(fail: impl FnOnce(&TestDisk), inline: bool) {
    let disk = TestDisk::default();
    let queued_bytes_max = 100;
    let log = Log::create(
        Arc::new(disk.clone()),
        dir(),
        DATABASE,
        Options {
            queued_bytes_max,
            ..options()
        },
    )
    .unwrap();
    let good = commit(&log, blob(1, 10));
    disk.close_gate();
    if !inline {
        log.reserve_and_enqueue(blob(2, 10));
    }
    let led = log.reserve_and_enqueue(blob(3, 10));
    let wait = |lsn| {
        let log = Arc::clone(&log);
        thread::spawn(move || {
            let wait = AssertUnwindSafe(|| log.wait_commit_at_least(lsn));
            std::panic::catch_unwind(wait).unwrap_or(Err(Error::Poisoned("a panic".into())))
        })
    };
    let mut waiters = vec![wait(led)];
    disk.wait_for_sync_at_gate();
    waiters.extend((4..10).map(|txn| wait(log.reserve_and_enqueue(blob(txn, 10)))));
    let room = thread::spawn({
        let log = Arc::clone(&log);
        move || block_on(log.wait_room())
    });
    let failed = thread::spawn({
        let log = Arc::clone(&log);
        move || block_on(log.wait_poisoned())
    });
    thread::sleep(Duration::from_millis(20));
    assert!(!room.is_finished() && !failed.is_finished());
    disk.take_sync_threads();
    fail(&disk);
    disk.open_gate();
    within_seconds(move || {
        for waiter in waiters {
            assert!(is_poisoned(&waiter.join().unwrap()));
        }
        assert!(is_poisoned(&room.join().unwrap()));
        assert!(matches!(failed.join().unwrap(), Error::Poisoned(_)));
    });
    assert!(log.poisoned().is_some());
    log.wait_commit_at_least(good).unwrap();
    // Nothing is tried again, nothing later is acknowledged.
    let lost = log.reserve_and_enqueue(blob(11, 10));
    assert!(is_poisoned(&log.wait_commit_at_least(lost)));
    log.write_soon();
    thread::sleep(Duration::from_millis(20));
    assert!(is_poisoned(&block_on(log.wait_room())));
    assert!(is_poisoned(&log.shutdown()));
    assert_eq!(log.durable_lsn(), good);
    assert_eq!(disk.take_sync_threads(), [""; 0]);
    drop(log);
    // A restart recovers.
    let opened = open(&disk.copy(true));
    assert_eq!(opened.replayed, [(good, TxnId(1))]);
    commit(&opened.log, blob(12, 10));
}

#[test]
fn a_failed_sync_of_an_inline_leader_reaches_everybody_and_is_never_retried() {
    everybody_gets_the_failure(|disk| disk.fail_next_sync(Fault::Io), true);
}

#[test]
fn a_failed_sync_of_the_writer_thread_reaches_everybody_and_is_never_retried() {
    everybody_gets_the_failure(|disk| disk.fail_next_sync(Fault::Io), false);
}

#[test]
fn a_panic_of_an_inline_leader_reaches_everybody() {
    everybody_gets_the_failure(|disk| disk.fail_next_sync(Fault::Panic), true);
}

#[test]
fn a_panic_of_the_writer_thread_reaches_everybody() {
    everybody_gets_the_failure(|disk| disk.fail_next_sync(Fault::Panic), false);
}

#[test]
fn a_failed_write_poisons_and_what_was_synced_before_stays_acknowledged() {
    let disk = TestDisk::default();
    let log = create(&disk);
    let good = commit(&log, blob(1, 10));
    disk.fail_next_write(Fault::Io);
    log.reserve_and_enqueue(blob(2, 10));
    let lost = log.reserve_and_enqueue(blob(3, 10));
    assert!(is_poisoned(&log.wait_commit_at_least(lost)));
    log.wait_commit_at_least(good).unwrap();
    drop(log);
    assert_eq!(open(&disk).replayed, [(good, TxnId(1))]);
}

#[test]
fn room_is_refused_while_too_much_is_queued_and_given_back_by_the_next_sync() {
    let disk = TestDisk::default();
    let options = Options {
        queued_bytes_max: 2000,
        ..options()
    };
    let log = Log::create(Arc::new(disk.clone()), dir(), DATABASE, options).unwrap();
    disk.close_gate();
    for txn in 0..4 {
        block_on(log.wait_room()).unwrap();
        log.reserve_and_enqueue(blob(txn, 500));
    }
    let waiter = thread::spawn({
        let log = Arc::clone(&log);
        move || block_on(log.wait_room())
    });
    // Whoever wants room has the queue written, even if no commit waits.
    disk.wait_for_sync_at_gate();
    thread::sleep(Duration::from_millis(20));
    assert!(!waiter.is_finished());
    disk.open_gate();
    within_seconds(move || waiter.join().unwrap().unwrap());
}

#[test]
fn a_full_disk_refuses_new_commits_only_and_goes_on_when_there_is_space_again() {
    let disk = TestDisk::default();
    disk.set_full(true);
    let full = Log::create(Arc::new(disk.clone()), dir(), DATABASE, options());
    assert!(full.is_err_and(|e| e.sqlstate() == SqlState::DISK_FULL));
    disk.set_full(false);
    let log = create(&disk);
    // The second segment is there, the third will not be.
    until(|| super::segment::list(&disk, dir()).unwrap().len() == 2);
    disk.set_full(true);
    let mut commits = 0;
    let error = loop {
        match block_on(log.wait_room()) {
            Ok(()) => commit(&log, blob(commits, 3000)),
            Err(error) => break error,
        };
        commits += 1;
        thread::sleep(Duration::from_millis(1));
    };
    assert_eq!(error.sqlstate(), SqlState::DISK_FULL);
    assert!(block_on(log.wait_room()).is_err());
    assert!(log.poisoned().is_none());
    disk.set_full(false);
    for _ in 0..20 {
        block_on(log.wait_room()).unwrap();
        commit(&log, blob(commits, 3000));
        commits += 1;
    }
    drop(log);
    assert_eq!(open(&disk).replayed.len() as u64, commits);
}

#[test]
fn a_shutdown_writes_what_is_queued_and_refuses_what_comes_later() {
    let disk = TestDisk::default();
    let log = create(&disk);
    let ends: Vec<_> = (0..5)
        .map(|txn| log.reserve_and_enqueue(blob(txn, 10)))
        .collect();
    let failed = thread::spawn({
        let log = Arc::clone(&log);
        let order = Arc::default();
        move || {
            let mut wait = Box::pin(async move { log.wait_poisoned().await });
            let counter = counter(0, &order);
            let first = poll(&mut wait, &counter).is_pending();
            thread::sleep(Duration::from_millis(50));
            first && poll(&mut wait, &counter).is_pending()
        }
    });
    log.shutdown().unwrap();
    assert_eq!(log.durable_lsn(), ends[4]);
    assert!(log.poisoned().is_none());
    assert!(failed.join().unwrap(), "a shutdown is no failure");
    assert!(is_poisoned(&block_on(log.wait_room())));
    let late = log.reserve_and_enqueue(blob(9, 10));
    assert!(is_poisoned(&log.wait_commit_at_least(late)));
    drop(log);
    let opened = open(&disk);
    assert_eq!(opened.replayed.len(), 5);
    assert_eq!(opened.recovered.end, ends[4]);
}

/// Commits from tasks on few threads share syncs: waiting does not hold a thread.
#[test]
fn many_tasks_on_two_threads_share_a_sync() {
    let disk = TestDisk::default();
    let log = create(&disk);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .build()
        .unwrap();
    disk.close_gate();
    log.reserve_and_enqueue(blob(0, 10));
    log.write_soon();
    disk.wait_for_sync_at_gate();
    let enqueued = Arc::new(AtomicUsize::new(0));
    let tasks: Vec<_> = (1..=50)
        .map(|txn| {
            let (log, enqueued) = (Arc::clone(&log), Arc::clone(&enqueued));
            runtime.spawn(async move {
                log.wait_room().await?;
                let end = log.reserve_and_enqueue(blob(txn, 10));
                enqueued.fetch_add(1, Ordering::SeqCst);
                log.commit_at_least(end).await
            })
        })
        .collect();
    until(|| enqueued.load(Ordering::SeqCst) == 50);
    disk.take_sync_threads();
    disk.open_gate();
    within_seconds(move || {
        runtime.block_on(async {
            for task in tasks {
                task.await.unwrap().unwrap();
            }
        });
    });
    assert_eq!(disk.take_sync_threads().len(), 1);
}

fn stream_on(disk: &TestDisk) -> Vec<u8> {
    let paths = (1..).map(segment_path);
    let segments = paths.take_while(|path| disk.exists(path).unwrap());
    let bytes: Vec<u8> = segments
        .flat_map(|path| disk.edit(&path, |bytes| bytes.clone()))
        .collect();
    stream(&bytes, &Position::START)
}

#[test]
fn writers_side_by_side_leave_the_bytes_that_one_writer_leaves() {
    const WRITERS: u64 = 8;
    const COMMITS: u64 = 100;
    let size = |txn: u64| usize::try_from(txn * 37 % 3000 + 1).unwrap();
    let disk = TestDisk::default();
    let log = create(&disk);
    // The first sync waits, so that there is a group of several.
    disk.close_gate();
    let writers = (0..WRITERS).map(|writer| {
        let log = Arc::clone(&log);
        thread::spawn(move || {
            let txns = (0..COMMITS).map(|n| n * WRITERS + writer);
            txns.map(|txn| (commit(&log, blob(txn, size(txn))), txn))
                .collect::<Vec<_>>()
        })
    });
    let writers: Vec<_> = writers.collect();
    let first: u64 = (0..WRITERS)
        .map(|txn| blob(txn, size(txn)).len() as u64)
        .sum();
    until(|| log.next_lsn().0 == first);
    disk.open_gate();
    let joined = within_seconds(|| {
        writers
            .into_iter()
            .flat_map(|w| w.join().unwrap())
            .collect()
    });
    let mut commits: Vec<(Lsn, u64)> = joined;
    commits.sort_unstable();
    let stats = log.stats();
    assert_eq!(stats.blobs, WRITERS * COMMITS);
    assert!(stats.groups < stats.blobs);
    drop(log);

    let one_disk = TestDisk::default();
    let one = create(&one_disk);
    let bytes = stream_on(&disk);
    for &(end, txn) in &commits {
        assert_eq!(commit(&one, blob(txn, size(txn))), end);
        let to = usize::try_from(end.0).unwrap();
        let blob = blob(txn, size(txn)).seal();
        assert_eq!(bytes[to - blob.len()..to], blob, "transaction {txn}");
    }
    drop(one);
    assert!(bytes == stream_on(&one_disk));
}
