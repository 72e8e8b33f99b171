//! `cofferdam graph`: a pipeline or a run as a drawing. Runs nothing.

use std::path::PathBuf;

use clap::{ArgGroup, Args, ValueEnum};
use clap_complete::engine::ArgValueCompleter;

use super::failure::Failure;
use super::home::Home;
use super::printer::Printer;
use super::{candidates, exit, plan, show};
use crate::event::RunRecord;
use crate::report::{Graph, RunGraph, dot, mermaid, svg};

#[derive(Debug, Args)]
#[command(group(ArgGroup::new("drawn").required(true).args(["file", "run"])))]
#[command(
    after_help = "Examples:\n  cofferdam graph .cofferdam/build.yaml                  as Mermaid, for Markdown\n  \
    cofferdam graph .cofferdam/build.yaml --as dot | dot -Tpng > build.png\n  \
    cofferdam graph --run build-k7dm2vqx4h --as svg --output run.svg\n\n\
    An arrow is solid where something of the earlier task is used, dashed where it is\n\
    only waited for."
)]
pub(crate) struct GraphArgs {
    /// The pipeline file; its params need no value.
    #[arg(value_name = "PIPELINE", add = ArgValueCompleter::new(candidates::pipelines))]
    pub(crate) file: Option<PathBuf>,
    /// Draw a run instead: how each task ended, and how long it took. Without a
    /// name, the newest.
    #[arg(long, value_name = "RUN", num_args = 0..=1, add = ArgValueCompleter::new(candidates::runs))]
    #[expect(clippy::option_option, reason = "whether there is one, and whether it names a run")]
    pub(crate) run: Option<Option<String>>,
    /// In which language.
    #[arg(long = "as", value_enum, default_value_t, value_name = "LANGUAGE")]
    pub(crate) language: Language,
    /// Where to write it; left out, standard output.
    #[arg(short, long, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
}

/// A language for drawings.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Language {
    /// What GitHub and GitLab draw in Markdown.
    #[default]
    Mermaid,
    /// Graphviz's.
    Dot,
    /// What browsers show.
    Svg,
}

pub(crate) fn run(args: &GraphArgs, home: &Home, printer: &Printer) -> Result<u8, Failure> {
    let graph = match (&args.file, &args.run) {
        (Some(file), _) => Graph::of_plan(&plan::without_params(file, home)?),
        (None, name) => of_run(name.as_ref().and_then(Option::as_deref), home)?,
    };
    let text = match args.language {
        Language::Mermaid => mermaid(&graph),
        Language::Dot => dot(&graph),
        Language::Svg => svg(&graph),
    };
    match &args.output {
        Some(file) => {
            super::write_file(file, text.as_bytes())?;
            printer.note(&format!("wrote {}", file.display()));
        }
        None => printer.result(&graph, |_| text),
    }
    Ok(exit::OK)
}

fn of_run(name: Option<&str>, home: &Home) -> Result<Graph, Failure> {
    let journal = home.journal()?;
    let run = show::find(&journal, name)?;
    let (mut record, mut gathered) = (None, RunGraph::default());
    journal.replay(&run, |event| {
        RunRecord::extend(&mut record, &event);
        gathered.extend(&event);
    })?;
    let mut record = record.ok_or_else(|| show::no_start(&run))?;
    if let Some((_, reuse)) = &record.reused {
        journal.replay(&reuse.run, |event| gathered.extend(&event))?;
    }
    journal.expand(&mut record)?;
    Ok(gathered.graph(&record, home.is_alive(run.as_str())))
}
