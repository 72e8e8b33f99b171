//! `cofferdam key`: makes signing keys.

use cofferdam_registry::SigningKey;
use serde_json::json;

use super::commands::{KeyCommand, KeyGenerateArgs};
use super::exit;
use super::failure::Failure;
use super::home::Home;
use super::printer::Printer;

pub(crate) fn run(command: &KeyCommand, home: &Home, printer: &Printer) -> Result<u8, Failure> {
    let KeyCommand::Generate(args) = command;
    generate(args, home, printer)
}

fn generate(args: &KeyGenerateArgs, home: &Home, printer: &Printer) -> Result<u8, Failure> {
    let path = args.output.clone().unwrap_or_else(|| home.key_file());
    let key = SigningKey::generate(&path)?;
    let public = path.with_extension("pub");
    let value = json!({ "private": path, "public": public, "id": key.public().id() });
    printer.result(&value, |palette| {
        let id = palette.strong.apply_to(key.public().id());
        format!(
            "made key {id}\n  private  {} (keep it to yourself)\n  public   {}\n",
            path.display(),
            public.display()
        )
    });
    Ok(exit::OK)
}
