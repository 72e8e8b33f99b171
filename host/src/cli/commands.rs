//! What can be typed.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use clap_complete::engine::ArgValueCompleter;
use cofferdam_manifest::{Identifier, InvalidName};

use super::candidates;
use super::dev::DevArgs;
use super::diff::DiffArgs;
use super::gc::GcArgs;
use super::graph::GraphArgs;
use super::import::ImportArgs;
use super::key::KeyCommand;
use super::lint::LintArgs;
use super::lock::{LockArgs, VendorArgs};
use super::log_format::LogFormat;
use super::login::{LoginArgs, LogoutArgs};
use super::pipeline_publish::PipelineCommand;
use super::sign_bundle::SignBundleArgs;
use super::since::Since;
use super::task_build::TaskBuildArgs;
use super::task_list::TaskListArgs;
use super::task_new::TaskNewArgs;
use super::task_publish::TaskPublishArgs;
use super::task_run::TaskRunArgs;
use super::task_test::TaskTestArgs;
use super::trust::TrustCommand;
use super::verify_bundle::VerifyBundleArgs;
use super::wit_publish::WitCommand;
use crate::event::LogLevel;
use crate::model::{Override, SecretHost};

/// Runs pipelines of sandboxed, signed tasks, and proves what they did.
#[derive(Debug, Parser)]
#[command(
    name = "cofferdam",
    version,
    propagate_version = true,
    after_help = "Examples:\n  cofferdam setup tasks/*.wasm              make a key, publish and sign tasks\n  \
                  cofferdam run .cofferdam/build.yaml       run a pipeline\n  \
                  cofferdam verify RUN                      check everything the run claims\n\n\
                  Exit status: 0 ok, 1 the run failed, 2 usage, 3 invalid input,\n4 refused by policy or trust, 70 a bug, 130 interrupted."
)]
pub(crate) struct Cli {
    /// How results are printed.
    #[arg(long, value_enum, default_value_t, global = true)]
    pub(crate) format: Format,
    /// When to use colour.
    #[arg(long, value_enum, default_value_t, global = true)]
    pub(crate) color: ColorChoice,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// How results are printed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// For people.
    #[default]
    Text,
    /// One JSON document on standard output.
    Json,
}

/// When to use colour.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum ColorChoice {
    /// On a terminal, unless `NO_COLOR` is set.
    #[default]
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run a pipeline.
    Run(RunArgs),
    /// Go on with a run that was interrupted, failed or was cancelled.
    Resume(ResumeArgs),
    /// Run again what was run, and compare what comes out.
    Rebuild(RebuildArgs),
    /// Show what a pipeline would run, and every grant; run nothing.
    Plan(PlanArgs),
    /// Check pipelines, task.yaml and trust.yaml; run nothing.
    Lint(LintArgs),
    /// Run a pipeline again whenever something it is made from changes.
    #[command(after_help = "Examples:\n  cofferdam dev .cofferdam/build.yaml\n  \
        cofferdam dev build.yaml --source . --param level=strict --restart\n\n\
        Ctrl-C ends it; a run that is under way is cancelled in order first.")]
    Dev(DevArgs),
    /// Tell what changed from one run to another.
    Diff(DiffArgs),
    /// Remove old runs, and what nothing refers to any more.
    Gc(GcArgs),
    /// Draw a pipeline or a run: Mermaid, Graphviz, SVG.
    Graph(GraphArgs),
    /// Tell what happened in a run.
    Show(ShowArgs),
    /// Print what the tasks of a run logged.
    Logs(LogsArgs),
    /// List runs.
    Runs(RunsArgs),
    /// Check a run's journal, signatures and artifacts, or one attestation.
    Verify(VerifyArgs),
    /// Check that a Sigstore bundle signs a file, and who signed.
    VerifyBundle(VerifyBundleArgs),
    /// Sign a file with an identity, and write a Sigstore bundle.
    SignBundle(SignBundleArgs),
    /// Make what is missing to run signed tasks: a key, trust in it, the tasks.
    Setup(SetupArgs),
    /// Pin what the tags of registries stand for, in lock.yaml.
    Lock(LockArgs),
    /// Copy what a repository needs of registries into it.
    Vendor(VendorArgs),
    /// Log in to a registry.
    Login(LoginArgs),
    /// Forget the login for a registry.
    Logout(LogoutArgs),
    /// Look at the trust rules, ask why they decide so, add one.
    #[command(subcommand)]
    Trust(TrustCommand),
    /// Write, look at and publish tasks.
    #[command(subcommand)]
    Task(TaskCommand),
    /// Look at pipelines and publish them.
    #[command(subcommand)]
    Pipeline(PipelineCommand),
    /// Publish the contract of tasks, for other tools.
    #[command(subcommand)]
    Wit(WitCommand),
    /// Make keys.
    #[command(subcommand)]
    Key(KeyCommand),
    /// Keep the secrets that tasks send to hosts, and never see.
    #[command(subcommand)]
    Secret(SecretCommand),
    /// Convert a pipeline of Tekton or Konflux.
    Import(ImportArgs),
    /// Print the JSON Schema of a kind of file, for editors.
    Schema(SchemaArgs),
    /// Print the script with which a shell completes commands, runs and tasks.
    Completions(CompletionsArgs),
    /// Write manual pages, one for each command.
    Man(ManArgs),
}

impl Command {
    /// The form of the log that was asked for, of commands that show one.
    pub(crate) fn log_format(&self) -> Option<Option<LogFormat>> {
        if let Self::Run(RunArgs { log_format, .. })
        | Self::Resume(ResumeArgs { follow: FollowArgs { log_format, .. }, .. })
        | Self::Rebuild(RebuildArgs { follow: FollowArgs { log_format, .. } })
        | Self::Dev(DevArgs { run: RunArgs { log_format, .. }, .. })
        | Self::Task(TaskCommand::Run(TaskRunArgs { log_format, .. })) = self
        {
            Some(*log_format)
        } else {
            None
        }
    }
}

/// Which pipeline, with what.
#[derive(Debug, Args)]
pub(crate) struct PipelineArgs {
    /// The pipeline file.
    #[arg(value_name = "PIPELINE", add = ArgValueCompleter::new(candidates::pipelines))]
    pub(crate) file: PathBuf,
    /// A param, as NAME=VALUE; again for more items of a list.
    #[arg(short, long = "param", value_name = "NAME=VALUE", add = ArgValueCompleter::new(candidates::params))]
    pub(crate) params: Vec<String>,
    /// Refuse to run a task that is not trusted.
    #[arg(long)]
    pub(crate) require_trusted: bool,
    /// Ask no registry what a tag stands for: lock.yaml says it, or it is refused.
    #[arg(long)]
    pub(crate) locked: bool,
    /// Grant nothing that sees more than its inputs, to any task.
    #[arg(long)]
    pub(crate) hermetic: bool,
    /// Refuse a capability, whoever grants it: network, tcp, secrets, clock, random.
    #[arg(long, value_name = "[TASK=]CAPABILITY[:HOST]")]
    pub(crate) deny: Vec<Override>,
    /// Grant a task that is not trusted what it asks for; recorded in provenance.
    #[arg(long, value_name = "[TASK=]CAPABILITY[:HOST]")]
    pub(crate) allow: Vec<Override>,
    /// The change is somebody else's: give no secrets. Found out by itself for
    /// pull requests from forks.
    #[arg(long)]
    pub(crate) untrusted_source: bool,
}

#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  cofferdam run .cofferdam/build.yaml\n  \
    cofferdam run build.yaml --source . --param level=strict --attestations out/\n  \
    cofferdam run build.yaml --deny network --allow fetch=clock\n  \
    cofferdam run build.yaml --explain-cache\n  \
    cofferdam run build.yaml --log-format json 2> events.jsonl\n\n\
    COFFERDAM_LOG_FORMAT asks for a form of the log, too. Left out, it is `github` where\n\
    GITHUB_ACTIONS is `true`, `gitlab` where GITLAB_CI is `true`, `pretty` on a terminal,\n\
    and `plain` anywhere else.")]
pub(crate) struct RunArgs {
    #[command(flatten)]
    pub(crate) pipeline: PipelineArgs,
    /// The source tree; left out, the directory that holds `.cofferdam/`.
    #[arg(long, value_name = "DIRECTORY")]
    pub(crate) source: Option<PathBuf>,
    /// Take the source as plain files, whatever git says of them.
    #[arg(long)]
    pub(crate) no_git: bool,
    /// Show nothing while the run is under way, only how it ended.
    #[arg(short, long)]
    pub(crate) quiet: bool,
    /// In which form to show it while it is under way, on standard error.
    #[arg(long, value_enum, value_name = "FORM")]
    pub(crate) log_format: Option<LogFormat>,
    /// How many tasks run at once; left out, one for each processor.
    #[arg(short, long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1024))]
    pub(crate) jobs: Option<u32>,
    /// Run every task, whatever is known of it; what they make is kept all the
    /// same, for the next run.
    #[arg(long)]
    pub(crate) no_cache: bool,
    /// Say of each task whether its outcome was taken from the cache, or which
    /// part of what it was given changed.
    #[arg(long)]
    pub(crate) explain_cache: bool,
    /// Write the signed attestations to this directory, too.
    #[arg(long, value_name = "DIRECTORY")]
    pub(crate) attestations: Option<PathBuf>,
    /// Copy every output to DIRECTORY/TASK/OUTPUT.
    #[arg(long, value_name = "DIRECTORY")]
    pub(crate) outputs: Option<PathBuf>,
}

/// How a run that follows another is shown and kept.
#[derive(Debug, Args)]
pub(crate) struct FollowArgs {
    /// The run; left out, the newest.
    #[arg(add = ArgValueCompleter::new(candidates::runs))]
    pub(crate) run: Option<String>,
    /// Show nothing while the run is under way, only how it ended.
    #[arg(short, long)]
    pub(crate) quiet: bool,
    /// In which form to show it while it is under way, on standard error.
    #[arg(long, value_enum, value_name = "FORM")]
    pub(crate) log_format: Option<LogFormat>,
    /// How many tasks run at once; left out, one for each processor.
    #[arg(short, long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1024))]
    pub(crate) jobs: Option<u32>,
    /// Write the signed attestations to this directory, too.
    #[arg(long, value_name = "DIRECTORY")]
    pub(crate) attestations: Option<PathBuf>,
    /// Copy every output to DIRECTORY/TASK/OUTPUT.
    #[arg(long, value_name = "DIRECTORY")]
    pub(crate) outputs: Option<PathBuf>,
}

#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  cofferdam resume                    the newest run\n  \
    cofferdam resume build-k7dm2vqx4h\n\n\
    The new run has the files, params, source and tasks of the old one, whatever became of\n\
    them. What the old one had done is not run again; what failed is, and what had not ended.")]
pub(crate) struct ResumeArgs {
    #[command(flatten)]
    pub(crate) follow: FollowArgs,
    /// Run what the old run had not done, whatever the cache knows of it.
    #[arg(long)]
    pub(crate) no_cache: bool,
}

#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  cofferdam rebuild                    the newest run\n  \
    cofferdam rebuild build-k7dm2vqx4h --attestations out/\n\n\
    Everything runs, whatever the cache knows. Exit status 1 where anything differs; what was\n\
    found is signed, as an in-toto test result.")]
pub(crate) struct RebuildArgs {
    #[command(flatten)]
    pub(crate) follow: FollowArgs,
}

#[derive(Debug, Args)]
#[command(after_help = "Example:\n  cofferdam plan .cofferdam/build.yaml --format json")]
pub(crate) struct PlanArgs {
    #[command(flatten)]
    pub(crate) pipeline: PipelineArgs,
}

#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  cofferdam show                 the newest run\n  \
    cofferdam show inspect-7dk     the run whose name begins or ends so\n  \
    cofferdam show --outputs out/ --attestations att/")]
pub(crate) struct ShowArgs {
    /// The run; left out, the newest.
    #[arg(add = ArgValueCompleter::new(candidates::runs))]
    pub(crate) run: Option<String>,
    /// Print the log lines of all tasks, too.
    #[arg(long)]
    pub(crate) logs: bool,
    /// List the files of each input that a task opened, too.
    #[arg(long)]
    pub(crate) reads: bool,
    /// Copy every output to DIRECTORY/TASK/OUTPUT.
    #[arg(long, value_name = "DIRECTORY")]
    pub(crate) outputs: Option<PathBuf>,
    /// Write the run's signed attestations to this directory.
    #[arg(long, value_name = "DIRECTORY")]
    pub(crate) attestations: Option<PathBuf>,
}

#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  cofferdam logs                             of the newest run\n  \
    cofferdam logs build-k7dm2vqx4h compile\n  \
    cofferdam logs --follow --level warn       of a run that is under way\n  \
    cofferdam logs --since 10m --format json   one JSON document on a line")]
pub(crate) struct LogsArgs {
    /// The run; left out, the newest.
    #[arg(add = ArgValueCompleter::new(candidates::runs))]
    pub(crate) run: Option<String>,
    /// One of its tasks: `compile`; with all its combinations and inner tasks.
    #[arg(add = ArgValueCompleter::new(candidates::tasks))]
    pub(crate) task: Option<String>,
    /// Go on with a run that is under way, until it ends.
    #[arg(short, long)]
    pub(crate) follow: bool,
    /// Only lines from then on: 10m, 2h, 2026-05-01, 2026-05-01T12:00:00Z.
    #[arg(long, value_name = "AGO|TIME")]
    pub(crate) since: Option<Since>,
    /// Only lines that matter at least so much.
    #[arg(long, value_enum)]
    pub(crate) level: Option<Level>,
    /// Print when each line was recorded.
    #[arg(short, long)]
    pub(crate) timestamps: bool,
}

/// How much a line of a log matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Level {
    /// For the task's author.
    Debug,
    /// For whoever watches.
    Info,
    /// Something is off.
    Warn,
    /// Something is wrong.
    Error,
}

impl From<Level> for LogLevel {
    fn from(level: Level) -> Self {
        match level {
            Level::Debug => Self::Debug,
            Level::Info => Self::Info,
            Level::Warn => Self::Warn,
            Level::Error => Self::Error,
        }
    }
}

#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  cofferdam runs --limit 5 --format json\n  \
    cofferdam runs --status failed,interrupted --since 2d\n  \
    cofferdam runs --pipeline build")]
pub(crate) struct RunsArgs {
    /// Only runs that stand so.
    #[arg(long, value_enum, value_delimiter = ',', value_name = "STATUS,..")]
    pub(crate) status: Vec<RunStatus>,
    /// Only runs of this pipeline.
    #[arg(long, value_name = "NAME")]
    pub(crate) pipeline: Option<String>,
    /// Only runs that began from then on: 2d, 2h, 2026-05-01, 2026-05-01T12:00:00Z.
    #[arg(long, value_name = "AGO|TIME")]
    pub(crate) since: Option<Since>,
    /// How many to list, newest first.
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u16).range(1..))]
    pub(crate) limit: u16,
}

/// How a run stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum RunStatus {
    /// Every task succeeded.
    Succeeded,
    /// A task failed.
    Failed,
    /// The user stopped it.
    Cancelled,
    /// It is under way.
    Running,
    /// Its process is gone, and it is not complete.
    Interrupted,
}

impl RunStatus {
    /// Whether this is the status of that word.
    pub(crate) fn is(self, word: &str) -> bool {
        word == match self {
            Self::Succeeded => "Succeeded",
            Self::Failed => "Failed",
            Self::Cancelled => "Cancelled",
            Self::Running => "Running",
            Self::Interrupted => "Interrupted",
        }
    }
}

#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  cofferdam verify inspect-7dkm2vqx4h\n  \
    cofferdam verify out/task-sbom.sigstore.json --key builder.pub")]
pub(crate) struct VerifyArgs {
    /// A run, or the file of an attestation; left out, the newest run.
    #[arg(value_name = "RUN|FILE", add = ArgValueCompleter::new(candidates::runs_or_files))]
    pub(crate) subject: Option<String>,
    /// The public key that must have signed; left out, your own.
    #[arg(long, value_name = "FILE")]
    pub(crate) key: Option<PathBuf>,
}

#[derive(Debug, Args)]
#[command(after_help = "Example:\n  cofferdam setup tasks/*.wasm\n\n\
    Does only what is missing, so it can be repeated.")]
pub(crate) struct SetupArgs {
    /// Components to publish to the embedded registry and sign.
    pub(crate) components: Vec<PathBuf>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum TaskCommand {
    /// Begin a new task, with its tests, README and CI.
    New(TaskNewArgs),
    /// Make a task from its source, or from a ready component.
    Build(TaskBuildArgs),
    /// Run a task once, to see what it does.
    Run(TaskRunArgs),
    /// Run the test cases beside a task.
    Test(TaskTestArgs),
    /// List the tasks of a registry, and whether they are trusted.
    List(TaskListArgs),
    /// Show a task's contract, imports, size, digest and signatures.
    Inspect(TaskInspectArgs),
    /// Show what a version of a task asks for that another does not.
    Diff(TaskDiffArgs),
    /// Store a task in a registry.
    Publish(TaskPublishArgs),
}

#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  cofferdam task inspect sbom.wasm\n  cofferdam task inspect sbom:0.1.0")]
pub(crate) struct TaskInspectArgs {
    /// A file, or a reference.
    #[arg(value_name = "FILE|REF")]
    pub(crate) subject: String,
}

#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  cofferdam task diff sbom:0.1.0 sbom:0.2.0\n  \
    cofferdam task diff sbom sbom.wasm\n\nExit status 1 where the second asks for more.")]
pub(crate) struct TaskDiffArgs {
    /// A file, or a reference.
    #[arg(value_name = "OLD")]
    pub(crate) old: String,
    /// A file, or a reference.
    #[arg(value_name = "NEW")]
    pub(crate) new: String,
}

#[derive(Debug, Subcommand)]
pub(crate) enum SecretCommand {
    /// Keep a secret; its value is read from standard input.
    Set(SecretSetArgs),
    /// List secrets: names, hosts, times, places; never a value.
    List(SecretListArgs),
    /// Remove a secret.
    Rm(SecretRmArgs),
}

#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  cofferdam secret set api-token --host api.example.org\n  \
    cofferdam secret set upload --host '*.example.org:8443' --env UPLOAD_PASSWORD\n\n\
    For `Authorization: Basic`, the value is user:password.\n\
    COFFERDAM_SECRET_STORE=keychain|file decides where it is kept; left out, the\n\
    keychain where one answers, otherwise an encrypted file.")]
pub(crate) struct SecretSetArgs {
    /// What manifests call it.
    #[arg(value_parser = identifier)]
    pub(crate) name: Identifier,
    /// Not taken: a value on the command line is seen by others.
    #[arg(hide = true)]
    pub(crate) value: Vec<OsString>,
    /// A host it may be sent to, whatever a task asks for: HOST, *.SUFFIX or an
    /// address, with :PORT unless that is 443; again for more.
    #[arg(long = "host", value_name = "PATTERN", required = true)]
    pub(crate) hosts: Vec<SecretHost>,
    /// Take the value from this environment variable.
    #[arg(long, value_name = "VAR")]
    pub(crate) env: Option<OsString>,
}

#[derive(Debug, Args)]
#[command(after_help = "Example:\n  cofferdam secret list --format json")]
pub(crate) struct SecretListArgs {}

#[derive(Debug, Args)]
#[command(after_help = "Example:\n  cofferdam secret rm api-token")]
pub(crate) struct SecretRmArgs {
    /// Its name.
    #[arg(value_parser = identifier)]
    pub(crate) name: Identifier,
}

fn identifier(text: &str) -> Result<Identifier, InvalidName> {
    text.to_owned().try_into()
}

#[derive(Debug, Args)]
#[command(after_help = "Example:\n  cofferdam schema pipeline > pipeline.schema.json")]
pub(crate) struct SchemaArgs {
    /// The kind of file.
    #[arg(value_enum)]
    pub(crate) kind: SchemaKind,
}

/// A kind of file that is written by people.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum SchemaKind {
    /// `.cofferdam/*.yaml`.
    Pipeline,
    /// The same, to run with certain params.
    PipelineRun,
    /// `task.yaml`.
    Task,
    /// `tests/*.yaml` beside a `task.yaml`.
    TaskTest,
    /// `trust.yaml`.
    Trust,
}

#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  source <(cofferdam completions bash)          in ~/.bashrc\n  \
    source <(cofferdam completions zsh)           in ~/.zshrc\n  \
    cofferdam completions fish | source           in ~/.config/fish/config.fish\n\n\
    The script asks this program, which looks into the journal and the pipeline.")]
pub(crate) struct CompletionsArgs {
    /// The shell.
    #[arg(value_enum)]
    pub(crate) shell: clap_complete::Shell,
}

#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  cofferdam man ~/.local/share/man/man1\n  \
    cofferdam man pages && man pages/cofferdam-run.1")]
pub(crate) struct ManArgs {
    /// Where to write them; made where it is missing.
    #[arg(value_name = "DIRECTORY")]
    pub(crate) directory: PathBuf,
}
