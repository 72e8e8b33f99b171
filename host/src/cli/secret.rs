//! `cofferdam secret`: keeps, lists and removes secrets. Shows no value.

use std::path::Path;

use cofferdam_manifest::Identifier;
use jiff::Timestamp;
use serde::Serialize;

use super::commands::{SecretCommand, SecretRmArgs, SecretSetArgs};
use super::exit;
use super::failure::Failure;
use super::home::Home;
use super::printer::Printer;
use super::secret_input::{Input, from_environment, from_standard_input};
use crate::model::{SecretHost, SecretValue};
use crate::report::Palette;
use crate::secret::{Listed, Place, Secret, SecretError, SecretStore};

/// One secret as it is shown.
#[derive(Debug, Serialize)]
struct SecretView {
    name: Identifier,
    hosts: Vec<SecretHost>,
    set: Timestamp,
    kept: Place,
    /// The encrypted file, when it is there.
    #[serde(skip_serializing_if = "Option::is_none")]
    file: Option<String>,
}

pub(crate) fn run(command: &SecretCommand, home: &Home, printer: &Printer) -> Result<u8, Failure> {
    let store = home.secrets()?;
    match command {
        SecretCommand::Set(args) => set(args, &store, printer),
        SecretCommand::List(_) => list(&store, printer),
        SecretCommand::Rm(args) => remove(args, &store, printer),
    }
}

fn set(args: &SecretSetArgs, store: &SecretStore, printer: &Printer) -> Result<u8, Failure> {
    if !args.value.is_empty() {
        // Not repeated: it may be the value.
        return Err(Failure::usage(
            "a secret's value is not taken from the command line, where other users and the shell's history \
             see it",
            format!(
                "give it on standard input, or name the variable that holds it: --env VAR; \
                     if this was the value of `{}`, replace it where it was issued",
                args.name
            ),
        ));
    }
    let bytes = match &args.env {
        Some(variable) => from_environment(variable)?,
        None => match from_standard_input(&args.name)? {
            Input::Value(bytes) => bytes,
            Input::Interrupted => return Ok(exit::INTERRUPTED),
        },
    };
    let value =
        SecretValue::new(bytes).map_err(|why| SecretError::InvalidValue { name: args.name.clone(), why })?;
    let mut hosts = args.hosts.clone();
    hosts.sort_by_key(ToString::to_string);
    hosts.dedup();
    let set = store.set(&args.name, &Secret { value, hosts }, Timestamp::now())?;
    let view = SecretView::new(args.name.clone(), set.listed, store);
    printer.result(&view, |palette| format!("kept secret {}", view.text(palette)));
    if set.left_in_keychain {
        printer.note(&format!(
            "note: no keychain answers, so the value of `{}` from before is still in it; remove it there",
            args.name
        ));
    }
    Ok(exit::OK)
}

fn list(store: &SecretStore, printer: &Printer) -> Result<u8, Failure> {
    let secrets = store.list()?;
    let views: Vec<SecretView> =
        secrets.into_iter().map(|(name, listed)| SecretView::new(name, listed, store)).collect();
    printer.result(&views, |palette| {
        if views.is_empty() {
            return "no secret is kept; keep one with `cofferdam secret set NAME --host HOST`\n".to_owned();
        }
        views.iter().map(|view| view.text(palette)).collect()
    });
    Ok(exit::OK)
}

fn remove(args: &SecretRmArgs, store: &SecretStore, printer: &Printer) -> Result<u8, Failure> {
    let listed = store.remove(&args.name)?;
    let view = SecretView::new(args.name.clone(), listed, store);
    printer.result(&view, |palette| {
        format!("removed secret {} from {}\n", palette.strong.apply_to(&view.name), view.place())
    });
    Ok(exit::OK)
}

impl SecretView {
    fn new(name: Identifier, listed: Listed, store: &SecretStore) -> Self {
        let Listed { hosts, set, kept } = listed;
        let file = match kept {
            Place::Keychain => None,
            Place::File => Some(at_home(store.file())),
        };
        Self { name, hosts, set, kept, file }
    }

    fn place(&self) -> String {
        match &self.file {
            None => "the keychain (Secret Service)".to_owned(),
            Some(file) => format!("{file}, encrypted with age"),
        }
    }

    fn text(&self, palette: &Palette) -> String {
        let hosts: Vec<String> = self.hosts.iter().map(ToString::to_string).collect();
        format!(
            "{}\n  hosts    {}\n  set      {:.0}\n  kept in: {}\n",
            palette.strong.apply_to(&self.name),
            hosts.join(", "),
            self.set,
            self.place()
        )
    }
}

/// A path as its user would write it.
fn at_home(path: &Path) -> String {
    let home = std::env::var_os("HOME").filter(|home| !home.is_empty());
    match home.and_then(|home| path.strip_prefix(home).ok()) {
        Some(below) => format!("~/{}", below.display()),
        None => path.display().to_string(),
    }
}
