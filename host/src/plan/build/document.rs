//! Reads pipeline files: a Pipeline, a PipelineRun that says which one to run
//! and with what, and the files they name.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use cofferdam_manifest::{Document, Fault, Lost, Node, NodeKind, Salvaged, Value, decode, nearest, salvage};
use cofferdam_registry::TrustDecision;

use super::{Builder, MAX_TEXT, Site, Text};
use crate::model::{Pipeline, PipelineRef, PipelineRun, PipelineSpec, TimeoutSpec};
use crate::plan::error::PlanFile;
use crate::plan::{PipelineText, PlanError, ResolveError, unsupported};

/// A pipeline that was read.
pub(in crate::plan) struct Opened {
    pub(in crate::plan) name: String,
    pub(in crate::plan) spec: PipelineSpec,
    pub(in crate::plan) site: Site,
    pub(in crate::plan) file: PathBuf,
}

/// Where a text came from, and what follows from it.
struct Origin {
    base: PathBuf,
    bundled: bool,
    doubt: Option<String>,
}

/// Types that others refer to by their `name`: one without it is looked at, too.
pub(in crate::plan) const NAMED: &[&str] = &["PipelineTask", "PipelineMetadata"];

/// What a PipelineRun says beside which pipeline.
#[derive(Default)]
pub(in crate::plan) struct RunWords {
    /// Whether some of what it gives could not be read.
    pub(in crate::plan) partial: bool,
    pub(in crate::plan) params: BTreeMap<String, (Value, Site)>,
    pub(in crate::plan) timeouts: Option<(TimeoutSpec, Site)>,
}

impl Builder<'_> {
    /// Reads the file a plan is made from: a pipeline, or a run of one.
    pub(in crate::plan) fn root(&mut self) -> Option<(Opened, RunWords)> {
        let (name, base) = (self.request.file.to_owned(), self.request.base.to_owned());
        let file = base.join(Path::new(&name).file_name().unwrap_or_default());
        let text =
            self.text(name, self.request.text.to_owned(), Origin { base, bundled: false, doubt: None })?;
        if kind_of(text.document.root()) == Some("PipelineRun") {
            return self.run(text, file);
        }
        self.pipeline(text, file).map(|opened| (opened, RunWords::default()))
    }

    fn run(&mut self, text: Rc<Text>, file: PathBuf) -> Option<(Opened, RunWords)> {
        let (run, text) = self.decode::<PipelineRun>(text)?;
        let site = Site { text, pointer: "/spec".to_owned() };
        let name = run.metadata.name.to_string();
        let mut params = BTreeMap::new();
        for (index, param) in run.spec.params.into_iter().enumerate() {
            let at = site.below(&format!("params/{index}"));
            if params.insert(param.name.to_string(), (param.value, at.clone())).is_some() {
                let error =
                    PlanError::DuplicateName { name: param.name.to_string(), place: at.place("name") };
                self.report(&at, error);
            }
        }
        let unread = ["pipelineRef", "pipelineSpec"].iter().any(|key| site.lacks(key)) || site.has_stray();
        let opened = match (run.spec.pipeline_ref, run.spec.pipeline_spec) {
            (Some(_), None) if site.lacks("pipelineRef") => return None,
            (Some(reference), None) => self.open(&reference, &site, "pipelineRef")?,
            (None, Some(spec)) => {
                let site = site.below("pipelineSpec");
                Opened { name: name.clone(), spec, site, file }
            }
            (None, None) if unread => return None,
            (None, None) | (Some(_), Some(_)) => {
                let message = "a PipelineRun takes one of pipelineRef and pipelineSpec".to_owned();
                self.report(&site, PlanError::InvalidValue { message, place: site.place("") });
                return None;
            }
        };
        let partial = site.lacks("params") || site.has_stray();
        let timeouts = run.spec.timeouts.map(|spec| (spec, site.below("timeouts")));
        // The run's own name is what its runs begin with.
        Some((Opened { name, ..opened }, RunWords { partial, params, timeouts }))
    }

    /// Reads the pipeline that a reference names.
    pub(super) fn open(&mut self, reference: &PipelineRef, at: &Site, below: &str) -> Option<Opened> {
        let found = within(at, reference.local())
            .and_then(|()| self.resolver.pipeline(reference, at.base()))
            .and_then(|found| self.read(found, at));
        match found {
            Ok(opened) => opened,
            Err(source) => {
                self.report(at, PlanError::NoPipeline { source, place: at.place(below) });
                None
            }
        }
    }

    fn read(&mut self, found: PipelineText, at: &Site) -> Result<Option<Opened>, ResolveError> {
        let PipelineText { name, file, base, text, identity } = found;
        let bundled = identity.is_some();
        let own = identity.as_ref().and_then(|identity| match &identity.trust {
            TrustDecision::Trusted { .. } => None,
            TrustDecision::Untrusted { .. } | TrustDecision::Denied { .. } => {
                Some(identity.reference.clone())
            }
        });
        // Whoever is not trusted decides with what a pipeline runs, too.
        let doubt = at.doubt().map(str::to_owned).or(own);
        let Some(text) = self.text(name.clone(), text, Origin { base, bundled, doubt }) else {
            return Ok(None);
        };
        if has_kind(text.document.root(), "PipelineRun") {
            return Err(ResolveError::NotAPipeline { name });
        }
        let Some(opened) = self.pipeline(text, file) else { return Ok(None) };
        if let Some(identity) = identity {
            // Under another name it could be taken for another pipeline.
            if identity.name != opened.name && !opened.site.text.lost.within("/metadata") {
                return Err(ResolveError::Renamed { name: identity.name, found: opened.name });
            }
            if !self.bundles.contains(&identity) {
                self.bundles.push(identity);
            }
        }
        Ok(Some(opened))
    }

    fn pipeline(&mut self, text: Rc<Text>, file: PathBuf) -> Option<Opened> {
        let (pipeline, text) = self.decode::<Pipeline>(text)?;
        let site = Site { text, pointer: "/spec".to_owned() };
        Some(Opened { name: pipeline.metadata.name.to_string(), spec: pipeline.spec, site, file })
    }

    /// Parses a text and keeps it for messages.
    fn text(&mut self, name: String, text: String, origin: Origin) -> Option<Rc<Text>> {
        let file = self.faults.files.len();
        let Some(left) = self.text_left.checked_sub(text.len()) else {
            // Said once, in the file that was named.
            if self.text_left > 0 {
                self.text_left = 0;
                let message = format!("all pipeline files together have more than {MAX_TEXT} bytes");
                let place = cofferdam_manifest::Place { line: 1, column: 1 };
                self.faults.errors.push((0, PlanError::InvalidValue { message, place }));
            }
            return None;
        };
        self.text_left = left;
        let parsed = Document::parse(&text);
        self.faults.files.push(PlanFile { name, text });
        let document = match parsed {
            Ok(document) => document,
            Err(fault) => {
                self.faults.errors.push((file, fault.into()));
                return None;
            }
        };
        let unsupported = unsupported::find(&document);
        let unwanted = unsupported.iter().map(|(pointer, _)| pointer.clone()).collect();
        self.faults.errors.extend(unsupported.into_iter().map(|(_, error)| (file, error)));
        let Origin { base, bundled, doubt } = origin;
        Some(Rc::new(Text { file, document, unwanted, lost: Lost::default(), base, bundled, doubt }))
    }

    /// Reads a text; of one that is wrong, as much as tells what else is. The
    /// text comes back without what was not read.
    fn decode<T: schemars::JsonSchema + serde::de::DeserializeOwned>(
        &mut self,
        text: Rc<Text>,
    ) -> Option<(T, Rc<Text>)> {
        // Only a file that is wrong is looked at twice.
        if text.unwanted.is_empty()
            && let Ok(value) = decode(&text.document)
        {
            return Some((value, text));
        }
        let (faults, salvaged) = salvage(&text.document, &text.unwanted, NAMED);
        // Of a document that was told of as a whole, no part is.
        let is_told = text.unwanted.iter().any(String::is_empty);
        // Without a fault, nothing that is incomplete goes on.
        if is_told || (text.unwanted.is_empty() && faults.is_empty()) {
            return None;
        }
        self.faults.errors.extend(faults.into_iter().map(|fault: Fault| (text.file, fault.into())));
        // What is wrong with another kind of document as a pipeline says nothing.
        let salvaged = salvaged.filter(|_| kind_of(text.document.root()).is_some());
        let Salvaged { value, document, lost } = salvaged?;
        let Text { file, base, bundled, doubt, .. } = &*text;
        let (base, doubt, unwanted) = (base.clone(), doubt.clone(), Vec::new());
        Some((value, Rc::new(Text { file: *file, document, unwanted, lost, base, bundled: *bundled, doubt })))
    }
}

/// Which of the two kinds of pipeline files a document is, or is meant to be.
pub(in crate::plan) fn kind_of(root: &Node) -> Option<&'static str> {
    let NodeKind::Map(entries) = &root.kind else { return None };
    let entry = |key: &str| entries.iter().find(|(name, ..)| name == key).map(|(.., value)| &value.kind);
    match (entry("kind"), entry("spec")) {
        (Some(NodeKind::Text(word)), _) => nearest(word, ["Pipeline", "PipelineRun"]),
        (None, Some(NodeKind::Map(spec))) => {
            let of_run = spec.iter().any(|(key, ..)| key == "pipelineRef" || key == "pipelineSpec");
            Some(if of_run { "PipelineRun" } else { "Pipeline" })
        }
        (None, _) => Some("Pipeline"),
        (Some(_), _) => None,
    }
}

fn has_kind(root: &Node, kind: &str) -> bool {
    match &root.kind {
        NodeKind::Map(entries) => entries
            .iter()
            .any(|(key, _, value)| key == "kind" && value.kind == NodeKind::Text(kind.to_owned())),
        NodeKind::Null
        | NodeKind::Bool(_)
        | NodeKind::Integer(_)
        | NodeKind::Float(_)
        | NodeKind::Text(_)
        | NodeKind::List(_) => false,
    }
}

/// Refuses what a pipeline out of a registry names of this machine: it is not
/// what its author meant, and nobody's business.
pub(super) fn within(at: &Site, named: Option<&str>) -> Result<(), ResolveError> {
    match named {
        Some(what) if at.text.bundled => Err(ResolveError::OutsideBundle { what: format!("`{what}`") }),
        Some(_) | None => Ok(()),
    }
}
