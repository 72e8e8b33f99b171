//! `cofferdam sign-bundle`: signs a file with an identity, and writes a Sigstore
//! bundle. The arguments are those of the sigstore-conformance client protocol.

use std::fs::Permissions;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use clap::Args;
use cofferdam_registry::{Artifact, open_named, statement_subject};
use serde::Serialize;

use super::exit;
use super::failure::Failure;
use super::home::Home;
use super::identity::{IdentityArgs, IdentitySigner};
use super::printer::Printer;
use super::registries;
use crate::report::visible;

/// Larger statements are not read: nobody would read their bundle.
const MAX_STATEMENT: u64 = 32 << 20;

#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    cofferdam sign-bundle --bundle app.sigstore.json --device-flow app.tar.gz\n  \
    cofferdam sign-bundle --bundle app.sigstore.json --identity-token-file token app.tar.gz\n  \
    cofferdam sign-bundle --in-toto --bundle sbom.sigstore.json statement.json\n\n\
    Only the services of the signing config are asked. What they give is verified against the\n\
    trusted root, where there is one, and the bundle is written whole or not at all. Others on\n\
    this machine can read a command line: prefer --identity-token-file or SIGSTORE_ID_TOKEN.")]
pub(crate) struct SignBundleArgs {
    /// FILE is an in-toto statement: sign it as one.
    #[arg(long)]
    in_toto: bool,
    /// The identity token itself.
    #[arg(long, value_name = "TOKEN", conflicts_with_all = ["identity_token_file", "device_flow"])]
    identity_token: Option<String>,
    /// Where to write the bundle.
    #[arg(long, value_name = "FILE")]
    bundle: PathBuf,
    #[command(flatten)]
    identity: IdentityArgs,
    /// What to sign.
    #[arg(value_name = "FILE")]
    file: PathBuf,
}

/// What was signed, for JSON.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Signed<'a> {
    bundle: &'a Path,
    signed_by: String,
    issuer: String,
    /// Whether it was verified against a trusted root.
    verified: bool,
}

pub(crate) fn run(args: &SignBundleArgs, home: &Home, printer: &Printer) -> Result<u8, Failure> {
    let unreadable = |error| Failure::unreadable(&args.file, &error);
    let file = open_named(&args.file).map_err(unreadable)?;
    let statement = if args.in_toto { Some(super::read_file(&args.file, MAX_STATEMENT)?) } else { None };
    let mut artifact = match &statement {
        Some(statement) => statement_subject(statement)?,
        None => Artifact::File(open_named(&args.file).map_err(unreadable)?),
    };
    // A log keeps what is signed: where nothing can be written, nothing is signed.
    let refused = |error| Failure::io("write", &args.bundle, &error);
    let directory = args.bundle.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut out = tempfile::NamedTempFile::new_in(directory).map_err(refused)?;

    let signer = IdentitySigner::find(&args.identity, args.identity_token.as_deref(), home)?;
    let bundle = registries::wait(async {
        match &statement {
            Some(statement) => signer.services.sign_statement(&signer.token, statement).await,
            None => signer.services.sign_file(&signer.token, &file).await,
        }
    })??;
    let (identity, verified) = signer.check(&bundle, &mut artifact)?;
    out.write_all(bundle.as_bytes())
        .and_then(|()| out.as_file().set_permissions(Permissions::from_mode(0o644)))
        .and_then(|()| out.as_file().sync_all())
        .map_err(refused)?;
    out.persist(&args.bundle).map_err(|error| refused(error.error))?;

    let (signed_by, issuer) = (identity.subject, identity.issuer);
    let signed = Signed { bundle: &args.bundle, signed_by, issuer, verified };
    printer.result(&signed, |palette| {
        let (who, issuer) = (visible(&signed.signed_by), visible(&signed.issuer));
        let done = palette.good.apply_to("signed:");
        let checked = if verified {
            "against the trusted root"
        } else {
            "no; there is no trusted root, give --trusted-root"
        };
        format!(
            "{done} by {who}, for whom {issuer} vouched\n  bundle     {}\n  verified   {checked}\n",
            args.bundle.display()
        )
    });
    Ok(exit::OK)
}
