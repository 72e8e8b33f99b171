//! What one execution was given, taken apart by name.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::failure::Failure;
use crate::value::Value;

/// An artifact the task reads. Writing anywhere under it is refused.
#[derive(Clone, Debug)]
pub struct Input {
    path: PathBuf,
}

/// An artifact the task makes: an empty directory, sealed when the task ends.
#[derive(Clone, Debug)]
pub struct Output {
    path: PathBuf,
}

impl Input {
    /// The directory that holds the artifact.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Output {
    /// The directory to write into.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }
}

/// Everything one execution was given. [`crate::task!`] takes it apart.
#[derive(Clone, Debug, Default)]
pub struct Request {
    pub(crate) params: BTreeMap<String, Value>,
    pub(crate) inputs: BTreeMap<String, PathBuf>,
    pub(crate) outputs: BTreeMap<String, PathBuf>,
}

fn invalid(message: String) -> Failure {
    Failure::new("InvalidRequest", message)
}

impl Request {
    fn param(&mut self, name: &str) -> Result<Value, Failure> {
        self.params.remove(name).ok_or_else(|| invalid(format!("the param `{name}` was not given")))
    }

    /// Takes a param of type `string`.
    ///
    /// # Errors
    /// `InvalidRequest` when it is absent or of another type.
    pub fn text(&mut self, name: &str) -> Result<String, Failure> {
        match self.param(name)? {
            Value::Text(text) => Ok(text),
            Value::Texts(_) | Value::Fields(_) => Err(invalid(format!("`{name}` takes a string"))),
        }
    }

    /// Takes a param of type `array`.
    ///
    /// # Errors
    /// `InvalidRequest` when it is absent or of another type.
    pub fn texts(&mut self, name: &str) -> Result<Vec<String>, Failure> {
        match self.param(name)? {
            Value::Texts(texts) => Ok(texts),
            Value::Text(_) | Value::Fields(_) => Err(invalid(format!("`{name}` takes an array"))),
        }
    }

    /// Takes a param of type `object`.
    ///
    /// # Errors
    /// `InvalidRequest` when it is absent or of another type.
    pub fn fields(&mut self, name: &str) -> Result<BTreeMap<String, String>, Failure> {
        match self.param(name)? {
            Value::Fields(fields) => Ok(fields),
            Value::Text(_) | Value::Texts(_) => Err(invalid(format!("`{name}` takes an object"))),
        }
    }

    /// Takes a param with an `enum`.
    ///
    /// # Errors
    /// `InvalidRequest` when it is absent or not one of the choices.
    pub fn choice<C>(&mut self, name: &str, parse: fn(&str) -> Option<C>) -> Result<C, Failure> {
        let text = self.text(name)?;
        parse(&text).ok_or_else(|| invalid(format!("`{name}` cannot be `{text}`")))
    }

    /// Takes an input.
    ///
    /// # Errors
    /// `InvalidRequest` when it is absent.
    pub fn input(&mut self, name: &str) -> Result<Input, Failure> {
        let path = self.inputs.remove(name);
        path.map(|path| Input { path }).ok_or_else(|| invalid(format!("the input `{name}` was not given")))
    }

    /// Takes an output.
    ///
    /// # Errors
    /// `InvalidRequest` when it is absent.
    pub fn output(&mut self, name: &str) -> Result<Output, Failure> {
        let path = self.outputs.remove(name);
        path.map(|path| Output { path }).ok_or_else(|| invalid(format!("the output `{name}` was not given")))
    }

    /// Ends the taking apart.
    ///
    /// # Errors
    /// `InvalidRequest` when something was given that the manifest does not
    /// name: component and manifest then belong to different versions.
    pub fn finish(self) -> Result<(), Failure> {
        let left =
            self.params.into_keys().chain(self.inputs.into_keys()).chain(self.outputs.into_keys()).next();
        match left {
            Some(name) => Err(invalid(format!("`{name}` was given, and the manifest does not name it"))),
            None => Ok(()),
        }
    }
}
