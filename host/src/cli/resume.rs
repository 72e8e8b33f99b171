//! `cofferdam resume`: goes on with a run from what it had done. The new run is
//! planned from what the old one recorded, never from the files of today.

use std::collections::BTreeMap;

use cofferdam_registry::Digest;
use serde_json::json;

use super::commands::{FollowArgs, ResumeArgs};
use super::execute::{CacheWish, Given, Order, execute};
use super::failure::Failure;
use super::home::Home;
use super::opening::Opening;
use super::printer::Printer;
use super::run::{Wanted, tell};
use super::{exit, origin, plan, show};
use crate::engine::{Finished, Platform};
use crate::event::{Origin, RunRecord, RunState};
use crate::model::Status;
use crate::plan::{Plan, PlanRecord};
use crate::provenance::PREDICATE_TYPE;
use crate::store::Store;

pub(crate) fn run(args: &ResumeArgs, home: &Home, printer: &Printer) -> Result<u8, Failure> {
    let ResumeArgs { follow, no_cache } = args;
    let wanted = follow.wanted();
    let store = home.store()?;
    let old = Followed::read(follow, home, &store)?;
    if old.record.state() == RunState::Sealed(Status::Succeeded) {
        let words = format!("{} has succeeded: there is nothing to do\n", old.record.id);
        printer.result(&json!({ "run": old.record.id, "nothingToDo": true }), |_| words);
        return Ok(exit::OK);
    }
    wanted.make()?;
    let explain = false;
    let cache = if *no_cache { CacheWish::Write { explain } } else { CacheWish::Read { explain } };
    let opening = Opening::begin(home, follow.jobs, cache, None)?;
    let plan = old.plan(home, &store)?;
    let order = Order {
        plan,
        draft: old.plan_record.clone().into(),
        origin: Some(Origin::Resume(old.record.id.clone())),
        finished: Finished::of(
            &old.record,
            PREDICATE_TYPE,
            &Platform::here(&home.signing_key()?.public().id()),
        ),
        opening,
        jobs: follow.jobs,
        quiet: follow.quiet,
        cancel: None,
    };
    let ran = execute(order, home, &store, printer, |_| Ok(old.given()), |_| Ok(()))?;
    tell(ran, wanted, home, &store, printer)
}

impl FollowArgs {
    /// The directories that are to be written.
    pub(crate) fn wanted(&self) -> Wanted<'_> {
        Wanted { outputs: self.outputs.as_ref(), attestations: self.attestations.as_ref() }
    }
}

/// A run that another one follows, and what it was planned from.
pub(crate) struct Followed {
    pub(crate) record: RunRecord,
    pub(crate) plan_record: PlanRecord,
}

impl Followed {
    /// Reads a run that is not under way, its chain checked.
    pub(crate) fn read(args: &FollowArgs, home: &Home, store: &Store) -> Result<Self, Failure> {
        let journal = home.journal()?;
        let run = show::find(&journal, args.run.as_deref())?;
        if home.is_alive(run.as_str()) {
            let message = format!("{run} is still under way");
            return Err(Failure::invalid("journal/active-run", message, "wait for its end, or stop it"));
        }
        let record = show::record(&journal, &run)?;
        let unknown = |why: String| {
            let message = format!("what {run} was planned from is not known: {why}");
            Failure::invalid("journal/unplanned-run", message, "run the pipeline again")
        };
        let digest: Digest = record.start.plan.ok_or_else(|| unknown("it was not recorded".to_owned()))?;
        let bytes = store.read(digest).map_err(|error| unknown(error.to_string()))?;
        let plan_record = serde_json::from_slice(&bytes).map_err(|error| unknown(error.to_string()))?;
        Ok(Self { record, plan_record })
    }

    /// The same plan again, under the trust rules of now; where it is built for
    /// somebody else's change now, with no secrets, whatever was recorded.
    pub(crate) fn plan(&self, home: &Home, store: &Store) -> Result<Plan, Failure> {
        let mut overrides = self.record.start.overrides.clone();
        if overrides.untrusted_source.is_none() {
            overrides.untrusted_source = origin::foreign_change()?;
        }
        plan::again(&self.plan_record, &overrides, home, store)
    }

    /// The source of the run, as it was recorded.
    pub(crate) fn given(&self) -> Given {
        let start = &self.record.start;
        Given {
            file: start.file.clone(),
            file_in_source: start.file_in_source,
            epoch: start.source_date_epoch,
            source: self.plan_record.source.clone(),
            inputs: BTreeMap::new(),
        }
    }
}
