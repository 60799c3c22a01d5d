//! The golden transcript of one journey, as an agent, an approver and an operator read it. Values
//! that differ between runs (ids, digests, times) are replaced by names. `UPDATE_EXPECT=1` writes
//! the file.

use crate::installation::{TestInstallation, text};
use expect_test::expect_file;
use serde_json::{Value, json};
use std::fmt::Write as _;

/// The text of a response, a success or an error.
fn said(body: &Value) -> String {
    body["text"]
        .as_str()
        .or(body["error"]["text"].as_str())
        .map_or_else(|| format!("{body:#}"), str::to_owned)
}

/// Replaces the values that differ between runs.
pub fn named(text: &str) -> String {
    let mut out = String::new();
    let mut word = String::new();
    for letter in text.chars().chain(['\0']) {
        if letter.is_ascii_alphanumeric() || matches!(letter, ':' | '-' | '.' | '+') {
            word.push(letter);
            continue;
        }
        out.push_str(&name(&word));
        word.clear();
        if letter != '\0' {
            out.push(letter);
        }
    }
    out
}

fn name(word: &str) -> String {
    let hexadecimal = |text: &str, length: usize| {
        text.len() == length && text.bytes().all(|byte| byte.is_ascii_hexdigit())
    };
    let id = |text: &str| {
        text.len() == 26
            && text.bytes().all(|byte| byte.is_ascii_lowercase() || (b'2'..=b'7').contains(&byte))
    };
    let (body, end) =
        match word.char_indices().rev().find(|(_, letter)| letter.is_ascii_alphanumeric()) {
            Some((at, _)) => word.split_at(at + 1),
            None => return word.to_owned(),
        };
    let new = if let Some(digest) = body.strip_prefix("sha256:") {
        if hexadecimal(digest, 64) { "DIGEST".to_owned() } else { body.to_owned() }
    } else if id(body) {
        "CALL".to_owned()
    } else if hexadecimal(body, 32) {
        "RANDOM".to_owned()
    } else if body.len() == 10 && body.starts_with("20") && body.matches('-').count() == 2 {
        "DATE".to_owned()
    } else if body.ends_with('Z') && body.matches(':').count() == 2 {
        "TIME".to_owned()
    } else if let Some(rest) = body
        .strip_prefix("cofferdam-run-")
        .and_then(|rest| rest.split_once('-'))
        .filter(|(call, _)| id(call))
    {
        format!("cofferdam-run-CALL-{}", rest.1)
    } else {
        body.to_owned()
    };
    new + end
}

/// Numbers that depend on the number of reads: each read by an operator is a ledger entry.
pub fn numbered(line: &str) -> String {
    ["Ledger: ", "leaf ", "by user "].iter().fold(line.to_owned(), |line, before| {
        let Some(at) = line.find(before).map(|at| at + before.len()) else { return line };
        let digits = line[at..].bytes().take_while(u8::is_ascii_digit).count();
        if digits == 0 {
            return line;
        }
        // A longer number takes the place of spaces in its column.
        let rest = line[at + digits..].trim_start();
        format!("{}N{}{rest}", &line[..at], if rest.is_empty() { "" } else { " " })
    })
}

#[test]
fn a_journey_reads_as_it_always_did() {
    let installation = TestInstallation::started();
    let token = installation.agent("release", "operator");
    let mut transcript = String::new();
    let mut tell = |who: &str, what: &str, answer: &str| {
        let lines: Vec<String> = named(answer).trim_end().lines().map(numbered).collect();
        writeln!(transcript, "── {who}: {what}\n{}\n", lines.join("\n")).unwrap();
    };
    let scale = |replicas: u32| {
        json!({"namespace": "storefront", "name": "web",
        "replicas": replicas, "purpose": "autumn sale"})
    };

    let look = installation.call(
        &token,
        "workload_status",
        &json!({"namespace": "storefront", "name": "web"}),
    );
    tell("agent", "workload_status storefront/web", &said(&look.body));
    let preview =
        installation.http("POST", "/v1/tools/deployment_scale/preview", &token, Some(&scale(5)));
    tell("agent", "preview deployment_scale storefront/web 5", &said(&preview.body));
    let denied = installation.call(&token, "deployment_scale", &scale(40));
    tell("agent", "deployment_scale storefront/web 40", &said(&denied.body));
    let wrong = installation.call(
        &token,
        "deployment_scale",
        &json!({"namespace": "storefront", "name": "web", "replicas": "five"}),
    );
    tell("agent", "deployment_scale storefront/web \"five\"", &said(&wrong.body));
    let done = installation.call(&token, "deployment_scale", &scale(5));
    tell("agent", "deployment_scale storefront/web 5", &said(&done.body));

    let target = json!({"namespace": "storefront", "name": "gift-cards-v1",
        "purpose": "replaced by api 2.28"});
    let waiting =
        installation.http("POST", "/v1/tools/deployment_delete?wait=1", &token, Some(&target));
    tell(
        "agent",
        "deployment_delete storefront/gift-cards-v1, waiting a second",
        &said(&waiting.body),
    );
    let call = installation.waiting();
    tell("approver", "show --shown", &installation.run(&["show", &call, "--shown"]));
    installation.run(&["approve", &call, "--key", text(&installation.key("bob")), "--yes"]);
    let followed = installation.http("GET", &format!("/v1/jobs/{call}?wait=30"), &token, None);
    tell("agent", "job_get", &said(&followed.body));
    installation.closed(&call);
    tell("operator", "show", &installation.run(&["show", &call]));

    expect_file!["../golden/journey.txt"].assert_eq(&transcript);
}
