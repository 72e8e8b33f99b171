//! Which key of which token: a PKCS #11 URI (RFC 7512).

use std::fmt;
use std::path::PathBuf;

use crate::key_error::KeyError;

/// How such a reference begins.
pub const PKCS11_SCHEME: &str = "pkcs11:";

/// A reference to a private key. What is not given, fits any.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pkcs11Uri {
    text: String,
    /// The module to load, which is code that runs as this program.
    pub(crate) module: PathBuf,
    pub(crate) token: Option<String>,
    pub(crate) serial: Option<String>,
    pub(crate) manufacturer: Option<String>,
    pub(crate) model: Option<String>,
    pub(crate) object: Option<Vec<u8>>,
    pub(crate) id: Option<Vec<u8>>,
    pin_file: Option<PathBuf>,
}

impl fmt::Display for Pkcs11Uri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Pkcs11Uri {
    /// Reads a URI. Whatever is not understood is refused: the RFC lets nobody
    /// pass over an attribute that chooses the key.
    ///
    /// # Errors
    /// [`KeyError::Uri`]. It repeats nothing of what may be a PIN.
    pub fn parse(text: &str) -> Result<Self, KeyError> {
        let refuse = |why: String| KeyError::Uri { why };
        let rest =
            text.strip_prefix(PKCS11_SCHEME).ok_or_else(|| refuse("it has another scheme".to_owned()))?;
        let (path, query) = rest.split_once('?').map_or((rest, ""), |(path, query)| (path, query));
        let mut uri = Self {
            // The query may have a PIN.
            text: format!("{PKCS11_SCHEME}{path}"),
            module: PathBuf::new(),
            token: None,
            serial: None,
            manufacturer: None,
            model: None,
            object: None,
            id: None,
            pin_file: None,
        };
        let mut seen = Vec::new();
        let parts = path.split(';').chain(query.split('&')).filter(|part| !part.is_empty());
        for part in parts {
            let (name, value) =
                part.split_once('=').ok_or_else(|| refuse("an attribute has no value".to_owned()))?;
            if seen.contains(&name) {
                return Err(refuse(format!("`{}` is given twice", name.escape_debug())));
            }
            seen.push(name);
            let bytes =
                decode(value).ok_or_else(|| refuse(format!("`{}` is not encoded", name.escape_debug())))?;
            let word =
                || String::from_utf8(bytes.clone()).map_err(|_| refuse(format!("`{name}` is not UTF-8")));
            match name {
                "token" => uri.token = Some(word()?),
                "serial" => uri.serial = Some(word()?),
                "manufacturer" => uri.manufacturer = Some(word()?),
                "model" => uri.model = Some(word()?),
                "object" => uri.object = Some(bytes),
                "id" => uri.id = Some(bytes),
                "type" if bytes == b"private" => {}
                "type" => return Err(refuse("its type is not `private`".to_owned())),
                "module-path" => uri.module = word()?.into(),
                "pin-source" => {
                    let source = word()?;
                    let file = source.strip_prefix("file:").unwrap_or(&source);
                    uri.pin_file = Some(file.strip_prefix("//").unwrap_or(file).into());
                }
                "pin-value" => {
                    return Err(refuse(
                        "a PIN on a command line is seen by others; it is taken elsewhere".to_owned(),
                    ));
                }
                other => return Err(refuse(format!("`{}` is not known", other.escape_debug()))),
            }
        }
        if !uri.module.is_absolute() {
            return Err(refuse("`module-path` is not the absolute path of a module".to_owned()));
        }
        Ok(uri)
    }

    /// The file with the PIN, where the URI names one.
    #[must_use]
    pub fn pin_file(&self) -> Option<PathBuf> {
        self.pin_file.clone()
    }
}

/// Percent-decodes; `None` where it cannot be.
fn decode(text: &str) -> Option<Vec<u8>> {
    let mut bytes = text.bytes();
    let mut decoded = Vec::with_capacity(text.len());
    while let Some(byte) = bytes.next() {
        decoded.push(if byte == b'%' {
            let pair = [bytes.next()?, bytes.next()?];
            *hex::decode(pair).ok()?.first()?
        } else {
            byte
        });
    }
    Some(decoded)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test that cannot go on should stop")]
    use super::*;

    #[test]
    fn a_uri_chooses_a_key() {
        let text = "pkcs11:token=My%20token;id=%01%ff;object=release;type=private\
                    ?module-path=/usr/lib/hsm.so&pin-source=file:/run/pin";
        let uri = Pkcs11Uri::parse(text).unwrap();
        assert_eq!(uri.token.as_deref(), Some("My token"));
        assert_eq!((uri.id.as_deref(), uri.object.as_deref()), (Some(&[1, 255][..]), Some(&b"release"[..])));
        assert_eq!(uri.module, PathBuf::from("/usr/lib/hsm.so"));
        assert_eq!(uri.pin_file(), Some("/run/pin".into()));
        assert_eq!(uri.to_string(), "pkcs11:token=My%20token;id=%01%ff;object=release;type=private");
    }

    #[test]
    fn what_is_not_understood_is_refused() {
        for bad in [
            "file:key",
            "pkcs11:token=a",
            "pkcs11:token=a?module-path=hsm.so",
            "pkcs11:token=%zz?module-path=/hsm.so",
            "pkcs11:token=%4?module-path=/hsm.so",
            "pkcs11:token=%ff?module-path=/hsm.so",
            "pkcs11:token=a;token=b?module-path=/hsm.so",
            "pkcs11:token?module-path=/hsm.so",
            "pkcs11:type=cert?module-path=/hsm.so",
            "pkcs11:slot-id=1?module-path=/hsm.so",
            "pkcs11:x-vendor=1?module-path=/hsm.so",
        ] {
            assert!(matches!(Pkcs11Uri::parse(bad), Err(KeyError::Uri { .. })), "{bad}");
        }
        let error = Pkcs11Uri::parse("pkcs11:token=a?pin-value=123456&module-path=/hsm.so").unwrap_err();
        assert!(!error.to_string().contains("123456"), "{error}");
    }
}
