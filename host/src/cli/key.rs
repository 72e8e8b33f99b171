//! `cofferdam key`: makes signing keys.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};
use cofferdam_registry::{Algorithm, SigningKey};
use serde_json::json;

use super::exit;
use super::failure::Failure;
use super::home::Home;
use super::key_password;
use super::printer::Printer;

#[derive(Debug, Subcommand)]
pub(crate) enum KeyCommand {
    /// Make a signing key.
    Generate(KeyGenerateArgs),
    /// Show the public half of a key, for rules.
    Public(KeyPublicArgs),
}

#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  cofferdam key public > team.pub\n  cofferdam key public \\\n    \
    'pkcs11:token=release;object=signer?module-path=/usr/lib/softhsm/libsofthsm2.so' > release.pub")]
pub(crate) struct KeyPublicArgs {
    /// The private key, or a PKCS #11 URI; left out, your own key.
    #[arg(value_name = "FILE|URI")]
    key: Option<PathBuf>,
    /// Where its password or PIN is.
    #[arg(long, value_name = "FILE", requires = "key")]
    password_file: Option<PathBuf>,
}

#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  cofferdam key generate\n  \
    cofferdam key generate --algorithm ed25519 --output ci.key\n  \
    cofferdam key generate --encrypt --output release.key")]
pub(crate) struct KeyGenerateArgs {
    /// Where to write it; the public half goes beside it. Left out, it becomes
    /// your own key.
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// How it signs.
    #[arg(long, value_enum, default_value_t)]
    algorithm: KeyAlgorithm,
    /// Under a password, in cosign's form: from --password-file, COSIGN_PASSWORD, or
    /// typed.
    #[arg(long)]
    encrypt: bool,
    /// Where the password is.
    #[arg(long, value_name = "FILE", requires = "encrypt")]
    password_file: Option<PathBuf>,
}

/// How a key signs, by the names of the standards.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum KeyAlgorithm {
    /// ECDSA over P-256 with SHA-256.
    #[default]
    EcdsaP256,
    /// Ed25519.
    Ed25519,
}

impl From<KeyAlgorithm> for Algorithm {
    fn from(algorithm: KeyAlgorithm) -> Self {
        match algorithm {
            KeyAlgorithm::EcdsaP256 => Self::EcdsaP256,
            KeyAlgorithm::Ed25519 => Self::Ed25519,
        }
    }
}

pub(crate) fn run(command: &KeyCommand, home: &Home, printer: &Printer) -> Result<u8, Failure> {
    match command {
        KeyCommand::Generate(args) => generate(args, home, printer),
        KeyCommand::Public(args) => public(args, home, printer),
    }
}

fn public(args: &KeyPublicArgs, home: &Home, printer: &Printer) -> Result<u8, Failure> {
    let key = match &args.key {
        Some(key) => key_password::load_given_key(key, args.password_file.as_deref())?,
        None => home.signing_key()?,
    };
    let pem = key.public().to_pem();
    let value = json!({ "id": key.public().id(), "publicKey": pem });
    printer.result(&value, |_| pem.clone());
    Ok(exit::OK)
}

fn generate(args: &KeyGenerateArgs, home: &Home, printer: &Printer) -> Result<u8, Failure> {
    let path = args.output.clone().unwrap_or_else(|| home.key_file());
    let file = args.password_file.as_deref();
    let password = if args.encrypt { Some(key_password::for_new_key(file)?) } else { None };
    let key = SigningKey::generate_as(&path, args.algorithm.into(), password.as_ref().map(|p| p.as_slice()))?;
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
