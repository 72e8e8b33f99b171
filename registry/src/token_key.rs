//! Private keys that stay in a token: PKCS #11 v3.0, through the token's own
//! module. The module is native code that runs as this program, so it is loaded
//! from where the user says and from nowhere else.

#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "the interface has hundreds of attributes and errors, and may get more; whatever is new is a refusal"
)]

use std::fmt;
use std::sync::{Mutex, PoisonError};

use cryptoki::context::{CInitializeArgs, CInitializeFlags, Pkcs11};
use cryptoki::error::{Error, RvError};
use cryptoki::mechanism::Mechanism;
use cryptoki::mechanism::eddsa::{EddsaParams, EddsaSignatureScheme};
use cryptoki::object::{Attribute, AttributeType, KeyType, ObjectClass, ObjectHandle};
use cryptoki::session::{Session, UserType};
use cryptoki::slot::Slot;
use cryptoki::types::RawAuthPin;
use sigstore_types::{DerPublicKey, SignatureBytes};

use crate::key::{Algorithm, ED25519_SPKI};
use crate::key_error::KeyError;
use crate::pkcs11_uri::Pkcs11Uri;

/// The public key of P-256 in DER, up to the point: RFC 5480, section 2.
const P256_SPKI: [u8; 26] = [
    0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a, 0x86,
    0x48, 0xce, 0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00,
];
/// What names the curves in `CKA_EC_PARAMS`: an object identifier, or, for
/// Edwards curves, their name.
const P256: &[u8] = &[0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07];
const ED25519: [&[u8]; 2] = [&[0x06, 0x03, 0x2b, 0x65, 0x70], b"\x13\x0cedwards25519"];

/// A key in a token that is logged in to.
pub(crate) struct TokenKey {
    session: Mutex<Session>,
    key: ObjectHandle,
    pub(crate) algorithm: Algorithm,
    pub(crate) public: DerPublicKey,
    uri: String,
}

impl fmt::Debug for TokenKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenKey").field("uri", &self.uri).finish_non_exhaustive()
    }
}

impl TokenKey {
    /// Loads the module, logs in and finds the one key that fits.
    pub(crate) fn open(uri: &Pkcs11Uri, pin: &[u8]) -> Result<Self, KeyError> {
        let refuse = |why: String| KeyError::Token { uri: uri.to_string(), why };
        let failed = |what: &str, error: &Error| refuse(format!("{what}: {}", words(error)));
        let module =
            Pkcs11::new(&uri.module).map_err(|error| failed("its module cannot be loaded", &error))?;
        match module.initialize(CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK)) {
            Ok(()) | Err(Error::Pkcs11(RvError::CryptokiAlreadyInitialized, _)) => {}
            Err(error) => return Err(failed("its module does not start", &error)),
        }
        let slot = one(slots(&module, uri).map_err(|e| failed("its tokens cannot be listed", &e))?, "token")
            .map_err(refuse)?;
        let session = module.open_ro_session(slot).map_err(|error| failed("no session", &error))?;
        let pin = RawAuthPin::new(Box::new(pin.to_vec()));
        match session.login_with_raw(UserType::User, &pin) {
            Ok(()) | Err(Error::Pkcs11(RvError::UserAlreadyLoggedIn, _)) => {}
            Err(error) => return Err(failed("it lets nobody in", &error)),
        }
        let found = find(&session, uri).map_err(|error| failed("its keys cannot be listed", &error))?;
        let key = one(found, "private key").map_err(refuse)?;
        let (algorithm, public) =
            public(&session, key).map_err(|e| failed("its key cannot be read", &e))?.map_err(refuse)?;
        let (session, uri) = (Mutex::new(session), uri.to_string());
        Ok(Self { session, key, algorithm, public, uri })
    }

    /// Signs: of ECDSA a SHA-256, of Ed25519 the bytes themselves.
    pub(crate) fn sign(&self, bytes: &[u8]) -> Result<SignatureBytes, KeyError> {
        let mechanism = match self.algorithm {
            Algorithm::EcdsaP256 => Mechanism::Ecdsa,
            Algorithm::Ed25519 => Mechanism::Eddsa(EddsaParams::new(EddsaSignatureScheme::Pure)),
        };
        let session = self.session.lock().unwrap_or_else(PoisonError::into_inner);
        let refuse = |why: String| KeyError::Token { uri: self.uri.clone(), why };
        let signature = session
            .sign(&mechanism, self.key, bytes)
            .map_err(|error| refuse(format!("it does not sign: {}", words(&error))))?;
        if signature.len() != 64 {
            return Err(refuse("its signature has another size".to_owned()));
        }
        Ok(SignatureBytes::new(match self.algorithm {
            Algorithm::EcdsaP256 => der_signature(&signature),
            Algorithm::Ed25519 => signature,
        }))
    }
}

fn slots(module: &Pkcs11, uri: &Pkcs11Uri) -> Result<Vec<Slot>, Error> {
    let mut found = Vec::new();
    for slot in module.get_slots_with_token()? {
        let token = module.get_token_info(slot)?;
        let fits = |wanted: &Option<String>, own: &str| wanted.as_ref().is_none_or(|wanted| wanted == own);
        if token.token_initialized()
            && fits(&uri.token, token.label())
            && fits(&uri.serial, token.serial_number())
            && fits(&uri.manufacturer, token.manufacturer_id())
            && fits(&uri.model, token.model())
        {
            found.push(slot);
        }
    }
    Ok(found)
}

fn find(session: &Session, uri: &Pkcs11Uri) -> Result<Vec<ObjectHandle>, Error> {
    let mut template = vec![Attribute::Class(ObjectClass::PRIVATE_KEY)];
    template.extend(uri.object.clone().map(Attribute::Label));
    template.extend(uri.id.clone().map(Attribute::Id));
    session.find_objects(&template)
}

/// The public half: that object of the token which has the same id.
fn public(session: &Session, key: ObjectHandle) -> Result<Result<(Algorithm, DerPublicKey), String>, Error> {
    let mut template = vec![Attribute::Class(ObjectClass::PUBLIC_KEY)];
    let mut kind = None;
    for attribute in session.get_attributes(key, &[AttributeType::Id, AttributeType::KeyType])? {
        match attribute {
            Attribute::KeyType(own) => kind = Some(own),
            id @ Attribute::Id(_) => template.push(id),
            _ => {}
        }
    }
    let found = match one(session.find_objects(&template)?, "public key with the private one's id") {
        Ok(found) => found,
        Err(why) => return Ok(Err(why)),
    };
    let (mut curve, mut point) = (Vec::new(), Vec::new());
    for attribute in session.get_attributes(found, &[AttributeType::EcParams, AttributeType::EcPoint])? {
        match attribute {
            Attribute::EcParams(own) => curve = own,
            Attribute::EcPoint(own) => point = own,
            _ => {}
        }
    }
    // An octet string in DER; some tokens leave out that it is one.
    let inside = |size: u8| match point.as_slice() {
        [0x04, length, inside @ ..] if *length == size && inside.len() == usize::from(size) => Some(inside),
        bare if bare.len() == usize::from(size) => Some(bare),
        _ => None,
    };
    let public = |prefix: &[u8], point: &[u8]| DerPublicKey::new([prefix, point].concat());
    Ok(match kind {
        Some(KeyType::EC) if curve == P256 => {
            inside(65).map(|own| (Algorithm::EcdsaP256, public(&P256_SPKI, own)))
        }
        Some(KeyType::EC_EDWARDS) if ED25519.contains(&curve.as_slice()) => {
            inside(32).map(|own| (Algorithm::Ed25519, public(&ED25519_SPKI, own)))
        }
        _ => None,
    }
    .ok_or_else(|| "its key is neither for ECDSA P-256 nor for Ed25519".to_owned()))
}

fn one<T>(mut found: Vec<T>, what: &str) -> Result<T, String> {
    match (found.pop(), found.is_empty()) {
        (Some(only), true) => Ok(only),
        (Some(_), false) => {
            Err(format!("more than one {what} fits; say which, with `token`, `object` or `id`"))
        }
        (None, _) => Err(format!("no {what} fits")),
    }
}

/// What a module said. Its own words are names of constants.
fn words(error: &Error) -> String {
    match error {
        Error::Pkcs11(RvError::PinIncorrect | RvError::PinInvalid | RvError::PinLenRange, _) => {
            "the PIN is wrong".to_owned()
        }
        Error::Pkcs11(RvError::PinLocked, _) => "the PIN is locked after too many wrong ones".to_owned(),
        other => other.to_string(),
    }
}

/// Two numbers, as PKCS #11 gives them, in DER: RFC 3279, section 2.2.3.
fn der_signature(raw: &[u8]) -> Vec<u8> {
    let (r, s) = raw.split_at(raw.len() / 2);
    let content = [integer(r), integer(s)].concat();
    [&[0x30, u8::try_from(content.len()).unwrap_or_default()], content.as_slice()].concat()
}

/// A number of at most 32 bytes in DER.
fn integer(bytes: &[u8]) -> Vec<u8> {
    let zeros = bytes.iter().take_while(|byte| **byte == 0).count().min(bytes.len().saturating_sub(1));
    let digits = bytes.get(zeros..).unwrap_or_default();
    // The first bit would be a sign.
    let sign: &[u8] = if digits.first().is_some_and(|first| *first >= 0x80) { &[0] } else { &[] };
    let size = u8::try_from(sign.len() + digits.len()).unwrap_or_default();
    [&[0x02, size], sign, digits].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_one_form() {
        let mut raw = [0; 64];
        raw[31] = 1;
        raw[32] = 0x80;
        let expected = [&[0x30, 38, 0x02, 1, 1, 0x02, 33, 0, 0x80], &[0; 31][..]].concat();
        assert_eq!(der_signature(&raw), expected);
        assert_eq!(integer(&[0; 32]), [0x02, 1, 0]);
    }
}
