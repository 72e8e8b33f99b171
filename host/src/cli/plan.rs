//! `cofferdam plan`: the graph and every grant. Runs nothing.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::commands::{PipelineArgs, PlanArgs};
use super::failure::Failure;
use super::home::Home;
use super::printer::Printer;
use super::{exit, origin, params, registries};
use crate::model::{MAX_PIPELINE, Overrides};
use crate::plan::{
    Draft, Pinning, Plan, PlanRecord, PlanRequest, RecordedResolver, RecordingResolver, RegistryResolver,
    ResolveError, TaskWork,
};
use crate::report::{PlanView, plan_text};
use crate::secret::Listed;
use crate::store::Store;

pub(crate) fn run(args: &PlanArgs, home: &Home, printer: &Printer) -> Result<u8, Failure> {
    let (plan, _) = build(&args.pipeline, home)?;
    let view = PlanView::new(&plan, &secrets(&plan, home)?);
    printer.result(&view, |palette| plan_text(&view, jiff::Timestamp::now(), palette));
    Ok(exit::OK)
}

/// The secrets that are set, by name, with the hosts they are bound to. Nothing
/// is unlocked, and no list is read for a plan that asks for none.
fn secrets(plan: &Plan, home: &Home) -> Result<BTreeMap<String, Vec<String>>, Failure> {
    let asks = |work: &TaskWork| {
        let mut rules = work.component.manifest.spec.capabilities.network.iter();
        rules.any(|rule| rule.secret.is_some())
    };
    if !plan.flow.leaves().iter().any(|(_, _, work)| asks(work)) {
        return Ok(BTreeMap::new());
    }
    let listed = home.secrets()?.list()?.into_iter();
    let hosts = |listed: Listed| listed.hosts.iter().map(ToString::to_string).collect();
    Ok(listed.map(|(name, listed)| (name.to_string(), hosts(listed))).collect())
}

/// The text of a pipeline file, and the directory that names in it begin at.
pub(crate) fn read(file: &Path) -> Result<(String, PathBuf), Failure> {
    let text = String::from_utf8(super::read_file(file, MAX_PIPELINE)?).map_err(|_| {
        let message = format!("{} is not UTF-8 text", file.display());
        Failure::invalid("document/syntax", message, "save the file as UTF-8")
    })?;
    Ok((text, base_of(file)?))
}

/// Plans a pipeline to look at it, not to run it: no param needs a value.
pub(crate) fn without_params(file: &Path, home: &Home) -> Result<Plan, Failure> {
    Ok(without_params_by(file, home, Pinning::default())?.0)
}

/// The directory that names in a pipeline file begin at.
pub(crate) fn base_of(file: &Path) -> Result<PathBuf, Failure> {
    let base = file.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    std::path::absolute(base).map_err(|error| Failure::unreadable(base, &error))
}

/// Finds every task of a pipeline, and nothing else.
pub(crate) fn resolved(file: &Path, home: &Home, pinning: Pinning) -> Result<RegistryResolver, Failure> {
    Ok(without_params_by(file, home, pinning)?.1)
}

fn without_params_by(
    file: &Path,
    home: &Home,
    pinning: Pinning,
) -> Result<(Plan, RegistryResolver), Failure> {
    let (text, base) = read(file)?;
    let resolver = registries::resolver(home, &base, pinning, false)?;
    let request = PlanRequest {
        file: &file.display().to_string(),
        base: &base,
        text: &text,
        given: &BTreeMap::new(),
        ceiling: &home.configuration()?.ceiling(),
        overrides: &Overrides::default(),
        params_required: false,
    };
    let plan = Plan::build(&request, &resolver)?;
    Ok((plan, resolver))
}

/// Plans a pipeline, and notes from what, so that it can be planned again.
pub(crate) fn build(args: &PipelineArgs, home: &Home) -> Result<(Plan, Draft), Failure> {
    let given = params::parse(&args.params)?;
    let (text, base) = read(&args.file)?;
    let ceiling = home.configuration()?.ceiling();
    let pinning = if args.locked { Pinning::Locked } else { Pinning::Resolve };
    let registry = registries::resolver(home, &base, pinning, args.require_trusted)?;
    let resolver = RecordingResolver::new(registry);
    let request = PlanRequest {
        file: &args.file.display().to_string(),
        base: &base,
        text: &text,
        given: &given,
        ceiling: &ceiling,
        overrides: &overrides(args)?,
        params_required: true,
    };
    let plan = Plan::build(&request, &resolver)?;
    resolver.registries().save_pins()?;
    for word in args.deny.iter().chain(&args.allow) {
        // A word for no task would protect nothing.
        let leaves = plan.flow.leaves();
        if !leaves.iter().any(|(_, task, _)| word.names_task(&task.name)) {
            let names: Vec<&str> = leaves.iter().map(|(_, task, _)| &*task.name).collect();
            let help = format!("the pipeline has: {}", names.join(", "));
            return Err(Failure::usage(format!("`{word}` names no task of the pipeline"), help));
        }
    }
    Ok((plan, resolver.into_draft(&request, args.require_trusted)))
}

/// Plans what a run was planned from, under the trust rules of now.
pub(crate) fn again(
    record: &PlanRecord,
    overrides: &Overrides,
    home: &Home,
    store: &Store,
) -> Result<Plan, Failure> {
    let registry = registries::resolver(home, &record.base, Pinning::default(), record.require_trusted)?;
    let resolver = RecordedResolver::new(registry, store, record);
    let gone = |error: ResolveError| {
        let help = error.help().unwrap_or_default();
        Failure::invalid("plan/unrecorded", error.to_string(), help)
    };
    let text = resolver.root_text().map_err(gone)?;
    let request = PlanRequest {
        file: &record.file,
        base: &record.base,
        text: &text,
        given: &record.given,
        ceiling: &home.configuration()?.ceiling(),
        overrides,
        params_required: true,
    };
    Ok(Plan::build(&request, &resolver)?)
}

fn overrides(args: &PipelineArgs) -> Result<Overrides, Failure> {
    let untrusted_source = if args.untrusted_source {
        Some("the change is somebody else's (--untrusted-source)".to_owned())
    } else {
        origin::foreign_change()?
    };
    let (deny, allow) = (args.deny.clone(), args.allow.clone());
    Ok(Overrides { hermetic: args.hermetic, untrusted_source, deny, allow })
}
