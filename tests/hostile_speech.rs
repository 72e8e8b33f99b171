//! Tasks that say too much, or what a terminal would obey.

use crate::harness::{Done, World, name};
use crate::hostile::{attack, ended, left_nothing, line, world};

#[test]
fn what_is_logged_is_bounded_however_it_is_said() {
    let world = world();
    for how in [
        "lines",
        "empty-lines",
        "giant-line",
        "fields",
        "empty-fields",
        "field-names",
        "stdout",
        "stderr",
        "newlines",
        "unended",
        "both",
    ] {
        let a = attack(&world, "chatter", &[("how", how)], "");
        ended(&a, "LogLimit", "it logged more than its 64Ki");
        assert!(a["usage"]["logged"].as_u64().unwrap() <= 64 << 10, "{a:#}");
    }
    // Everything that was kept of it is not much.
    let journal: u64 = world.home_files("state.db").iter().map(|f| f.metadata().unwrap().len()).sum();
    assert!(journal < 30 << 20, "the journal has {journal} bytes");
    ended(&attack(&world, "chatter", &[("how", "few")], ""), "Succeeded", "");
}

#[test]
fn one_call_carries_only_so_much_to_the_host() {
    let a = attack(&world(), "chatter", &[("how", "huge-call")], "");
    ended(&a, "TaskTrapped", "too much data");
}

#[test]
fn progress_is_shown_and_neither_kept_nor_counted() {
    let world = world();
    for how in ["progress", "huge-progress"] {
        let a = attack(&world, "chatter", &[("how", how)], "");
        ended(&a, "Succeeded", "");
        assert_eq!(a["usage"]["logged"], 0);
    }
    let run = name(&world.runs()[0]);
    let log = world.run(&["show", &run, "--log"]);
    assert!(!log.out.contains("evil"), "{log:?}");
}

#[test]
fn an_account_that_is_too_long_is_cut() {
    let world = world();
    let a = attack(&world, "chatter", &[("how", "failure")], "");
    ended(&a, "Failed", "");
    for part in ["reason", "message", "remedy"] {
        let text = a["failure"][part].as_str().unwrap();
        assert!(text.len() < 70_000 && text.contains("[cut: it had "), "{part} has {} bytes", text.len());
    }
    world.run(&["verify", &name(&world.runs()[0])]).ok();
}

/// Insists that nothing in what was printed commands a terminal.
#[track_caller]
fn harmless(done: &Done, own_colours: bool) {
    for text in [&done.out, &done.err] {
        let commands = |c: char| {
            (c.is_control() && c != '\n' && c != '\u{1b}') || "\u{202e}\u{2066}\u{200b}".contains(c)
        };
        assert!(!text.contains(commands), "{text:?}");
        // The program's own colours are the only escape sequences.
        let pieces: Vec<&str> = text.split('\u{1b}').skip(1).collect();
        assert!(own_colours || pieces.is_empty(), "{text:?}");
        for piece in pieces {
            let ours = piece.strip_prefix('[').and_then(|rest| rest.split_once('m'));
            assert!(
                ours.is_some_and(|(code, _)| code.chars().all(|c| c.is_ascii_digit() || c == ';')),
                "{text:?}"
            );
        }
    }
}

fn everything_said(world: &World, colour: &[&str]) {
    let pipeline = world.pipeline(&line("a", "chatter", &[("how", "escapes")], ""));
    for quiet in [&["run", &pipeline][..], &["run", "--quiet", &pipeline]] {
        let ran = world.run(&[quiet, colour].concat());
        assert_eq!(ran.status, 1, "{ran:?}");
        assert!(ran.out.contains("\\u{1b}[2J") || ran.err.contains("\\u{1b}[2J"), "{ran:?}");
        harmless(&ran, colour.contains(&"always"));
    }
    for args in [&["show"][..], &["show", "--log"], &["runs"], &["verify"]] {
        let mut args = args.to_vec();
        let run = name(&world.runs()[0]);
        if args == ["verify"] {
            args.push(&run);
        }
        harmless(&world.run(&[&args, colour].concat()), colour.contains(&"always"));
    }
    left_nothing(world);
}

#[test]
fn nothing_a_task_says_commands_the_terminal() {
    let world = world();
    everything_said(&world, &[]);
    everything_said(&world, &["--color", "never"]);
    everything_said(&world, &["--color", "always"]);
}
