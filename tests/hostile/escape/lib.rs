//! Tries every way out of its directories, with the host's own interface and
//! with the standard library, and tells which of them worked.

use std::fs;

use cofferdam_hostile::{Breaches, opened};
use cofferdam_sdk::{Context, Failure, task};
use wasip2::filesystem::types::{Descriptor, DescriptorFlags, NewTimestamp, OpenFlags, PathFlags};

task!("escape/task.yaml", run);

/// Paths that lead out of any directory the host opens for a task.
const OUT: &[&str] = &[
    "..",
    "../",
    "./..",
    "../..",
    "..//..",
    "sub/../..",
    "sub/../../..",
    "sub/./../..",
    "../../../../../../../../..",
    "/",
    "//",
    "/etc/passwd",
    "//etc/passwd",
    "/proc/self/environ",
    "/proc/self/fd",
    "/dev/null",
    "../../../../../../../../../../etc/passwd",
    "../../../../../../../../../../proc/self/root/etc/passwd",
];
const ROOTS: &[&str] = &["/inputs/source", "/outputs/out", "/scratch"];

fn run(_: &Context, params: Params, _: Inputs, _: Outputs) -> Result<Results, Failure> {
    let mut breaches = Breaches::default();
    let mut allowed = Vec::new();
    for _ in 0..params.rounds.parse::<u32>().unwrap_or(1) {
        for root in ROOTS {
            let directory = opened(root)?;
            let writable = *root != "/inputs/source";
            if writable {
                fs::create_dir_all(format!("{root}/sub"))?;
                fs::write(format!("{root}/file.txt"), root)?;
            }
            for path in OUT.iter().copied().chain(params.targets.iter().map(String::as_str)) {
                reach(&directory, path, &mut breaches);
                plainly(&below(root, path), &mut breaches);
            }
            for path in &params.targets {
                destroy(&directory, path, &mut breaches);
            }
            if writable {
                let targets = OUT.iter().copied().chain(params.targets.iter().map(String::as_str));
                targets.for_each(|target| through_links(&directory, root, target, &mut breaches));
                moved(&directory, &mut breaches);
            }
        }
        allowed = twins()?;
        linked(&mut breaches);
    }
    Ok(Results { breaches: breaches.found(), allowed })
}

/// A path of the library, which knows directories by absolute paths.
fn below(root: &str, path: &str) -> String {
    if path.starts_with('/') { path.to_owned() } else { format!("{root}/{path}") }
}

/// Looks at, opens and makes things at a path.
fn reach(from: &Descriptor, path: &str, breaches: &mut Breaches) {
    let none = OpenFlags::empty();
    for follow in [PathFlags::empty(), PathFlags::SYMLINK_FOLLOW] {
        breaches.tried(&format!("open {path}"), from.open_at(follow, path, none, DescriptorFlags::READ));
        let list = from.open_at(follow, path, OpenFlags::DIRECTORY, DescriptorFlags::READ);
        breaches.tried(&format!("list {path}"), list.and_then(|directory| directory.read_directory()));
        breaches.tried(&format!("stat {path}"), from.stat_at(follow, path));
        breaches.tried(&format!("hash {path}"), from.metadata_hash_at(follow, path));
        let new = format!("{path}/breach");
        let made = from.open_at(follow, &new, OpenFlags::CREATE, DescriptorFlags::WRITE);
        breaches.tried(&format!("create {new}"), made);
    }
    breaches.tried(&format!("readlink {path}"), from.readlink_at(path));
    breaches.tried(&format!("mkdir in {path}"), from.create_directory_at(&format!("{path}/breach")));
    breaches.tried(&format!("symlink in {path}"), from.symlink_at("x", &format!("{path}/breach")));
    let renamed = from.rename_at("file.txt", from, &format!("{path}/breach"));
    breaches.tried(&format!("rename to {path}"), renamed);
}

/// What would harm whoever owns the path.
fn destroy(from: &Descriptor, path: &str, breaches: &mut Breaches) {
    for follow in [PathFlags::empty(), PathFlags::SYMLINK_FOLLOW] {
        let write = from.open_at(follow, path, OpenFlags::empty(), DescriptorFlags::WRITE);
        breaches.tried(&format!("open for writing {path}"), write);
        let cut = from.open_at(follow, path, OpenFlags::TRUNCATE, DescriptorFlags::WRITE);
        breaches.tried(&format!("truncate {path}"), cut);
        let times = from.set_times_at(follow, path, NewTimestamp::Now, NewTimestamp::Now);
        breaches.tried(&format!("touch {path}"), times);
    }
    breaches.tried(&format!("steal {path}"), from.rename_at(path, from, "stolen"));
    breaches.tried(&format!("unlink {path}"), from.unlink_file_at(path));
    breaches.tried(&format!("rmdir {path}"), from.remove_directory_at(path));
}

/// The same through the standard library.
fn plainly(path: &str, breaches: &mut Breaches) {
    breaches.tried(&format!("read {path}"), fs::read(path));
    breaches.tried(&format!("read_dir {path}"), fs::read_dir(path));
    breaches.tried(&format!("metadata {path}"), fs::metadata(path));
    breaches.tried(&format!("write {path}/breach"), fs::write(format!("{path}/breach"), "breach"));
}

/// Makes a link to a path, and a chain of links, and goes through them.
fn through_links(from: &Descriptor, root: &str, target: &str, breaches: &mut Breaches) {
    let follow = PathFlags::SYMLINK_FOLLOW;
    let chain = [("first", "second"), ("second", "sub/../third"), ("third", target)];
    // A link by itself is text: only what can be done through it counts.
    let made = chain
        .map(|(name, to)| from.symlink_at(to, name))
        .into_iter()
        .chain([from.symlink_at(target, "link"), from.symlink_at("..", "sub/up")]);
    let _ = made.collect::<Vec<_>>();
    for name in ["link", "first", "link/.", "first/.", "sub/up/..", "sub/up/../sub"] {
        let (none, read) = (OpenFlags::empty(), DescriptorFlags::READ);
        breaches.tried(&format!("open {name} -> {target}"), from.open_at(follow, name, none, read));
        breaches.tried(&format!("stat {name} -> {target}"), from.stat_at(follow, name));
        breaches.tried(&format!("hash {name} -> {target}"), from.metadata_hash_at(follow, name));
        let (inside, create, write) = (format!("{name}/breach"), OpenFlags::CREATE, DescriptorFlags::WRITE);
        let created = from.open_at(follow, &inside, create, write);
        breaches.tried(&format!("create {inside} -> {target}"), created);
        breaches.tried(&format!("mkdir {inside} -> {target}"), from.create_directory_at(&inside));
        plainly(&format!("{root}/{name}"), breaches);
    }
    for name in ["link", "first", "second", "third", "sub/up"] {
        let _ = from.unlink_file_at(name);
    }
}

/// Moves a directory that is open, and goes up from where it was.
fn moved(from: &Descriptor, breaches: &mut Breaches) {
    let _ = from.create_directory_at("sub/inner");
    let open = |path| {
        from.open_at(PathFlags::empty(), path, OpenFlags::DIRECTORY, DescriptorFlags::MUTATE_DIRECTORY)
    };
    let Ok(inner) = open("sub/inner") else { return };
    let _ = from.rename_at("sub/inner", from, "moved");
    for path in ["..", "../..", "../sub", "../../.."] {
        let up = inner.open_at(PathFlags::empty(), path, OpenFlags::empty(), DescriptorFlags::READ);
        breaches.tried(&format!("{path} from a directory that was moved"), up);
    }
    if let Ok(scratch) = opened("/scratch") {
        let _ = from.rename_at("moved", &scratch, "elsewhere");
        for path in ["..", "../..", "../../.."] {
            let up = inner.stat_at(PathFlags::empty(), path);
            breaches.tried(&format!("{path} from a directory that changed hands"), up);
        }
        let _ = scratch.remove_directory_at("elsewhere");
    }
}

/// Hard links, which could make one file out of two.
fn linked(breaches: &mut Breaches) {
    for (from, to) in
        [("/inputs/source", "/outputs/out"), ("/outputs/out", "/outputs/out"), ("/scratch", "/scratch")]
    {
        if let (Ok(old), Ok(new)) = (opened(from), opened(to)) {
            let result = old.link_at(PathFlags::empty(), "file.txt", &new, "breach");
            breaches.tried(&format!("hard link {from} -> {to}"), result);
        }
        let result = fs::hard_link(format!("{from}/file.txt"), format!("{to}/breach"));
        breaches.tried(&format!("hard link of the library {from} -> {to}"), result);
    }
}

/// The same operations where they are allowed.
fn twins() -> Result<Vec<String>, Failure> {
    let out = opened("/outputs/out")?;
    let done = |what: &str, worked: bool| if worked { what.to_owned() } else { format!("not: {what}") };
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let mut allowed = vec![
        done("read an input", read("/inputs/source/file.txt") == "input"),
        done("read an input through a link", read("/inputs/source/inner") == "input"),
        done("go down and up", read("/outputs/out/sub/../file.txt") == "/outputs/out"),
        done("make a link", out.symlink_at("file.txt", "near").is_ok()),
        done("read through it", read("/outputs/out/near") == "/outputs/out"),
        done("remove it", out.unlink_file_at("near").is_ok()),
    ];
    let scratch = opened("/scratch")?;
    fs::write("/scratch/own", "own")?;
    allowed.push(done("move from scratch to an output", scratch.rename_at("own", &out, "own").is_ok()));
    allowed.push(done("read what was moved", read("/outputs/out/own") == "own"));
    Ok(allowed)
}
