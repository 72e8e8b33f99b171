//! The `sbom` task: finds the lock files of a source tree and writes what they
//! pin as one CycloneDX document. It reads lock files only; it resolves
//! nothing, asks no registry, and refuses a lock file it cannot read in full.

mod tree;

use std::collections::{BTreeSet, VecDeque};

use cofferdam_inventory::{Inventory, Lock, LockKind, Origin, render};
use cofferdam_sdk::{Context, Failure, task};

use crate::tree::{Exclude, LockFile, Tree, unreadable};

task!("task.yaml", run);

/// Lock files say what a build will use, before there is one.
const ORIGIN: Origin<'_> =
    Origin { tool: ("sbom", env!("CARGO_PKG_VERSION")), phase: "pre-build", subject: None };

/// Lines of one kind that are logged; a task has a bound for its log.
const LOGGED: usize = 50;

fn run(ctx: &Context, params: Params, inputs: Inputs, outputs: Outputs) -> Result<Results, Failure> {
    let tree = Tree::new(inputs.source.path());
    let exclude = Exclude::parse(&params.exclude)?;
    let inventory = read_all(ctx, &tree, tree.lock_files(&exclude)?)?;
    warn_of_conflicts(ctx, &inventory);
    let bom = render(&inventory, &ORIGIN);
    std::fs::write(outputs.sbom.path().join("bom.cdx.json"), &bom)?;
    let components = inventory.components().count().to_string();
    ctx.info("wrote the SBOM", &[("components", &components)]);
    Ok(Results { components, lockfiles: inventory.lock_files().to_vec() })
}

fn warn_of_conflicts(ctx: &Context, inventory: &Inventory) {
    for conflict in inventory.conflicts().take(LOGGED) {
        ctx.warn("the same package has different digests in different lock files", &[("package", conflict)]);
    }
    let rest = inventory.conflicts().count().saturating_sub(LOGGED);
    if rest > 0 {
        ctx.warn("more packages have different digests", &[("packages", &rest.to_string())]);
    }
}

/// Reads the lock files and whatever they include, each once.
fn read_all(ctx: &Context, tree: &Tree<'_>, found: Vec<LockFile>) -> Result<Inventory, Failure> {
    if found.is_empty() {
        ctx.warn("found no lock file: the SBOM lists nothing", &[]);
    }
    let mut seen: BTreeSet<String> = found.iter().map(|file| file.path.clone()).collect();
    let mut queue = VecDeque::from(found);
    let mut inventory = Inventory::default();
    let mut done = 0;
    while let Some(file) = queue.pop_front() {
        ctx.progress(done, Some(done + 1 + queue.len() as u64), &file.path);
        let lock = read(tree, &file)?;
        for include in &lock.includes {
            if seen.insert(include.path.clone()) {
                tree.check_include(&file.path, include)?;
                tree::check_count(seen.len())?;
                queue.push_back(LockFile { path: include.path.clone(), kind: LockKind::Requirements });
            }
        }
        for notice in &lock.notices {
            ctx.warn(notice, &[("lockfile", &file.path)]);
        }
        let packages = lock.packages.len().to_string();
        ctx.info("read a lock file", &[("lockfile", &file.path), ("packages", &packages)]);
        inventory.add(&file.path, lock);
        done += 1;
    }
    Ok(inventory)
}

fn read(tree: &Tree<'_>, file: &LockFile) -> Result<Lock, Failure> {
    let text = tree.read(&file.path)?;
    file.kind.parse(&text, &file.path).map_err(|fault| unreadable(fault, &file.path))
}
