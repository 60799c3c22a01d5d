//! The text that an approver reads, and whose digest they sign. Made from the stored job alone, by
//! the approver's own command, the gateway and the runner alike. Nothing that changes after the
//! question was asked (signatures, permit, the state now) is in it.

mod lines;
mod page;
mod row;
mod steps;

use super::rights;
use crate::model::document::Document;
use crate::model::escape::{legend, legible, legible_quoted};
use crate::model::facts;
use crate::model::id::ShownDigest;
use crate::model::job::StoredJob;
use crate::model::json;
use crate::model::preview::Preview;
use crate::model::reason::{ApprovalRule, ApproverGroup};
use jiff::Timestamp;
use lines::Extent;
pub use page::{QuestionPage, signatures};
use serde_json::Value;

/// Lines of a screen. A longer text repeats the operations at its end, where the person is asked to
/// sign.
const SCREEN: usize = 40;

/// Characters of arguments on one line.
const ARGUMENTS: usize = 160;

/// A job that cannot be shown truthfully.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ShownError {
    /// The plan or the preview is not readable.
    #[error("the job's {what} is not readable: {detail}")]
    Unreadable {
        /// The broken document: `plan` or `preview`.
        what: &'static str,
        /// The cause, in one sentence.
        detail: String,
    },
    /// A stored digest is not the digest of its document.
    #[error("the job's {0} is not the digest of its contents: the stored job was changed")]
    Digest(&'static str),
}

/// The text an approver is shown, and its digest. Refuses a job whose digests are not of its own
/// contents.
pub fn question(job: &StoredJob) -> Result<(String, ShownDigest), ShownError> {
    let unreadable = |what, detail: String| ShownError::Unreadable { what, detail };
    let (document, plan_digest) =
        Document::read(&job.plan).map_err(|error| unreadable("plan", error.to_string()))?;
    if plan_digest != job.plan_digest {
        return Err(ShownError::Digest("plan digest"));
    }
    let preview: Preview = json::strict_into(job.preview.as_bytes())
        .map_err(|error| unreadable("preview", error.to_string()))?;
    let (canonical, preview_digest) =
        preview.seal().map_err(|error| unreadable("preview", error.to_string()))?;
    if preview_digest != job.preview_digest || canonical != job.preview {
        return Err(ShownError::Digest("preview digest"));
    }
    if document.tool.name != job.tool
        || document.tool.digest != job.tool_digest
        || document.environment != job.environment
    {
        return Err(ShownError::Digest("tool or environment"));
    }
    let facts = facts::facts_of(&document.operations)
        .map_err(|error| unreadable("plan", error.to_string()))?;

    let mut lines = vec![
        "Cofferdam asks for a person's signature.".to_owned(),
        String::new(),
        format!("Call:         {}", job.call),
        format!(
            "Environment:  {} ({})",
            legible(&document.environment.name),
            legible(&document.environment.id)
        ),
        format!("Asked by:     {}", asker(job)),
        format!("Asked at:     {}", seconds(job.created)),
    ];
    if let Some(rule) = &job.approval {
        lines.extend(
            rule.ends(job.created).map(|until| format!("Runs out at:  {}", seconds(until))),
        );
    }
    lines.push(format!(
        "Tool:         {} {} {}",
        legible(&document.tool.name),
        legible(&document.tool.version),
        document.tool.digest
    ));
    if let Some(executor) = &document.executor {
        lines.push(format!("Executor:     {} {}", legible(&executor.name), executor.digest));
    }
    lines.extend([String::new(), steps::heading(&document.operations)]);
    lines.extend(indented(steps::steps(&document.operations, &facts, &preview, Extent::SIGNED)));
    lines.extend([String::new(), "Rights it would get, and lose again:".to_owned()]);
    lines.extend(indented(rights(&facts)));
    lines.extend([String::new(), "In the words of others, unchecked:".to_owned()]);
    lines.extend(indented(words_of_others(job, &document)));
    let explained = legend(&lines.join("\n"));
    if !explained.is_empty() {
        lines.extend([String::new(), "Characters that are written as numbers:".to_owned()]);
        lines.extend(indented(explained));
    }
    lines.extend([
        String::new(),
        format!("Plan:         {}", job.plan_digest),
        format!("Preview:      {}", job.preview_digest),
        format!("Policy:       {}", job.policy),
        format!("Question:     {}", legible(&job.nonce)),
    ]);
    if lines.len() > SCREEN {
        lines.extend([
            String::new(),
            format!("This text is long. Once more, {}:", steps::count(facts.len())),
        ]);
        lines.extend(indented(facts.iter().map(steps::name).collect()));
    }
    let mut text = lines.join("\n");
    text.push('\n');
    let digest = ShownDigest::of(text.as_bytes());
    Ok((text, digest))
}

/// The operations of a job: a line for each with its place, and its changes beneath it, long values
/// shortened. `None` for a job that cannot be read.
pub fn would_do(job: &StoredJob) -> Option<Vec<String>> {
    told(job, Extent::SIGNED)
}

/// The same with every value in full, and the arguments.
pub fn in_full(job: &StoredJob) -> Option<Vec<String>> {
    let mut lines = told(job, Extent::FULL)?;
    let arguments: Value = json::strict(job.arguments.as_bytes()).ok()?;
    lines.push("arguments:".to_owned());
    lines.extend(indented(lines::value(&arguments, Extent::FULL)));
    Some(lines)
}

fn told(job: &StoredJob, extent: Extent) -> Option<Vec<String>> {
    let (document, _) = Document::read(&job.plan).ok()?;
    let preview: Preview = json::strict_into(job.preview.as_bytes()).ok()?;
    Some(steps::steps(
        &document.operations,
        &facts::facts_of(&document.operations).ok()?,
        &preview,
        extent,
    ))
}

/// The words of agent, tool and gateway. The reasons of policy are among them: they come with the
/// job, and this text is made without a policy. Gateway and runner check the approval rule against
/// their own policy.
fn words_of_others(job: &StoredJob, document: &Document) -> Vec<String> {
    let purpose = job.purpose.as_deref().map_or_else(|| "(none given)".to_owned(), legible_quoted);
    let mut lines = vec![
        format!("purpose:    {purpose}"),
        format!("summary:    {}", legible_quoted(&document.summary)),
    ];
    let arguments = json::strict(job.arguments.as_bytes())
        .unwrap_or_else(|_| Value::String(job.arguments.clone()));
    let line = crate::model::escape::legible_json(&arguments);
    if line.chars().count() <= ARGUMENTS {
        lines.push(format!("arguments:  {line}"));
    } else {
        lines.push("arguments:".to_owned());
        lines.extend(indented(lines::value(&arguments, Extent::SIGNED)));
    }
    lines.extend(job.reasons.iter().map(|reason| {
        format!("why asked:  {}: {}", legible(&reason.id), legible(&reason.message))
    }));
    lines.extend(job.approval.as_ref().map(|rule| format!("needed:     {}", needed(rule))));
    let later = job.approval.as_ref().and_then(|rule| later(rule, job.created));
    lines.extend(later.map(|later| format!("later:      {later}")));
    lines
}

fn indented(lines: Vec<String>) -> impl Iterator<Item = String> {
    lines.into_iter().map(|text| format!("  {text}"))
}

/// The further people of a question and their time: `from 2026-11-30 12:00:00Z on also erin`.
pub fn later(rule: &ApprovalRule, asked: Timestamp) -> Option<String> {
    let people = further(rule)?;
    Some(format!("from {} on also {people}", seconds(rule.escalates(asked)?)))
}

/// The further people of a rule; `None` if it has none.
pub fn further(rule: &ApprovalRule) -> Option<String> {
    let escalation = rule.escalate.as_ref()?;
    Some(if escalation.approvers.iter().any(|name| name == "*") {
        "any enrolled approver".to_owned()
    } else {
        whom(&escalation.approvers, &rule.groups)
    })
}

/// People by name. A group whose members are all among them comes first, with its members.
fn whom(names: &[String], groups: &[ApproverGroup]) -> String {
    let is_whole = |group: &&ApproverGroup| {
        !group.members.is_empty() && group.members.iter().all(|member| names.contains(member))
    };
    let groups: Vec<_> = groups.iter().filter(is_whole).collect();
    let alone = |name: &&String| !groups.iter().any(|group| group.members.contains(name));
    let told = groups.iter().map(|group| format!("{} ({})", group.name, group.members.join(", ")));
    let told: Vec<String> = told.chain(names.iter().filter(alone).cloned()).collect();
    legible(&told.join(", "))
}

/// The signatures that a rule needs: `any 2 enrolled approvers`, `1 of bob@example.com`, `2 of leads
/// (bob@example.com, carl@example.com), dora@example.com`.
pub fn needed(rule: &ApprovalRule) -> String {
    let plural = if rule.quorum == 1 { "" } else { "s" };
    if rule.approvers.iter().any(|name| name == "*") {
        format!("any {} enrolled approver{plural}", rule.quorum)
    } else {
        format!("{} of {}", rule.quorum, whom(&rule.approvers, &rule.groups))
    }
}

/// The digest of the question's text; `None` where it cannot be shown.
pub fn shown_digest(job: &StoredJob) -> Option<ShownDigest> {
    question(job).ok().map(|(_, digest)| digest)
}

/// Whole seconds, UTC, for people.
pub fn seconds(time: Timestamp) -> String {
    time.strftime("%Y-%m-%d %H:%M:%SZ").to_string()
}

fn asker(job: &StoredJob) -> String {
    let principal = &job.principal;
    let mut text = if principal.anonymous {
        "an anonymous caller".to_owned()
    } else {
        legible(&principal.name)
    };
    if !principal.roles.is_empty() {
        text.push_str(&format!(" ({})", legible(&principal.roles.join(", "))));
    }
    if let Some(person) = &principal.person {
        text.push_str(&format!(" for {}", legible(person)));
    }
    if !principal.act.is_empty() {
        text.push_str(&format!(", through {}", legible(&principal.act.join(", "))));
    }
    text
}

#[cfg(test)]
mod tests;
