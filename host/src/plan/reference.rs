//! What stands between `$(` and `)`: a param, something of another task, the
//! source, the context of the run. A name may also stand in brackets, quoted.

use std::fmt;

use cofferdam_manifest::{Value, nearest};

/// What stands between `$(` and `)`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reference {
    /// `params.NAME` and a selector.
    Param(String, Selector),
    /// `tasks.NAME.results.NAME` and a selector.
    Result(TaskKey, String, Selector),
    /// `tasks.NAME.outputs.NAME`.
    Output(TaskKey, String),
    /// `tasks.NAME.status`, in `finally`.
    TaskStatus(String),
    /// `tasks.NAME.reason`, in `finally`.
    TaskReason(String),
    /// `tasks.status`, in `finally`.
    AllStatus,
    /// `tasks.NAME.matrix.length`.
    MatrixLength(String),
    /// `tasks.NAME.matrix.RESULT.length`.
    MatrixResultLength(String, String),
    /// `inputs.NAME`: what a nested pipeline was handed.
    Input(String),
    /// `context.WHAT.WHICH`.
    Context(Context),
    /// `source`.
    Source,
}

/// A task, or one combination of its matrix: `NAME` or `NAME[KEY]`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct TaskKey {
    /// The task.
    pub task: String,
    /// The combination.
    pub key: Option<String>,
}

/// What can be said of the run and the task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Context {
    /// `context.pipelineRun.name`.
    RunName,
    /// `context.pipelineRun.uid`.
    RunUid,
    /// `context.pipeline.name`.
    PipelineName,
    /// `context.taskRun.name`.
    TaskRunName,
    /// `context.task.name`.
    TaskName,
    /// `context.task.retry-count`.
    RetryCount,
    /// `context.pipelineTask.retries`.
    Retries,
}

/// Which part of a value is meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Selector {
    /// The value, a string.
    Whole,
    /// `[*]`: the whole list or object.
    Star,
    /// `[N]`: one item of a list.
    Index(usize),
    /// `.KEY`: one key of an object.
    Key(String),
}

const CONTEXTS: [(&str, &str, Context); 7] = [
    ("pipelineRun", "name", Context::RunName),
    ("pipelineRun", "uid", Context::RunUid),
    ("pipeline", "name", Context::PipelineName),
    ("taskRun", "name", Context::TaskRunName),
    ("task", "name", Context::TaskName),
    ("task", "retry-count", Context::RetryCount),
    ("pipelineTask", "retries", Context::Retries),
];

/// What a reference can begin with.
const ROOTS: [&str; 6] = ["params", "tasks", "finally", "inputs", "context", "source"];
const FORMS: &str = "write params.NAME, tasks.NAME.results.NAME, tasks.NAME.outputs.NAME, \
                     context.pipelineRun.name or source";

/// Longer references are not read.
const MAX_STEPS: usize = 16;

impl Reference {
    /// Reads what stands between the parentheses.
    ///
    /// # Errors
    /// Why it means nothing.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let steps = steps(text)?;
        if steps.len() > MAX_STEPS {
            return Err("it has too many parts".to_owned());
        }
        match steps.as_slice() {
            [Step::Name("source")] => Ok(Self::Source),
            [Step::Name("inputs"), Step::Name(name)] => Ok(Self::Input((*name).to_owned())),
            [Step::Name("params"), Step::Name(name), rest @ ..] => {
                Ok(Self::Param((*name).to_owned(), selector(rest)?))
            }
            [Step::Name("context"), rest @ ..] => context(rest).map(Self::Context),
            // A pipeline's results may come from `finally`, whose names are not used twice.
            [Step::Name("finally"), Step::Name(task), Step::Name("results"), Step::Name(name), rest @ ..] => {
                let key = TaskKey { task: (*task).to_owned(), key: None };
                Ok(Self::Result(key, (*name).to_owned(), selector(rest)?))
            }
            [Step::Name("tasks"), Step::Name("status")] => Ok(Self::AllStatus),
            [Step::Name("tasks"), Step::Name(task), rest @ ..] => of_task(task, rest),
            [Step::Name("workspaces" | "workspace"), ..] => {
                Err("there are no workspaces: pass artifacts with `inputs` and `outputs`".to_owned())
            }
            [Step::Name(root), ..] if !ROOTS.contains(root) => Err(unknown_root(root, text)),
            _ => Err(FORMS.to_owned()),
        }
    }

    /// Which part of its value is meant: all of it, where there is no choice.
    #[must_use]
    pub fn selector(&self) -> &Selector {
        match self {
            Self::Param(_, selector) | Self::Result(_, _, selector) => selector,
            Self::Output(..)
            | Self::TaskStatus(_)
            | Self::TaskReason(_)
            | Self::AllStatus
            | Self::MatrixLength(_)
            | Self::MatrixResultLength(..)
            | Self::Input(_)
            | Self::Context(_)
            | Self::Source => &Selector::Whole,
        }
    }

    /// The task it needs the results or artifacts of, if it does.
    pub(crate) fn task(&self) -> Option<&str> {
        match self {
            Self::Result(key, ..) | Self::Output(key, _) => Some(&key.task),
            Self::TaskStatus(task)
            | Self::TaskReason(task)
            | Self::MatrixLength(task)
            | Self::MatrixResultLength(task, _) => Some(task),
            Self::Param(..) | Self::AllStatus | Self::Input(_) | Self::Context(_) | Self::Source => None,
        }
    }
}

/// What to write for a reference that begins with no known word: all of it, with
/// the word that was meant.
fn unknown_root(root: &str, text: &str) -> String {
    match nearest(root, ROOTS) {
        Some(meant) => {
            // Written in brackets and quotes, the word is not at the beginning.
            let rest = text.strip_prefix(root).unwrap_or_default();
            format!("there is no `{root}`; did you mean `{meant}{rest}`?")
        }
        None => format!("there is no `{root}`: {FORMS}"),
    }
}

fn of_task(task: &str, rest: &[Step<'_>]) -> Result<Reference, String> {
    let (key, rest) = match rest {
        [Step::Key(key), rest @ ..] => (Some((*key).to_owned()), rest),
        [Step::Index(index), rest @ ..] => (Some(index.to_string()), rest),
        rest => (None, rest),
    };
    let task = task.to_owned();
    match (rest, key) {
        ([Step::Name("results"), Step::Name(name), rest @ ..], key) => {
            Ok(Reference::Result(TaskKey { task, key }, (*name).to_owned(), selector(rest)?))
        }
        ([Step::Name("outputs"), Step::Name(name)], key) => {
            Ok(Reference::Output(TaskKey { task, key }, (*name).to_owned()))
        }
        ([Step::Name("status")], None) => Ok(Reference::TaskStatus(task)),
        ([Step::Name("reason")], None) => Ok(Reference::TaskReason(task)),
        ([Step::Name("matrix"), Step::Name("length")], None) => Ok(Reference::MatrixLength(task)),
        ([Step::Name("matrix"), Step::Name(result), Step::Name("length")], None) => {
            Ok(Reference::MatrixResultLength(task, (*result).to_owned()))
        }
        (rest, key) => {
            const PARTS: [&str; 5] = ["results", "outputs", "status", "reason", "matrix"];
            let what = match rest {
                [Step::Name(what), ..] if !PARTS.contains(what) => nearest(what, PARTS),
                _ => None,
            };
            let meant = what.map(|what| format!("; did you mean `{what}`?")).unwrap_or_default();
            let named = TaskKey { task, key };
            let forms = "results.NAME, outputs.NAME, status, reason or matrix.length";
            Err(format!("after `tasks.{named}` comes {forms}{meant}"))
        }
    }
}

fn context(rest: &[Step<'_>]) -> Result<Context, String> {
    if let [Step::Name(_), Step::Name("namespace")] = rest {
        return Err("there are no namespaces".to_owned());
    }
    let [Step::Name(what), Step::Name(which)] = rest else {
        return Err("write context.pipelineRun.name".to_owned());
    };
    let found = CONTEXTS.iter().find(|(w, x, _)| w == what && x == which);
    found.map(|(.., context)| *context).ok_or_else(|| {
        let known: Vec<String> = CONTEXTS.iter().map(|(w, x, _)| format!("context.{w}.{x}")).collect();
        format!("there is {}", known.join(", "))
    })
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Param(name, selector) => write!(f, "params.{name}{selector}"),
            Self::Result(task, name, selector) => write!(f, "tasks.{task}.results.{name}{selector}"),
            Self::Output(task, name) => write!(f, "tasks.{task}.outputs.{name}"),
            Self::TaskStatus(task) => write!(f, "tasks.{task}.status"),
            Self::TaskReason(task) => write!(f, "tasks.{task}.reason"),
            Self::AllStatus => f.write_str("tasks.status"),
            Self::MatrixLength(task) => write!(f, "tasks.{task}.matrix.length"),
            Self::MatrixResultLength(task, result) => write!(f, "tasks.{task}.matrix.{result}.length"),
            Self::Input(name) => write!(f, "inputs.{name}"),
            Self::Context(context) => {
                let found = CONTEXTS.iter().find(|(.., known)| known == context);
                found.map_or(Ok(()), |(what, which, _)| write!(f, "context.{what}.{which}"))
            }
            Self::Source => f.write_str("source"),
        }
    }
}

impl fmt::Display for TaskKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.task)?;
        self.key.as_ref().map_or(Ok(()), |key| write!(f, "[{key}]"))
    }
}

impl fmt::Display for Selector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Whole => Ok(()),
            Self::Star => f.write_str("[*]"),
            Self::Index(index) => write!(f, "[{index}]"),
            Self::Key(key) => write!(f, ".{key}"),
        }
    }
}

#[derive(Clone, Copy, Debug)]
enum Step<'a> {
    Name(&'a str),
    /// Unquoted words in brackets: the key of a matrix's combination.
    Key(&'a str),
    Star,
    Index(usize),
}

fn steps(text: &str) -> Result<Vec<Step<'_>>, String> {
    let mut steps = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        if let Some(after) = rest.strip_prefix('[') {
            let (inside, tail) = after.split_once(']').ok_or("the closing bracket is missing")?;
            steps.push(bracket(inside)?);
            rest = tail;
        } else {
            let after =
                if steps.is_empty() { rest } else { rest.strip_prefix('.').ok_or("a dot is missing")? };
            let end = after.find(['.', '[']).unwrap_or(after.len());
            let (name, tail) = after.split_at(end);
            let sound =
                !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || "_-".contains(c));
            if !sound {
                return Err(format!("`{}` is not a name", name.escape_debug()));
            }
            steps.push(Step::Name(name));
            rest = tail;
        }
    }
    Ok(steps)
}

fn bracket(inside: &str) -> Result<Step<'_>, String> {
    if inside == "*" {
        return Ok(Step::Star);
    }
    let quoted = |mark| inside.strip_prefix(mark).and_then(|i: &str| i.strip_suffix(mark));
    if let Some(name) = quoted('\'').or_else(|| quoted('"')) {
        return Ok(Step::Name(name));
    }
    if let Ok(index) = inside.parse() {
        return Ok(Step::Index(index));
    }
    let plain = |c: char| c.is_ascii_alphanumeric() || "._,-".contains(c);
    if !inside.is_empty() && inside.chars().all(plain) {
        return Ok(Step::Key(inside));
    }
    let shown = inside.escape_debug();
    Err(format!("`[{shown}]` is neither a number, nor `*`, nor a quoted name, nor a key"))
}

fn selector(steps: &[Step<'_>]) -> Result<Selector, String> {
    match steps {
        [] => Ok(Selector::Whole),
        [Step::Star] => Ok(Selector::Star),
        [Step::Index(index)] => Ok(Selector::Index(*index)),
        [Step::Name(key)] => Ok(Selector::Key((*key).to_owned())),
        _ => Err("there is too much after the name".to_owned()),
    }
}

/// The string that a selector picks out of a value.
///
/// # Errors
/// Why it picks none.
pub fn pick(value: &Value, selector: &Selector) -> Result<String, String> {
    match (value, selector) {
        (Value::Text(text), Selector::Whole) => Ok(text.clone()),
        (Value::Texts(texts), Selector::Index(index)) => {
            texts.get(*index).cloned().ok_or_else(|| format!("it has {} items, counted from 0", texts.len()))
        }
        (Value::Fields(fields), Selector::Key(key)) => {
            let known = || fields.keys().cloned().collect::<Vec<_>>().join(", ");
            fields.get(key).cloned().ok_or_else(|| format!("it has the keys {}", known()))
        }
        (Value::Texts(_), Selector::Whole) => Err("it is a list: add [*] or [0]".to_owned()),
        (Value::Fields(_), Selector::Whole) => Err("it is an object: add .KEY".to_owned()),
        (_, Selector::Star) => {
            Err("`[*]` must stand alone, as the whole value or as an item of a list".to_owned())
        }
        (Value::Text(_), Selector::Index(_) | Selector::Key(_)) => Err("it is a string".to_owned()),
        (Value::Texts(_), Selector::Key(_)) => Err("it is a list".to_owned()),
        (Value::Fields(_), Selector::Index(_)) => Err("it is an object".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test that cannot go on should stop")]
    use super::*;

    fn task(task: &str, key: Option<&str>) -> TaskKey {
        TaskKey { task: task.to_owned(), key: key.map(str::to_owned) }
    }

    #[test]
    fn every_form_of_a_reference_is_read() {
        for (text, expected) in [
            ("params.x", Reference::Param("x".into(), Selector::Whole)),
            ("params['x']", Reference::Param("x".into(), Selector::Whole)),
            ("params[\"x\"][*]", Reference::Param("x".into(), Selector::Star)),
            ("params.x[2]", Reference::Param("x".into(), Selector::Index(2))),
            ("params.x.key", Reference::Param("x".into(), Selector::Key("key".into()))),
            ("tasks.a-b.results.R", Reference::Result(task("a-b", None), "R".into(), Selector::Whole)),
            ("tasks.a.outputs.o", Reference::Output(task("a", None), "o".into())),
            (
                "tasks.t[linux,1.80].results.r",
                Reference::Result(task("t", Some("linux,1.80")), "r".into(), Selector::Whole),
            ),
            ("tasks.t[0].outputs.o", Reference::Output(task("t", Some("0")), "o".into())),
            ("tasks.t.status", Reference::TaskStatus("t".into())),
            ("tasks.t.reason", Reference::TaskReason("t".into())),
            ("tasks.status", Reference::AllStatus),
            ("tasks.t.matrix.length", Reference::MatrixLength("t".into())),
            ("tasks.t.matrix.r.length", Reference::MatrixResultLength("t".into(), "r".into())),
            ("inputs.i", Reference::Input("i".into())),
            ("context.pipelineRun.name", Reference::Context(Context::RunName)),
            ("context.task.retry-count", Reference::Context(Context::RetryCount)),
            ("source", Reference::Source),
        ] {
            assert_eq!(Reference::parse(text).unwrap(), expected, "{text}");
            assert_eq!(Reference::parse(&expected.to_string()).unwrap(), expected, "{expected}");
        }
        for bad in [
            "",
            "params",
            "params.",
            "tasks.a.b.c",
            "source.x",
            "params.x[a]",
            "params.x[0][1]",
            "a b",
            "tasks.t",
            "tasks.t[x].status",
            "context.pipelineRun.namespace",
            "context.x",
            "workspaces.w.path",
        ] {
            assert!(Reference::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_word_that_is_nearly_right_is_said_as_it_was_meant() {
        for (text, meant) in [
            ("sourse", "there is no `sourse`; did you mean `source`?"),
            ("task.a.results.r", "did you mean `tasks.a.results.r`?"),
            ("param.x[*]", "did you mean `params.x[*]`?"),
            ("parms['x']", "did you mean `params['x']`?"),
            ("input.x", "did you mean `inputs.x`?"),
            ("contxt.pipeline.name", "did you mean `context.pipeline.name`?"),
            ("finaly.f.results.r", "did you mean `finally.f.results.r`?"),
            ("steps.x", "there is no `steps`: write params.NAME, "),
            ("tasks.a.result.r", "; did you mean `results`?"),
            ("tasks.a.output.o", "; did you mean `outputs`?"),
            ("params", "write params.NAME, "),
            ("workspace.w.path", "there are no workspaces"),
        ] {
            let why = Reference::parse(text).unwrap_err();
            assert!(why.contains(meant), "{text}: {why}");
        }
    }
}
