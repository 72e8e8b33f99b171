//! Feeds foreign bytes to the reader called `encrypted_key`.

#![no_main]

#[path = "../parsers.rs"]
mod parsers;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| parsers::encrypted_key(bytes));
