//! Where the value of a secret is read from: standard input, or an environment
//! variable. On a terminal nothing of it is shown.

use std::ffi::OsStr;
use std::fmt::Display;
use std::io::{self, IsTerminal, Read, Write};
use std::os::unix::ffi::OsStringExt;
use std::path::Path;

use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};

use super::failure::Failure;
use crate::model::SecretValue;

/// What was typed.
pub(crate) enum Input {
    Value(Vec<u8>),
    /// Ctrl-C.
    Interrupted,
}

/// Takes the value of an environment variable.
pub(crate) fn from_environment(variable: &OsStr) -> Result<Vec<u8>, Failure> {
    std::env::var_os(variable).map(OsStringExt::into_vec).ok_or_else(|| {
        Failure::usage(
            format!("the environment variable {} is not set", variable.display()),
            "set and export it, or leave out --env and give the value on standard input",
        )
    })
}

/// Reads a value from standard input, without the line break at its end.
pub(crate) fn from_standard_input(name: &dyn Display) -> Result<Input, Failure> {
    let failed = |error| Failure::io("read", Path::new("standard input"), &error);
    let stdin = io::stdin();
    if stdin.is_terminal() {
        return typed(&format!("value of {name}")).map_err(failed);
    }
    // At once as long as it may be: what grows leaves copies behind. One byte
    // more than a value and its line break tells that it is too long.
    let mut bytes = Vec::with_capacity(SecretValue::MAX + 4);
    stdin.lock().take(SecretValue::MAX as u64 + 3).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.last() == Some(&b'\n') {
        bytes.pop();
        if bytes.last() == Some(&b'\r') {
            bytes.pop();
        }
    }
    Ok(Input::Value(bytes))
}

/// Reads a line from the terminal, where there is one.
pub(crate) fn from_terminal(prompt: &str) -> Result<Option<Input>, Failure> {
    if !io::stdin().is_terminal() {
        return Ok(None);
    }
    typed(prompt).map(Some).map_err(|error| Failure::io("read", Path::new("standard input"), &error))
}

/// Reads a line from a terminal, key by key: a line that the terminal itself
/// edits is cut at 4 KiB, and an interrupt would leave the echo off.
fn typed(prompt: &str) -> io::Result<Input> {
    let _silence = Silence::begin()?;
    let mut err = io::stderr().lock();
    let _ = write!(err, "{prompt} (not shown): ");
    let mut bytes = Vec::with_capacity(SecretValue::MAX + 4);
    let ended = loop {
        let mut key = [0];
        // Not through the buffer of `Stdin`, which would keep what was typed.
        let count = rustix::io::read(rustix::stdio::stdin(), &mut key)?;
        match key {
            _ if count == 0 => break Input::Value(bytes),
            [b'\n' | b'\r' | 0x04] => break Input::Value(bytes),
            [0x03] => break Input::Interrupted,
            [0x08 | 0x7f] => {
                bytes.pop();
            }
            [0x15] => bytes.clear(),
            [byte] if bytes.len() <= SecretValue::MAX => bytes.push(byte),
            [_] => {}
        }
    };
    let _ = writeln!(err);
    Ok(ended)
}

/// A terminal that shows nothing of what is typed, until dropped.
struct Silence(Termios);

impl Silence {
    fn begin() -> io::Result<Self> {
        let before = tcgetattr(rustix::stdio::stdin())?;
        let mut silent = before.clone();
        silent.local_modes.remove(LocalModes::ECHO | LocalModes::ICANON | LocalModes::ISIG);
        tcsetattr(rustix::stdio::stdin(), OptionalActions::Flush, &silent)?;
        Ok(Self(before))
    }
}

impl Drop for Silence {
    fn drop(&mut self) {
        let _ = tcsetattr(rustix::stdio::stdin(), OptionalActions::Flush, &self.0);
    }
}
