//! Counts the words of the text files in a tree.

use std::fs;
use std::path::{Path, PathBuf};

use cofferdam_sdk::{Context, Failure, task};

task!("task.yaml", run);

fn run(ctx: &Context, params: Params, inputs: Inputs, outputs: Outputs) -> Result<Results, Failure> {
    let root = inputs.source.path();
    let files = files(root, &params.ending)?;
    if files.is_empty() {
        let message = format!("no file in the source ends in .{}", params.ending);
        return Err(Failure::new("NothingToCount", message).remedy("give another `ending`"));
    }
    let mut total = 0;
    let mut report = String::new();
    for (done, file) in files.iter().enumerate() {
        let words = words(&fs::read_to_string(file)?);
        let name = file.strip_prefix(root).unwrap_or(file).display();
        report += &format!("{words:>8} {name}\n");
        total += words;
        ctx.progress(done as u64 + 1, Some(files.len() as u64), "counting");
    }
    fs::write(outputs.counts.path().join("counts.txt"), report)?;
    ctx.info("counted", &[("files", &files.len().to_string())]);
    Ok(Results { words: total.to_string() })
}

fn words(text: &str) -> usize {
    text.split_whitespace().count()
}

/// The files below a directory with an ending, in order of path.
fn files(root: &Path, ending: &str) -> Result<Vec<PathBuf>, Failure> {
    let mut found = Vec::new();
    let mut pending = vec![root.to_owned()];
    while let Some(directory) = pending.pop() {
        for entry in fs::read_dir(directory)? {
            let entry = entry?;
            let path = entry.path();
            if entry.file_type()?.is_dir() {
                pending.push(path);
            } else if path.extension().is_some_and(|found| found == ending) {
                found.push(path);
            }
        }
    }
    found.sort();
    Ok(found)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test that cannot go on should stop")]
    use super::*;
    use cofferdam_sdk::Value;
    use cofferdam_sdk::harness::Harness;

    #[test]
    fn the_whole_task_runs_without_webassembly() {
        let source = tempfile::tempdir().unwrap();
        fs::write(source.path().join("a.md"), "one two\nthree").unwrap();
        fs::write(source.path().join("b.txt"), "not counted").unwrap();
        let run = Harness::<Contract>::new().input("source", source.path()).run();
        assert_eq!(run.result("words"), Some(&Value::from("3")));
        assert_eq!(fs::read_to_string(run.output("counts").join("counts.txt")).unwrap(), "       3 a.md\n");

        let run = Harness::<Contract>::new().param("ending", "rs").input("source", source.path()).run();
        assert_eq!(run.outcome.unwrap_err().reason, "NothingToCount");
    }
}
