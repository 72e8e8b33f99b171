//! The forms in which an innocent server may give a secret back: as it is, and
//! encoded for an URL, a form, a header, a JSON text.
//!
//! A server that means harm can always find another; that is what the hosts of
//! a secret are for.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use zeroize::Zeroize as _;

use crate::model::SecretValue;

const UPPER: &[u8; 16] = b"0123456789ABCDEF";
const LOWER: &[u8; 16] = b"0123456789abcdef";

/// All forms of some values, sorted, each once, none shorter than
/// [`SecretValue::MIN`].
pub(super) fn of_all(values: &[SecretValue]) -> Vec<Vec<u8>> {
    let mut forms = Vec::new();
    for value in values {
        of(value.expose(), &mut forms);
        // What `Authorization: Basic` carries is `user:password`. Whether a
        // value is of that kind is not asked: masking more costs little.
        let colon = value.expose().iter().position(|byte| *byte == b':');
        let password = colon.and_then(|at| value.expose().get(at + 1..));
        if let Some(password) = password.filter(|password| password.len() >= SecretValue::MIN) {
            of(password, &mut forms);
        }
    }
    forms.sort_unstable();
    forms.dedup_by(|form, earlier| {
        let again = form == earlier;
        if again {
            form.zeroize();
        }
        again
    });
    forms
}

fn of(value: &[u8], forms: &mut Vec<Vec<u8>>) {
    written(value, forms);
    if !value.is_ascii() {
        // Headers are often read as Latin-1 and written as UTF-8.
        let text: String = value.iter().map(|byte| char::from(*byte)).collect();
        written(text.as_bytes(), forms);
    }
    based(value, forms);
    for digits in [UPPER, LOWER] {
        forms.push(value.iter().flat_map(|byte| hex(*byte, digits)).collect());
    }
}

/// A text as it is, in an URL and in JSON.
fn written(text: &[u8], forms: &mut Vec<Vec<u8>>) {
    forms.push(text.to_vec());
    for digits in [UPPER, LOWER] {
        // RFC 3986, 2.3; ECMA-262, encodeURIComponent; RFC 3986, a path;
        // WHATWG URL, application/x-www-form-urlencoded.
        for kept in [&b"-._~"[..], b"-._~!*'()", b"-._~!$&'()*+,;=:@/"] {
            forms.push(percent(text, kept, false, digits));
        }
        forms.push(percent(text, b"*-._", true, digits));
    }
    let Ok(text) = std::str::from_utf8(text) else { return };
    // What is written as \u00XX beyond what must be: nothing; what means
    // something in HTML, as different libraries see it; all but letters.
    for escaped in ["", "<>&", "<>&'", "\"<>&'+`"] {
        for (ascii, slash) in [(false, false), (false, true), (true, false), (true, true)] {
            let unicode = |c: char| escaped.contains(c) || (ascii && !c.is_ascii());
            forms.extend([UPPER, LOWER].map(|digits| json(text, slash, digits, unicode)));
        }
    }
    forms.extend([UPPER, LOWER].map(|digits| json(text, false, digits, |c| !c.is_ascii_alphanumeric())));
}

fn percent(text: &[u8], kept: &[u8], plus: bool, digits: &[u8; 16]) -> Vec<u8> {
    let mut form = Vec::with_capacity(text.len().saturating_mul(3));
    for byte in text {
        if byte.is_ascii_alphanumeric() || kept.contains(byte) {
            form.push(*byte);
        } else if plus && *byte == b' ' {
            form.push(b'+');
        } else {
            form.push(b'%');
            form.extend(hex(*byte, digits));
        }
    }
    form
}

/// A text inside a JSON string (RFC 8259, section 7).
fn json(text: &str, slash: bool, digits: &[u8; 16], unicode: impl Fn(char) -> bool) -> Vec<u8> {
    let mut form = Vec::with_capacity(text.len().saturating_mul(2));
    for c in text.chars() {
        if unicode(c) {
            for unit in c.encode_utf16(&mut [0; 2]) {
                form.extend(b"\\u");
                form.extend(unit.to_be_bytes().into_iter().flat_map(|byte| hex(byte, digits)));
            }
            continue;
        }
        match c {
            '"' | '\\' => form.push(b'\\'),
            '/' if slash => form.push(b'\\'),
            // The only control character a value can hold.
            '\t' => {
                form.extend(b"\\t");
                continue;
            }
            _ => {}
        }
        form.extend(c.encode_utf8(&mut [0; 4]).as_bytes());
    }
    form
}

/// The base64 of the value, wherever it stands in what is encoded: only the
/// characters that the value alone decides, and what it decides at the end.
fn based(value: &[u8], forms: &mut Vec<Vec<u8>>) {
    // With 0, 1 or 2 bytes before it in its group of three, that many
    // characters are decided by those bytes, too.
    for (before, foreign) in [(0, 0), (1, 2), (2, 3)] {
        let text = [&vec![0; before], value].concat();
        let decided = (text.len() * 8) / 6;
        let standard = STANDARD_NO_PAD.encode(&text);
        let url_safe = URL_SAFE_NO_PAD.encode(&text);
        let padding = "=".repeat((3 - text.len() % 3) % 3);
        for encoded in [&standard, &url_safe] {
            forms.extend(encoded.get(foreign..).map(|form| [form.as_bytes(), padding.as_bytes()].concat()));
            forms.extend(encoded.get(foreign..).map(|form| form.as_bytes().to_vec()));
            forms.extend(encoded.get(foreign..decided).map(|form| form.as_bytes().to_vec()));
        }
        // `+` and `/` are written differently in an URL and in JSON.
        for form in [standard.get(foreign..), standard.get(foreign..decided)].into_iter().flatten() {
            written(form.as_bytes(), forms);
        }
    }
}

fn hex(byte: u8, digits: &[u8; 16]) -> [u8; 2] {
    [byte >> 4, byte & 15].map(|nibble| digits.get(usize::from(nibble)).copied().unwrap_or_default())
}
