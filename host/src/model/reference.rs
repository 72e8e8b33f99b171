//! How a pipeline says which task or which other pipeline it means.

use std::fmt;

use cofferdam_manifest::Name;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Which task: by `name` from the embedded registry, by `bundle` from a
/// registry, or by `component` from a file. Exactly one of the three; or as
/// Tekton's resolver for bundles has it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct TaskRef {
    /// A task of the embedded registry; beside `bundle`, what the task there is
    /// called.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<Name>,
    /// Its version; left out, the newest published.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// A reference, such as `HOST/PATH/NAME:TAG` or `oci:PATH:NAME:TAG`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bundle: Option<String>,
    /// A component file, relative to the pipeline file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub component: Option<String>,
    /// Tekton's form of `bundle`: its values are in `params`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resolver: Option<ResolverName>,
    /// What the resolver is asked for.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub params: Vec<ResolverParam>,
}

/// Which pipeline: a `file` beside the one that names it, or a `bundle` in a
/// registry. Exactly one of the two; or as Tekton's resolver for bundles has it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct PipelineRef {
    /// A pipeline file, relative to the file that names it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    /// A reference, such as `HOST/PATH/NAME:TAG` or `oci:PATH:NAME:TAG`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bundle: Option<String>,
    /// Which pipeline of the bundle; left out, the only one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Tekton's form of `bundle` and `name`: its values are in `params`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resolver: Option<ResolverName>,
    /// What the resolver is asked for.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub params: Vec<ResolverParam>,
}

/// Who finds what is referred to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ResolverName {
    /// A registry has it.
    Bundles,
}

/// One value for a resolver.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ResolverParam {
    /// `bundle`, `name` or `kind`.
    pub name: String,
    /// Its value.
    pub value: String,
}

/// Where a task is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TaskPlace<'a> {
    /// In the embedded registry.
    Embedded {
        /// Its name.
        name: &'a str,
        /// Its version, unless it is the newest.
        version: Option<&'a str>,
    },
    /// In a registry.
    Bundle {
        /// The reference as it is written.
        reference: &'a str,
        /// What the task there is called, where that is said.
        name: Option<&'a str>,
    },
    /// In a file.
    File(&'a str),
}

/// Where a pipeline is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PipelinePlace<'a> {
    /// In a file.
    File(&'a str),
    /// In a registry.
    Bundle {
        /// The reference as it is written.
        reference: &'a str,
        /// Its name in the bundle, where that is said.
        name: Option<&'a str>,
    },
}

/// Why a reference means nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum InvalidPlace {
    /// It says none of the things that it could mean, or more than one.
    Ambiguous,
    /// What the resolver is asked for makes no sense.
    Resolver(String),
}

impl TaskRef {
    /// Where the task is.
    ///
    /// # Errors
    /// [`InvalidPlace`].
    pub fn place(&self) -> Result<TaskPlace<'_>, InvalidPlace> {
        if self.resolver.is_some() || !self.params.is_empty() {
            let alone = self.name.is_none()
                && self.version.is_none()
                && self.bundle.is_none()
                && self.component.is_none();
            let (reference, name) = bundle_of(self.resolver, &self.params, "task", alone)?;
            return Ok(TaskPlace::Bundle { reference, name });
        }
        match (&self.name, &self.bundle, &self.component, &self.version) {
            (Some(name), None, None, version) => {
                Ok(TaskPlace::Embedded { name: name.as_str(), version: version.as_deref() })
            }
            (name, Some(reference), None, None) => {
                Ok(TaskPlace::Bundle { reference, name: name.as_ref().map(Name::as_str) })
            }
            (None, None, Some(path), None) => Ok(TaskPlace::File(path)),
            _ => Err(InvalidPlace::Ambiguous),
        }
    }

    /// What it names of this machine: a file, or a layout in a directory.
    #[must_use]
    pub fn local(&self) -> Option<&str> {
        match self.place() {
            Ok(TaskPlace::File(path)) => Some(path),
            Ok(TaskPlace::Bundle { reference, .. }) => layout(reference),
            Ok(TaskPlace::Embedded { .. }) | Err(_) => None,
        }
    }
}

impl PipelineRef {
    /// What it names of this machine: a file, or a layout in a directory.
    #[must_use]
    pub fn local(&self) -> Option<&str> {
        match self.place() {
            Ok(PipelinePlace::File(path)) => Some(path),
            Ok(PipelinePlace::Bundle { reference, .. }) => layout(reference),
            Err(_) => None,
        }
    }

    /// Where the pipeline is.
    ///
    /// # Errors
    /// [`InvalidPlace`].
    pub fn place(&self) -> Result<PipelinePlace<'_>, InvalidPlace> {
        if self.resolver.is_some() || !self.params.is_empty() {
            let alone = self.file.is_none() && self.bundle.is_none() && self.name.is_none();
            let (reference, name) = bundle_of(self.resolver, &self.params, "pipeline", alone)?;
            return Ok(PipelinePlace::Bundle { reference, name });
        }
        match (&self.file, &self.bundle, &self.name) {
            (Some(file), None, None) => Ok(PipelinePlace::File(file)),
            (None, Some(reference), name) => Ok(PipelinePlace::Bundle { reference, name: name.as_deref() }),
            _ => Err(InvalidPlace::Ambiguous),
        }
    }
}

impl fmt::Display for PipelinePlace<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(file) => f.write_str(file),
            Self::Bundle { reference, name: None } => f.write_str(reference),
            Self::Bundle { reference, name: Some(name) } => write!(f, "{name} in {reference}"),
        }
    }
}

/// The reference, where it means a layout in a directory.
fn layout(reference: &str) -> Option<&str> {
    Some(reference).filter(|text| text.starts_with("oci:") && !text.starts_with("oci://"))
}

/// The reference and the name that Tekton's resolver for bundles is asked for:
/// Tekton, "Bundles Resolver".
fn bundle_of<'a>(
    resolver: Option<ResolverName>,
    params: &'a [ResolverParam],
    wanted: &str,
    alone: bool,
) -> Result<(&'a str, Option<&'a str>), InvalidPlace> {
    let refuse = |why: String| Err(InvalidPlace::Resolver(why));
    if resolver.is_none() {
        return refuse("`params` here are those of a resolver; add `resolver: bundles`".to_owned());
    }
    if !alone {
        return refuse("beside `resolver` stands nothing but its `params`".to_owned());
    }
    let (mut bundle, mut name, mut kind) = (None, None, None);
    for ResolverParam { name: key, value } in params {
        let place = match key.as_str() {
            "bundle" => &mut bundle,
            "name" => &mut name,
            "kind" => &mut kind,
            // How long an answer is kept is decided by the pins.
            "cache" => continue,
            "secret" | "serviceAccount" => {
                let message =
                    format!("`{key}` names a login of a cluster; here, `cofferdam login` keeps them");
                return refuse(message);
            }
            _ => return refuse(format!("the resolver `bundles` has no param `{key}`")),
        };
        if place.replace(value.as_str()).is_some() {
            return refuse(format!("`{key}` is there twice"));
        }
    }
    match (bundle, kind) {
        (None, _) => refuse("the resolver `bundles` needs the param `bundle`".to_owned()),
        (_, Some(kind)) if !kind.eq_ignore_ascii_case(wanted) => {
            refuse(format!("`kind` is `{kind}` and should be `{wanted}`"))
        }
        (Some(bundle), _) => Ok((bundle, name)),
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test that cannot go on should stop")]
    use super::*;

    fn pipeline(json: &str) -> PipelineRef {
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn a_bundle_is_meant_in_either_form() {
        let wanted = Ok(PipelinePlace::Bundle { reference: "h.example/p:1", name: Some("build") });
        let long = r#"{"resolver":"bundles","params":[{"name":"bundle","value":"h.example/p:1"},
            {"name":"kind","value":"pipeline"},{"name":"name","value":"build"},{"name":"cache","value":"auto"}]}"#;
        for text in [r#"{"bundle":"h.example/p:1","name":"build"}"#, long] {
            assert_eq!(pipeline(text).place(), wanted);
        }
        let task: TaskRef = serde_json::from_str(&long.replace("pipeline", "task")).unwrap();
        let wanted = Ok(TaskPlace::Bundle { reference: "h.example/p:1", name: Some("build") });
        assert_eq!(task.place(), wanted);
    }

    #[test]
    fn what_makes_no_sense_is_told() {
        let bundle = r#"{"name":"bundle","value":"h.example/p"}"#;
        for (text, why) in [
            (r#"{"resolver":"bundles"}"#.to_owned(), "needs the param `bundle`"),
            (format!(r#"{{"params":[{bundle}]}}"#), "add `resolver: bundles`"),
            (format!(r#"{{"file":"a","resolver":"bundles","params":[{bundle}]}}"#), "nothing but"),
            (format!(r#"{{"resolver":"bundles","params":[{bundle},{bundle}]}}"#), "twice"),
            (
                format!(r#"{{"resolver":"bundles","params":[{bundle},{{"name":"kind","value":"task"}}]}}"#),
                "should be `pipeline`",
            ),
            (
                format!(r#"{{"resolver":"bundles","params":[{bundle},{{"name":"secret","value":"s"}}]}}"#),
                "cofferdam login",
            ),
            (
                format!(r#"{{"resolver":"bundles","params":[{bundle},{{"name":"x","value":"s"}}]}}"#),
                "no param `x`",
            ),
        ] {
            let found = format!("{:?}", pipeline(&text).place().unwrap_err());
            assert!(found.contains(why), "{found}");
        }
        for text in ["{}", r#"{"file":"a","bundle":"b"}"#, r#"{"name":"a"}"#] {
            assert_eq!(pipeline(text).place(), Err(InvalidPlace::Ambiguous));
        }
    }
}
