//! The conditions a task runs under.

use super::Wiring;
use crate::model::WhenSpec;
use crate::plan::PlanError;
use crate::plan::cel::CelGuard;
use crate::plan::flow::Guard;
use crate::plan::{Reference, Template};

impl Wiring<'_, '_> {
    /// Reads `when`.
    pub(super) fn guards(&mut self, specs: &[WhenSpec]) -> Vec<Guard> {
        let mut guards = Vec::with_capacity(specs.len());
        for (index, spec) in specs.iter().enumerate() {
            let below = format!("when/{index}");
            guards.extend(match spec {
                WhenSpec { input: Some(input), operator: Some(operator), values, cel: None } => self
                    .values(input, values, &below)
                    .map(|(input, values)| Guard::Values { input, operator: *operator, values }),
                WhenSpec { input: None, operator: None, values, cel: Some(cel) } if values.is_empty() => {
                    self.cel(cel, &format!("{below}/cel"))
                }
                WhenSpec { input, values, cel, .. } if self.site.lacks(&below) => {
                    self.rest(input.as_deref(), values, cel.as_deref(), &below);
                    None
                }
                WhenSpec { .. } => {
                    let message =
                        "a condition has `input`, `operator` and `values`, or `cel` alone".to_owned();
                    self.invalid_value(message, &below);
                    None
                }
            });
        }
        guards
    }

    /// Looks at what is left of a condition that could not all be read.
    fn rest(&mut self, input: Option<&str>, values: &[String], cel: Option<&str>, below: &str) {
        if let Some(input) = input {
            self.template(input, &format!("{below}/input"));
        }
        if !values.is_empty() {
            self.items(values, &format!("{below}/values"));
        }
        if let Some(cel) = cel {
            self.cel(cel, &format!("{below}/cel"));
        }
    }

    fn values(&mut self, input: &str, values: &[String], below: &str) -> Option<(Template, Vec<Template>)> {
        if values.is_empty() {
            let message = "`values` is empty: the condition would always say the same".to_owned();
            if !self.site.lacks(below) {
                self.invalid_value(message, below);
            }
            self.template(input, &format!("{below}/input"));
            return None;
        }
        let at = format!("{below}/input");
        let template = self.template(input, &at);
        let template = template.and_then(|template| self.fill(template, &at));
        let values = self.items(values, &format!("{below}/values"));
        Some((template?, values?))
    }

    fn cel(&mut self, source: &str, below: &str) -> Option<Guard> {
        let guard = match CelGuard::parse(source) {
            Ok(guard) => guard,
            Err(why) => {
                let place = self.site.place(below);
                self.report(PlanError::InvalidCondition { why, place });
                return None;
            }
        };
        let spliced = self.check_all(guard.spliced().iter(), below);
        let mut known = true;
        for reference in guard.named() {
            known &= self.check(reference, true, below).is_some();
        }
        spliced.filter(|()| known).map(|()| Guard::Cel(guard))
    }
}

/// Every reference in a condition.
pub(super) fn references(guard: &Guard) -> Vec<&Reference> {
    match guard {
        Guard::Values { input, values, .. } => {
            input.references().chain(values.iter().flat_map(Template::references)).collect()
        }
        Guard::Cel(guard) => guard.spliced().iter().chain(guard.named()).collect(),
    }
}
