//! Each form of a run, from the same events; and tasks that say what a terminal
//! or a continuous-integration service would obey.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that cannot go on should stop")]

use std::io::Write;
use std::sync::{Arc, Mutex};

use cofferdam_registry::Digest;
use jiff::Timestamp;
use serde_json::{Value, json};

use super::board::Board;
use super::screen::Size;
use super::*;
use crate::event::{Event, Fact, LiveSink};
use crate::model::DEFAULT_LIMITS;

/// What was written.
#[derive(Clone, Default)]
pub(super) struct Paper(Arc<Mutex<Vec<u8>>>);

impl Write for Paper {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Paper {
    pub(super) fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }

    pub(super) fn out(&self) -> Box<dyn Write + Send> {
        Box::new(self.clone())
    }
}

pub(super) fn reader() -> Reader {
    Reader { program: "cofferdam".to_owned(), palette: Palette::new(false) }
}

pub(super) fn second(seconds: i64) -> Timestamp {
    Timestamp::from_second(1_700_000_000 + seconds).unwrap()
}

/// Events one second apart.
pub(super) fn events(facts: Vec<Value>) -> Vec<Event> {
    let event = |(seq, fact): (u64, Value)| Event {
        run: "build-k7dm2vqx4h".parse().unwrap(),
        seq,
        at: second(i64::try_from(seq).unwrap()),
        fact: serde_json::from_value::<Fact>(fact).unwrap(),
        hash: Digest::from_bytes([0; 32]),
    };
    (0..).zip(facts).map(event).collect()
}

pub(super) fn began(tasks: &[&str]) -> Value {
    json!({
        "fact": "runStarted", "uid": "00", "pipeline": "build", "file": ".cofferdam/build.yaml",
        "fileDigest": Digest::from_bytes([9; 32]), "params": {}, "tasks": tasks, "sourceDateEpoch": 0,
        "builder": { "id": "https://cofferdam.dev/builder/local@v1", "version": "0.1.0", "key": "a-key" },
    })
}

pub(super) fn started(task: &str) -> Value {
    let digest = Digest::from_bytes([1; 32]);
    json!({
        "fact": "taskStarted", "task": task, "attempt": 1,
        "identity": {
            "name": "t", "version": "0.1.0", "digest": digest, "component": digest,
            "reference": "cofferdam.local/t:0.1.0", "trust": { "verdict": "trusted", "rule": "r", "key": "k" },
        },
        "grants": { "realClock": false, "realRandom": false }, "limits": DEFAULT_LIMITS,
    })
}

pub(super) fn said(task: &str, level: &str, message: &str, fields: &[(&str, &str)]) -> Value {
    json!({ "fact": "taskLogged", "task": task, "level": level, "message": message, "fields": fields })
}

pub(super) fn ended(task: &str, reason: &str) -> Value {
    json!({
        "fact": "taskFinished", "task": task, "attempt": 1, "reason": reason,
        "usage": { "wallMicros": 1_234_567, "peakMemory": 0, "written": 0, "logged": 0 },
    })
}

fn denied(task: &str) -> Value {
    json!({
        "fact": "capabilityDenied", "task": task, "capability": "network",
        "subject": "GET https://a.example.test/", "why": "no rule names the host",
    })
}

fn failed(task: &str, text: &str) -> Value {
    let mut end = ended(task, "Failed");
    end["failure"] = json!({ "reason": text, "message": text, "remedy": text });
    end
}

/// Two tasks at once, one of which fails, and one that is not run.
fn mixed() -> Vec<Event> {
    let mut facts = vec![began(&["good", "bad[linux,1.80]", "later"]), started("good")];
    facts.push(started("bad[linux,1.80]"));
    facts.extend([
        said("bad[linux,1.80]", "warn", "unused, 100% of it", &[("file", "src/a.rs"), ("line", "7")]),
        said("good", "info", "reading", &[("files", "3")]),
        denied("bad[linux,1.80]"),
        said("bad[linux,1.80]", "error", "gone", &[("file", "../x"), ("line", "7")]),
        ended("good", "Succeeded"),
    ]);
    let mut end = failed("bad[linux,1.80]", "there is\nno lock");
    end["reason"] = "MemoryLimit".into();
    end["message"] = "it needed more than 1Gi of memory".into();
    facts.push(end);
    facts.push(json!({ "fact": "taskSkipped", "task": "later", "reason": "PipelineRun was stopping" }));
    facts.push(json!({ "fact": "runFinished", "reason": "Failed", "message": "m" }));
    events(facts)
}

fn shown(events: &[Event], sink: impl FnOnce(&Paper) -> Box<dyn LiveSink>) -> String {
    let paper = Paper::default();
    let mut sink = sink(&paper);
    events.iter().for_each(|event| sink.show(event).unwrap());
    drop(sink);
    paper.text()
}

fn github(events: &[Event]) -> String {
    shown(events, |paper| Box::new(GithubLog::new(paper.out(), reader(), "TOKEN".to_owned())))
}

fn gitlab(events: &[Event]) -> String {
    shown(events, |paper| Box::new(GitlabLog::new(paper.out(), reader())))
}

fn plain(events: &[Event]) -> String {
    shown(events, |paper| Box::new(PlainLines::new(paper.out(), reader())))
}

#[test]
fn plain_lines_carry_the_name_of_their_task() {
    insta::assert_snapshot!(plain(&mixed()));
}

#[test]
fn github_gets_a_group_for_each_task_and_annotations() {
    insta::assert_snapshot!(github(&mixed()));
}

#[test]
fn gitlab_gets_a_section_for_each_task() {
    insta::assert_snapshot!(gitlab(&mixed()).replace('\r', "<CR>").replace('\u{1b}', "<ESC>"));
}

#[test]
fn json_lines_are_the_events_as_recorded() {
    let mut events = mixed();
    events.extend(self::events(vec![said("a", "info", "\u{1b}[2J\n::x", &[])]));
    let text = shown(&events, |paper| Box::new(JsonLines::new(paper.out())));
    assert!(!text.contains('\u{1b}'));
    let read: Vec<Event> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(read, events);
}

#[test]
fn a_long_log_is_shown_from_its_end_and_the_command_for_the_rest_is_named() {
    let mut facts = vec![began(&["a b"]), started("a b")];
    facts.extend((0..25).map(|n| said("a b", "info", &format!("line {n}"), &[])));
    facts.push(ended("a b", "TaskTrapped"));
    for text in [plain(&events(facts.clone())), github(&events(facts.clone())), gitlab(&events(facts))] {
        let (_, block) = text.rsplit_once("Failed a b in 1.23 s (TaskTrapped)\n").unwrap();
        let all = "  log  5 lines before these; all of it: cofferdam logs build-k7dm2vqx4h 'a b'\n";
        let (_, lines) = block.split_once(all).unwrap();
        let lines: Vec<&str> = lines.lines().filter(|line| line.starts_with("  | ")).collect();
        assert_eq!((lines.len(), lines[0], lines[19]), (20, "  | info line 5", "  | info line 24"));
    }
}

/// What tasks might say to be obeyed, in every place where they can say it.
const COMMANDS: &[&str] = &[
    "::add-mask::secret",
    "::set-output name=a::b",
    "  ::stop-commands::x",
    "::TOKEN-guess::",
    "::endgroup::",
    "##[set-output name=a]b",
    "text ##[add-path]/tmp",
    "one\n::add-mask::two",
    "one\r\n::error::two",
    "a%0A::error::b",
    "section_end:1:task_1_a\r\u{1b}[0K",
    "\u{1b}[0Ksection_start:1:x\r\u{1b}[0Kx",
];

fn attack(text: &str) -> Vec<Event> {
    let mut facts = vec![began(&["a"]), started("a")];
    for level in ["info", "warn", "error"] {
        facts.push(said("a", level, text, &[(text, text), ("file", text), ("line", "1")]));
    }
    facts.push(failed("a", text));
    events(facts)
}

/// The lines that GitHub's runner would obey, as `ActionCommand.cs` finds them.
fn obeyed(log: &str) -> Vec<String> {
    let (mut found, mut stopped) = (Vec::new(), false);
    for line in log.split(['\n', '\r']) {
        let command = line.trim_start();
        if command == "::TOKEN::" {
            stopped = false;
        } else if command == "::stop-commands::TOKEN" {
            stopped = true;
        } else if command.starts_with("::") || line.contains("##[") {
            // While commands are stopped, only the token's would be obeyed; a
            // line of a task must not look like one even then.
            found.push(format!("{}{line}", if stopped { "STOPPED " } else { "" }));
        }
    }
    assert!(!stopped, "commands stay stopped: {log}");
    found
}

#[test]
fn no_text_of_a_task_is_a_command_to_github() {
    for text in COMMANDS {
        let log = github(&attack(text));
        for command in obeyed(&log) {
            let kind = command.split(['.', ' ', ':']).filter(|part| !part.is_empty()).collect::<Vec<_>>()[0];
            assert!(["group", "endgroup", "warning", "error"].contains(&kind), "{command:?} in {log}");
            // All of a command that came from the task is in one escaped part.
            let parts = command.strip_prefix("::").unwrap().split("::").next().unwrap();
            assert!(!parts.contains('\u{1b}') && !command.contains("##["), "{command:?}");
        }
        let groups: Vec<String> = obeyed(&log)
            .into_iter()
            .filter(|line| !line.contains(" title=") && !line.contains(",title="))
            .collect();
        assert_eq!(groups, ["::group::a (Failed in 1.23 s)", "::endgroup::"], "{log}");
    }
}

#[test]
fn no_text_of_a_task_is_a_section_to_gitlab() {
    for text in COMMANDS {
        let log = gitlab(&attack(text));
        let markers: Vec<&str> = log.split('\r').collect();
        assert_eq!(markers.len(), 3, "one beginning and one end: {log:?}");
        assert!(markers[0].ends_with("\u{1b}[0Ksection_start:1700000001:task_1_a"), "{log:?}");
        assert!(markers[1].ends_with("\u{1b}[0Ksection_end:1700000005:task_1_a"), "{log:?}");
        assert_eq!(log.matches('\u{1b}').count(), 4, "{log:?}");
    }
}

#[test]
fn what_a_task_said_is_not_lost_when_a_run_breaks_off() {
    let events = events(vec![began(&["a"]), started("a"), said("a", "info", "here", &[])]);
    assert!(github(&events).ends_with("started a\n::group::a (broken off)\ninfo here\n::endgroup::\n"));
    let log = gitlab(&events);
    assert!(log.contains("section_start:1700000001:task_1_a\r\u{1b}[0Kbroken off a\ninfo here\n"), "{log:?}");
    assert!(log.ends_with("section_end:1700000001:task_1_a\r\u{1b}[0K\n"), "{log:?}");
}

#[test]
fn annotations_of_one_task_are_few() {
    let mut facts = vec![began(&["a"]), started("a")];
    facts.extend((0..100).map(|_| said("a", "warn", "again", &[])));
    facts.push(ended("a", "Succeeded"));
    assert_eq!(github(&events(facts)).matches("::warning").count(), 10);
}

fn board(events: &[Event]) -> Board {
    let mut board = Board::new(reader());
    events.iter().for_each(|event| board.apply(event));
    board
}

#[test]
fn a_board_shows_what_runs_and_what_ended() {
    let mut facts = vec![began(&["fetch", "compile[linux,1.80]", "test"]), started("fetch")];
    facts.extend([started("compile[linux,1.80]"), said("fetch", "info", "reading \u{1b}[2J", &[])]);
    let mut board = board(&events(facts));
    board.progress("compile[linux,1.80]", 3, Some(10), "crates 日本語");
    let size = Size { width: 60, height: 10 };
    insta::assert_snapshot!(board.below(second(70), size).join("\n"), @r"
    running 2, done 0 of 3, 1 min 10 s
      fetch               1 min 09 s  reading \u{1b}[2J
      compile[linux,1.80] 1 min 08 s  3/10 crates 日本語
    ");
    assert_eq!(board.take_above(), "running build (3 tasks)\n");
}

#[test]
fn a_board_is_never_higher_than_the_terminal() {
    let names: Vec<String> = (0..30).map(|n| format!("t{n}")).collect();
    let mut facts = vec![began(&[])];
    facts.extend(names.iter().map(|name| started(name)));
    let board = board(&events(facts));
    for height in 1..40 {
        let lines = board.below(second(60), Size { width: 80, height });
        assert!(lines.len() < height.max(2), "{} lines of {height}", lines.len());
        let hidden = lines.last().filter(|line| line.starts_with("  and "));
        let shown = lines.len() - 1 - usize::from(hidden.is_some());
        if height > 2 {
            assert_eq!(
                hidden.map_or("", String::as_str).contains(&format!(" {} more", 30 - shown)),
                shown < 30
            );
        }
        assert!(lines[0].starts_with("running 30, done 0 of 30"), "{lines:?}");
    }
}

#[test]
fn a_failed_task_is_one_block() {
    let mut board = board(&mixed());
    insta::assert_snapshot!(board.take_above());
    assert_eq!(
        board.below(second(60), Size { width: 80, height: 9 }),
        ["signing, done 3 of 3, failed 1, 1 min 00 s"]
    );
}

fn screen(paper: &Paper, width: usize, height: usize) -> (Screen, Size) {
    let size = Size { width, height };
    (Screen::new(paper.out(), Box::new(move || size)), size)
}

#[test]
fn a_screen_draws_over_what_it_drew_and_nothing_else() {
    let paper = Paper::default();
    let (mut screen, size) = screen(&paper, 10, 5);
    let lines = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
    screen.draw("done\n", lines(&["1234567890", "日本語日本語"]), size).unwrap();
    let first = "done\n\u{1b}[?7l12345678…\n日本語日…\u{1b}[?7h\r";
    assert_eq!(paper.text(), first);
    screen.draw("", lines(&["1234567890", "日本語日本語"]), size).unwrap();
    assert_eq!(paper.text(), first, "what has not changed is not drawn again");
    // Half as wide, each line takes two rows; the cursor is where the last begins.
    let narrow = Size { width: 5, height: 5 };
    screen.draw("", lines(&["a"]), narrow).unwrap();
    assert_eq!(paper.text(), format!("{first}\r\u{1b}[2A\u{1b}[K\u{1b}[C\u{1b}[J\r\u{1b}[?7la\u{1b}[?7h\r"));
    screen.draw("x\n", Vec::new(), narrow).unwrap();
    assert!(paper.text().ends_with("\r\u{1b}[K\u{1b}[C\u{1b}[J\rx\n"));
}

#[test]
fn a_run_that_is_over_at_once_does_not_flicker() {
    let paper = Paper::default();
    let (screen, _) = screen(&paper, 80, 24);
    let mut sink = PrettyLines::new(screen, reader(), Timestamp::now).unwrap();
    mixed().iter().for_each(|event| sink.show(event).unwrap());
    drop(sink);
    let text = paper.text();
    assert!(text.starts_with("running build (3 tasks)\n") && !text.contains('\u{1b}'), "{text:?}");
}

#[test]
fn remarks_stay_between_the_lines_and_after_them() {
    let paper = Paper::default();
    let (screen, _) = screen(&paper, 80, 24);
    let sink = PrettyLines::new(screen, reader(), Timestamp::now).unwrap();
    let remarks = sink.remarks();
    remarks.say("stopping");
    drop(sink);
    remarks.say("late");
    assert_eq!(paper.text(), "stopping\nlate\n");
}
