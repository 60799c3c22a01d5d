//! `cofferdam tools` and `cofferdam call`: the tools and the calls of an agent, from a terminal.
//! They use the edge, a token, and get the refusals of an agent.

use super::agent_token::{TOKEN, Token};
use super::http::{Answer, Request, send};
use super::report::{Report, Usage};
use crate::command::show::{self, short, table};
use crate::config::Config;
use crate::config::home::Home;
use crate::config::trust_file::TrustFile;
use anyhow::{Context as _, Result};
use clap::Args;
use cofferdam_core::model::json as strict;
use serde_json::{Map, Value, json};
use std::io::Read as _;

/// Lists the tools that an agent may call. With `--accepted`, lists every tool in the trust file,
/// with its ceiling.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  COFFERDAM_TOKEN=cfd_… cofferdam tools\n  cofferdam tools --accepted"
)]
pub struct Tools {
    #[command(flatten)]
    token: Token,
    /// List every tool in the trust file, with its ceiling; `serve` need not run
    #[arg(long, conflicts_with = "token_file")]
    accepted: bool,
}

impl Tools {
    /// Runs the command and returns its report.
    pub fn run(self, home: &Home) -> Result<Report> {
        if self.accepted {
            return accepted(home);
        }
        let token = self.token.read()?;
        let edge = Config::read(home)?.edge;
        let answer = send(
            &edge,
            &Request {
                method: "GET",
                path: "/v1/tools",
                token: token.as_deref(),
                key: None,
                body: None,
            },
        )?;
        if answer.status != 200 {
            return Ok(refused(&answer));
        }
        let text = |tool: &Value, key: &str| {
            tool.get(key).and_then(Value::as_str).unwrap_or_default().to_owned()
        };
        let tools = answer.body.get("tools").and_then(Value::as_array).cloned().unwrap_or_default();
        let rows: Vec<Vec<String>> = tools
            .iter()
            .map(|tool| {
                let hint = |name: &str| {
                    tool.get("annotations")
                        .and_then(|hints| hints.get(name))
                        .and_then(Value::as_bool)
                        .unwrap_or_default()
                };
                let kind = if hint("readOnlyHint") {
                    "looks"
                } else if hint("destructiveHint") {
                    "may destroy"
                } else {
                    "changes"
                };
                vec![text(tool, "name"), kind.to_owned(), short(&text(tool, "title"), 60)]
            })
            .collect();
        let listed = if rows.is_empty() {
            "No tool is visible to this caller; the policy decides that by its roles.".to_owned()
        } else {
            format!(
                "{}\n\nOne of them: cofferdam call NAME --arg key=value --preview",
                table(&["NAME", "KIND", "TITLE"], &rows)
            )
        };
        Ok(Report::new(listed, answer.body))
    }
}

fn accepted(home: &Home) -> Result<Report> {
    let trust = TrustFile::open(home)?.trust()?;
    let mut lines = Vec::new();
    for tool in &trust.tools {
        lines.push(format!("{} {} {}", tool.name, tool.version, tool.digest.short()));
        lines.extend(show::ceiling(&tool.ceiling).into_iter().map(|text| format!("  {text}")));
    }
    if lines.is_empty() {
        lines.push("No tool is accepted; `cofferdam accept FILE` accepts one.".to_owned());
    }
    Ok(Report::new(
        lines.join("\n"),
        json!({"tools": trust.tools, "executors": trust.executors, "commands": trust.commands}),
    ))
}

/// Calls a tool with the token of an agent, through the running `serve`, and prints its result.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  cofferdam call deployment_scale --arg namespace=team-a \
                        --arg name=web --arg replicas=3 --preview\n  cofferdam call \
                        deployment_scale --json-args '{\"namespace\": \"team-a\", \"name\": \
                        \"web\", \"replicas\": 3}' --purpose \"more load\"\n\nA value that is \
                        JSON is taken as such: `--arg replicas=3` is a number, `--arg \
                        'version=\"3\"'` a text.\nExit code 1: refused, failed, or not done yet.")]
pub struct Call {
    /// The name of the tool
    tool: String,
    /// One argument of the tool (repeatable)
    #[arg(long = "arg", value_name = "KEY=VALUE")]
    pairs: Vec<String>,
    /// All arguments as one JSON object; `-` reads it from standard input
    #[arg(long, value_name = "JSON", conflicts_with = "pairs")]
    json_args: Option<String>,
    /// Your purpose, in a sentence or two; approvers read it as your claim
    #[arg(long)]
    purpose: Option<String>,
    /// Only print the plan, the preview and the decision; queue nothing
    #[arg(long)]
    preview: bool,
    /// Seconds to wait for the end of the job, 0 to 45
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u8).range(0..=45))]
    wait: Option<u8>,
    /// An idempotency key: a second call with this key gets the outcome of the first
    #[arg(long)]
    key: Option<String>,
    #[command(flatten)]
    token: Token,
}

impl Call {
    /// Runs the command and returns its report.
    pub fn run(self, home: &Home) -> Result<Report> {
        let token = self.token.read()?;
        let named = !self.tool.is_empty()
            && self
                .tool
                .bytes()
                .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_');
        if !named {
            return Err(Usage(format!(
                "`{}` is not the name of a tool; `cofferdam tools` lists them",
                self.tool
            ))
            .into());
        }
        let mut arguments = match &self.json_args {
            Some(text) if text == "-" => {
                let mut bytes = Vec::new();
                std::io::stdin()
                    .lock()
                    .read_to_end(&mut bytes)
                    .context("cannot read standard input")?;
                object(&bytes)?
            }
            Some(text) => object(text.as_bytes())?,
            None => pairs(&self.pairs)?,
        };
        if let Some(purpose) = self.purpose {
            arguments.insert("purpose".to_owned(), Value::String(purpose));
        }
        let preview = if self.preview { "/preview" } else { "" };
        let wait = self.wait.map(|seconds| format!("?wait={seconds}")).unwrap_or_default();
        let body = Value::Object(arguments).to_string();
        let request = Request {
            method: "POST",
            path: &format!("/v1/tools/{}{preview}{wait}", self.tool),
            token: token.as_deref(),
            key: self.key.as_deref(),
            body: Some(&body),
        };
        let answer = send(&Config::read(home)?.edge, &request)?;
        // A preview has no result of the tool: 202 is its success.
        let done = answer.status == 200 || (self.preview && answer.status == 202);
        if !done || answer.body.get("error").is_some() {
            return Ok(refused(&answer));
        }
        let text = answer
            .body
            .get("text")
            .and_then(Value::as_str)
            .map_or_else(|| answer.body.to_string(), str::to_owned);
        Ok(Report::new(text, answer.body))
    }
}

/// The report of a refusal: its text, with exit code 1.
fn refused(answer: &Answer) -> Report {
    Report::new(refusal(answer), answer.body.clone()).good(false)
}

/// The text of a refusal, with the next command where the edge names none.
fn refusal(answer: &Answer) -> String {
    let said = answer.body.get("error").unwrap_or(&answer.body).get("text").and_then(Value::as_str);
    let mut text = said.map_or_else(
        || format!("the edge answered {}: {}", answer.status, answer.body),
        str::to_owned,
    );
    if answer.status == 401 {
        text.push_str(&format!(
            "\nGive an agent's token with `--token-file FILE` or in {TOKEN}; `cofferdam agents \
             add` makes one"
        ));
    }
    if answer.status == 404 {
        text.push_str("\n`cofferdam tools` lists the tools that this caller can use");
    }
    text
}

/// The remedy for arguments that are not one JSON object.
const OBJECT: &str =
    "write one object, such as `{\"name\": \"web\"}`, between single quotation marks";

fn object(bytes: &[u8]) -> Result<Map<String, Value>> {
    match strict::strict(bytes) {
        Ok(Value::Object(map)) => Ok(map),
        Ok(_) => Err(Usage(format!("the arguments are not a JSON object; {OBJECT}")).into()),
        Err(error) => Err(Usage(format!("the arguments are not JSON: {error}; {OBJECT}")).into()),
    }
}

fn pairs(pairs: &[String]) -> Result<Map<String, Value>> {
    let mut map = Map::new();
    for pair in pairs {
        let Some((key, text)) = pair.split_once('=').filter(|(key, _)| !key.is_empty()) else {
            return Err(
                Usage(format!("`{pair}` is not an argument; write `--arg key=value`")).into()
            );
        };
        let value =
            strict::strict(text.as_bytes()).unwrap_or_else(|_| Value::String(text.to_owned()));
        if map.insert(key.to_owned(), value).is_some() {
            return Err(Usage(format!("the argument `{key}` is given twice; give it once")).into());
        }
    }
    Ok(map)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(given: &[&str], expect: Result<Value, &str>) {
        let given: Vec<String> = given.iter().map(|pair| (*pair).to_owned()).collect();
        match (pairs(&given), expect) {
            (Ok(map), Ok(want)) => assert_eq!(Value::Object(map), want),
            (Err(error), Err(want)) => assert!(error.to_string().contains(want), "{error}"),
            (got, want) => panic!("{got:?} instead of {want:?}"),
        }
    }

    #[test]
    fn arguments_are_json_where_they_are_json() {
        check(
            &["a=1", "b=true", "c=x y", "d=\"1\"", "e=[1,2]", "f=a=b", "g="],
            Ok(json!({"a": 1, "b": true, "c": "x y", "d": "1", "e": [1, 2], "f": "a=b", "g": ""})),
        );
        check(&["a=9007199254740993"], Ok(json!({"a": "9007199254740993"})));
        check(&["a"], Err("not an argument"));
        check(&["=1"], Err("not an argument"));
        check(&["a=1", "a=2"], Err("twice"));
    }

    #[test]
    fn arguments_that_are_no_object_are_refused_with_an_example() {
        for given in ["{bad", "", "[1]", "3", "{\"a\":1,\"a\":2}"] {
            let told = object(given.as_bytes()).unwrap_err().to_string();
            assert!(told.contains("such as `{\"name\": \"web\"}`"), "{given}: {told}");
        }
    }

    #[test]
    fn a_refusal_names_the_next_command() {
        for (status, command) in [(401, "`cofferdam agents add`"), (404, "`cofferdam tools`")] {
            let body = json!({"error": {"text": "no"}});
            let told = refusal(&Answer { status, body });
            assert!(told.starts_with("no\n"), "{told}");
            assert!(told.contains(command), "{status}: {told}");
        }
    }
}
