//! `cofferdam setup`: makes what is missing to run signed tasks. Does nothing
//! that is done already.

use cofferdam_registry::{EMBEDDED_HOST, Layout, SigningKey, Trust};
use serde_json::json;

use super::commands::SetupArgs;
use super::exit;
use super::failure::Failure;
use super::home::{Home, PUBLIC_KEY};
use super::printer::Printer;
use super::publishing::Place;
use super::signers::Signers;
use super::task_publish::publish;

/// The label of the trust rule for tasks signed here.
const RULE: &str = "local";

pub(crate) fn run(args: &SetupArgs, home: &Home, printer: &Printer) -> Result<u8, Failure> {
    let (key, made) = key(home, printer)?;
    let key_line = if made { "made" } else { "have" };
    let trusts = trust(home)?;
    let layout = Layout::open_or_create(&home.registry())?;
    let mut tasks = Vec::new();
    let id = key.public().id();
    let signers = Signers::key(key);
    for path in &args.components {
        tasks.push(publish(path, None, home, &Place::EMBEDDED, ("", true, &signers))?);
    }
    let value = json!({
        "key": { "id": id, "made": made },
        "trust": home.trust_file(),
        "registry": layout.root(),
        "tasks": tasks,
    });
    printer.result(&value, |palette| {
        let mut text = format!("{key_line} key {id} ({})\n", home.key_file().display());
        text += &format!(
            "{} trust in tasks it signs ({})\n",
            if trusts { "made" } else { "have" },
            home.trust_file().display()
        );
        for task in &tasks {
            text +=
                &format!("published {}@{}, signed\n", palette.strong.apply_to(&task.reference), task.digest);
        }
        text += match tasks.as_slice() {
            [] => "next: publish tasks with `cofferdam setup TASK.wasm..`\n",
            _ => "next: cofferdam run PIPELINE\n",
        };
        text
    });
    Ok(exit::OK)
}

fn key(home: &Home, printer: &Printer) -> Result<(SigningKey, bool), Failure> {
    let path = home.key_file();
    if path.exists() {
        let key = home.signing_key()?;
        if key.write_public(&path)? {
            printer.note("the public half of the key was missing; it is written again");
        }
        Ok((key, false))
    } else {
        Ok((SigningKey::generate(&path)?, true))
    }
}

/// Writes trust rules where there are none. Rules that exist are the user's.
fn trust(home: &Home) -> Result<bool, Failure> {
    let path = home.trust_file();
    if path.exists() {
        home.trust()?;
        return Ok(false);
    }
    let pattern = format!("oci://{EMBEDDED_HOST}/*");
    let text = Trust::document_for(RULE, &pattern, PUBLIC_KEY);
    super::write_file(&path, text.as_bytes())?;
    home.trust()?;
    Ok(true)
}
