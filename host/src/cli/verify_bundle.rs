//! `cofferdam verify-bundle`: whether a Sigstore bundle is about a file and
//! signed by who should have signed it. The arguments are those of the
//! sigstore-conformance client protocol. No network is used.

use std::path::{Path, PathBuf};

use clap::{ArgGroup, Args};
use cofferdam_registry::{
    Artifact, Digest, Identity, PublicKey, TRUSTED_ROOT, TrustedRoot, Verified, claims_log, open_named,
    verify_unlogged,
};
use jiff::Timestamp;
use serde::Serialize;

use super::exit;
use super::failure::Failure;
use super::home::Home;
use super::printer::Printer;
use crate::report::{Palette, visible};

/// Larger bundles are not read.
const MAX_BUNDLE: u64 = 64 << 20;

#[derive(Debug, Args)]
#[command(group(ArgGroup::new("signer").required(true).args(["certificate_identity", "key"])))]
#[command(after_help = "Examples:\n  \
    cofferdam verify-bundle --bundle app.sigstore.json --certificate-identity dev@example.org \\\n    \
    --certificate-oidc-issuer https://accounts.example.org app.tar.gz\n  \
    cofferdam verify-bundle --bundle app.sigstore.json --key release.pub sha256:0c5b..\n\n\
    Exit status 0 only where everything holds. Nothing is fetched: without --trusted-root,\n\
    trusted_root.json in the configuration directory says whom to believe.")]
pub(crate) struct VerifyBundleArgs {
    /// The bundle.
    #[arg(long, value_name = "FILE")]
    bundle: PathBuf,
    /// Who must have signed: the email address or URI in the certificate, to the letter.
    #[arg(long, value_name = "IDENTITY", requires = "certificate_oidc_issuer")]
    certificate_identity: Option<String>,
    /// Who must have vouched for that: the issuer of the identity token.
    #[arg(long, value_name = "URL", requires = "certificate_identity")]
    certificate_oidc_issuer: Option<String>,
    /// The public key that must have signed, instead of an identity.
    #[arg(long, value_name = "FILE")]
    key: Option<PathBuf>,
    /// Certificate authorities and logs to believe.
    #[arg(long, value_name = "FILE")]
    trusted_root: Option<PathBuf>,
    /// The kind of claim that must be signed, a URI; left out, any.
    #[arg(long, value_name = "URI")]
    predicate_type: Option<String>,
    /// The artifact, or its digest as sha256:HEX.
    #[arg(value_name = "FILE|DIGEST")]
    artifact: String,
}

/// What holds, for JSON.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Verdict {
    verified: bool,
    /// Who signed: an identity, or a key.
    signed_by: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    issuer: Option<String>,
    /// Whether a transparency log has the signature.
    logged: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    signed_at: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    predicate_type: Option<String>,
}

pub(crate) fn run(args: &VerifyBundleArgs, home: &Home, printer: &Printer) -> Result<u8, Failure> {
    let bundle = super::read_file(&args.bundle, MAX_BUNDLE)?;
    let mut artifact = artifact(&args.artifact)?;
    let wanted = args.predicate_type.as_deref();
    let verdict = match (&args.key, &args.certificate_identity, &args.certificate_oidc_issuer) {
        (Some(key), None, None) => {
            let key = PublicKey::load(key)?;
            let verified = if claims_log(&bundle)? {
                // What is claimed has to hold, even where less would be enough.
                trusted_root(args, home)?.verify_logged(&bundle, &key, &mut artifact, wanted)?
            } else {
                verify_unlogged(&bundle, &key, &mut artifact, wanted)?
            };
            Verdict::new(key.id(), None, verified)
        }
        (None, Some(subject), Some(issuer)) => {
            let identity = Identity::new(subject, issuer)?;
            let verified = trusted_root(args, home)?.verify(&bundle, &identity, &mut artifact, wanted)?;
            Verdict::new(identity.subject, Some(identity.issuer), verified)
        }
        _ => {
            return Err(Failure::usage(
                "who must have signed is not said",
                "give --certificate-identity and --certificate-oidc-issuer, or --key",
            ));
        }
    };
    printer.result(&verdict, |palette| verdict.words(palette));
    Ok(exit::OK)
}

fn trusted_root(args: &VerifyBundleArgs, home: &Home) -> Result<TrustedRoot, Failure> {
    let own = || home.configuration_directory().join(TRUSTED_ROOT);
    Ok(TrustedRoot::load(&args.trusted_root.clone().unwrap_or_else(own))?)
}

/// A digest is what looks like one and is no file: client protocol, `verify-bundle`.
fn artifact(text: &str) -> Result<Artifact, Failure> {
    let path = Path::new(text);
    let digest = text.strip_prefix("sha256:").and_then(Digest::from_hex);
    match digest {
        Some(digest) if path.symlink_metadata().is_err() => Ok(Artifact::Digest(digest)),
        Some(_) | None => {
            let file = open_named(path).map_err(|error| Failure::unreadable(path, &error))?;
            Ok(Artifact::File(file))
        }
    }
}

impl Verdict {
    fn new(signed_by: String, issuer: Option<String>, verified: Verified) -> Self {
        let signed_at = verified.signed_at.and_then(|seconds| Timestamp::from_second(seconds).ok());
        let (logged, predicate_type) = (verified.logged, verified.predicate_type);
        Self { verified: true, signed_by, issuer, logged, signed_at, predicate_type }
    }

    fn words(&self, palette: &Palette) -> String {
        let who = match &self.issuer {
            Some(issuer) => {
                format!("signed by {}, for whom {} vouched", visible(&self.signed_by), visible(issuer))
            }
            None => format!("signed by key {}", self.signed_by),
        };
        let mut text = format!("{} {who}\n", palette.good.apply_to("verified:"));
        if let Some(kind) = &self.predicate_type {
            text += &format!("  claims     {}\n", visible(kind));
        }
        if let Some(at) = self.signed_at {
            text += &format!("  signed     {at}\n");
        }
        text += &if self.logged {
            "  log        a transparency log has it\n".to_owned()
        } else {
            let lower = palette.bad.apply_to("lower assurance");
            format!("  log        none: {lower}; nobody but the key's holder says when it was signed\n")
        };
        text
    }
}
