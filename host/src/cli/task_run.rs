//! `cofferdam task run`: one task once, in the sandbox, to see what it does.

use std::collections::BTreeMap;
use std::path::PathBuf;

use clap::Args;

use super::failure::Failure;
use super::home::Home;
use super::log_format::LogFormat;
use super::one_task::{Asked, OneTask};
use super::printer::Printer;
use super::{export, params, task_build};
use crate::model::{Override, Overrides};
use crate::report::task_view_text;
use crate::source::Checkout;
use crate::store::{Store, Tree};

#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  cofferdam task run word-count.wasm --input source=.\n  \
    cofferdam task run examples/word-count --input source=docs --param ending=md --output out/\n  \
    cofferdam task run fetch.wasm --param url=https://example.org/ --allow network:example.org\n\n\
    The task runs as in a pipeline of it alone, and nothing of the run is kept. Exit status 1\n\
    where it failed.")]
pub(crate) struct TaskRunArgs {
    /// The task, or the directory with its `task.yaml`, which is built first.
    #[arg(value_name = "FILE|DIRECTORY")]
    pub(crate) task: PathBuf,
    /// A param, as NAME=VALUE; again for more items of a list.
    #[arg(short, long = "param", value_name = "NAME=VALUE")]
    pub(crate) params: Vec<String>,
    /// A directory for an input; what git ignores in it is left out.
    #[arg(short, long = "input", value_name = "NAME=DIRECTORY")]
    pub(crate) inputs: Vec<String>,
    /// Copy every output to DIRECTORY/OUTPUT.
    #[arg(short, long, value_name = "DIRECTORY")]
    pub(crate) output: Option<PathBuf>,
    /// Grant what it asks for; left out, it is granted nothing.
    #[arg(long, value_name = "CAPABILITY[:HOST]")]
    pub(crate) allow: Vec<Override>,
    /// Run it without something that it asks for.
    #[arg(long, value_name = "CAPABILITY[:HOST]")]
    pub(crate) deny: Vec<Override>,
    /// Show nothing while it is under way, only how it ended.
    #[arg(short, long)]
    pub(crate) quiet: bool,
    /// In which form to show it while it is under way, on standard error.
    #[arg(long, value_enum, value_name = "FORM")]
    pub(crate) log_format: Option<LogFormat>,
}

pub(crate) fn run(args: &TaskRunArgs, home: &Home, printer: &Printer) -> Result<u8, Failure> {
    let params = params::parse(&args.params)?;
    let inputs = input_directories(&args.inputs)?;
    if let Some(output) = &args.output {
        export::make_new(output)?;
    }
    if !args.task.exists() {
        let message = format!("there is no file or directory {}", args.task.display());
        let help = "give the file of a task, or its directory; one that is in a registry runs in a pipeline, by taskRef: { \
                    bundle: HOST/PATH/NAME:TAG }";
        return Err(Failure::invalid("io/unreadable", message, help));
    }
    let built = task_build::file_of(&args.task, None, printer)?;
    let task = OneTask::open(built.path(), home)?;
    let (inputs, others): (BTreeMap<_, _>, BTreeMap<_, _>) =
        inputs.into_iter().partition(|(_, path)| path.is_dir());
    let unusable = others.into_iter().map(|(name, path)| {
        let message = format!("{} is not a directory, and the input `{name}` is one", path.display());
        let help = format!("give the directory: --input {name}=DIRECTORY");
        (name, Failure::invalid("source/not-a-directory", message, help))
    });
    let unusable = unusable.collect();
    let inputs = inputs.into_iter().map(|(name, directory)| Ok((name, take(task.store(), &directory)?)));
    let inputs = inputs.collect::<Result<BTreeMap<String, Tree>, Failure>>()?;
    let overrides = Overrides { allow: args.allow.clone(), deny: args.deny.clone(), ..Overrides::default() };
    let asked = Asked { params, inputs, unusable, grants: None, overrides };
    let outcome = task.run(asked, args.quiet, printer).map_err(|mut failure| {
        for problem in failure.problems.iter_mut().filter(|problem| problem.is_grantable()) {
            let advice = "allow it: --allow CAPABILITY[:HOST]; or run without it: --deny CAPABILITY[:HOST]";
            problem.help = Some(advice.to_owned());
        }
        failure
    })?;
    let view = &outcome.view;
    printer.result(view, |palette| task_view_text(view, palette));
    if let (Some(directory), Some((_, end))) = (&args.output, &outcome.record.end) {
        for (name, tree) in &end.outputs {
            task.store().copy_out(tree.digest, &directory.join(name))?;
        }
    }
    Ok(outcome.status())
}

fn input_directories(given: &[String]) -> Result<BTreeMap<String, PathBuf>, Failure> {
    let help = "write --input NAME=DIRECTORY, once for each input";
    let mut inputs = BTreeMap::new();
    for text in given {
        let (name, directory) = text
            .split_once('=')
            .ok_or_else(|| Failure::usage(format!("the input `{text}` has no `=`"), help))?;
        if inputs.insert(name.to_owned(), PathBuf::from(directory)).is_some() {
            return Err(Failure::usage(format!("the input `{name}` is given twice"), help));
        }
    }
    Ok(inputs)
}

/// Takes a directory into the store as a run takes its source.
fn take(store: &Store, directory: &std::path::Path) -> Result<Tree, Failure> {
    Ok(Checkout::discover(directory, true)?.acquire(store)?.tree)
}
