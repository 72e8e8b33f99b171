//! Conditions in the Common Expression Language. Source: cel-spec, and Tekton's
//! TEP-0145 for `$(..)` in them.
//!
//! A value is never spliced into an expression: what Tekton writes as
//! `'$(params.x)' == 'a'` is read as a variable, and `params.x == 'a'` says the
//! same. So no value can change what an expression means.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt::Write as _;
use std::sync::Arc;

use cel::common::ast::{CallExpr, ComprehensionExpr, EntryExpr, Expr, LiteralValue, operators};
use cel::{Context, Program};
use cofferdam_manifest::{Value, nearest};

use super::reference::{Selector, pick};
use super::{Reference, Template};
use crate::plan::template::Piece;

/// Longer expressions are not read.
const MAX_LENGTH: usize = 4096;
/// Loops within loops, or one after another, take more time and memory than a
/// condition is worth.
const MAX_LOOPS: usize = 2;
/// More items than this are not looped over.
const MAX_ITEMS: usize = 1000;
/// The functions there are; macros are gone when an expression has been read.
/// Source: cel-spec, "Standard Definitions", without time.
const FUNCTIONS: &[&str] = &[
    "bool",
    "bytes",
    "contains",
    "double",
    "dyn",
    "endsWith",
    "int",
    "matches",
    "max",
    "min",
    "size",
    "startsWith",
    "string",
    "type",
    "uint",
];
/// What the variables of `$(..)` begin with: no letter a person would choose.
const SPLICED: &str = "__reference";

/// A condition that was read, and everything it refers to.
pub struct CelGuard {
    source: String,
    program: Program,
    /// What stood in `$(..)`, in order: strings.
    spliced: Vec<Reference>,
    /// What it names by itself: values of any type.
    named: Vec<Reference>,
    /// Whether it loops over anything.
    loops: bool,
}

impl std::fmt::Debug for CelGuard {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("CelGuard").field(&self.source).finish()
    }
}

impl CelGuard {
    /// Reads an expression.
    ///
    /// # Errors
    /// Why it is none.
    pub fn parse(source: &str) -> Result<Self, String> {
        if source.len() > MAX_LENGTH {
            return Err(format!("an expression has at most {MAX_LENGTH} bytes"));
        }
        let (translated, spliced) = translate(source)?;
        let program = Program::compile(&translated).map_err(|error| first_line(&error.to_string()))?;
        let mut walk = Walk::default();
        walk.visit(&program.expression().expr)?;
        let loops = walk.loops > 0;
        Ok(Self { source: source.to_owned(), program, spliced, named: walk.named, loops })
    }

    /// The expression as it was written.
    #[must_use]
    pub fn source(&self) -> &str {
        &self.source
    }

    /// What it refers to as strings, which must be of that type.
    pub(crate) fn spliced(&self) -> &[Reference] {
        &self.spliced
    }

    /// What it refers to as values, of whatever type.
    pub(crate) fn named(&self) -> &[Reference] {
        &self.named
    }

    /// Whether it holds; `value_of` gives the value of a reference as a whole.
    ///
    /// # Errors
    /// What `value_of` reports, or why the expression gives neither true nor
    /// false.
    pub fn holds<E: From<CelFailure>>(
        &self,
        mut value_of: impl FnMut(&Reference) -> Result<Value, E>,
    ) -> Result<bool, E> {
        let mut context = Context::default();
        for (index, reference) in self.spliced.iter().enumerate() {
            let value = value_of(reference)?;
            let value = pick(&value, reference.selector()).map(Value::Text).map_err(CelFailure)?;
            context.add_variable_from_value(format!("{SPLICED}{index}"), cel_value(&value));
        }
        let mut roots = Tree::default();
        for reference in &self.named {
            let path = reference.to_string();
            let path = path.strip_suffix("[*]").unwrap_or(&path);
            let value = value_of(reference)?;
            let items = match &value {
                Value::Text(_) => 0,
                Value::Texts(texts) => texts.len(),
                Value::Fields(fields) => fields.len(),
            };
            if self.loops && items > MAX_ITEMS {
                let why = format!("`{reference}` has {items} items; loops go over {MAX_ITEMS} at most");
                return Err(CelFailure(why).into());
            }
            roots.insert(path.split('.'), cel_value(&value));
        }
        for (name, tree) in roots.branches {
            context.add_variable_from_value(name, tree.value());
        }
        match self.program.execute(&context) {
            Ok(cel::Value::Bool(holds)) => Ok(holds),
            Ok(other) => Err(CelFailure(format!("it gives a {}, not true or false", other.type_of())).into()),
            Err(error) => Err(CelFailure(first_line(&error.to_string())).into()),
        }
    }
}

/// Why an expression gave neither true nor false.
#[derive(Debug)]
pub struct CelFailure(pub String);

/// Values by their path, to be made into maps.
#[derive(Default)]
struct Tree {
    leaf: Option<cel::Value>,
    branches: BTreeMap<String, Tree>,
}

impl Tree {
    fn insert<'a>(&mut self, mut path: impl Iterator<Item = &'a str>, value: cel::Value) {
        match path.next() {
            Some(step) => self.branches.entry(step.to_owned()).or_default().insert(path, value),
            None => self.leaf = Some(value),
        }
    }

    fn value(self) -> cel::Value {
        match self.leaf {
            Some(value) => value,
            None => map(self.branches.into_iter().map(|(name, tree)| (name, tree.value()))),
        }
    }
}

fn map(entries: impl Iterator<Item = (String, cel::Value)>) -> cel::Value {
    let entries: HashMap<String, cel::Value> = entries.collect();
    cel::Value::Map(entries.into())
}

fn cel_value(value: &Value) -> cel::Value {
    let text = |text: &String| cel::Value::String(Arc::new(text.clone()));
    match value {
        Value::Text(one) => text(one),
        Value::Texts(texts) => cel::Value::List(Arc::new(texts.iter().map(text).collect())),
        Value::Fields(fields) => map(fields.iter().map(|(key, one)| (key.clone(), text(one)))),
    }
}

fn first_line(text: &str) -> String {
    // What a parser would have taken instead is its own list of tokens.
    let text = text.split(" expecting {").next().unwrap_or(text);
    text.lines().next().unwrap_or_default().trim_start_matches("ERROR: <input>:").trim().to_owned()
}

/// Replaces every `$(..)`, inside string literals and outside of them, by the
/// name of a variable.
fn translate(source: &str) -> Result<(String, Vec<Reference>), String> {
    let mut out = String::new();
    let mut references = Vec::new();
    let mut rest = source;
    while let Some(first) = rest.chars().next() {
        if let Some(after) = rest.strip_prefix("$(") {
            let (inside, tail) = after.split_once(')').ok_or("the closing parenthesis is missing")?;
            let reference = Reference::parse(inside).map_err(|why| format!("`$({inside})`: {why}"))?;
            let _ = write!(out, "{SPLICED}{}", references.len());
            references.push(reference);
            rest = tail;
        } else if matches!(first, '\'' | '"') {
            let raw = out.ends_with(['r', 'R']);
            let (quote, content, tail) = literal(rest, raw)?;
            if content.contains("$(") {
                splice(&mut out, quote, content, &mut references)?;
            } else {
                let _ = write!(out, "{quote}{content}{quote}");
            }
            rest = tail;
        } else {
            out.push(first);
            rest = rest.get(first.len_utf8()..).unwrap_or_default();
        }
    }
    Ok((out, references))
}

/// The quotes, the content and what follows of a string literal.
fn literal(text: &str, raw: bool) -> Result<(&str, &str, &str), String> {
    let quote = ["'''", "\"\"\"", "'", "\""].into_iter().find(|quote| text.starts_with(quote)).unwrap_or("'");
    let inside = text.get(quote.len()..).unwrap_or_default();
    let mut at = 0;
    while let Some(next) = inside.get(at..).and_then(|rest| rest.chars().next()) {
        if next == '\\' && !raw {
            let escaped = inside.get(at + 1..).and_then(|rest| rest.chars().next());
            at += 1 + escaped.map_or(0, char::len_utf8);
            continue;
        }
        if inside.get(at..).is_some_and(|rest| rest.starts_with(quote)) {
            let (content, tail) = inside.split_at_checked(at).unwrap_or((inside, ""));
            return Ok((quote, content, tail.get(quote.len()..).unwrap_or_default()));
        }
        at += next.len_utf8();
    }
    Err("a quoted string is not closed".to_owned())
}

/// Writes a literal with references in it as a sum of strings.
fn splice(
    out: &mut String,
    quote: &str,
    content: &str,
    references: &mut Vec<Reference>,
) -> Result<(), String> {
    if out.ends_with(['r', 'R', 'b', 'B']) {
        return Err("`$(..)` means nothing in a raw string or in bytes".to_owned());
    }
    let template = Template::parse(content).map_err(|(text, why)| format!("`$({text})`: {why}"))?;
    out.push('(');
    for (index, piece) in template.pieces.into_iter().enumerate() {
        if index > 0 {
            out.push_str(" + ");
        }
        match piece {
            Piece::Text(text) => {
                let _ = write!(out, "{quote}{text}{quote}");
            }
            Piece::Reference(reference) => {
                let _ = write!(out, "{SPLICED}{}", references.len());
                references.push(reference);
            }
        }
    }
    out.push(')');
    Ok(())
}

/// Finds what an expression names, and refuses names that stand for nothing.
#[derive(Default)]
struct Walk {
    named: Vec<Reference>,
    bound: BTreeSet<String>,
    loops: usize,
}

impl Walk {
    fn visit(&mut self, expr: &Expr) -> Result<(), String> {
        if let Some(path) = path(expr)
            && let Some(root) = path.first()
            && !self.bound.contains(root)
            && !root.starts_with(SPLICED)
        {
            return self.name(&path);
        }
        match expr {
            Expr::Unspecified | Expr::Literal(_) | Expr::Ident(_) => Ok(()),
            Expr::Select(select) => self.visit(&select.operand.expr),
            Expr::Call(CallExpr { func_name, target, args }) => {
                let operator = !func_name.starts_with(|c: char| c.is_ascii_alphabetic());
                if !operator && !FUNCTIONS.contains(&func_name.as_str()) {
                    let meant = nearest(func_name, FUNCTIONS.iter().copied());
                    let meant = meant.map(|meant| format!("; did you mean `{meant}`?")).unwrap_or_default();
                    return Err(format!("there is no function `{func_name}`{meant}"));
                }
                target.iter().map(AsRef::as_ref).chain(args).try_for_each(|part| self.visit(&part.expr))
            }
            Expr::List(list) => list.elements.iter().try_for_each(|item| self.visit(&item.expr)),
            Expr::Map(map) => map.entries.iter().try_for_each(|entry| self.entry(&entry.expr)),
            Expr::Struct(object) => Err(format!("`{}` is no type here", object.type_name)),
            Expr::Comprehension(comprehension) => self.comprehension(comprehension),
        }
    }

    fn entry(&mut self, entry: &EntryExpr) -> Result<(), String> {
        match entry {
            EntryExpr::MapEntry(entry) => {
                self.visit(&entry.key.expr)?;
                self.visit(&entry.value.expr)
            }
            EntryExpr::StructField(field) => self.visit(&field.value.expr),
        }
    }

    fn comprehension(&mut self, part: &ComprehensionExpr) -> Result<(), String> {
        self.loops += 1;
        self.visit(&part.iter_range.expr)?;
        self.visit(&part.accu_init.expr)?;
        if self.loops > MAX_LOOPS {
            return Err(format!("there can be at most {MAX_LOOPS} loops"));
        }
        let names = [Some(&part.iter_var), part.iter_var2.as_ref(), Some(&part.accu_var)];
        let new: Vec<&String> =
            names.into_iter().flatten().filter(|name| self.bound.insert((*name).clone())).collect();
        for inner in [&part.loop_cond, &part.loop_step, &part.result] {
            self.visit(&inner.expr)?;
        }
        for name in new {
            self.bound.remove(name);
        }
        Ok(())
    }

    /// Takes as much of a path as makes a reference; what follows it, the
    /// language itself looks up in the value.
    fn name(&mut self, path: &[String]) -> Result<(), String> {
        let words: Vec<&str> = path.iter().map(String::as_str).collect();
        let taken = match words.as_slice() {
            ["params", _, ..] => 2,
            ["tasks", "status", ..] => 2,
            ["tasks", _, "status" | "reason", ..] => 3,
            ["tasks", _, "results", _, ..] => 4,
            ["tasks", _, "matrix", "length", ..] => 4,
            ["tasks", _, "matrix", _, "length", ..] => 5,
            ["context", _, _, ..] => 3,
            [root @ ("params" | "tasks" | "context"), ..] => {
                return Err(format!("`{root}` alone is no value: name what of it"));
            }
            [root, ..] => {
                let meant = nearest(root, ["params", "tasks", "context"]);
                let meant = meant.map(|meant| format!("; did you mean `{meant}`?")).unwrap_or_default();
                return Err(format!("there is no `{root}`: use params, tasks or context{meant}"));
            }
            [] => return Ok(()),
        };
        let text = words.get(..taken).unwrap_or_default().join(".");
        let reference = match Reference::parse(&text)? {
            Reference::Param(name, _) => Reference::Param(name, Selector::Star),
            Reference::Result(task, name, _) => Reference::Result(task, name, Selector::Star),
            other @ (Reference::Output(..)
            | Reference::TaskStatus(_)
            | Reference::TaskReason(_)
            | Reference::AllStatus
            | Reference::MatrixLength(_)
            | Reference::MatrixResultLength(..)
            | Reference::Input(_)
            | Reference::Context(_)
            | Reference::Source) => other,
        };
        if !self.named.contains(&reference) {
            self.named.push(reference);
        }
        Ok(())
    }
}

/// The names of a path such as `tasks['my-task'].results.x`.
fn path(expr: &Expr) -> Option<Vec<String>> {
    match expr {
        Expr::Ident(name) => Some(vec![name.clone()]),
        Expr::Select(select) => {
            let mut found = path(&select.operand.expr)?;
            found.push(select.field.clone());
            Some(found)
        }
        Expr::Call(CallExpr { func_name, args, target: None }) if func_name == operators::INDEX => {
            let [operand, index] = args.as_slice() else { return None };
            let Expr::Literal(LiteralValue::String(name)) = &index.expr else { return None };
            let mut found = path(&operand.expr)?;
            found.push(name.inner().to_owned());
            Some(found)
        }
        Expr::Call(_)
        | Expr::Comprehension(_)
        | Expr::List(_)
        | Expr::Literal(_)
        | Expr::Map(_)
        | Expr::Struct(_)
        | Expr::Unspecified => None,
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test that cannot go on should stop")]
    use super::*;

    fn value_of(reference: &Reference) -> Result<Value, CelFailure> {
        let text = |text: &str| Ok(Value::Text(text.to_owned()));
        match reference.to_string().trim_end_matches("[*]") {
            "params.x" => text("it's \"quoted\" && true"),
            "params.n" => text("3"),
            "params.list" | "params.list[0]" => Ok(Value::Texts(vec!["a".into(), "b".into()])),
            "params.object" => Ok(Value::Fields(BTreeMap::from([("k".to_owned(), "v".to_owned())]))),
            "tasks.my-task.results.r" => text("yes"),
            "tasks.status" => text("Failed"),
            "context.pipelineRun.name" => text("run-1"),
            other => Err(CelFailure(format!("no {other}"))),
        }
    }

    fn holds(source: &str) -> Result<bool, String> {
        CelGuard::parse(source)?.holds(value_of).map_err(|CelFailure(why)| why)
    }

    #[test]
    fn conditions_are_evaluated_over_typed_values() {
        for (source, expected) in [
            ("true", true),
            ("params.x == 'a'", false),
            ("int(params.n) > 2", true),
            ("'b' in params.list && size(params.list) == 2", true),
            ("params.list.exists(item, item == 'a')", true),
            ("params.object.k == 'v'", true),
            ("params['object']['k'] == 'v'", true),
            ("tasks['my-task'].results.r == 'yes' || false", true),
            ("tasks.status == 'Failed'", true),
            ("context.pipelineRun.name.startsWith('run')", true),
            // As Tekton writes it.
            ("'$(params.n)' == '3'", true),
            ("\"$(tasks.my-task.results.r)\" == 'yes'", true),
            ("'$(params.list[0])' == 'a'", true),
            ("'v$(params.n).0' == 'v3.0'", true),
            ("$(params.n) == '3'", true),
            ("'a\\'b' == \"a'b\"", true),
        ] {
            assert_eq!(holds(source), Ok(expected), "{source}");
        }
    }

    #[test]
    fn a_value_cannot_change_what_an_expression_means() {
        assert_eq!(holds("'$(params.x)' == 'a'"), Ok(false));
        assert_eq!(holds("'$(params.x)' == \"it's \\\"quoted\\\" && true\""), Ok(true));
    }

    #[test]
    fn what_is_no_condition_is_refused_before_anything_runs() {
        for source in [
            "",
            "params.x ==",
            "params",
            "tasks.x",
            "other == 'a'",
            "'$(params.x' == 'a'",
            "'$(nothing)' == 'a'",
            "r'$(params.x)' == 'a'",
            "'open",
            "Thing{a: 1}",
            "itn(params.n) > 2",
            "params.x.startswith('a')",
            "params.list.all(a, params.list.all(b, params.list.all(c, true)))",
            "['a'].map(a, a + a).map(a, a + a).map(a, a + a) == []",
        ] {
            assert!(CelGuard::parse(source).is_err(), "{source}");
        }
        assert!(CelGuard::parse(&format!("'{}' == 'a'", "x".repeat(5000))).is_err());
        assert!(CelGuard::parse(&"(".repeat(4000)).is_err());
        assert!(holds("params.n").unwrap_err().contains("not true or false"));
        assert!(holds("int(params.x) > 1").is_err());
    }

    #[test]
    fn every_reference_is_found() {
        let guard =
            CelGuard::parse("params.x == 'a' && '$(tasks.b.results.r)' in ['c'] && has(params.object.k)");
        let guard = guard.unwrap();
        let names = |list: &[Reference]| list.iter().map(ToString::to_string).collect::<Vec<_>>();
        assert_eq!(names(guard.named()), ["params.x[*]", "params.object[*]"]);
        assert_eq!(names(guard.spliced()), ["tasks.b.results.r"]);
    }
}
