//! What noting every file that a task opens adds to reading it.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::Arc;

use cofferdam::sandbox::Job;
use cofferdam::store::LaidOut;
use cofferdam_manifest::Value;

use super::figure::{Times, line};
use super::lone::{self, Lone};
use super::world::World;

const FILES: usize = 20_000;

/// A task that reads many small files: from an input, where each is noted, and
/// from its scratch directory, where none is. Nothing else differs.
pub(super) fn run(world: &World) {
    let lone = Lone::new(world);
    let prepared = lone.prepare(world, "reader.wasm");
    let (input, scratch) = (world.directory.join("small"), world.directory.join("scratch"));
    for n in 0..FILES {
        for root in [&input, &scratch] {
            let below = root.join(format!("d{}", n % 100));
            fs::create_dir_all(&below).unwrap();
            fs::write(below.join(format!("file-{n}.txt")), n.to_string()).unwrap();
        }
    }
    let job = |how: &str| {
        let tree = |path: &Path| Some(Arc::new(LaidOut { path: path.to_owned(), links: Default::default() }));
        let params = [("how".to_owned(), Value::Text(how.to_owned()))];
        let mut params = BTreeMap::from(params);
        params.insert("files".to_owned(), Value::Texts(Vec::new()));
        let inputs = [("source".to_owned(), tree(&input)), ("other".to_owned(), tree(&input))];
        Job { params, inputs: inputs.into(), scratch: Some(scratch.clone()), ..lone::job() }
    };
    let (noted, unnoted) = (job("all"), job("scratch"));
    let (mut with, mut without) = (Times(Vec::new()), Times(Vec::new()));
    for _ in 0..15 {
        with.0.push(lone.run(&prepared, &noted));
        without.0.push(lone.run(&prepared, &unnoted));
    }
    let millis = |seconds: f64| seconds * 1e3;
    line("20,000 small files, each noted", millis(with.median()), millis(with.best()), "ms", "");
    line("the same, none noted", millis(without.median()), millis(without.best()), "ms", "");
    line("ratio", with.median() / without.median(), with.best() / without.best(), "", "1.10");
}
