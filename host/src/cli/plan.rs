//! `cofferdam plan`: the graph and every grant. Runs nothing.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use cofferdam_manifest::{Capabilities, nearest};
use cofferdam_registry::{Sight, observed};
use jiff::Timestamp;

use super::commands::{PipelineArgs, PlanArgs};
use super::failure::Failure;
use super::home::Home;
use super::printer::Printer;
use super::{exit, origin, params, registries};
use crate::model::{CapabilityKind, MAX_PIPELINE, Override, Overrides};
use crate::plan::{
    Draft, Lock, Pinning, Plan, PlanRecord, PlanRequest, RecordedResolver, RecordingResolver,
    RegistryResolver, ResolveError, TaskWork,
};
use crate::report::{PlanView, plan_text, visible};
use crate::secret::Listed;
use crate::store::Store;

pub(crate) fn run(args: &PlanArgs, home: &Home, printer: &Printer) -> Result<u8, Failure> {
    let Planned { plan, pins, .. } = build(&args.pipeline, home)?;
    pins.save(printer)?;
    let view = PlanView::new(&plan, &secrets(&plan, home)?);
    printer.result(&view, |palette| plan_text(&view, Timestamp::now(), palette));
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

/// Pins that were added to a repository's, and are not yet written.
#[must_use]
pub(crate) struct NewPins(Option<Lock>);

impl NewPins {
    /// Writes them, once the source is read as it was, and says so.
    pub(crate) fn save(self, printer: &Printer) -> Result<(), Failure> {
        let Some(mut lock) = self.0 else { return Ok(()) };
        lock.save()?;
        if let Some(file) = lock.file() {
            let here = std::env::current_dir().unwrap_or_default();
            let file = file.strip_prefix(&here).unwrap_or(file).display().to_string();
            let file = visible(&file);
            printer.note(&format!("pinned what tags stand for in {file}: keep it under version control"));
        }
        Ok(())
    }
}

/// A plan, and what it was made from.
pub(crate) struct Planned {
    pub(crate) plan: Plan,
    /// For whoever plans it again.
    pub(crate) draft: Draft,
    pub(crate) pins: NewPins,
    /// For whoever would know whether it would be the same now.
    pub(crate) grounds: Grounds,
}

/// All that a plan depends on beside what was asked for.
pub(crate) struct Grounds {
    /// What was looked at.
    pub(crate) sights: Vec<Sight>,
    /// Since and until when the trust rules decide so.
    pub(crate) steady: (Option<Timestamp>, Option<Timestamp>),
    /// Whether a registry was asked, which may answer otherwise.
    pub(crate) asked: bool,
}

/// Plans a pipeline, and notes from what, so that it can be planned again.
pub(crate) fn build(args: &PipelineArgs, home: &Home) -> Result<Planned, Failure> {
    let (planned, sights) = observed(|| look_and_build(args, home));
    let mut planned = planned?;
    planned.grounds.sights = sights;
    Ok(planned)
}

fn look_and_build(args: &PipelineArgs, home: &Home) -> Result<Planned, Failure> {
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
    let pins = NewPins(resolver.registries().new_pins());
    each_names_a_task(args, &plan)?;
    each_allows_something(&args.allow, &plan)?;
    let (steady, asked) = (resolver.steady(), resolver.registries().went_out());
    let grounds = Grounds { sights: Vec::new(), steady, asked };
    Ok(Planned { plan, draft: resolver.into_draft(&request, args.require_trusted), pins, grounds })
}

/// Refuses a word for no task: it would protect nothing.
fn each_names_a_task(args: &PipelineArgs, plan: &Plan) -> Result<(), Failure> {
    for word in args.deny.iter().chain(&args.allow) {
        let leaves = plan.flow.leaves();
        if !leaves.iter().any(|(_, task, _)| word.names_task(&task.name)) {
            let names: Vec<&str> = leaves.iter().map(|(_, task, _)| &*task.name).collect();
            let help = format!(
                "the pipeline has: {}; one of a pipeline in it has its own name here, without that pipeline's",
                names.join(", ")
            );
            return Err(Failure::usage(format!("`{word}` names no task of the pipeline"), help));
        }
    }
    Ok(())
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

/// Refuses an `--allow` for what nobody asks for: whoever wrote it meant something.
pub(crate) fn each_allows_something(allow: &[Override], plan: &Plan) -> Result<(), Failure> {
    let leaves = plan.flow.leaves();
    for word in allow {
        let meant = leaves.iter().filter(|(_, task, _)| word.names_task(&task.name));
        let asked: Vec<_> = meant.map(|(.., work)| &work.component.manifest.spec.capabilities).collect();
        if asked.iter().any(|asked| word.allows_of(asked)) {
            continue;
        }
        let mut words: Vec<String> = asked.iter().flat_map(|asked| askable(asked)).collect();
        words.sort();
        words.dedup();
        // Whose task it is for goes before it, as it was written.
        let task = word.task.as_ref().map(|task| format!("{task}=")).unwrap_or_default();
        let known: Vec<String> = words.iter().map(|asked| format!("{task}{asked}")).collect();
        let help = match nearest(&word.to_string(), known.iter().map(String::as_str)) {
            _ if word.kind == CapabilityKind::Secrets => {
                "secrets go to tasks that are trusted, and to no other: cofferdam trust explain REFERENCE"
                    .to_owned()
            }
            Some(meant) => format!("did you mean --allow {meant}?"),
            None if known.is_empty() => "nothing is asked for: leave it out".to_owned(),
            None => format!("what is asked for: {}", known.join(", ")),
        };
        return Err(Failure::usage(format!("--allow {word} allows nothing that a task asks for"), help));
    }
    Ok(())
}

/// What a task asks for, as `--allow` names it.
fn askable(asked: &Capabilities) -> Vec<String> {
    let real = [(asked.clock.is_some(), "clock"), (asked.random.is_some(), "random")];
    let real = real.into_iter().filter(|(is_asked, _)| *is_asked).map(|(_, word)| word.to_owned());
    let network = asked.network.iter().map(|rule| format!("network:{}", rule.host));
    let tcp = asked.tcp.iter().map(|rule| format!("tcp:{}", rule.host));
    real.chain(network).chain(tcp).collect()
}

/// What a command line says about grants.
pub(crate) fn overrides(args: &PipelineArgs) -> Result<Overrides, Failure> {
    let untrusted_source = if args.untrusted_source {
        Some("the change is somebody else's (--untrusted-source)".to_owned())
    } else {
        origin::foreign_change()?
    };
    let (deny, allow) = (args.deny.clone(), args.allow.clone());
    Ok(Overrides { hermetic: args.hermetic, untrusted_source, deny, allow })
}
