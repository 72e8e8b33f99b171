//! `cofferdam trust`: the rules, why they decide as they do, and one more.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use clap::{ArgGroup, Args, Subcommand};
use cofferdam_manifest::{Document, decode};
use cofferdam_registry::{
    AllowRule, Digest, Explanation, Outcome, PublicKey, Reference, RuleIdentity, RuleKind, RuleLine,
    SignedFor, TrustDecision, TrustDocument, TrustLevel, meant_pattern,
};
use serde::Serialize;
use serde_json::json;

use super::failure::Failure;
use super::home::Home;
use super::printer::Printer;
use super::{exit, registries};
use crate::plan::Pinning;
use crate::report::{Palette, TagPinView, shell_word, visible};

#[derive(Debug, Subcommand)]
pub(crate) enum TrustCommand {
    /// Trust the tasks that a key or an identity signs.
    Add(TrustAddArgs),
    /// List the rules, in the order in which they are asked.
    List(TrustListArgs),
    /// Tell which rule decides on a task, and what came of each.
    Explain(TrustExplainArgs),
}

#[derive(Debug, Args)]
#[command(group(ArgGroup::new("signer").required(true).args(["key", "subject"])))]
#[command(after_help = "Examples:\n  \
    cofferdam trust add team 'oci://registry.example/tasks/*' --key team.pub\n  \
    cofferdam trust add ci 'oci://registry.example/ci/*' --subject dev@example.org \\\n    \
    --issuer https://accounts.example.org\n\n\
    The rest of trust.yaml stays as it is, comments too; where that cannot be, nothing is\n\
    written, and what to paste is said.")]
pub(crate) struct TrustAddArgs {
    /// The rule's label, of your choice.
    label: String,
    /// The tasks, as oci://HOST/PATH/NAME:VERSION; `*` stands for any characters.
    pattern: String,
    /// The public key that must have signed; it is copied beside trust.yaml.
    #[arg(long, value_name = "FILE")]
    key: Option<PathBuf>,
    /// The identity that must have signed, to the letter.
    #[arg(long, value_name = "IDENTITY", requires = "issuer")]
    subject: Option<String>,
    /// Who must have vouched for it.
    #[arg(long, value_name = "URL", requires = "subject")]
    issuer: Option<String>,
}

#[derive(Debug, Args)]
#[command(after_help = "Example:\n  cofferdam trust list --format json")]
pub(crate) struct TrustListArgs {}

#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  cofferdam trust explain sbom\n  \
    cofferdam trust explain registry.example/tasks/sbom:0.1.0\n\n\
    Exit status 4 where the task is not trusted.")]
pub(crate) struct TrustExplainArgs {
    /// The task.
    #[arg(value_name = "REF")]
    reference: String,
}

pub(crate) fn run(command: &TrustCommand, home: &Home, printer: &Printer) -> Result<u8, Failure> {
    match command {
        TrustCommand::Add(args) => add(args, home, printer),
        TrustCommand::List(TrustListArgs {}) => {
            let rules = home.trust_levels(&here()?)?.rules();
            printer.result(&json!({ "rules": rules }), |palette| list_text(&rules, palette));
            Ok(exit::OK)
        }
        TrustCommand::Explain(args) => explain(&args.reference, home, printer),
    }
}

fn here() -> Result<PathBuf, Failure> {
    std::env::current_dir().map_err(|error| Failure::unreadable(Path::new("."), &error))
}

fn explain(reference: &str, home: &Home, printer: &Printer) -> Result<u8, Failure> {
    let here = here()?;
    if Path::new(reference).exists() {
        let message = format!(
            "`{reference}` is a file: nothing is signed there, and no rule about a signature trusts it"
        );
        let help = "publish it, and name it as it is called there: cofferdam task publish FILE --sign";
        return Err(Failure::usage(message, help));
    }
    let resolver = registries::resolver(home, &here, Pinning::Resolve, false)?;
    let reference = Reference::parse(reference, &here)?;
    // Before it is found, which pins it in passing.
    let pinned = resolver.registries().tag_pin(&reference).map(TagPinView::from);
    let explanation = resolver.explain(&reference)?;
    let view = ExplanationView { explanation, pinned };
    printer.result(&view, |palette| explanation_text(&view, palette));
    let trusted = matches!(view.explanation.decision, TrustDecision::Trusted { .. });
    Ok(if trusted { exit::OK } else { exit::REFUSED })
}

fn level_word(level: TrustLevel) -> &'static str {
    match level {
        TrustLevel::Server => "server",
        TrustLevel::User => "user",
        TrustLevel::Repository => "repository, which can only narrow",
    }
}

fn rule_text(rule: &RuleLine, palette: &Palette) -> String {
    let kind = match rule.kind {
        RuleKind::Deny => "deny",
        RuleKind::Allow => "allow",
        RuleKind::Record => "record",
    };
    let mut text = format!("{kind} {}\n", palette.strong.apply_to(visible(&rule.label)));
    let mut row = |label: &str, words: &str| {
        let _ = writeln!(text, "  {} {}", palette.faint.apply_to(format!("{label:<9}")), visible(words));
    };
    row("level", level_word(rule.level));
    row("tasks", &rule.pattern);
    for (label, words) in [("wants", &rule.who), ("message", &rule.message)] {
        if let Some(words) = words {
            row(label, words);
        }
    }
    for (label, at) in [("from", rule.effective_on), ("until", rule.expires_on)] {
        if let Some(at) = at {
            row(label, &at.to_string());
        }
    }
    text
}

fn list_text(rules: &[RuleLine], palette: &Palette) -> String {
    if rules.is_empty() {
        return "there are no trust rules: nothing is trusted\n".to_owned();
    }
    rules.iter().map(|rule| rule_text(rule, palette)).collect()
}

/// Why a task is trusted or not, and what the repository pins its tag to.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct ExplanationView {
    #[serde(flatten)]
    explanation: Explanation,
    #[serde(skip_serializing_if = "Option::is_none")]
    pinned: Option<TagPinView>,
}

fn explanation_text(view: &ExplanationView, palette: &Palette) -> String {
    let Explanation { uri, digest, signatures, rules, decision, signed_for } = &view.explanation;
    let plural = if *signatures == 1 { "" } else { "s" };
    let mut text = format!("{}\n  {digest}, {signatures} signature{plural}\n", visible(uri));
    for words in view.pinned.iter().flat_map(TagPinView::words) {
        let _ = writeln!(text, "  {} {}", palette.faint.apply_to("pinned   "), visible(&words));
    }
    text.push('\n');
    for considered in rules {
        text += &rule_text(&considered.rule, palette);
        let words = match &considered.outcome {
            Outcome::OtherTask => "is about other tasks".to_owned(),
            Outcome::NotYetEffective => "is not in effect yet".to_owned(),
            Outcome::Denies => "refuses it".to_owned(),
            Outcome::Trusts { .. } => "trusts it".to_owned(),
            Outcome::Fails { why } => format!("does not trust it: {why}"),
        };
        let _ = writeln!(text, "  {} {}", palette.faint.apply_to("outcome  "), visible(&words));
    }
    let _ = writeln!(text, "\n{}", visible(&crate::report::trust_words(decision)));
    if let Some(signed) = signed_for {
        let rule = visible(&signed.rule);
        let _ =
            writeln!(text, "who the rule `{rule}` names signed it; to trust that, too:\n  {}", widen(signed));
    }
    text
}

/// The command that adds a rule for a task, like one there is for others.
fn widen(signed: &SignedFor) -> String {
    let name = signed.pattern.trim_end_matches(":*").rsplit(['/', ':']).next().unwrap_or_default();
    let label = format!("{}-{name}", signed.rule);
    let who = match (&signed.identity, &signed.signing_key) {
        (Some(RuleIdentity { subject, issuer }), _) => {
            format!("--subject {} --issuer {}", shell_word(subject), shell_word(issuer))
        }
        (None, Some(file)) => format!("--key {}", shell_word(&file.display().to_string())),
        (None, None) => "--key FILE".to_owned(),
    };
    let command = format!("cofferdam trust add {} {} {who}", shell_word(&label), shell_word(&signed.pattern));
    visible(&command).into_owned()
}

fn add(args: &TrustAddArgs, home: &Home, printer: &Printer) -> Result<u8, Failure> {
    let path = home.trust_file();
    let (rule, key) = rule(args)?;
    let old = match std::fs::symlink_metadata(&path) {
        Ok(_) => Some(home.trust_text()?),
        Err(_) => None,
    };
    let block = |indent: usize| block(&args.label, &rule, indent);
    let text = match &old {
        None => {
            format!("apiVersion: cofferdam.dev/v1\nkind: Trust\ntrusted_task_rules:\n  allow:\n{}", block(4))
        }
        Some(old) => {
            // What cannot be read is not added to.
            home.trust()?;
            let paste = || {
                let help = format!("add this under `allow` of `trusted_task_rules`:\n{}", block(4));
                let message = format!("{} cannot be added to as it is written", path.display());
                Failure::invalid("document/unwritten", message, help)
            };
            let mut wanted = read(old).ok_or_else(paste)?;
            if wanted.rules.allow.contains_key(&args.label) {
                let message = format!("there is an allow rule `{}` already", args.label);
                return Err(Failure::usage(message, "choose another label"));
            }
            wanted.rules.allow.entry(args.label.clone()).or_default().push(rule.clone());
            let new = with_rule(old, block).ok_or_else(paste)?;
            // Nothing else may come out changed, whatever the text looks like.
            if read(&new).as_ref() != Some(&wanted) {
                return Err(paste());
            }
            new
        }
    };
    if let Some((name, key)) = &key {
        keep(&home.configuration_directory().join(name), key)?;
    }
    home.parse_trust(&text)?;
    super::write_file(&path, text.as_bytes())?;
    let told = json!({ "file": path, "label": args.label, "rule": rule });
    printer.result(&told, |_| format!("added rule `{}` to {}\n", visible(&args.label), path.display()));
    Ok(exit::OK)
}

/// A rule, and the key that it names, with the name that it gets beside
/// `trust.yaml`: whoever moves or changes the file later changes no trust.
fn rule(args: &TrustAddArgs) -> Result<(AllowRule, Option<(String, PublicKey)>), Failure> {
    if let Some(meant) = meant_pattern(&args.pattern) {
        let message = format!("the pattern `{}` fits no task: its begin is that of no URI", args.pattern);
        let help = match layout_pattern(&args.pattern) {
            Some(whole) => format!("write {whole}; rules name a layout by its whole path"),
            None if meant.starts_with("oci:/PATH/") => {
                format!("write {meant} for a layout, with its whole path, or oci://HOST/.. for a registry")
            }
            None => format!("write {meant}"),
        };
        return Err(Failure::usage(message, help));
    }
    // Anything else is never held against a task.
    if !["oci:", "file:", "*"].iter().any(|begin| args.pattern.starts_with(begin)) {
        let message =
            format!("the pattern `{}` fits no task: their URIs begin with oci: or file:", args.pattern);
        return Err(Failure::usage(message, format!("write oci://{}", args.pattern)));
    }
    let key = args.key.as_deref().map(PublicKey::load).transpose()?;
    let key = key.map(|key| (format!("keys/{}.pub", Digest::of(key.to_pem().as_bytes()).short()), key));
    let signing_key = key.as_ref().map(|(name, _)| name.clone());
    let identity = match (&args.subject, &args.issuer) {
        (Some(subject), Some(issuer)) => {
            Some(RuleIdentity { subject: subject.clone(), issuer: issuer.clone() })
        }
        _ => None,
    };
    Ok((AllowRule { pattern: args.pattern.clone(), signing_key, identity, effective_on: None }, key))
}

/// The pattern for a layout that was named from the current directory.
fn layout_pattern(pattern: &str) -> Option<String> {
    let (path, tasks) = pattern.strip_prefix("oci:")?.split_once(':')?;
    let path = Path::new(path).canonicalize().ok().filter(|path| path.is_dir())?;
    Some(format!("oci:{}:{tasks}", path.display()))
}

/// Writes a public key, unless it is there.
fn keep(file: &Path, key: &PublicKey) -> Result<(), Failure> {
    if PublicKey::load(file).is_ok_and(|found| found.id() == key.id()) {
        return Ok(());
    }
    if let Some(directory) = file.parent() {
        std::fs::create_dir_all(directory).map_err(|error| Failure::io("create", directory, &error))?;
    }
    super::write_file(file, key.to_pem().as_bytes())
}

fn read(text: &str) -> Option<TrustDocument> {
    decode(&Document::parse(text).ok()?).ok()
}

/// A rule in YAML, its label at a column. Quoted as JSON is, which YAML reads.
fn block(label: &str, rule: &AllowRule, column: usize) -> String {
    let quoted = |text: &str| json!(text).to_string();
    let pad = " ".repeat(column);
    let mut text = format!("{pad}{}:\n{pad}  - pattern: {}\n", quoted(label), quoted(&rule.pattern));
    if let Some(key) = &rule.signing_key {
        let _ = writeln!(text, "{pad}    signing_key: {}", quoted(key));
    }
    if let Some(identity) = &rule.identity {
        let (subject, issuer) = (quoted(&identity.subject), quoted(&identity.issuer));
        let _ =
            writeln!(text, "{pad}    identity:\n{pad}      subject: {subject}\n{pad}      issuer: {issuer}");
    }
    text
}

/// The text with a rule as the first under `allow:`, every other byte as it was.
fn with_rule(text: &str, block: impl Fn(usize) -> String) -> Option<String> {
    let column = |line: &str| line.len() - line.trim_start().len();
    let mut lines = text.split_inclusive('\n');
    let mut before = String::new();
    loop {
        let line = lines.next()?;
        before += line;
        if line.trim_end() == "trusted_task_rules:" {
            break;
        }
    }
    let allow = loop {
        let line = lines.next()?;
        before += line;
        let words = line.trim();
        if words == "allow:" {
            break column(line);
        }
        // Another key at the left ends the rules.
        if !words.is_empty() && !words.starts_with('#') && column(line) == 0 {
            return None;
        }
    };
    let rest: String = lines.collect();
    // As far to the right as the labels that are there.
    let first = rest.lines().find(|line| !line.trim().is_empty() && !line.trim().starts_with('#'));
    let deeper = first.map(column).filter(|column| *column > allow).unwrap_or(allow + 2);
    let gap = if before.ends_with('\n') { "" } else { "\n" };
    Some(format!("{before}{gap}{}{rest}", block(deeper)))
}
