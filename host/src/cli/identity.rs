//! Signing with an identity: whose token is used, which services are asked, and
//! that what they gave holds before anybody gets it.

use std::ffi::OsString;
use std::io::Write;
use std::path::PathBuf;

use clap::Args;
use cofferdam_registry::{
    Artifact, Attestation, DeviceLogin, Digest, Identity, IdentityToken, SIGNING_CONFIG, SigningServices,
    TRUSTED_ROOT, TrustedRoot, certified_identity, read_named,
};

use super::failure::Failure;
use super::home::Home;
use super::registries;
use crate::report::visible;

/// Longer files hold no token.
const MAX_TOKEN: u64 = 64 << 10;

/// The choices that are the same wherever an identity signs.
#[derive(Debug, Args)]
pub(crate) struct IdentityArgs {
    /// Where the identity token is; left out, SIGSTORE_ID_TOKEN or the job's on GitHub.
    #[arg(long, value_name = "FILE")]
    identity_token_file: Option<PathBuf>,
    /// Log in with a code that is entered in a browser, anywhere.
    #[arg(long, conflicts_with = "identity_token_file")]
    device_flow: bool,
    /// What the issuer knows this program as, with --device-flow.
    #[arg(long, value_name = "ID", requires = "device_flow")]
    oidc_client_id: Option<String>,
    /// The services that take part; left out, signing_config.json in the
    /// configuration directory.
    #[arg(long, value_name = "FILE")]
    signing_config: Option<PathBuf>,
    /// Certificate authorities and logs to believe, for checking what was signed.
    #[arg(long, value_name = "FILE")]
    trusted_root: Option<PathBuf>,
}

impl IdentityArgs {
    /// Whether any of them was given.
    pub(crate) fn is_given(&self) -> bool {
        let files = [&self.identity_token_file, &self.signing_config, &self.trusted_root];
        self.device_flow || files.iter().any(|file| file.is_some())
    }
}

/// Somebody who signs.
pub(crate) struct IdentitySigner {
    pub(crate) services: SigningServices,
    pub(crate) token: IdentityToken,
    root: Option<TrustedRoot>,
}

impl IdentitySigner {
    /// Finds services and token; `literal` is a token from the command line.
    pub(crate) fn find(args: &IdentityArgs, literal: Option<&str>, home: &Home) -> Result<Self, Failure> {
        let directory = home.configuration_directory();
        let own = |given: &Option<PathBuf>, name| given.clone().unwrap_or_else(|| directory.join(name));
        // Before anything is sent: a root that cannot be read is noticed first.
        let root = own(&args.trusted_root, TRUSTED_ROOT);
        let root = if args.trusted_root.is_some() || root.symlink_metadata().is_ok() {
            Some(TrustedRoot::load(&root)?)
        } else {
            None
        };
        let ca_files = home.configuration()?.network(&directory).ca_files;
        let services = SigningServices::load(&own(&args.signing_config, SIGNING_CONFIG), &ca_files)?;
        let token = match literal {
            Some(token) => IdentityToken::parse(token)?,
            None => token(args, &services, &ca_files)?,
        };
        Ok(Self { services, token, root })
    }

    /// Whether somebody signed an attestation of an artifact; not, where there is
    /// nothing to verify it against.
    pub(crate) fn signed(&self, one: &Attestation, who: &Identity, digest: Digest) -> bool {
        let predicate_type = Some(one.statement.predicate_type.as_str());
        self.root.as_ref().is_some_and(|root| {
            root.verify(&one.bundle, who, &mut Artifact::Digest(digest), predicate_type).is_ok()
        })
    }

    /// Who signed a bundle that the services just gave, once everything about it
    /// holds; whether that could be verified.
    pub(crate) fn check(&self, bundle: &str, artifact: &mut Artifact) -> Result<(Identity, bool), Failure> {
        let help = "nothing was written; the signing config and the trusted root must be of one deployment";
        let identity = certified_identity(bundle.as_bytes()).ok_or_else(|| {
            Failure::invalid("sign/unsound", "the certificate that was issued names nobody", help)
        })?;
        let Some(root) = &self.root else { return Ok((identity, false)) };
        root.verify(bundle.as_bytes(), &identity, artifact, None).map_err(|error| {
            let why = format!("what was signed does not verify: {error}");
            Failure::invalid("sign/unsound", why, help)
        })?;
        Ok((identity, true))
    }
}

fn token(
    args: &IdentityArgs,
    services: &SigningServices,
    ca_files: &[PathBuf],
) -> Result<IdentityToken, Failure> {
    if args.device_flow {
        let client = args.oidc_client_id.as_deref().unwrap_or("sigstore");
        return Ok(registries::wait(services.log_in(client, show))??);
    }
    if let Some(path) = &args.identity_token_file {
        let bytes = read_named(path, MAX_TOKEN).map_err(|error| Failure::unreadable(path, &error))?;
        return Ok(IdentityToken::parse(&String::from_utf8_lossy(&bytes))?);
    }
    let variable = |name: &str| std::env::var_os(name).filter(|value: &OsString| !value.is_empty());
    if let Some(token) = variable("SIGSTORE_ID_TOKEN") {
        return Ok(IdentityToken::parse(&token.to_string_lossy())?);
    }
    let github = ["ACTIONS_ID_TOKEN_REQUEST_URL", "ACTIONS_ID_TOKEN_REQUEST_TOKEN"].map(variable);
    if let [Some(url), Some(bearer)] = github {
        let (url, bearer) = (url.to_string_lossy(), bearer.to_string_lossy());
        return Ok(registries::wait(IdentityToken::of_github_job(&url, &bearer, ca_files))??);
    }
    Err(Failure::invalid(
        "sign/no-token",
        "nothing says who signs: there is no identity token",
        "give --identity-token-file FILE or --device-flow, or set SIGSTORE_ID_TOKEN; on GitHub the job needs \
         `permissions: id-token: write`, on GitLab `id_tokens: SIGSTORE_ID_TOKEN: aud: sigstore`",
    ))
}

/// Says where to log in. It is for whoever is there, so it is no result.
fn show(login: &DeviceLogin) {
    let place = login.verification_uri_complete.as_ref().unwrap_or(&login.verification_uri);
    let mut err = std::io::stderr().lock();
    let (place, code) = (visible(place), visible(&login.user_code));
    let _ = writeln!(err, "to sign, log in at {place}\n  and enter the code {code}");
}
