//! Downloads a file and insists on its digest, in constant memory.

use std::fs::File;
use std::io::{self, Write};

use cofferdam_sdk::http::Request;
use cofferdam_sdk::{Context, Failure, task};
use sha2::{Digest as _, Sha256};

task!("task.yaml", run);

fn run(ctx: &Context, params: Params, _: Inputs, outputs: Outputs) -> Result<Results, Failure> {
    let path = params.url.split(['?', '#']).next().unwrap_or_default();
    let name = path.rsplit('/').next().filter(|name| !name.is_empty() && !matches!(*name, "." | ".."));
    let name = name.ok_or_else(|| Failure::new("NoName", format!("{} names no file", params.url)))?;
    let mut response = Request::get(&params.url).send()?.success()?;
    let mut file = Hashed { file: File::create(outputs.file.path().join(name))?, hash: Sha256::new() };
    let size = response.copy_to(&mut file)?;
    let found: String = file.hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
    if !found.eq_ignore_ascii_case(&params.sha256) {
        let message = format!("{} has the digest {found}, not {}", params.url, params.sha256);
        return Err(Failure::new("OtherDigest", message).remedy("find out who changed the file"));
    }
    ctx.info("fetched", &[("from", response.url()), ("sha256", &found)]);
    Ok(Results { size: size.to_string() })
}

/// A file that is hashed while it is written.
struct Hashed {
    file: File,
    hash: Sha256,
}

impl Write for Hashed {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.file.write(bytes)?;
        self.hash.update(bytes.get(..written).unwrap_or_default());
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test that cannot go on should stop")]
    use super::*;
    use cofferdam_sdk::Value;
    use cofferdam_sdk::harness::{Harness, Run};
    use cofferdam_sdk::http::Response;

    fn fetch(url: &str, sha256: &str) -> Run {
        let harness = Harness::<Contract>::new().param("url", url).param("sha256", sha256);
        harness.respond(|_| Ok(Response::new(200, io::Cursor::new("abc")))).run()
    }

    #[test]
    fn a_file_is_kept_only_with_its_digest() {
        let abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        let run = fetch("https://files.example.org/releases/a.tar?x=1", abc);
        assert_eq!(run.result("size"), Some(&Value::from("3")));
        assert_eq!(std::fs::read(run.output("file").join("a.tar")).unwrap(), b"abc");
        let other = fetch("https://files.example.org/releases/a.tar", &"0".repeat(64));
        assert_eq!(other.outcome.unwrap_err().reason, "OtherDigest");
        assert_eq!(fetch("https://files.example.org/", abc).outcome.unwrap_err().reason, "NoName");
    }
}
