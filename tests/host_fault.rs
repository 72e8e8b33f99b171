//! A disk that fails while a task runs: that is the host's fault, and nothing is
//! kept of what the task made of it.

use std::process::Command;

use serde_json::Value;

use crate::harness::{World, done, name, task};
use crate::hostile::{SOURCE, ended, line, world};

/// Runs the program where no file may become larger than half a megabyte: the
/// system then fails as it would on a full disk.
fn on_a_small_disk(world: &World, args: &[&str]) -> (i32, Value) {
    let command = world.command(args);
    let set = |(name, value): (&std::ffi::OsStr, Option<&std::ffi::OsStr>)| {
        value.map(|value| (name.to_owned(), value.to_owned()))
    };
    let mut shell = Command::new("sh");
    shell.args(["-c", "trap '' XFSZ; ulimit -f 1000; exec \"$0\" \"$@\""]);
    shell.arg(command.get_program()).args(command.get_args());
    shell.current_dir(world.project()).env_clear().envs(command.get_envs().filter_map(set));
    let done = done(&mut shell);
    (done.status, serde_json::from_str(&done.out).unwrap_or_else(|error| panic!("{error}: {done:?}")))
}

#[test]
fn a_disk_that_fails_is_no_fault_of_the_task_and_nothing_is_kept_of_it() {
    let world = world();
    world.write("file.txt", "text");
    let run = ["run", "--quiet", "--format", "json"];
    let pipeline = |what: &str| world.pipeline(&line("a", "exhaust", &[("what", what)], SOURCE));
    // Its code is compiled and kept, and a little fits.
    let (status, little) = world.run_json(&[&pipeline("little")]);
    assert_eq!(status, 0, "{little:#}");
    let failing = pipeline("bytes");
    let (status, first) = on_a_small_disk(&world, &[&run[..], &[&failing]].concat());
    assert_eq!((status, &first["sealed"]), (1, &true.into()));
    ended(
        task(&first, "a"),
        "HostFault",
        "the host's own disk failed while it ran, which may be full: file too large",
    );
    world.run(&["verify", &name(&first)]).ok();
    let text = world.run(&["show", &name(&first)]).ok().out;
    assert!(text.contains("HostFault"), "{text}");
    // Where there is room, it goes as far as its own limit lets it.
    for args in
        [&["resume", "--quiet", "--format", "json", &name(&first)][..], &[&run[..], &[&failing]].concat()]
    {
        let done = world.run(args);
        let again: Value =
            serde_json::from_str(&done.out).unwrap_or_else(|error| panic!("{error}: {done:?}"));
        assert_eq!(task(&again, "a")["reused"], Value::Null);
        ended(task(&again, "a"), "OutputLimit", "it wrote more than its 1Mi");
    }
}
