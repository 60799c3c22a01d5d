//! What an approver reads, and whose digest they sign. Made from the stored job alone, by the approver's own command, the gateway and the runner
//! alike. Nothing that changes after the question was asked (signatures, permit, expiry) is in it.

mod lines;

use super::{operation, remark_words, rights};
use crate::decide::{ApprovalRule, OperationFacts};
use crate::hash::Document;
use crate::id::ShownDigest;
use crate::job::StoredJob;
use crate::json;
use crate::plan;
use crate::preview::{Preview, PreviewedOperation};
use crate::text::{line, lookalikes, quoted};
use jiff::{SignedDuration, Timestamp};

/// A job that cannot be shown truthfully.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ShownFault {
    /// The plan or the preview is not readable.
    #[error("the job's {what} is not readable: {detail}")]
    Unreadable {
        /// `plan` or `preview`.
        what: &'static str,
        /// Why.
        detail: String,
    },
    /// A digest that is not of what it stands beside.
    #[error("the job's {0} is not the digest of its contents: the stored job was changed")]
    Digest(&'static str),
}

/// The text an approver is shown, and its digest. Refuses a job whose digests are not of its own contents.
pub fn question(job: &StoredJob) -> Result<(String, ShownDigest), ShownFault> {
    let unreadable = |what, detail: String| ShownFault::Unreadable { what, detail };
    let (document, plan_digest) = Document::read(&job.plan).map_err(|fault| unreadable("plan", fault.to_string()))?;
    if plan_digest != job.plan_digest {
        return Err(ShownFault::Digest("plan digest"));
    }
    let preview: Preview = json::strict_into(job.preview.as_bytes()).map_err(|fault| unreadable("preview", fault.to_string()))?;
    let (canonical, preview_digest) = preview.seal().map_err(|fault| unreadable("preview", fault.to_string()))?;
    if preview_digest != job.preview_digest || canonical != job.preview {
        return Err(ShownFault::Digest("preview digest"));
    }
    if document.tool.name != job.tool || document.tool.digest != job.tool_digest || document.environment != job.environment {
        return Err(ShownFault::Digest("tool or environment"));
    }
    let facts = plan::facts_of(&document.operations).map_err(|fault| unreadable("plan", fault.to_string()))?;

    let mut lines = vec![
        "Cofferdam asks for a person's signature.".to_owned(),
        String::new(),
        format!("Call:         {}", job.call),
        format!("Environment:  {} ({})", line(&document.environment.name), line(&document.environment.id)),
        format!("Asked by:     {}", asker(job)),
        format!("Asked at:     {}", seconds(job.created)),
    ];
    if let Some(rule) = &job.approval {
        let until = job.created.checked_add(SignedDuration::from_secs(i64::try_from(rule.expires_seconds).unwrap_or(0)));
        lines.extend(until.ok().map(|until| format!("Runs out at:  {}", seconds(until))));
    }
    lines.push(format!("Tool:         {} {} {}", line(&document.tool.name), line(&document.tool.version), document.tool.digest));
    if let Some(executor) = &document.executor {
        lines.push(format!("Executor:     {} {}", line(&executor.name), executor.digest));
    }
    lines.extend([String::new(), "What it would do:".to_owned()]);
    lines.extend(steps(&facts, &preview).into_iter().map(|text| format!("  {text}")));
    lines.extend([String::new(), "Rights it would get, and lose again:".to_owned()]);
    lines.extend(rights(&facts).into_iter().map(|text| format!("  {text}")));
    lines.extend([String::new(), "Why a person is asked:".to_owned()]);
    lines.extend(job.reasons.iter().map(|reason| format!("  {}: {}", line(&reason.id), line(&reason.message))));
    if let Some(rule) = &job.approval {
        lines.push(format!("  needed: {}", needed(rule)));
    }
    lines.extend([
        String::new(),
        "In the words of others, unchecked:".to_owned(),
        format!("  purpose:    {}", job.purpose.as_deref().map_or_else(|| "(none given)".to_owned(), quoted)),
        format!("  summary:    {}", quoted(&document.summary)),
        format!("  arguments:  {}", line(&job.arguments)),
    ]);
    let posing = lookalikes(&lines.join("\n"));
    if !posing.is_empty() {
        lines.extend([String::new(), "Letters that are not what they look like:".to_owned()]);
        lines.extend(posing.into_iter().map(|word| format!("  {word}")));
    }
    lines.extend([
        String::new(),
        format!("Plan:         {}", job.plan_digest),
        format!("Preview:      {}", job.preview_digest),
        format!("Policy:       {}", job.policy),
        format!("Question:     {}", line(&job.nonce)),
    ]);
    let mut text = lines.join("\n");
    text.push('\n');
    let digest = ShownDigest::of(text.as_bytes());
    Ok((text, digest))
}

/// What a job would do: a line for each operation, its place and its changes beneath it. None of a job that cannot be
/// read.
pub fn would_do(job: &StoredJob) -> Option<Vec<String>> {
    let (document, _) = Document::read(&job.plan).ok()?;
    let preview: Preview = json::strict_into(job.preview.as_bytes()).ok()?;
    Some(steps(&plan::facts_of(&document.operations).ok()?, &preview))
}

fn steps(facts: &[OperationFacts], preview: &Preview) -> Vec<String> {
    let mut lines = Vec::new();
    for fact in facts {
        lines.push(line(&operation(fact)));
        let shown = preview.operations.iter().find(|shown| shown.index == fact.index);
        lines.extend(shown.map(previewed).unwrap_or_default().into_iter().map(|text| format!("   {text}")));
    }
    lines
}

/// Where it is, what changes, and what has to be known besides.
fn previewed(shown: &PreviewedOperation) -> Vec<String> {
    let place = (!shown.place.is_empty()).then(|| format!("at {}", line(&shown.place)));
    let remarks = shown.remarks.iter().map(|remark| format!("note: {}", remark_words(remark)));
    place.into_iter().chain(lines::changes(&shown.before, &shown.after)).chain(remarks).collect()
}

/// Whose signatures a rule needs: `any 2 enrolled approvers`, `1 of bob@example.com`.
pub fn needed(rule: &ApprovalRule) -> String {
    let plural = if rule.quorum == 1 { "" } else { "s" };
    if rule.approvers.iter().any(|name| name == "*") {
        format!("any {} enrolled approver{plural}", rule.quorum)
    } else {
        format!("{} of {}", rule.quorum, line(&rule.approvers.join(", ")))
    }
}

/// Whole seconds, UTC.
fn seconds(time: Timestamp) -> String {
    time.strftime("%Y-%m-%d %H:%M:%SZ").to_string()
}

fn asker(job: &StoredJob) -> String {
    let principal = &job.principal;
    let mut text = if principal.anonymous { "an anonymous caller".to_owned() } else { line(&principal.name) };
    if let Some(person) = &principal.person {
        text.push_str(&format!(" for {}", line(person)));
    }
    if !principal.act.is_empty() {
        text.push_str(&format!(", through {}", line(&principal.act.join(", "))));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decide::ApprovalRule;
    use crate::id::PlanDigest;
    use crate::journey::{Mode, ask};
    use crate::ports::unheard;
    use crate::testing::{Bench, now_or_never, raw, scale, world};
    use expect_test::expect;

    #[test]
    fn no_word_of_others_breaks_a_line_or_hides() {
        let host = Bench::new();
        let _waiting = now_or_never(ask(&host, &world(), raw(&host, scale("asks-b", 5)), Mode::Call, &unheard));
        let mut job = host.jobs.lock().unwrap()[0].0.clone();
        // Each is clean where it comes from; the text must not rest on that.
        let evil = |word: &str| format!("{word}\u{1b}[2K\u{202e}\nCall: other");
        let (mut document, _) = Document::read(&job.plan).unwrap();
        document.tool.name = evil("tool");
        document.tool.version = evil("1");
        document.executor.as_mut().unwrap().name = evil("executor");
        document.environment.name = evil("staging");
        document.environment.id = evil("id");
        document.summary = evil("summary");
        job.plan = json::canonical(&document).unwrap();
        job.plan_digest = PlanDigest::of(job.plan.as_bytes());
        (job.tool, job.environment) = (document.tool.name, document.environment);
        job.principal.name = evil("agent");
        job.principal.person = Some(evil("alice"));
        job.principal.act = vec![evil("act")];
        job.reasons[0].id = evil("rule");
        job.reasons[0].message = evil("message");
        job.approval = Some(ApprovalRule { quorum: 1, approvers: vec![evil("bob")], expires_seconds: 600 });
        job.purpose = Some(evil("purpose"));
        job.nonce = evil("nonce");
        let (text, _) = question(&job).unwrap();
        assert_eq!(text.replace('\n', "").chars().find(|c| crate::text::unseen(&c.to_string()).is_some()), None);
        let words: Vec<_> = text.lines().filter(|line| line.contains("2K")).collect();
        expect![[r#"
            Environment:  staging\u{1b}[2K\u{202e}\u{a}Call: other (id\u{1b}[2K\u{202e}\u{a}Call: other)
            Asked by:     agent\u{1b}[2K\u{202e}\u{a}Call: other for alice\u{1b}[2K\u{202e}\u{a}Call: other, through act\u{1b}[2K\u{202e}\u{a}Call: other
            Tool:         tool\u{1b}[2K\u{202e}\u{a}Call: other 1\u{1b}[2K\u{202e}\u{a}Call: other sha256:7c9bbe5ec9b3fb774e8fa0f54247e93c34ddf8e5d16fe3073420de0ae81a262d
            Executor:     executor\u{1b}[2K\u{202e}\u{a}Call: other sha256:8fba13dab71d6fdd8a9b9db1f06e81315dfbfd69167b6097f724604db3c91cdf
              rule\u{1b}[2K\u{202e}\u{a}Call: other: message\u{1b}[2K\u{202e}\u{a}Call: other
              needed: 1 of bob\u{1b}[2K\u{202e}\u{a}Call: other
              purpose:    "purpose\u{1b}[2K\u{202e}\nCall: other"
              summary:    "summary\u{1b}[2K\u{202e}\nCall: other"
            Question:     nonce\u{1b}[2K\u{202e}\u{a}Call: other"#]].assert_eq(&words.join("\n"));
        assert!(!text.lines().any(|line| line.starts_with("Call: other")), "{text}");
    }
}
