//! What the redactor must hide, and what it must leave alone, held against
//! encoders and a search that are written here anew.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that cannot go on should stop")]

use std::borrow::Cow;
use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD};
use bytes::Bytes;
use http::HeaderValue;
use proptest::prelude::*;

use super::*;

fn redactor(values: &[&[u8]]) -> Redactor {
    Redactor::new(values.iter().map(|value| SecretValue::new(value.to_vec()).unwrap()))
}

fn streamed(redactor: &Redactor, bytes: &[u8], cuts: impl IntoIterator<Item = usize>) -> Vec<u8> {
    let longest = redactor.forms.iter().flat_map(|forms| forms.all.iter().map(Vec::len)).max().unwrap_or(1);
    let (mut stream, mut out, mut rest) = (redactor.stream(), Vec::new(), bytes);
    for cut in cuts {
        let (piece, later) = rest.split_at(cut.min(rest.len()));
        out.extend(stream.push(Bytes::copy_from_slice(piece)));
        assert!(stream.held.len() < longest, "{} bytes held back", stream.held.len());
        rest = later;
    }
    out.extend(stream.push(Bytes::copy_from_slice(rest)));
    out.extend(stream.finish());
    out
}

/// Leftmost-longest by trying everything.
fn plainly(redactor: &Redactor, bytes: &[u8]) -> Vec<u8> {
    let (mut out, mut at) = (bytes.to_vec(), 0);
    let forms = redactor.forms.as_ref().unwrap();
    while at < bytes.len() {
        let fitting = forms.all.iter().filter(|form| bytes[at..].starts_with(form)).map(Vec::len).max();
        if let Some(length) = fitting {
            out[at..at + length].fill(b'*');
        }
        at += fitting.unwrap_or(1);
    }
    out
}

#[test]
fn without_secrets_nothing_is_touched_or_copied() {
    let redactor = Redactor::new([]);
    assert!(redactor.is_empty() && redactor.forms.is_none());
    assert!(matches!(redactor.text("text"), Cow::Borrowed("text")));
    assert!(matches!(redactor.bytes(b"text"), Cow::Borrowed(b"text")));
    assert!(redactor.header(&HeaderValue::from_static("text")).is_none() && !redactor.contains(b"text"));
    let (piece, mut stream) = (Bytes::from_static(b"text"), redactor.stream());
    assert_eq!(stream.push(piece.clone()).as_ptr(), piece.as_ptr());
    assert!(stream.finish().is_empty());
}

#[test]
fn a_piece_without_a_secret_is_passed_on_uncopied() {
    let (piece, mut stream) = (Bytes::from(vec![b'.'; 1000]), redactor(&[b"hunter2hunter2"]).stream());
    assert_eq!(stream.push(piece.clone()).as_ptr(), piece.as_ptr());
}

#[test]
fn every_form_by_example() {
    let basic = redactor(&[b"us er:p\"a/s<s+w\xc3\xb6rd"]);
    for (text, masked) in [
        ("us er:p\"a/s<s+w\u{f6}rd", "*******************".to_owned()),
        ("-p\"a/s<s+w\u{f6}rd-", format!("-{}-", "*".repeat(13))),
        ("us%20er%3Ap%22a%2Fs%3Cs%2Bw%C3%B6rd", "*".repeat(35)),
        ("us%20er%3ap%22a%2fs%3cs%2bw%c3%b6rd", "*".repeat(35)),
        ("us+er%3Ap%22a%2Fs%3Cs%2Bw%C3%B6rd", "*".repeat(33)),
        ("us%20er:p%22a/s%3Cs+w%C3%B6rd", "*".repeat(29)),
        (r#"us er:p\"a/s<s+wörd"#, "*".repeat(20)),
        (r#"us er:p\"a\/s<s+wörd"#, "*".repeat(21)),
        (r#"us er:p\"a/s\u003cs+w\u00f6rd"#, "*".repeat(29)),
        (r"us er:p\u0022a/s\u003Cs\u002Bw\u00F6rd", "*".repeat(38)),
        // UTF-8 read as Latin-1.
        ("us er:p\"a/s<s+w\u{c3}\u{b6}rd", "*".repeat(21)),
    ] {
        assert_eq!(basic.text(text), masked, "{text}");
        assert!(basic.contains(text.as_bytes()));
    }
    // PHP escapes the slashes of base64, .NET its plus signs.
    let binary = redactor(&[&[0xfb, 0xff, 0xfe, 0xfb, 0xff, 0xfe, 0xfb, 0xff, 0xfe]]);
    assert_eq!(STANDARD.encode([0xfb, 0xff, 0xfe]), "+//+");
    for text in
        ["+//++//++//+", r"+\/\/++\/\/++\/\/+", "%2B%2F%2F%2B%2B%2F%2F%2B%2B%2F%2F%2B", "-__--__--__-"]
    {
        assert_eq!(binary.text(text), "*".repeat(text.len()));
    }
    assert_eq!(binary.text("fbfffefbfffefbfffe FBFFFEFBFFFEFBFFFE"), format!("{0} {0}", "*".repeat(18)));
}

#[test]
fn the_header_of_basic_authorization_tells_at_most_the_user() {
    let redactor = redactor(&[b"correct horse"]);
    for user in ["u", "us", "use", "user"] {
        let header = format!("Basic {}", STANDARD.encode(format!("{user}:correct horse")));
        let masked = redactor.header(&HeaderValue::from_str(&header).unwrap()).unwrap();
        let shown = masked.to_str().unwrap().split(' ').nth(1).unwrap();
        assert_eq!(masked.len(), header.len());
        let visible = shown.trim_end_matches('*');
        assert!(visible.len() * 6 <= (user.len() + 1) * 8 + 6, "{shown}");
        assert!(!visible.contains('*'), "{shown}");
    }
    let mut secret = HeaderValue::from_static("correct horse");
    secret.set_sensitive(true);
    assert!(redactor.header(&secret).unwrap().is_sensitive());
}

#[test]
fn a_text_stays_a_text_when_half_a_character_is_masked() {
    // The value ends with the first byte of a character.
    let redactor = redactor(&[b"12345678\xc3"]);
    assert_eq!(redactor.text("a12345678\u{f6}b"), format!("a{}b", "*".repeat(10)));
}

#[test]
fn an_event_stream_is_not_delayed() {
    let mut stream = redactor(&[b"hunter2hunter2"]).stream();
    for event in ["data: one\n\n", "data: hunter2hunter\n\n", "data: hunter2hunter2\n\n"] {
        let masked = event.replace("hunter2hunter2", "**************");
        assert_eq!(stream.push(Bytes::from(event)), masked);
    }
    assert_eq!(stream.push(Bytes::from("data: hunter2")), "data: ");
    assert_eq!(stream.push(Bytes::from("hunter3")), "hunter2hunter3");
    assert!(stream.finish().is_empty());
}

#[test]
fn the_largest_secret_is_masked_byte_by_byte_too() {
    let value: Vec<u8> = (0..SecretValue::MAX).map(|i| b"ab/+=%\"<"[(i * i / 7) % 8]).collect();
    let redactor = redactor(&[&value]);
    let text = [b"before ", &value[..], b" after"].concat();
    let masked = [b"before ", &vec![b'*'; value.len()][..], b" after"].concat();
    assert!(streamed(&redactor, &text, std::iter::repeat_n(1, text.len())) == masked);
    let encoded = STANDARD.encode(&value);
    assert!(redactor.text(&encoded).bytes().all(|byte| byte == b'*'));
}

#[test]
fn without_an_automaton_the_same_is_found() {
    let with = redactor(&[b"hunter2hunter2", b"abcdabcdabcd"]);
    let all = with.forms.as_ref().unwrap().all.clone();
    let mut forms = Forms::new(all);
    forms.automaton = None;
    let without = Redactor { forms: Some(Arc::new(forms)) };
    for text in ["abcdabcdabcdabcd hunter2hunter2", "abcdabcdabc hunter2"] {
        assert_eq!(with.text(text), without.text(text));
        assert_eq!(streamed(&without, text.as_bytes(), [1, 2, 3, 4, 5]), with.text(text).as_bytes());
    }
}

#[test]
fn nothing_of_a_value_is_shown_when_debugging() {
    let shown = format!("{:?}", redactor(&[b"hunter2hunter2"]));
    assert!(shown.starts_with("Redactor { forms: ") && !shown.contains("hunter2"), "{shown}");
}

/// A value, of which no part looks masked already.
fn value() -> impl Strategy<Value = Vec<u8>> {
    let allowed = |byte: u8| byte != b'*' && (!byte.is_ascii_control() || byte == b'\t');
    let any_byte = any::<u8>().prop_map(move |byte| if allowed(byte) { byte } else { b'/' });
    prop_oneof![
        proptest::collection::vec(any_byte, 8..40),
        "[A-Za-z0-9_-]{8,48}".prop_map(String::into_bytes),
        "[a-z]{0,6}:[ -)+-~]{8,20}".prop_map(String::into_bytes),
        "[!-)+-~\u{e0}-\u{ff}\u{4e00}-\u{4e20}\u{1f600}]{8,20}".prop_map(String::into_bytes),
    ]
}

fn percent(value: &[u8], kept: &str, upper: bool) -> String {
    value.iter().fold(String::new(), |mut text, byte| {
        let c = char::from(*byte);
        let _ = match upper {
            _ if c.is_ascii_alphanumeric() || kept.contains(c) => write!(text, "{c}"),
            true => write!(text, "%{byte:02X}"),
            false => write!(text, "%{byte:02x}"),
        };
        text
    })
}

/// The forms that encoders other than ours make, in which every byte is the value's.
fn encoded(value: &[u8]) -> Vec<Vec<u8>> {
    let mut forms: Vec<Vec<u8>> = vec![value.to_vec()];
    for upper in [true, false] {
        forms.push(percent(value, "-._~", upper).into());
        forms.push(percent(value, "-_.!~*'()", upper).into());
        forms.push(percent(value, "-._*", upper).replace("%20", "+").into());
    }
    for engine in [&STANDARD, &STANDARD_NO_PAD, &URL_SAFE, &URL_SAFE_NO_PAD] {
        forms.push(engine.encode(value).into());
    }
    forms.push(hex::encode(value).into());
    forms.push(hex::encode_upper(value).into());
    if let Ok(text) = std::str::from_utf8(value) {
        let json = serde_json::to_string(text).unwrap();
        let json = &json[1..json.len() - 1];
        forms.push(json.into());
        forms.push(json.replace('/', "\\/").into());
        let all: String = text.encode_utf16().map(|unit| format!("\\u{unit:04x}")).collect();
        if text.chars().all(|c| !c.is_ascii_alphanumeric()) {
            forms.push(all.into());
        }
    }
    forms
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, ..ProptestConfig::default() })]

    #[test]
    fn no_form_gets_through_and_all_else_does(
        values in proptest::collection::vec(value(), 1..4), before: Vec<u8>, after: Vec<u8>,
        cuts in proptest::collection::vec(0..40_usize, 0..20),
    ) {
        let refs: Vec<&[u8]> = values.iter().map(Vec::as_slice).collect();
        let redactor = redactor(&refs);
        for form in encoded(&values[0]) {
            let text = [&before[..], &form, &after].concat();
            let masked = redactor.bytes(&text);
            prop_assert_eq!(masked.len(), text.len());
            prop_assert!(!masked.windows(form.len()).any(|window| window == form));
            prop_assert!(redactor.contains(&text) && !redactor.contains(&masked));
            let star = masked.iter().zip(&text).position(|(m, t)| m != t).unwrap();
            prop_assert!(star <= before.len());
            prop_assert!(masked.iter().zip(&text).all(|(m, t)| m == t || *m == b'*'));
            prop_assert!(masked[before.len()..before.len() + form.len()].iter().all(|byte| *byte == b'*'));
            prop_assert_eq!(&masked[..star], &text[..star]);
            prop_assert_eq!(&plainly(&redactor, &text)[..], &masked[..]);
            prop_assert_eq!(&streamed(&redactor, &text, cuts.clone())[..], &masked[..]);
            prop_assert_eq!(&streamed(&redactor, &text, vec![1; text.len()])[..], &masked[..]);
        }
    }

    #[test]
    fn base64_of_more_than_the_value_hides_what_the_value_decides(
        value in value(), before in proptest::collection::vec(any::<u8>(), 0..8),
        after in proptest::collection::vec(any::<u8>(), 0..8), cut in 0..60_usize,
    ) {
        let redactor = redactor(&[&value]);
        let whole = [&before[..], &value, &after].concat();
        for encoded in [STANDARD.encode(&whole), URL_SAFE_NO_PAD.encode(&whole)] {
            let masked = redactor.text(&encoded);
            let first = (before.len() * 8).div_ceil(6);
            let last = (before.len() + value.len()) * 8 / 6;
            for (at, (m, t)) in masked.bytes().zip(encoded.bytes()).enumerate() {
                if (first..last).contains(&at) {
                    prop_assert_eq!(m, b'*');
                } else if at + 1 < first || at > last + 2 {
                    prop_assert_eq!(m, t);
                }
            }
            prop_assert_eq!(&streamed(&redactor, encoded.as_bytes(), [cut])[..], masked.as_bytes());
        }
    }

    /// Few letters: forms overlap, repeat and begin everywhere.
    #[test]
    fn pieces_are_masked_as_the_whole(
        values in proptest::collection::vec("[ab]{8,12}", 1..4), text in "[ab]{0,80}",
        cuts in proptest::collection::vec(0..20_usize, 0..20),
    ) {
        let refs: Vec<&[u8]> = values.iter().map(String::as_bytes).collect();
        let redactor = redactor(&refs);
        let masked = plainly(&redactor, text.as_bytes());
        prop_assert_eq!(&redactor.bytes(text.as_bytes())[..], &masked[..]);
        prop_assert_eq!(streamed(&redactor, text.as_bytes(), cuts), masked.clone());
        prop_assert_eq!(streamed(&redactor, text.as_bytes(), vec![1; text.len()]), masked);
    }

    #[test]
    fn a_text_without_a_form_is_left_alone(text: String) {
        let redactor = redactor(&[b"hunter2hunter2"]);
        prop_assume!(!text.contains("hunter2"));
        prop_assert!(matches!(redactor.text(&text), Cow::Borrowed(_)));
    }
}

/// By hand: `cargo test --release -p cofferdam --lib redact::tests::throughput -- --ignored --nocapture`.
#[test]
#[ignore = "a measurement"]
#[expect(clippy::print_stderr, reason = "it is what a measurement is for")]
fn throughput() {
    let redactor = redactor(&[
        b"ghp_0123456789abcdefABCDEF0123456789abcd",
        b"build-bot:correct horse/battery+staple",
        b"eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl",
    ]);
    let mut seed = 1_u32;
    let mut noise = || {
        seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (seed >> 24) as u8
    };
    let random: Vec<u8> = (0..64 << 10).map(|_| noise()).collect();
    let json = br#"{"id": 4711, "name": "build-bot", "url": "https://example.test/a/b%20c", "ok": true}, "#
        .repeat(760);
    let base64 = STANDARD.encode(&random).into_bytes();
    for (name, text) in [("random", random), ("JSON", json), ("base64", base64)] {
        let (piece, mut stream) = (Bytes::from(text), redactor.stream());
        let (start, mut through) = (std::time::Instant::now(), 0);
        for _ in 0..8192 {
            through += stream.push(piece.clone()).len();
        }
        let seconds = start.elapsed().as_secs_f64();
        eprintln!("{name}: {:.2} GB/s in pieces of {}", through as f64 / seconds / 1e9, piece.len());
    }
}
