//! Private keys under a password, as cosign writes and reads them: PKCS#8 in a
//! NaCl secretbox whose key scrypt makes of the password, as JSON in PEM
//! (go-securesystemslib, package `encrypted`).

use aws_lc_rs::rand;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use crypto_secretbox::aead::{Aead, KeyInit};
use crypto_secretbox::{Nonce, XSalsa20Poly1305};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

/// What stands above such a key, and what older versions of cosign wrote there.
pub(crate) const TAG: &str = "ENCRYPTED SIGSTORE PRIVATE KEY";
pub(crate) const OLD_TAG: &str = "ENCRYPTED COSIGN PRIVATE KEY";

/// The base-2 logarithm of scrypt's cost: what cosign 3 writes, 64 MiB.
const COST: u8 = 16;
/// The costs that were ever written. A file must not choose how much memory
/// is taken, nor make guessing cheap unnoticed.
const COSTS: std::ops::RangeInclusive<u8> = 15..=18;
const BLOCK: u32 = 8;
const PARALLEL: u32 = 1;

#[derive(Serialize, Deserialize)]
struct Sealed {
    kdf: Kdf,
    cipher: Cipher,
    ciphertext: String,
}

#[derive(Serialize, Deserialize)]
struct Kdf {
    name: String,
    params: Params,
    salt: String,
}

#[derive(Serialize, Deserialize)]
struct Params {
    #[serde(rename = "N")]
    n: u64,
    r: u32,
    p: u32,
}

#[derive(Serialize, Deserialize)]
struct Cipher {
    name: String,
    nonce: String,
}

/// Why a key stays closed.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Closed {
    /// It is not in this form.
    Malformed(&'static str),
    /// The password is another, or the key was changed: no one can tell which.
    Password,
}

/// Opens the JSON of a key and gives the DER of PKCS#8.
pub(crate) fn open(json: &[u8], password: &[u8]) -> Result<Zeroizing<Vec<u8>>, Closed> {
    let malformed = Closed::Malformed;
    let sealed: Sealed =
        serde_json::from_slice(json).map_err(|_| malformed("it is not the JSON of an encrypted key"))?;
    if sealed.kdf.name != "scrypt" || sealed.cipher.name != "nacl/secretbox" {
        return Err(malformed("it is encrypted in another way than with scrypt and NaCl's secretbox"));
    }
    let Params { n, r, p } = sealed.kdf.params;
    let cost = COSTS.into_iter().find(|cost| 1 << cost == n);
    let (Some(cost), BLOCK, PARALLEL) = (cost, r, p) else {
        return Err(malformed("its parameters of scrypt are none that cosign writes"));
    };
    let decode = |text: &str| STANDARD.decode(text).map_err(|_| malformed("it is not base64"));
    let (salt, nonce) = (decode(&sealed.kdf.salt)?, decode(&sealed.cipher.nonce)?);
    let nonce: [u8; 24] = nonce.try_into().map_err(|_| malformed("its nonce is not of 24 bytes"))?;
    if salt.len() < 16 {
        return Err(malformed("its salt is shorter than 16 bytes"));
    }
    // What is broken is known before the work that the password takes.
    let ciphertext = decode(&sealed.ciphertext)?;
    let opened = cipher(password, &salt, cost)?.decrypt(Nonce::from_slice(&nonce), ciphertext.as_slice());
    opened.map(Zeroizing::new).map_err(|_| Closed::Password)
}

/// Closes the DER of PKCS#8 and gives the JSON of the key.
pub(crate) fn seal(pkcs8: &[u8], password: &[u8]) -> Result<Vec<u8>, Closed> {
    let failed = |_| Closed::Malformed("the cipher refused");
    let (mut salt, mut nonce) = ([0; 32], [0; 24]);
    rand::fill(&mut salt).map_err(failed)?;
    rand::fill(&mut nonce).map_err(failed)?;
    let sealed = cipher(password, &salt, COST)?.encrypt(Nonce::from_slice(&nonce), pkcs8);
    let ciphertext = sealed.map_err(|_| Closed::Malformed("the cipher refused"))?;
    let sealed = Sealed {
        kdf: Kdf {
            name: "scrypt".to_owned(),
            params: Params { n: 1 << COST, r: BLOCK, p: PARALLEL },
            salt: STANDARD.encode(salt),
        },
        cipher: Cipher { name: "nacl/secretbox".to_owned(), nonce: STANDARD.encode(nonce) },
        ciphertext: STANDARD.encode(ciphertext),
    };
    serde_json::to_vec(&sealed).map_err(|_| Closed::Malformed("the cipher refused"))
}

fn cipher(password: &[u8], salt: &[u8], cost: u8) -> Result<XSalsa20Poly1305, Closed> {
    let refused = Closed::Malformed("its parameters of scrypt are none that cosign writes");
    let mut key = Zeroizing::new([0; 32]);
    let made = scrypt::Params::new(cost, BLOCK, PARALLEL, key.len())
        .ok()
        .and_then(|params| scrypt::scrypt(password, salt, &params, key.as_mut()).ok());
    made.map(|()| XSalsa20Poly1305::new(key.as_ref().into())).ok_or(refused)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test that cannot go on should stop")]
    use serde_json::Value;

    use super::*;

    #[test]
    fn what_is_closed_opens_with_its_password_alone() {
        let sealed = seal(b"a key", b"correct").unwrap();
        assert_eq!(open(&sealed, b"correct").unwrap().as_slice(), b"a key");
        assert_eq!(open(&sealed, b"wrong").unwrap_err(), Closed::Password);
        let mut changed: Value = serde_json::from_slice(&sealed).unwrap();
        let text = changed.pointer_mut("/ciphertext").unwrap();
        let mut bytes = STANDARD.decode(text.as_str().unwrap()).unwrap();
        *bytes.last_mut().unwrap() ^= 1;
        *text = STANDARD.encode(bytes).into();
        assert_eq!(open(changed.to_string().as_bytes(), b"correct").unwrap_err(), Closed::Password);
    }

    #[test]
    fn a_file_chooses_neither_cipher_nor_cost() {
        let sealed = seal(b"a key", b"correct").unwrap();
        for (place, value) in [
            ("/kdf/name", Value::from("argon2")),
            ("/cipher/name", "none".into()),
            ("/kdf/params/N", 2.into()),
            ("/kdf/params/N", (1_u64 << 30).into()),
            ("/kdf/params/r", (1 << 20).into()),
            ("/kdf/params/p", 4.into()),
            ("/kdf/salt", "".into()),
            ("/cipher/nonce", "AAAA".into()),
            ("/ciphertext", "?".into()),
        ] {
            let mut changed: Value = serde_json::from_slice(&sealed).unwrap();
            *changed.pointer_mut(place).unwrap() = value;
            let closed = open(changed.to_string().as_bytes(), b"correct").unwrap_err();
            assert!(matches!(closed, Closed::Malformed(_)), "{place}: {closed:?}");
        }
        assert!(matches!(open(b"", b"").unwrap_err(), Closed::Malformed(_)));
    }
}
