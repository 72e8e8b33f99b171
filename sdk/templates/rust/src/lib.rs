//! Counts the lines of a source tree that contain a word.

use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::{self, BufRead, BufReader};
use std::path::{Path, PathBuf};

use cofferdam_sdk::{Context, Failure, task};

task!("task.yaml", run);

fn run(ctx: &Context, params: Params, inputs: Inputs, outputs: Outputs) -> Result<Results, Failure> {
    if params.word.is_empty() {
        return Err(Failure::new("NoWord", "`word` is empty").remedy("give a word to look for"));
    }
    let mut lines = 0;
    let mut report = String::new();
    let files = files(inputs.source.path())?;
    for file in &files {
        let reader = BufReader::new(File::open(inputs.source.path().join(file))?);
        for (index, line) in reader.split(b'\n').enumerate() {
            let line = line?;
            // No text from here on.
            if line.contains(&0) {
                break;
            }
            let line = String::from_utf8_lossy(&line);
            if line.contains(&params.word) {
                lines += 1;
                let _ = writeln!(report, "{}:{}: {}", file.display(), index + 1, line.trim_end());
            }
        }
    }
    fs::write(outputs.report.path().join("lines.txt"), report)?;
    ctx.info("looked through", &[("files", &files.len().to_string())]);
    Ok(Results { lines: lines.to_string() })
}

/// Every file below a directory, relative to it, in order.
fn files(root: &Path) -> io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let mut pending = vec![PathBuf::new()];
    while let Some(directory) = pending.pop() {
        for entry in fs::read_dir(root.join(&directory))? {
            let entry = entry?;
            let path = directory.join(entry.file_name());
            let kind = entry.file_type()?;
            if kind.is_dir() {
                pending.push(path);
            } else if kind.is_file() {
                found.push(path);
            }
        }
    }
    found.sort();
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use cofferdam_sdk::Value;
    use cofferdam_sdk::harness::Harness;

    #[test]
    fn lines_with_the_word_are_counted() {
        let run = Harness::<Contract>::new()
            .param("word", "fix")
            .files("source", &[("a.txt", "fix this\nnot this\n"), ("below/b.txt", "and fix that\n")])
            .run();
        assert_eq!(run.result("lines"), Some(&Value::from("2")));
        let report = fs::read_to_string(run.output("report").join("lines.txt")).unwrap();
        assert_eq!(report, "a.txt:1: fix this\nbelow/b.txt:1: and fix that\n");
    }
}
