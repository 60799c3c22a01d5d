//! The rules of a policy in the form of `opa parse`: packages, and the constant values of a term.
//! Follows names to constants; never evaluates a rule.

use serde_json::{Map, Value};
use std::collections::BTreeSet;

/// The most names that are followed in a row: rules that name each other would never end.
const STEPS: usize = 12;

/// A parsed source file.
#[derive(Debug)]
pub struct File {
    /// The path of the file in the copy.
    pub place: String,
    /// The syntax tree of `opa parse`.
    pub module: Value,
}

/// A constant text, and where it is written.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Constant {
    /// The constant text.
    pub text: String,
    /// `FILE:ROW`, or the data file.
    pub place: String,
}

/// A call of a builtin with one of its arguments.
#[derive(Debug, Clone, Copy)]
pub struct Call<'a> {
    file: &'a File,
    rule: &'a Value,
    argument: &'a Value,
}

/// One step into a value.
#[derive(Debug, Clone, PartialEq)]
enum Step {
    Key(String),
    Any,
}

/// All files of a policy and its data document.
#[derive(Debug, Clone, Copy)]
pub struct Rules<'a> {
    /// All parsed files.
    pub files: &'a [File],
    /// The data document.
    pub data: &'a Value,
}

impl File {
    /// Its package, such as `cofferdam.policy`.
    pub fn package(&self) -> String {
        let path = self.module.pointer("/package/path").and_then(Value::as_array);
        let parts = path.into_iter().flatten().skip(1).filter_map(text_of);
        parts.collect::<Vec<_>>().join(".")
    }

    fn rules(&self) -> impl Iterator<Item = &Value> {
        self.module.get("rules").and_then(Value::as_array).into_iter().flatten()
    }

    /// The path that a name of an import stands for.
    fn import(&self, name: &str) -> Option<Vec<&str>> {
        let imports = self.module.get("imports").and_then(Value::as_array)?;
        imports.iter().find_map(|import| {
            let path: Vec<&str> =
                import.pointer("/path/value")?.as_array()?.iter().filter_map(text_of).collect();
            let alias =
                import.get("alias").and_then(Value::as_str).or_else(|| path.last().copied())?;
            (alias == name && path.first() == Some(&"data"))
                .then(|| path.into_iter().skip(1).collect())
        })
    }
}

impl<'a> Rules<'a> {
    /// Every call of a builtin of this name, with its argument at `index`.
    pub fn calls(self, builtin: &str, index: usize) -> Vec<Call<'a>> {
        let mut found = Vec::new();
        for file in self.files {
            for rule in file.rules() {
                each_call(rule, &mut |name, arguments| {
                    if name == builtin
                        && let Some(argument) = arguments.get(index)
                    {
                        found.push(Call { file, rule, argument });
                    }
                });
            }
        }
        found
    }

    /// The constant texts that the argument of a call can be.
    pub fn constants(self, call: Call<'a>) -> BTreeSet<Constant> {
        let mut found = BTreeSet::new();
        self.follow(call, Vec::new(), STEPS, &mut found);
        found
    }

    /// Follows a term. `path` is the rest of the path into its value.
    fn follow(self, call: Call<'a>, path: Vec<Step>, steps: usize, found: &mut BTreeSet<Constant>) {
        let Some(left) = steps.checked_sub(1) else { return };
        let Call { file, argument, .. } = call;
        let at = |argument| Call { argument, ..call };
        let Some(value) = argument.get("value") else { return };
        match (argument.get("type").and_then(Value::as_str).unwrap_or_default(), path.split_first())
        {
            ("string", None) => {
                let row =
                    argument.pointer("/location/row").and_then(Value::as_u64).unwrap_or_default();
                found.extend(value.as_str().map(|text| Constant {
                    text: text.to_owned(),
                    place: format!("{}:{row}", file.place),
                }));
            }
            ("array" | "set", Some((_, rest))) => {
                value
                    .as_array()
                    .into_iter()
                    .flatten()
                    .for_each(|item| self.follow(at(item), rest.to_vec(), left, found));
            }
            ("object", Some((step, rest))) => {
                for pair in value.as_array().into_iter().flatten() {
                    let key = pair.get(0).and_then(text_of);
                    if let (true, Some(item)) = (
                        *step == Step::Any
                            || key.is_some_and(|key| *step == Step::Key(key.to_owned())),
                        pair.get(1),
                    ) {
                        self.follow(at(item), rest.to_vec(), left, found);
                    }
                }
            }
            ("arraycomprehension" | "setcomprehension", Some((_, rest))) => {
                value
                    .get("term")
                    .into_iter()
                    .for_each(|term| self.follow(at(term), rest.to_vec(), left, found));
            }
            ("var", _) => self.name(call, value.as_str().unwrap_or_default(), path, left, found),
            ("ref", _) => {
                let Some((first, rest)) = value.as_array().and_then(|parts| parts.split_first())
                else {
                    return;
                };
                let steps = rest.iter().map(step).chain(path).collect();
                match first.get("value").and_then(Value::as_str) {
                    Some("data") => self.document(steps, left, found),
                    Some("input") | None => {}
                    Some(name) => self.name(call, name, steps, left, found),
                }
            }
            _ => {}
        }
    }

    /// A name in a rule: a variable of its body, an argument of its head, an import, or a rule of
    /// its package.
    fn name(
        self,
        call: Call<'a>,
        name: &str,
        path: Vec<Step>,
        left: usize,
        found: &mut BTreeSet<Constant>,
    ) {
        let Call { file, rule, .. } = call;
        let mut sources: Vec<(&Value, bool)> = Vec::new();
        each_source(rule, &mut |bound, term, member| {
            if is_var(bound, name) {
                sources.push((term, member));
            }
        });
        for (term, member) in sources {
            let path = if member { [vec![Step::Any], path.clone()].concat() } else { path.clone() };
            self.follow(Call { argument: term, ..call }, path, left, found);
        }
        for head in heads(rule) {
            let arguments = head.get("args").and_then(Value::as_array);
            let index = arguments
                .and_then(|arguments| arguments.iter().position(|argument| is_var(argument, name)));
            if let (Some(index), Some(function)) = (index, head_name(head)) {
                for caller in self.callers(file, function, index) {
                    self.follow(caller, path.clone(), left, found);
                }
            }
        }
        let steps = |parts: Vec<&str>| {
            parts.into_iter().map(|part| Step::Key(part.to_owned())).chain(path.clone()).collect()
        };
        if let Some(parts) = file.import(name) {
            self.document(steps(parts), left, found);
        }
        let package = file.package();
        let own: Vec<&str> = package.split('.').chain([name]).collect();
        self.document(steps(own), left, found);
    }

    /// Calls of a function of this file's package, by its plain name or through an import.
    fn callers(self, file: &File, function: &str, index: usize) -> Vec<Call<'a>> {
        let package = file.package();
        let last = package.rsplit('.').next().unwrap_or_default();
        let named = [
            function.to_owned(),
            format!("{last}.{function}"),
            format!("data.{package}.{function}"),
        ];
        named.iter().flat_map(|name| self.calls(name, index)).collect()
    }

    /// The values of `data` at a path: from rules and from the data document.
    fn document(self, path: Vec<Step>, left: usize, found: &mut BTreeSet<Constant>) {
        for file in self.files {
            let package = file.package();
            let parts: Vec<Step> =
                package.split('.').map(|part| Step::Key(part.to_owned())).collect();
            let Some(([Step::Key(name)], rest)) =
                path.strip_prefix(parts.as_slice()).and_then(|rest| rest.split_at_checked(1))
            else {
                continue;
            };
            for rule in file.rules() {
                for head in heads(rule)
                    .into_iter()
                    .filter(|head| head_name(head) == Some(name) && head.get("args").is_none())
                {
                    let (term, path) = match (head.get("key"), head.get("value")) {
                        // The member of a partial set.
                        (Some(key), None) => (key, rest.get(1..).unwrap_or_default()),
                        (Some(_), Some(value)) => (value, rest.get(1..).unwrap_or_default()),
                        (None, Some(value)) => (value, rest),
                        (None, None) => continue,
                    };
                    self.follow(Call { file, rule, argument: term }, path.to_vec(), left, found);
                }
            }
        }
        select(self.data, &path, found);
    }
}

fn select(value: &Value, path: &[Step], found: &mut BTreeSet<Constant>) {
    match (path.split_first(), value) {
        (None, Value::String(text)) => {
            found.insert(Constant { text: text.clone(), place: "the data".to_owned() });
        }
        (Some((Step::Key(key), rest)), Value::Object(object)) => {
            object.get(key).into_iter().for_each(|value| select(value, rest, found))
        }
        (Some((Step::Any, rest)), Value::Object(object)) => {
            object.values().for_each(|value| select(value, rest, found))
        }
        (Some((_, rest)), Value::Array(list)) => {
            list.iter().for_each(|value| select(value, rest, found))
        }
        _ => {}
    }
}

fn step(term: &Value) -> Step {
    match term.get("type").and_then(Value::as_str) {
        Some("string") => text_of(term).map_or(Step::Any, |key| Step::Key(key.to_owned())),
        _ => Step::Any,
    }
}

fn text_of(term: &Value) -> Option<&str> {
    term.get("value").and_then(Value::as_str)
}

fn is_var(term: &Value, name: &str) -> bool {
    term.get("type").and_then(Value::as_str) == Some("var") && text_of(term) == Some(name)
}

/// The head of a rule and of each `else`.
fn heads(rule: &Value) -> Vec<&Value> {
    let mut found = Vec::new();
    let mut next = Some(rule);
    while let Some(rule) = next {
        found.extend(rule.get("head"));
        next = rule.get("else");
    }
    found
}

fn head_name(head: &Value) -> Option<&str> {
    head.pointer("/ref/0").and_then(text_of).or_else(|| head.get("name").and_then(Value::as_str))
}

/// A call's name, `regex.match`, and its arguments.
fn as_call(terms: &[Value]) -> Option<(String, &[Value])> {
    let (operator, arguments) = terms.split_first()?;
    let parts = operator.get("value")?.as_array()?;
    let is_ref = operator.get("type").and_then(Value::as_str) == Some("ref");
    is_ref.then(|| (parts.iter().filter_map(text_of).collect::<Vec<_>>().join("."), arguments))
}

/// Every call within a rule, as a line of its own or as a part of a term.
fn each_call<'a>(value: &'a Value, see: &mut impl FnMut(&str, &'a [Value])) {
    visit(value, &mut |object| {
        let is_term = object.get("type").and_then(Value::as_str) == Some("call");
        let terms = if is_term { object.get("value") } else { object.get("terms") };
        if let Some((name, arguments)) =
            terms.and_then(Value::as_array).and_then(|terms| as_call(terms))
        {
            see(&name, arguments);
        }
    });
}

/// Each place in a rule where a variable gets its value: the variable, the term, and whether it is
/// a member of the term.
fn each_source<'a>(rule: &'a Value, see: &mut impl FnMut(&'a Value, &'a Value, bool)) {
    each_call(rule, &mut |name, arguments| match (name, arguments) {
        ("assign" | "eq", [left, right]) => {
            see(left, right, false);
            see(right, left, false);
        }
        ("internal.member_2", [member, list]) | ("internal.member_3", [_, member, list]) => {
            see(member, list, true)
        }
        _ => {}
    });
    visit(rule, &mut |object| {
        if let (Some(value), Some(domain)) = (object.get("value"), object.get("domain")) {
            see(value, domain, true);
        }
    });
}

fn visit<'a>(value: &'a Value, see: &mut impl FnMut(&'a Map<String, Value>)) {
    match value {
        Value::Object(object) => {
            see(object);
            object.values().for_each(|value| visit(value, see));
        }
        Value::Array(list) => list.iter().for_each(|value| visit(value, see)),
        _ => {}
    }
}
