//! The whole program from the outside: one test binary, one module for each
//! thing a user, or an attacker, could do.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on should stop")]

mod architecture;
mod bad_input;
mod harness;
mod interruption;
mod runs;
mod tampering;
