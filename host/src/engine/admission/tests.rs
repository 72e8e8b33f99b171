//! Several processes that share processors and memory: who goes first, who waits, and what a dead one leaves.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on should stop")]

use std::sync::atomic::{AtomicU64, Ordering};

use super::*;

const GIB: u64 = 1 << 30;

/// One process more: locks are held by open files, not by processes.
fn join(directory: &Path, processors: u32, memory: u64) -> Admission {
    Admission::join(directory, Budget { processors, memory }, 1).unwrap()
}

fn enter(admission: &Admission, memory: u64) -> Permit<'_> {
    admission.enter(memory, || false).unwrap()
}

/// Whether there is room now: it looks once.
fn would_enter(admission: &Admission, memory: u64) -> bool {
    admission.enter(memory, || true).unwrap().granted.is_some()
}

#[test]
fn one_process_alone_takes_everything_and_asks_once() {
    let directory = tempfile::tempdir().unwrap();
    let alone = join(directory.path(), 2, 4 * GIB);
    let first = enter(&alone, GIB);
    assert_eq!(alone.shared.lock().held, Share { processors: 2, memory: 4 * GIB });
    let second = enter(&alone, 3 * GIB);
    assert!(!would_enter(&alone, 0));
    drop(first);
    assert!(!would_enter(&alone, 2 * GIB) && would_enter(&alone, GIB));
    drop(second);
    assert!(would_enter(&alone, 4 * GIB));
}

#[test]
fn memory_is_shared_and_one_that_wants_more_than_there_is_runs_alone() {
    let directory = tempfile::tempdir().unwrap();
    let [one, other] = [(); 2].map(|()| join(directory.path(), 8, 4 * GIB));
    let small = enter(&one, GIB);
    let waits = std::thread::scope(|scope| {
        let waits = scope.spawn(|| enter(&other, 100 * GIB));
        while other.shared.lock().ticket.is_none() {
            std::thread::yield_now();
        }
        // One that has everything looks now and then whether others wait.
        while one.shared.lock().held.processors > 1 {
            std::thread::yield_now();
        }
        // It is before whoever comes now, however little that one wants.
        assert!(!would_enter(&one, GIB));
        drop(small);
        waits.join().unwrap()
    });
    assert!(!would_enter(&one, 1));
    assert!(!would_enter(&other, 1));
    drop(waits);
    drop(enter(&one, 4 * GIB));
}

#[test]
fn what_a_process_does_not_use_is_given_to_one_that_waits() {
    let directory = tempfile::tempdir().unwrap();
    let [greedy, late] = [(); 2].map(|()| join(directory.path(), 2, 4 * GIB));
    let held = enter(&greedy, GIB);
    assert_eq!(greedy.shared.lock().held.processors, 2);
    let given = enter(&late, GIB);
    assert_eq!(greedy.shared.lock().held, Share { processors: 1, memory: GIB });
    assert!(!would_enter(&late, GIB));
    drop((held, given));
}

#[test]
fn a_process_that_is_gone_holds_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let one = join(directory.path(), 1, GIB);
    let gone = join(directory.path(), 1, GIB);
    let permit = enter(&gone, GIB);
    assert!(!would_enter(&one, GIB));
    // As if it were killed: its file stays, and nobody holds it.
    let left = directory.path().join("process-left");
    std::fs::copy(gone.shared.ledger.path(), &left).unwrap();
    drop(permit);
    drop(gone);
    drop(enter(&one, GIB));
    assert!(!left.exists());
}

#[test]
fn with_several_processes_there_are_never_more_at_once_and_all_get_on() {
    const EACH: u64 = 200;
    let directory = tempfile::tempdir().unwrap();
    let (now, most, done) = (AtomicU64::new(0), AtomicU64::new(0), [const { AtomicU64::new(0) }; 4]);
    let processes = [(); 4].map(|()| join(directory.path(), 2, 3 * GIB));
    std::thread::scope(|scope| {
        for (process, done) in processes.iter().zip(&done) {
            for _ in 0..2 {
                scope.spawn(|| {
                    while done.fetch_add(1, Ordering::SeqCst) < EACH {
                        let permit = enter(process, GIB);
                        let running = now.fetch_add(1, Ordering::SeqCst) + 1;
                        most.fetch_max(running, Ordering::SeqCst);
                        std::thread::sleep(Duration::from_micros(100));
                        now.fetch_sub(1, Ordering::SeqCst);
                        drop(permit);
                    }
                });
            }
        }
    });
    assert_eq!(most.load(Ordering::SeqCst), 2);
    assert!(done.iter().all(|done| done.load(Ordering::SeqCst) >= EACH));
}

#[test]
fn more_jobs_than_processors_are_for_who_asked_for_them() {
    let directory = tempfile::tempdir().unwrap();
    let many = Admission::join(directory.path(), Budget { processors: 1, memory: GIB }, 3).unwrap();
    let permits = [enter(&many, 0), enter(&many, 0), enter(&many, 0)];
    assert!(!would_enter(&many, 0));
    drop(permits);
}
