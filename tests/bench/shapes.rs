//! The same thousand tasks for all tools: a fan-out, a chain and ten layers, with
//! everything to do and with nothing to do.

use std::time::Duration;

use super::figure::{Times, line};
use super::graphs::Graph;
use super::peers::{MAKE, NINJA, NINJA_SH_BUILTIN, Peer, Ready};
use super::world::{Split, TASKS, World, quiet};

const ROUNDS: usize = 9;

/// A peer that has taken this long in all is measured no more: a slow one has
/// fewer rounds, and its figures stand far enough apart not to need more.
const ENOUGH: Duration = Duration::from_secs(5);

/// A fan-out, and where Cofferdam's time goes.
pub(super) fn fan_out(world: &World, peers: &[Peer]) {
    let ours = uncached(world, &Graph::fan_out(TASKS), peers);
    let Split { before, tasks, between, signing } = world.newest_run_split();
    let rest = ours.median() - before - tasks - between - signing;
    println!(
        "  limited by: {:.0} ms for the tasks on 2 threads (sandbox, journal, one signature each), {:.0} ms to sign \
         and store the whole run, {:.0} ms before the first task and between tasks, {:.0} ms for the rest of the \
         process (to load, to plan, to end)",
        tasks * 1e3,
        signing * 1e3,
        (before + between) * 1e3,
        rest * 1e3,
    );
}

/// The same beside make and ninja alone, which takes half a minute.
pub(super) fn quick(world: &World) {
    uncached(world, &Graph::fan_out(TASKS), &[MAKE, NINJA, NINJA_SH_BUILTIN]);
}

/// A chain of a thousand, and ten layers of a hundred.
pub(super) fn ordered(world: &World, peers: &[Peer]) {
    for graph in [Graph::chain(), Graph::layers()] {
        uncached(world, &graph, peers);
    }
}

/// All graphs with nothing to do: every task's outcome is known, decided on, told
/// and attested.
pub(super) fn cached(world: &World, peers: &[Peer]) {
    for graph in [Graph::fan_out(TASKS), Graph::chain(), Graph::layers()] {
        known(world, &graph, peers);
    }
}

/// A peer on one graph, and what became of it so far.
struct Entrant {
    ready: Ready,
    times: Times,
    /// Why it has no figure.
    failed: Option<String>,
}

impl Entrant {
    fn new(world: &World, graph: &Graph, peer: &Peer) -> Self {
        Self { ready: peer.take(world, graph), times: Times(Vec::new()), failed: None }
    }

    fn round(&mut self, measure: impl Fn(&Ready) -> Result<Duration, String>) {
        if self.failed.is_some() || self.times.0.iter().sum::<Duration>() > ENOUGH {
            return;
        }
        match measure(&self.ready) {
            Ok(took) => self.times.0.push(took),
            Err(why) => self.failed = Some(why),
        }
    }

    /// Prints its row, or why there is none.
    fn tell(&self, what: &str, unit: f64) -> bool {
        let name = self.ready.peer.name;
        if let Some(why) = &self.failed {
            println!("{name}{what}: not measured: {why}");
            return false;
        }
        let (median, best) = (self.times.median() * unit, self.times.best() * unit);
        line(&format!("{name}{what}"), median, best, "ms", "");
        true
    }
}

/// One tool after the other in each round, with everything to do.
fn uncached(world: &World, graph: &Graph, peers: &[Peer]) -> Times {
    let file = graph.pipeline(world);
    let run = || quiet(&mut world.cofferdam(&["run", "--quiet", "--no-cache", &file, "--jobs", "2"]));
    run();
    let mut ours = Times(Vec::new());
    let mut entrants: Vec<Entrant> = peers.iter().map(|peer| Entrant::new(world, graph, peer)).collect();
    for entrant in entrants.iter_mut().filter(|entrant| entrant.ready.peer.warms_up) {
        entrant.failed = entrant.ready.uncached(world).err();
    }
    for _ in 0..ROUNDS {
        ours.0.push(run());
        for entrant in &mut entrants {
            entrant.round(|ready| ready.uncached(world));
        }
    }
    let per_task = 1e3 / graph.after.len() as f64;
    let what = format!(", {} of {}, per task", graph.name, graph.after.len());
    line(&format!("cofferdam run{what}"), ours.median() * per_task, ours.best() * per_task, "ms", "");
    entrants.retain(|entrant| {
        entrant.ready.stop(world);
        entrant.tell(&what, per_task)
    });
    for Entrant { ready, times, .. } in entrants {
        let what = format!("{}: ratio to {}", graph.name, ready.peer.name);
        let wanted = ready.peer.wanted.unwrap_or_default();
        line(&what, ours.median() / times.median(), ours.best() / times.best(), "", wanted);
    }
    ours
}

/// One tool after the other in each round, with nothing to do. What there is to
/// do has been done before the first.
fn known(world: &World, graph: &Graph, peers: &[Peer]) {
    let file = graph.pipeline(world);
    let run = || quiet(&mut world.cofferdam(&["run", "--quiet", &file]));
    // Once to do it, and once to find that all of it is known.
    run();
    run();
    let mut ours = Times(Vec::new());
    let caching = peers.iter().map(|peer| Entrant::new(world, graph, peer));
    let mut entrants: Vec<Entrant> = caching.filter(|entrant| entrant.ready.caches()).collect();
    for entrant in &mut entrants {
        entrant.failed = entrant.ready.cached(world).err();
    }
    for _ in 0..ROUNDS {
        ours.0.push(run());
        for entrant in &mut entrants {
            entrant.round(|ready| ready.cached(world));
        }
    }
    let what = format!(", {} of {}, all known", graph.name, graph.after.len());
    line(&format!("cofferdam run{what}"), ours.median() * 1e3, ours.best() * 1e3, "ms", "");
    entrants.retain(|entrant| {
        entrant.ready.stop(world);
        entrant.tell(&what, 1e3)
    });
    let fastest = entrants.iter().filter(|entrant| entrant.ready.peer.remembers);
    let fastest = fastest.min_by(|a, b| a.times.median().total_cmp(&b.times.median()));
    let ninja = entrants.iter().find(|entrant| entrant.ready.peer.name == NINJA.name);
    for (peer, wanted) in [(ninja, "1"), (fastest, "0.05")] {
        if let Some(Entrant { ready, times, .. }) = peer {
            let what = format!("{}, all known: ratio to {}", graph.name, ready.peer.name);
            line(&what, ours.median() / times.median(), ours.best() / times.best(), "", wanted);
        }
    }
}
