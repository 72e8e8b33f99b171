//! Tasks that take more time, memory or disk than they may, or end as no task
//! should. Each ends for a reason of its own, and the host goes on.

use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::harness::{World, done, task};
use crate::hostile::{SOURCE, attack, ended, left_nothing, line, run_whole, world};

/// Far more than any of these should take, on any machine.
const LONG: Duration = Duration::from_secs(60);

#[test]
fn a_task_that_never_ends_is_stopped_wherever_it_waits() {
    let world = world();
    let real = ", timeout: 1s, grants: { clock: real }";
    for (task, how, more) in [
        ("stall", "loop", ", timeout: 1s"),
        ("stall", "naps", ", timeout: 1s"),
        ("stall", "calls", ", timeout: 1s"),
        ("stall", "many-polls", ", timeout: 1s"),
        ("patience", "sleep", real),
        ("patience", "poll", real),
        ("patience", "naps", real),
    ] {
        let started = Instant::now();
        let a = attack(&world, task, &[("how", how)], more);
        ended(&a, "TaskRunTimeout", "longer than its timeout of 1s");
        assert!(started.elapsed() < LONG, "{task} {how} took {:?}", started.elapsed());
    }
    let brief = attack(&world, "patience", &[("how", "brief")], ", timeout: 30s, grants: { clock: real }");
    ended(&brief, "Succeeded", "");
    assert!(brief["usage"]["wallMicros"].as_u64().unwrap() >= 10_000, "{brief:#}");
}

#[test]
fn sleep_takes_no_time_of_a_task_that_has_only_the_fixed_clock() {
    let world = world();
    for how in ["sleep", "poll", "brief"] {
        ended(&attack(&world, "stall", &[("how", how)], ", timeout: 30s"), "Succeeded", "");
    }
}

#[test]
fn a_timer_that_is_left_behind_holds_nothing_up() {
    let started = Instant::now();
    let world = world();
    ended(&attack(&world, "stall", &[("how", "leave-timer")], ""), "Succeeded", "");
    let real = ", grants: { clock: real }";
    ended(&attack(&world, "patience", &[("how", "leave-timer")], real), "Succeeded", "");
    assert!(started.elapsed() < LONG);
}

#[test]
fn time_that_is_not_granted_cannot_be_measured() {
    let world = world();
    let told = |work: &str| {
        let a = attack(&world, "stopwatch", &[("work", work)], "");
        ended(&a, "Succeeded", "");
        // Its own processor time: others may run beside it.
        (a["results"]["told"].clone(), a["usage"]["cpuMicros"].as_u64().unwrap())
    };
    let (quick, slow) = (told("1"), told("100000000"));
    assert!(slow.1 > quick.1, "{slow:?} was not slower than {quick:?}");
    assert_eq!(quick.0, slow.0);
    // An hour, and the one look that began it.
    assert_eq!(quick.0[1], "an hour 3600000001000");
    let order: Vec<&str> =
        (4..7).map(|n| quick.0[n].as_str().unwrap().split(" at").next().unwrap()).collect();
    assert_eq!(order, ["timer 1", "timer 2", "timer 0"]);
    assert_eq!(quick.0[7], "far [399]");
}

#[test]
fn a_refusal_takes_no_time_that_can_be_measured() {
    let world = world();
    let told = |work: &str| {
        let a = attack(&world, "reflex", &[("work", work)], ", grants: {}");
        ended(&a, "Succeeded", "");
        assert_eq!((&a["hermetic"], &a["usage"]["denials"]), (&true.into(), &80.into()), "{a:#}");
        a["results"]["told"].as_array().unwrap().clone()
    };
    let (quick, slow) = (told("1"), told("1000000"));
    assert_eq!(quick, slow);
    // The clock moves by the look that began it, and by nothing else.
    assert!(quick.iter().all(|told| told == "0 looks in 1000 ns"), "{quick:#?}");
}

#[test]
fn an_output_is_bounded_by_the_limits_of_its_own() {
    let world = exhausting();
    exhausted(
        &world,
        "small-bytes",
        "OutputLimit",
        "its output `small` cannot be sealed: the tree has more than 1024 bytes",
    );
    exhausted(
        &world,
        "small-files",
        "FileLimit",
        "its output `small` cannot be sealed: the tree has more than 2 files",
    );
}

fn exhausting() -> World {
    let world = world();
    world.write("file.txt", "x".repeat(10_000));
    world
}

#[track_caller]
fn exhausted(world: &World, what: &str, reason: &str, message: &str) {
    let a = attack(world, "exhaust", &[("what", what)], SOURCE);
    ended(&a, reason, message);
    // What was written and logged is never more than was allowed by much.
    assert!(a["usage"]["written"].as_u64().unwrap() < 2 << 20, "{a:#}");
    assert!(a["usage"]["peakMemory"].as_u64().unwrap() <= 16 << 20, "{a:#}");
}

#[test]
fn a_task_that_stays_within_its_limits_succeeds() {
    exhausted(&exhausting(), "little", "Succeeded", "");
}

#[test]
fn memory_is_bounded() {
    let world = exhausting();
    exhausted(&world, "memory", "MemoryLimit", "more than its 16Mi of memory");
    exhausted(&world, "allocation", "MemoryLimit", "more than its 16Mi of memory");
    exhausted(&world, "random", "TaskTrapped", "exceeds limit");
}

#[test]
fn a_stack_that_overflows_ends_the_task_alone() {
    let world = world();
    for how in ["overflow", "overflow-calling"] {
        ended(&attack(&world, "quit", &[("how", how)], ""), "TaskTrapped", "call stack exhausted");
    }
    let recursion = attack(&exhausting(), "exhaust", &[("what", "recursion")], SOURCE);
    assert!(["TaskTrapped", "MemoryLimit"].contains(&recursion["reason"].as_str().unwrap()), "{recursion:#}");
}

#[test]
fn what_is_written_is_bounded_however_it_is_written() {
    let world = exhausting();
    for what in ["bytes", "appends", "sparse", "sparse-offset", "scratch", "zeroes", "splice"] {
        exhausted(&world, what, "OutputLimit", "more than its 1Mi of files");
    }
    exhausted(&world, "many-sparse", "OutputLimit", "more than 1048576 bytes");
}

#[test]
fn what_is_made_is_bounded_even_if_it_is_removed_again() {
    let world = exhausting();
    for what in ["files", "directories", "links", "reopened"] {
        exhausted(&world, what, "FileLimit", "more than its 100 files");
    }
}

#[test]
fn what_is_open_is_bounded_and_leaves_others_their_share() {
    let world = exhausting();
    for what in ["handles", "listings", "streams", "timers", "directory-handles"] {
        exhausted(&world, what, "HandleLimit", "files, streams and timers open at once");
    }
    for number in 0..3000 {
        world.write(&format!("{number:0>250}"), "");
    }
    exhausted(&world, "full-listings", "Succeeded", "");
    // Beside it another task opens what it needs.
    let both = [
        // First: were it not begun when the other ends, it would be skipped.
        line("modest", "exhaust", &[("what", "little")], SOURCE),
        line("greedy", "exhaust", &[("what", "handles")], SOURCE),
    ];
    let pipeline = world.pipeline(&both.join("\n"));
    let run = run_whole(&world, &[&pipeline, "--jobs", "2"]);
    ended(task(&run, "modest"), "Succeeded", "");
}

#[test]
fn few_file_descriptors_are_shared_out() {
    let world = exhausting();
    let both = [
        // First: were it not begun when the other ends, it would be skipped.
        line("modest", "exhaust", &[("what", "little")], SOURCE),
        line("greedy", "exhaust", &[("what", "handles")], SOURCE),
    ];
    let pipeline = world.pipeline(&both.join("\n"));
    let run = world.command(&["run", "--jobs", "2", "--quiet", "--format", "json", &pipeline]);
    let mut limited = Command::new("sh");
    limited.args(["-c", "ulimit -n 256; exec \"$0\" \"$@\""]).arg(run.get_program()).args(run.get_args());
    limited.current_dir(world.project()).env_clear();
    for (name, value) in run.get_envs() {
        limited.envs(value.map(|value| (name, value)));
    }
    let done = done(&mut limited);
    let run: Value = serde_json::from_str(&done.out).unwrap_or_else(|error| panic!("{error}: {done:?}"));
    ended(task(&run, "greedy"), "HandleLimit", "files, streams and timers open at once");
    ended(task(&run, "modest"), "Succeeded", "");
    left_nothing(&world);
}

#[test]
fn numbers_and_texts_of_any_size_are_only_refused() {
    let world = exhausting();
    for (what, reason) in [
        ("times", "Succeeded"),
        ("reads", "Succeeded"),
        ("seek", "Succeeded"),
        ("timers", "Succeeded"),
        ("texts", "Succeeded"),
        ("writes", "OutputLimit"),
        ("streams", "OutputLimit"),
        ("resize", "OutputLimit"),
        ("streamed-zeroes", "TaskTrapped"),
    ] {
        ended(&attack(&world, "extreme", &[("what", what)], SOURCE), reason, "");
    }
}

#[test]
fn ending_without_returning_is_never_success() {
    let world = world();
    for (how, message) in [
        ("zero", "it exited without a failure instead of returning"),
        ("three", "it exited with a failure instead of returning"),
        ("panic", "unreachable"),
        ("unreachable", "unreachable"),
    ] {
        ended(&attack(&world, "quit", &[("how", how)], ""), "TaskTrapped", message);
    }
    let returned = attack(&world, "quit", &[("how", "return")], "");
    ended(&returned, "Succeeded", "");
    assert!(returned["outputs"]["out"]["bytes"].as_u64().unwrap() > 40 << 20, "{returned:#}");
}
