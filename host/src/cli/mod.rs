//! The command line: what is parsed, and where everything concrete is built.
//! One file for each command.

mod c_build;
mod candidates;
mod cargo_build;
mod commands;
mod completions;
mod configuration;
mod credentials;
mod dev;
mod diagnostics;
mod diff;
mod execute;
mod export;
mod failure;
mod gc;
mod graph;
mod home;
mod identity;
mod import;
mod interrupt;
mod key;
mod key_password;
mod known_run;
mod lint;
mod lint_files;
mod lock;
mod log_format;
mod login;
mod logins;
mod logs;
mod machine;
mod man;
mod one_task;
mod opening;
mod origin;
mod params;
mod pipeline_inspect;
mod pipeline_publish;
mod plan;
mod printer;
mod publishing;
mod rebuild;
mod registries;
mod resume;
mod run;
mod run_directory;
mod runs;
mod schema;
mod scratch;
mod script_build;
mod secret;
mod secret_input;
mod setup;
mod show;
mod sign_bundle;
mod signers;
mod since;
mod source;
mod task_build;
mod task_diff;
mod task_evidence;
mod task_files;
mod task_inspect;
mod task_list;
mod task_new;
mod task_publish;
mod task_run;
mod task_test;
mod test_case;
mod toolchain;
mod trust;
mod trust_files;
mod verify;
mod verify_bundle;
mod watch;
mod wit_publish;

use std::ffi::OsString;
use std::fs::Permissions;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::ExitCode;

use clap::{CommandFactory, FromArgMatches};
use cofferdam_registry::read_named;

use commands::{Cli, Command, TaskCommand};
use failure::Failure;
use home::Home;
use printer::Printer;

/// How commands end.
pub mod exit {
    /// Everything went well.
    pub const OK: u8 = 0;
    /// The run failed, or what was to be verified does not hold.
    pub const RUN_FAILED: u8 = 1;
    /// The command line cannot be understood.
    pub const USAGE: u8 = 2;
    /// A file or a value is wrong.
    pub const INVALID_INPUT: u8 = 3;
    /// Policy or trust refuses.
    pub const REFUSED: u8 = 4;
    /// A bug in Cofferdam.
    pub const BUG: u8 = 70;
    /// Interrupted with Ctrl-C.
    pub const INTERRUPTED: u8 = 130;
}

/// Runs the command the process was started with.
#[must_use]
pub fn main() -> ExitCode {
    if completions::answer() {
        return ExitCode::SUCCESS;
    }
    let args: Vec<OsString> = std::env::args_os().collect();
    let cli = match parse(&args) {
        Ok(cli) => cli,
        Err(error) => {
            let _ = error.print();
            return ExitCode::from(if error.use_stderr() { exit::USAGE } else { exit::OK });
        }
    };
    let mut printer = Printer::new(cli.format, cli.color);
    let asked = cli.command.log_format();
    let chosen = asked.map_or(Ok(()), |asked| printer.choose_log(asked));
    printer.start_diagnostics();
    match chosen.and_then(|()| dispatch(cli, &printer)).and_then(|code| printer.finish().map(|()| code)) {
        Ok(code) => ExitCode::from(code),
        Err(failure) => {
            printer.failure(&failure);
            ExitCode::from(failure.status())
        }
    }
}

/// Reads the command line. What is wrong with it is told in the colours that it
/// asks for, whatever else is in it.
fn parse(args: &[OsString]) -> Result<Cli, clap::Error> {
    let options = args.iter().take_while(|arg| *arg != "--").filter_map(|arg| arg.to_str());
    let after = options.clone().skip_while(|arg| *arg != "--color").nth(1);
    let colour = options.clone().find_map(|arg| arg.strip_prefix("--color=")).or(after);
    let colour = match colour {
        Some("never") => clap::ColorChoice::Never,
        Some("always") => clap::ColorChoice::Always,
        Some(_) | None => clap::ColorChoice::Auto,
    };
    let mut command = Cli::command().color(colour);
    let matches = command.try_get_matches_from_mut(args)?;
    Cli::from_arg_matches(&matches).map_err(|error| error.format(&mut command))
}

fn dispatch(cli: Cli, printer: &Printer) -> Result<u8, Failure> {
    match cli.command {
        // These need no directory of their own.
        Command::Man(args) => man::run(&args, printer),
        Command::Completions(args) => completions::run(&args, printer),
        Command::Task(TaskCommand::Build(args)) => task_build::run(&args, printer),
        Command::Task(TaskCommand::New(args)) => task_new::run(&args, printer),
        Command::Schema(args) => schema::run(&args, printer),
        Command::Import(args) => import::run(&args, cli.format, printer),
        Command::Run(args) => run::run(&args, &Home::open()?, printer),
        Command::Resume(args) => resume::run(&args, &Home::open()?, printer),
        Command::Rebuild(args) => rebuild::run(&args, &Home::open()?, printer),
        Command::Plan(args) => plan::run(&args, &Home::open()?, printer),
        Command::Show(args) => show::run(&args, &Home::open()?, printer),
        Command::Logs(args) => logs::run(&args, &Home::open()?, printer),
        Command::Lint(args) => lint::run(&args, &Home::find()?, printer),
        Command::Dev(args) => dev::run(&args, &Home::open()?, printer),
        Command::Diff(args) => diff::run(&args, &Home::open()?, printer),
        Command::Gc(args) => gc::run(&args, &Home::open()?, printer),
        Command::Graph(args) => graph::run(&args, &Home::open()?, printer),
        Command::Runs(args) => runs::run(&args, &Home::open()?, printer),
        Command::Verify(args) => verify::run(&args, &Home::open()?, printer),
        Command::VerifyBundle(args) => verify_bundle::run(&args, &Home::find()?, printer),
        Command::SignBundle(args) => sign_bundle::run(&args, &Home::find()?, printer),
        Command::Setup(args) => setup::run(&args, &Home::open()?, printer),
        Command::Lock(args) => lock::lock(&args, &Home::open()?, printer),
        Command::Vendor(args) => lock::vendor(&args, &Home::open()?, printer),
        Command::Login(args) => login::login(&args, &Home::open()?, printer),
        Command::Logout(args) => login::logout(&args, &Home::open()?, printer),
        Command::Trust(command) => trust::run(&command, &Home::open()?, printer),
        Command::Secret(command) => secret::run(&command, &Home::open()?, printer),
        Command::Key(command) => key::run(&command, &Home::open()?, printer),
        Command::Pipeline(command) => pipeline_publish::run(&command, &Home::open()?, printer),
        Command::Wit(command) => wit_publish::run(&command, &Home::open()?, printer),
        Command::Task(TaskCommand::List(args)) => task_list::run(&args, &Home::open()?, printer),
        Command::Task(TaskCommand::Inspect(args)) => task_inspect::run(&args, &Home::open()?, printer),
        Command::Task(TaskCommand::Diff(args)) => task_diff::run(&args, &Home::open()?, printer),
        Command::Task(TaskCommand::Run(args)) => task_run::run(&args, &Home::open()?, printer),
        Command::Task(TaskCommand::Test(args)) => task_test::run(&args, &Home::open()?, printer),
        Command::Task(TaskCommand::Publish(args)) => task_publish::run(&args, &Home::open()?, printer),
    }
}

/// Reads a file that the user named, of at most `max` bytes.
fn read_file(path: &Path, max: u64) -> Result<Vec<u8>, Failure> {
    read_named(path, max).map_err(|error| Failure::unreadable(path, &error))
}

/// Writes a file whole or not at all.
fn write_file(path: &Path, bytes: &[u8]) -> Result<(), Failure> {
    let directory = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let write = || -> std::io::Result<()> {
        let mut file = tempfile::NamedTempFile::new_in(directory)?;
        file.write_all(bytes)?;
        file.as_file().set_permissions(Permissions::from_mode(0o644))?;
        file.persist(path).map(|_| ()).map_err(|error| error.error)
    };
    write().map_err(|error| Failure::io("write", path, &error))
}
