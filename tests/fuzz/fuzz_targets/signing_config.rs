//! Feeds foreign bytes to the reader called `signing_config`.

#![no_main]

#[path = "../parsers.rs"]
mod parsers;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| parsers::signing_config(bytes));
