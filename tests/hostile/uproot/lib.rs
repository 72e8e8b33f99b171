//! Tries to remove or move the directories the host opened for it, so that the
//! host would find nothing, or something else, where it seals.

use cofferdam_hostile::{Breaches, opened};
use cofferdam_sdk::{Context, Failure, task};

task!("uproot/task.yaml", run);

/// Names of the directory itself; from the fifth on, with links in it.
const SELF: &[&str] =
    &["", ".", "./", "./.", "sub/..", "sub/../.", "self", "self/", "self/.", "sub/up", "sub/up/"];

fn run(_: &Context, _: Params, _: Inputs, _: Outputs) -> Result<Results, Failure> {
    let mut breaches = Breaches::default();
    let (scratch, other) = (opened("/scratch")?, opened("/outputs/other")?);
    for root in ["/outputs/out", "/scratch"] {
        let directory = opened(root)?;
        for with_links in [false, true] {
            if with_links {
                let _ = directory.create_directory_at("sub");
                let _ = directory.symlink_at(".", "self");
                let _ = directory.symlink_at("..", "sub/up");
            }
            for name in SELF.iter().take(if with_links { SELF.len() } else { 4 }) {
                // A link that is named without a slash is itself what is removed.
                let link = with_links && ["self", "sub/up"].contains(name);
                if !link {
                    breaches.tried(&format!("rmdir {root} {name}"), directory.remove_directory_at(name));
                    breaches.tried(&format!("unlink {root} {name}"), directory.unlink_file_at(name));
                    for (to, new) in [(&directory, "moved"), (&scratch, "moved"), (&other, "moved")] {
                        breaches.tried(&format!("rename {root} {name}"), directory.rename_at(name, to, new));
                    }
                }
                // Something else in its place.
                breaches.tried(&format!("replace {root} {name}"), other.rename_at(".", &directory, name));
                breaches.tried(&format!("mkdir {root} {name}"), directory.create_directory_at(name));
            }
        }
        for (name, remove) in [("self", true), ("sub/up", true), ("sub", false)] {
            let _ = if remove { directory.unlink_file_at(name) } else { directory.remove_directory_at(name) };
        }
    }
    std::fs::write("/outputs/out/file.txt", "still there")?;
    Ok(Results { breaches: breaches.found() })
}
