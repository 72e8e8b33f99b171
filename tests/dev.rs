//! `cofferdam dev`: a change is a run, and what is no change is none.

use std::fs::{self, File};
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::harness::{Task, World};

/// `dev` at work; it goes with the test, however that ends.
struct Dev<'w> {
    world: &'w World,
    child: Child,
}

impl Drop for Dev<'_> {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl<'w> Dev<'w> {
    fn start(world: &'w World, args: &[&str]) -> Self {
        let mut all = vec!["dev"];
        all.extend(args);
        let file = |name: &str| Stdio::from(File::create(world.path(name)).unwrap());
        let child = world.command(&all).stdout(file("out.txt")).stderr(file("err.txt")).spawn().unwrap();
        Self { world, child }
    }

    fn said(&self) -> String {
        let read = |name: &str| fs::read_to_string(self.world.path(name)).unwrap();
        read("out.txt") + &read("err.txt")
    }

    #[track_caller]
    fn wait_for(&self, what: &str, mut holds: impl FnMut() -> bool) {
        let until = Instant::now() + Duration::from_secs(60);
        while !holds() {
            assert!(Instant::now() < until, "waited in vain for {what}: {}", self.said());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    #[track_caller]
    fn wait_for_runs(&self, count: usize) {
        let ended = || runs(self.world).iter().filter(|run| run["status"] != "Running").count();
        self.wait_for(&format!("{count} runs"), || ended() >= count);
    }

    #[track_caller]
    fn says(&self, text: &str) {
        self.wait_for(text, || self.said().contains(text));
    }

    /// Gives it time to do what it must not do.
    fn stays_at(&self, count: usize) {
        std::thread::sleep(Duration::from_millis(700));
        assert_eq!(runs(self.world).len(), count, "{}", self.said());
    }

    fn interrupt(&mut self) -> i32 {
        kill_process(Pid::from_child(&self.child), Signal::INT).unwrap();
        self.child.wait().unwrap().code().unwrap()
    }
}

fn runs(world: &World) -> Vec<Value> {
    serde_json::from_str(&world.run(&["runs", "--format", "json"]).ok().out).unwrap()
}

const READS: &str = "- { name: a, taskRef: { name: reader }, inputs: [{ name: source, from: $(source) }, { name: other, from: $(source) }] }";

#[test]
fn a_change_of_the_source_is_a_run_and_a_storm_is_one() {
    let world = World::with(&[Task::Test("reader")]);
    world.write("a.txt", "one");
    world.write(".gitignore", "/ignored\n");
    let pipeline = world.pipeline(READS);
    world.commit("begin");
    let mut dev = Dev::start(&world, &[&pipeline]);
    dev.wait_for_runs(1);
    dev.says("test-");
    world.write("a.txt", "two");
    let began = Instant::now();
    dev.wait_for_runs(2);
    assert!(began.elapsed() < Duration::from_secs(20));
    dev.says("--- changed: a.txt");
    for number in 0..50 {
        world.write(&format!("many/{number:02}.txt"), "x");
    }
    dev.wait_for_runs(3);
    dev.says("--- changed: many");
    // On a busy machine, writing them may take longer than a pause.
    std::thread::sleep(Duration::from_secs(1));
    let storm = runs(&world).len();
    assert!(storm < 6, "{storm} runs for one storm");
    world.write("ignored/b.txt", "x");
    world.write(".git/c.txt", "x");
    // Written anew, and the same.
    world.write("a.txt", "two");
    dev.stays_at(storm);
    assert_eq!(dev.interrupt(), 130);
}

#[test]
fn a_pipeline_that_is_broken_is_told_and_runs_again_when_it_is_mended() {
    let world = World::with(&[Task::Test("echo")]);
    let pipeline = world.pipeline("- { name: a, taskRef: { name: echo } }");
    let mut dev = Dev::start(&world, &[&pipeline]);
    dev.wait_for_runs(1);
    world.pipeline("- { name: a, taskRef: { name: nothing } }");
    dev.says("error[registry/not-found]");
    dev.stays_at(1);
    world.pipeline("- { name: b, taskRef: { name: echo } }");
    dev.wait_for_runs(2);
    assert_eq!(dev.interrupt(), 130);
}

#[test]
fn a_run_that_is_under_way_is_cancelled_in_order_or_restarted() {
    let world = World::with(&[Task::Test("slow"), Task::Test("reader")]);
    world.write("a.txt", "one");
    let slow = "- { name: a, taskRef: { name: slow }, params: [{ name: steps, value: '600' }] }";
    let pipeline = world.pipeline(&format!("{slow}\n{}", READS.replace("name: a,", "name: b,")));
    let mut dev = Dev::start(&world, &[&pipeline, "--restart"]);
    let running = || runs(&world).iter().filter(|run| run["status"] == "Running").count() == 1;
    dev.wait_for("the run", || running() && dev.said().contains("step"));
    world.write("a.txt", "two");
    dev.wait_for("another run", || runs(&world).len() == 2 && running());
    assert_eq!(runs(&world)[1]["status"], "Cancelled");
    assert_eq!(dev.interrupt(), 130);
    assert_eq!(runs(&world)[0]["status"], "Cancelled", "sealed as what it is");
    world.run(&["verify"]).ok();
}

#[test]
fn what_every_run_would_need_anew_is_refused() {
    let world = World::with(&[]);
    let pipeline = world.pipeline("- { name: a, taskRef: { name: echo } }");
    world.run(&["dev", &pipeline, "--outputs", "out"]).refused(2, "usage/invalid", "--outputs");
}
