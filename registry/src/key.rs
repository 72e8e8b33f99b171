//! Signing keys: ECDSA P-256 with SHA-256, and Ed25519.

use std::fmt;
use std::io::{self, BufWriter, Read};
use std::path::Path;
use std::sync::{Arc, OnceLock};

use aws_lc_rs::signature::Ed25519KeyPair;
use aws_lc_rs::signature::KeyPair as _;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sigstore_crypto::{KeyPair, SigningScheme, VerificationKey, verify_signature_prehashed};
use sigstore_types::{DerPublicKey, Sha256Hash, SignatureBytes};

use crate::bundle::Unsigned;
use crate::digest::{Digest, Hasher};
use crate::key_error::{KeyError, invalid, io_error};
use crate::pkcs11_uri::Pkcs11Uri;
use crate::plain_file::{is_unsuitable, read_named};
use crate::token_key::TokenKey;

/// Larger files hold no key.
pub(crate) const MAX_KEY: u64 = 64 << 10;
/// What is signed by a scheme that hashes nothing beforehand is in memory as a
/// whole, up to this size in bytes: that of the largest bundle that is read.
const MAX_WHOLE: u64 = 64 << 20;
/// So much of what is signed is in memory at once otherwise.
const PIECE: u64 = 64 << 10;
/// The public key of Ed25519 in DER, up to the key itself: RFC 8410, section 4.
pub(crate) const ED25519_SPKI: [u8; 12] =
    [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];

/// How a key signs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Algorithm {
    /// ECDSA over P-256, of a SHA-256.
    #[default]
    EcdsaP256,
    /// Ed25519, of the bytes themselves.
    Ed25519,
}

/// A private key that signs.
#[derive(Debug)]
pub struct SigningKey {
    secret: Secret,
    public: PublicKey,
    /// What everything is put into that it signs, once it has signed something.
    unsigned: OnceLock<Unsigned>,
}

#[derive(Debug)]
enum Secret {
    EcdsaP256(KeyPair),
    Ed25519(Ed25519KeyPair),
    Token(TokenKey),
}

/// A public key that verifies.
#[derive(Clone)]
pub struct PublicKey {
    der: DerPublicKey,
    key: Arc<VerificationKey>,
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({})", self.id())
    }
}

impl SigningKey {
    /// A key in the DER of PKCS#8; `place` is for messages.
    pub(crate) fn from_pkcs8(der: &[u8], place: &str) -> Result<Self, String> {
        // The bytes of another algorithm are never a key of this one: both
        // parsers look at the algorithm's identifier.
        let secret = if let Ok(pair) = KeyPair::from_pkcs8_der(der) {
            Secret::EcdsaP256(pair)
        } else if is_one_short_value(der)
            && let Ok(pair) = Ed25519KeyPair::from_pkcs8(der)
        {
            Secret::Ed25519(pair)
        } else {
            return Err("it is no key for ECDSA P-256, and none for Ed25519".to_owned());
        };
        let public = match &secret {
            Secret::Token(token) => token.public.clone(),
            Secret::EcdsaP256(pair) => pair.public_key_der().map_err(|error| error.to_string())?,
            Secret::Ed25519(pair) => DerPublicKey::new([&ED25519_SPKI, pair.public_key().as_ref()].concat()),
        };
        let public = PublicKey::from_der(public, place).map_err(|error| error.to_string())?;
        Ok(Self { secret, public, unsigned: OnceLock::new() })
    }

    /// A key that stays in its token.
    ///
    /// # Errors
    /// [`KeyError::Token`]: what the token, or its module, did not do.
    pub fn in_token(uri: &Pkcs11Uri, pin: &[u8]) -> Result<Self, KeyError> {
        let token = TokenKey::open(uri, pin)?;
        let public = PublicKey::from_der(token.public.clone(), &uri.to_string())?;
        Ok(Self { secret: Secret::Token(token), public, unsigned: OnceLock::new() })
    }

    /// The public half.
    #[must_use]
    pub fn public(&self) -> &PublicKey {
        &self.public
    }

    /// The JSON of its bundles, without what is signed.
    ///
    /// # Errors
    /// [`KeyError::Invalid`]: never, as long as a bundle has both.
    pub(crate) fn unsigned_bundle(&self) -> Result<&Unsigned, KeyError> {
        if let Some(made) = self.unsigned.get() {
            return Ok(made);
        }
        let made = Unsigned::new(&self.public.id())?;
        Ok(self.unsigned.get_or_init(|| made))
    }

    /// Signs a message of `size` bytes, which ECDSA reads a piece at a time.
    ///
    /// # Errors
    /// [`KeyError::Io`] when it cannot be read, or is larger than Ed25519
    /// keeps in memory.
    pub(crate) fn sign(&self, message: &mut dyn Read, size: u64) -> Result<SignatureBytes, KeyError> {
        match &self.secret {
            Secret::EcdsaP256(pair) => {
                let digest = Sha256Hash::new(*digest_of(message, size)?.as_bytes());
                pair.sign_digest(&digest).map_err(|error| invalid("the key", "able to sign", error))
            }
            Secret::Ed25519(pair) => {
                Ok(SignatureBytes::new(pair.sign(&whole(message, size)?).as_ref().to_vec()))
            }
            Secret::Token(token) => {
                // The public half is an object of its own: it may be another key's.
                let (signature, fits) = match token.algorithm {
                    Algorithm::EcdsaP256 => {
                        let digest = digest_of(message, size)?;
                        let signature = token.sign(digest.as_bytes())?;
                        let scheme = SigningScheme::EcdsaP256Sha256;
                        let der = self.public.der();
                        let fits = verify_signature_prehashed(der, digest.as_bytes(), &signature, scheme);
                        (signature, fits.is_ok())
                    }
                    Algorithm::Ed25519 => {
                        let bytes = whole(message, size)?;
                        let signature = token.sign(&bytes)?;
                        let fits = self.public.verifies(&bytes, &signature);
                        (signature, fits)
                    }
                };
                if fits {
                    Ok(signature)
                } else {
                    let expected = "the private half of the public one";
                    Err(invalid("the token's key", expected, "its signature does not verify"))
                }
            }
        }
    }
}

fn unread(source: io::Error) -> KeyError {
    KeyError::Io { action: "read", path: "what is to be signed".into(), source }
}

/// Hashes a message of `size` bytes, a piece at a time.
fn digest_of(message: &mut dyn Read, size: u64) -> Result<Digest, KeyError> {
    let piece = usize::try_from(size.min(PIECE)).unwrap_or_default();
    let mut hashed = BufWriter::with_capacity(piece, Hasher::default());
    io::copy(message, &mut hashed).map_err(unread)?;
    let hasher = hashed.into_inner().map_err(|error| unread(error.into_error()))?;
    Ok(hasher.finish())
}

/// Reads a message of `size` bytes into memory.
fn whole(message: &mut dyn Read, size: u64) -> Result<Vec<u8>, KeyError> {
    let mut bytes = Vec::with_capacity(usize::try_from(size.min(MAX_WHOLE)).unwrap_or_default());
    message.take(MAX_WHOLE + 1).read_to_end(&mut bytes).map_err(unread)?;
    if bytes.len() as u64 > MAX_WHOLE {
        return Err(unread(io::ErrorKind::FileTooLarge.into()));
    }
    Ok(bytes)
}

/// Whether nothing follows the one value in some DER of less than 128 bytes, as
/// a key for Ed25519 is: its parser would pass over the rest.
fn is_one_short_value(der: &[u8]) -> bool {
    matches!(der, [0x30, size @ 0..0x80, content @ ..] if usize::from(*size) == content.len())
}

impl PublicKey {
    fn from_der(der: DerPublicKey, place: &str) -> Result<Self, KeyError> {
        let key = VerificationKey::from_spki(&der)
            .map_err(|error| invalid(place, "a public key for a known algorithm", error))?;
        Ok(Self { der, key: Arc::new(key) })
    }

    /// Reads a public key in PEM; `place` is for messages.
    ///
    /// # Errors
    /// [`KeyError::Invalid`].
    pub fn from_pem(text: &str, place: &str) -> Result<Self, KeyError> {
        let der =
            DerPublicKey::from_pem(text).map_err(|error| invalid(place, "a public key in PEM", error))?;
        Self::from_der(der, place)
    }

    /// Reads a public key file.
    ///
    /// # Errors
    /// [`KeyError`], naming the file.
    pub fn load(path: &Path) -> Result<Self, KeyError> {
        let text = read_named(path, MAX_KEY).map_err(|source| {
            if is_unsuitable(&source) {
                invalid(&path.display().to_string(), "a public key in PEM", source)
            } else {
                io_error("read", path)(source)
            }
        })?;
        let text = String::from_utf8_lossy(&text);
        if is_private(&text) {
            let place = path.display().to_string();
            let help = format!("give its public half, which this shows: cofferdam key public {place}");
            let why = "it is a private key, which nobody else should see".to_owned();
            return Err(KeyError::Invalid { place, expected: "a public key in PEM", why, help });
        }
        Self::from_pem(&text, &path.display().to_string())
    }

    /// The key in PEM (`SubjectPublicKeyInfo`).
    #[must_use]
    pub fn to_pem(&self) -> String {
        self.der.to_pem().replace("\r\n", "\n")
    }

    /// The name of the key: base64 of the SHA-256 of its DER, as cosign writes
    /// it into a bundle's `hint`.
    #[must_use]
    pub fn id(&self) -> String {
        STANDARD.encode(Digest::of(self.der.as_bytes()).as_bytes())
    }

    pub(crate) fn der(&self) -> &DerPublicKey {
        &self.der
    }

    pub(crate) fn verifies(&self, bytes: &[u8], signature: &SignatureBytes) -> bool {
        self.key.verify(bytes, signature).is_ok()
    }
}
/// Whether a text in PEM is a private key, under a password or not (RFC 7468,
/// sections 10 and 11; cosign has a label of its own).
fn is_private(text: &str) -> bool {
    text.lines().any(|line| line.starts_with("-----BEGIN ") && line.trim_end().ends_with("PRIVATE KEY-----"))
}
