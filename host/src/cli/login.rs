//! `cofferdam login` and `cofferdam logout`: who a registry is told we are.

use clap::Args;
use cofferdam_registry::{Location, Login, Reference, Remote};
use serde::Serialize;

use super::exit;
use super::failure::Failure;
use super::home::Home;
use super::logins;
use super::printer::Printer;
use super::registries;
use super::secret_input::{Input, from_standard_input};

#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  cofferdam login registry.example --username me\n  \
    printf %s \"$TOKEN\" | cofferdam login ghcr.example --username ci\n\n\
    The password, or a token in its place, is read from standard input, and the registry is\n\
    asked whether it takes it. What docker and podman keep is used without this command.")]
pub(crate) struct LoginArgs {
    /// The registry's host, with the port where it has one.
    #[arg(value_name = "HOST")]
    host: String,
    /// The user.
    #[arg(short, long, value_name = "NAME")]
    username: String,
}

#[derive(Debug, Args)]
#[command(after_help = "Example:\n  cofferdam logout registry.example")]
pub(crate) struct LogoutArgs {
    /// The registry's host, with the port where it has one.
    #[arg(value_name = "HOST")]
    host: String,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct LoginView {
    host: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    user: Option<String>,
    file: String,
    /// Whether the registry asked for it, and so has seen that it is right.
    #[serde(skip_serializing_if = "Option::is_none")]
    checked: Option<bool>,
}

pub(crate) fn login(args: &LoginArgs, home: &Home, printer: &Printer) -> Result<u8, Failure> {
    let host = host(&args.host)?;
    let user = args.username.clone();
    if user.is_empty() || user.contains(':') {
        return Err(Failure::usage("a user's name is not empty and has no `:`", "write --username NAME"));
    }
    let password = match from_standard_input(&"password")? {
        Input::Value(bytes) => String::from_utf8(bytes).map_err(|_| {
            Failure::usage("the password is not UTF-8 text", "give another one on standard input")
        })?,
        Input::Interrupted => return Ok(exit::INTERRUPTED),
    };
    if password.is_empty() {
        return Err(Failure::usage("the password is empty", "give it on standard input"));
    }
    let mut settings = registries::settings(home)?;
    let given = Login::Basic { user: user.clone(), password: password.clone() };
    settings.login = std::sync::Arc::new(move |_| Ok(Some(given.clone())));
    let remote = registries::wait(Remote::open(&host, &settings))??;
    let checked = registries::wait(remote.check_login())??;
    let file = home.logins();
    logins::keep(&file, &host, &user, &password)?;
    let view = LoginView { host, user: Some(user), file: file.display().to_string(), checked: Some(checked) };
    printer.result(&view, |_| {
        let done = if checked {
            "logged in to"
        } else {
            "not checked, since the registry asks for none: the login for"
        };
        format!("{done} {}\n  kept in {}\n", view.host, view.file)
    });
    Ok(exit::OK)
}

pub(crate) fn logout(args: &LogoutArgs, home: &Home, printer: &Printer) -> Result<u8, Failure> {
    let host = host(&args.host)?;
    let file = home.logins();
    if !logins::forget(&file, &host)? {
        let message = format!("there is no login for {host} in {}", file.display());
        return Err(Failure::invalid(
            "registry/login",
            message,
            "what docker and podman keep is theirs to remove",
        ));
    }
    let view = LoginView { host, user: None, file: file.display().to_string(), checked: None };
    printer.result(&view, |_| format!("logged out of {}\n", view.host));
    Ok(exit::OK)
}

/// The host of a registry over HTTP.
fn host(text: &str) -> Result<String, Failure> {
    let help = "write HOST or HOST:PORT";
    if let Some((host, _)) = text.split_once('/') {
        let message = format!("`{text}` is more than a host: a login is for all of a registry");
        return Err(Failure::usage(
            message,
            if host.ends_with(':') { help.to_owned() } else { format!("write {host}") },
        ));
    }
    let reference = Reference::parse(&format!("oci://{text}/name"), std::path::Path::new("/"));
    match reference.map(|reference| reference.location) {
        Ok(Location::Remote(host)) => Ok(host),
        Ok(Location::Embedded | Location::Layout(_)) | Err(_) => {
            Err(Failure::usage(format!("`{text}` is no host of a registry"), help))
        }
    }
}
