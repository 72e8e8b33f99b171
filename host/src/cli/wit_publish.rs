//! `cofferdam wit publish`: puts the contract of tasks into a registry, as a
//! package of WIT that other tools fetch, and signs it there.

use clap::{Args, Subcommand};
use cofferdam_registry::{Digest, Layout, Location, Reference, WitArtifact};
use serde::Serialize;

use super::failure::Failure;
use super::home::Home;
use super::printer::Printer;
use super::publishing::{self, Edition, Replacing, place};
use super::signers::{SignArgs, Signed};
use super::{exit, task_files};
use crate::component::wit::{WitError, WitPackage};

const DESCRIPTION: &str = "The contract between Cofferdam and a task";

#[derive(Debug, Subcommand)]
pub(crate) enum WitCommand {
    /// Put the contract of tasks into a registry, as a package of WIT.
    Publish(WitPublishArgs),
}

#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  cofferdam wit publish --to registry.example/wit --sign\n  \
    cofferdam wit publish --to registry.example --keyless --device-flow\n\n\
    `wkg get cofferdam:task` then fetches it. A version that is there never changes.")]
pub(crate) struct WitPublishArgs {
    #[command(flatten)]
    sign: SignArgs,
    /// Below what the package's own name goes: HOST or HOST/PATH of a registry.
    #[arg(long, value_name = "HOST/PATH")]
    to: String,
}

/// A package of WIT that was published.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Published {
    /// The package, as WIT names it.
    package: String,
    reference: String,
    digest: Digest,
    /// The package in its binary form, which is what other tools pin.
    wit: Digest,
    #[serde(flatten)]
    signed: Signed,
}

pub(crate) fn run(command: &WitCommand, home: &Home, printer: &Printer) -> Result<u8, Failure> {
    let WitCommand::Publish(args) = command;
    let place = place(Some(&args.to))?;
    if !matches!(place.location, Location::Remote(_)) {
        let message = format!("`{}` is no registry that other tools could fetch it from", args.to);
        return Err(Failure::usage(message, "write --to HOST/PATH"));
    }
    let broken =
        |error: WitError| Failure::invalid("bug/contract", error.to_string(), "report this as a bug");
    let package = contract().map_err(broken)?;
    let WitPackage { namespace, name: own, version, exports, bytes } = &package;
    let name = format!("{namespace}/{own}");
    let artifact = WitArtifact {
        name: &name,
        version,
        description: DESCRIPTION,
        package: bytes,
        exports,
        source: env!("CARGO_PKG_REPOSITORY"),
        licenses: env!("CARGO_PKG_LICENSE"),
    };
    let make = |layout: &Layout| Ok(layout.publish_wit(&artifact)?);
    let signers = args.sign.signers(home)?;
    let edition = Edition { name: &name, version, claims: &[], replacing: Replacing::Never };
    let placed = publishing::publish(home, &place, edition, &signers, make)?;
    let published = Published {
        package: format!("{namespace}:{own}@{version}"),
        digest: placed.digest,
        wit: Digest::of(bytes),
        reference: Reference { digest: None, ..placed.reference }.to_string(),
        signed: placed.signed,
    };
    printer.result(&published, |palette| {
        let Published { package, digest, signed, .. } = &published;
        let reference = palette.strong.apply_to(&published.reference);
        format!("published {package} as {reference}\n  {digest}\n  {}\n", signed.words())
    });
    Ok(exit::OK)
}

/// The contract that this program speaks.
fn contract() -> Result<WitPackage, WitError> {
    WitPackage::encode(task_files::CONTRACT.iter().copied())
}
