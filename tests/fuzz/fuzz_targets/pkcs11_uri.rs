//! Feeds foreign bytes to the reader called `pkcs11_uri`.

#![no_main]

#[path = "../parsers.rs"]
mod parsers;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| parsers::pkcs11_uri(bytes));
