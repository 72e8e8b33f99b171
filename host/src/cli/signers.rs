//! Who signs what is published: the user's own key, another one, an identity.

use std::path::PathBuf;

use clap::Args;
use cofferdam_registry::{
    Artifact, Attestation, Digest, Layout, Reference, SigningKey, Statement, Subject, sign, verify,
};
use serde::Serialize;
use serde_json::Value;
use serde_json::value::RawValue;

use super::failure::Failure;
use super::home::Home;
use super::identity::{IdentityArgs, IdentitySigner};
use super::key_password::load_given_key;
use crate::report::visible;

/// The choices that are the same wherever something is published.
#[derive(Debug, Args)]
pub(crate) struct SignArgs {
    /// Sign it with your key.
    #[arg(long, conflicts_with = "key")]
    sign: bool,
    /// Sign it with this key instead: a file, or a PKCS #11 URI.
    #[arg(long, value_name = "FILE|URI")]
    key: Option<PathBuf>,
    /// Where the key's password or PIN is; left out, COSIGN_PASSWORD or
    /// COSIGN_PKCS11_PIN, or it is asked for.
    #[arg(long, value_name = "FILE", requires = "key")]
    password_file: Option<PathBuf>,
    /// Sign it with an identity, which an issuer vouches for.
    #[arg(long)]
    keyless: bool,
    #[command(flatten)]
    identity: IdentityArgs,
}

/// Something that is to be claimed of what is published.
#[derive(Clone, Debug)]
pub(crate) struct Claim {
    pub(crate) predicate_type: &'static str,
    pub(crate) predicate: Value,
}

/// An attestation beside what was published.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Attached {
    pub(crate) predicate_type: &'static str,
    /// The digest of its bundle.
    pub(crate) bundle: Digest,
    /// The key or the identity that signed it.
    pub(crate) signed_by: String,
    /// Whether it says nothing that was not said before by the same.
    pub(crate) already: bool,
}

/// Who signs.
#[derive(Default)]
pub(crate) struct Signers {
    key: Option<SigningKey>,
    identity: Option<IdentitySigner>,
}

/// Who has signed.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Signed {
    /// The key whose signature is there.
    #[serde(skip_serializing_if = "Option::is_none")]
    signed_by: Option<String>,
    /// The identity that signed it now.
    #[serde(skip_serializing_if = "Option::is_none")]
    signed_by_identity: Option<String>,
}

impl SignArgs {
    /// Finds keys, services and tokens.
    pub(crate) fn signers(&self, home: &Home) -> Result<Signers, Failure> {
        let key = match &self.key {
            Some(path) => Some(load_given_key(path, self.password_file.as_deref())?),
            None if self.sign => Some(home.signing_key()?),
            None => None,
        };
        if !self.keyless && self.identity.is_given() {
            let message = "an identity is chosen, and it is to sign nothing";
            return Err(Failure::usage(message, "add --keyless"));
        }
        let find = || IdentitySigner::find(&self.identity, None, home);
        let identity = self.keyless.then(find).transpose()?;
        Ok(Signers { key, identity })
    }
}

impl Signers {
    /// A key alone.
    pub(crate) fn key(key: SigningKey) -> Self {
        Self { key: Some(key), identity: None }
    }

    /// Attaches the signatures to what a layout has.
    pub(crate) async fn sign(&self, layout: &Layout, reference: &Reference) -> Result<Signed, Failure> {
        if let Some(key) = &self.key {
            layout.sign(reference, key)?;
        }
        let signed_by = self.key.as_ref().map(|key| key.public().id());
        let Some(identity) = &self.identity else {
            return Ok(Signed { signed_by, signed_by_identity: None });
        };
        let claim = layout.claim(reference)?;
        let bundle = identity.services.sign_statement(&identity.token, &claim).await?;
        let mut artifact = Artifact::Digest(layout.resolve(reference)?);
        let (who, _) = identity.check(&bundle, &mut artifact)?;
        layout.attach_signature(reference, bundle.as_bytes())?;
        let signed_by_identity = Some(format!("{} ({})", who.subject, who.issuer));
        Ok(Signed { signed_by, signed_by_identity })
    }
}

impl Signers {
    /// Whether anybody signs.
    pub(crate) fn are_there(&self) -> bool {
        self.key.is_some() || self.identity.is_some()
    }

    /// Attaches claims to what a layout has, each signed by everybody. What was
    /// claimed before is not claimed again.
    pub(crate) async fn attest(
        &self,
        layout: &Layout,
        reference: &Reference,
        claims: &[Claim],
    ) -> Result<Vec<Attached>, Failure> {
        let digest = layout.resolve(reference)?;
        let mut attached = Vec::new();
        for claim in claims {
            let subject = vec![Subject::new(reference.name.clone(), digest)];
            let statement = Statement::new(claim.predicate_type, subject, &claim.predicate);
            // Strings, numbers and maps with string keys always serialise.
            let statement = serde_json::to_vec(&statement).unwrap_or_default();
            let earlier = layout.attestations(digest)?.into_iter();
            let earlier: Vec<Attestation> = earlier
                .filter(|one| one.names_it && one.statement.predicate_type == claim.predicate_type)
                .collect();
            if let Some(key) = &self.key {
                // Whose it is comes first: what anybody has attached is not read further.
                let holds = |one: &&Attestation| {
                    verify(&one.bundle, key.public()).is_ok() && claim.is_in(&one.statement)
                };
                let known = earlier.iter().find(holds).map(|one| one.digest);
                let make = || Ok::<_, Failure>(sign(&statement, key)?);
                attached.push(claim.attach((layout, reference), (known, key.public().id()), make)?);
            }
            if let Some(identity) = &self.identity {
                let bundle = identity.services.sign_statement(&identity.token, &statement).await?;
                let (who, _) = identity.check(&bundle, &mut Artifact::Digest(digest))?;
                let holds =
                    |one: &&Attestation| identity.signed(one, &who, digest) && claim.is_in(&one.statement);
                let known = earlier.iter().find(holds);
                let known = known.map(|one| one.digest);
                let name = format!("{} ({})", who.subject, who.issuer);
                attached.push(claim.attach((layout, reference), (known, name), || Ok(bundle))?);
            }
        }
        Ok(attached)
    }
}

impl Claim {
    /// Whether a Statement claims the same: when it was made does not matter.
    fn is_in(&self, statement: &Statement<Box<RawValue>>) -> bool {
        let lasting = |predicate: &Value| {
            let mut predicate = predicate.clone();
            predicate.as_object_mut().map(|fields| fields.remove("runDetails"));
            predicate
        };
        let predicate: Result<Value, _> = serde_json::from_str(statement.predicate.get());
        predicate.is_ok_and(|predicate| lasting(&predicate) == lasting(&self.predicate))
    }

    fn attach(
        &self,
        (layout, reference): (&Layout, &Reference),
        (known, signed_by): (Option<Digest>, String),
        make: impl FnOnce() -> Result<String, Failure>,
    ) -> Result<Attached, Failure> {
        let already = known.is_some();
        let bundle = match known {
            Some(bundle) => bundle,
            None => layout.attach_attestation(reference, self.predicate_type, make()?.as_bytes())?,
        };
        Ok(Attached { predicate_type: self.predicate_type, bundle, signed_by, already })
    }
}

impl Signed {
    /// The same in words.
    pub(crate) fn words(&self) -> String {
        match (&self.signed_by, &self.signed_by_identity) {
            (Some(key), None) => format!("signed by key {key}"),
            (None, Some(who)) => format!("signed by {}", visible(who)),
            (Some(key), Some(who)) => format!("signed by key {key} and by {}", visible(who)),
            (None, None) => "not signed; add --sign to sign it with your key".to_owned(),
        }
    }
}
