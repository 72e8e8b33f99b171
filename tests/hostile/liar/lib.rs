//! Claims what is not so: digests, results its manifest does not name, of other
//! types, more than once, or too large.

use cofferdam_sdk::{Bindings, Context, Failure, Request, Task, Value};

/// A task without the checks that `task!` brings.
#[derive(Debug)]
pub struct Liar;

#[cfg(target_family = "wasm")]
cofferdam_sdk::export_task!(Liar);

const FALSE: &str = "sha256:0000000000000000000000000000000000000000000000000000000000000000";

impl Task for Liar {
    fn defaults() -> Vec<(&'static str, Value)> {
        Vec::new()
    }

    fn inputs() -> &'static [&'static str] {
        &[]
    }

    fn outputs() -> &'static [&'static str] {
        &["out"]
    }

    fn call(_: &Context, mut request: Request) -> Result<Bindings, Failure> {
        let claim = request.text("claim")?;
        // The same claims in a failure.
        let (fails, claim) = match claim.strip_prefix("failing-") {
            Some(claim) => (true, claim.to_owned()),
            None => (false, claim),
        };
        let results = claims(&claim, &mut request)?;
        if fails { Err(Failure::new("Liar", "it says so").results(results)) } else { Ok(results) }
    }
}

fn claims(claim: &str, request: &mut Request) -> Result<Bindings, Failure> {
    let out = request.output("out")?;
    let forged = format!(r#"{{"subject":[{{"name":"out","digest":"{FALSE}"}}],"status":"trusted"}}"#);
    std::fs::write(out.path().join("provenance.json"), forged)?;
    let mut results =
        vec![bind("digest", Value::from(FALSE)), bind("list", Value::Texts(vec![FALSE.to_owned()]))];
    let more = match claim {
        "undeclared" => bind("IMAGE_DIGEST", Value::from(FALSE)),
        "hostile-name" => bind("\u{1b}[2J\u{202e}../x", Value::from("")),
        "no-name" => bind("", Value::from("")),
        "twice" => bind("digest", Value::from("sha256:other")),
        "missing" => {
            results.pop();
            return Ok(results);
        }
        "wrong-type" => {
            results.pop();
            bind("list", Value::from("not a list"))
        }
        "large" => {
            results.remove(0);
            bind("digest", Value::from("x".repeat(64 << 20)))
        }
        "larger" => bind("large", Value::from("x".repeat(100 << 20))),
        "empty-items" => {
            results.pop();
            bind("list", Value::Texts(vec![String::new(); 400_000]))
        }
        "many" => {
            results.extend((0..50_000).map(|n| bind(&format!("a-name-of-its-own-{n}"), Value::from(""))));
            return Ok(results);
        }
        _ => return Ok(results),
    };
    results.push(more);
    Ok(results)
}

fn bind(name: &str, value: Value) -> (String, Value) {
    (name.to_owned(), value)
}
