//! The resources of a caller's own calls: `cofferdam://call/ID/` and `plan`, `job`, `receipt` or
//! `log`. Each has the right of `job_get`: a call of another caller does not exist here. Changes
//! nothing.

use super::{World, follow, task};
use crate::journey::follow::Wait;
use crate::journey::ports::{Host, Recorder, no_progress};
use crate::model::answer::{RefusalKind, Reply};
use crate::model::call::OwnCall;
use crate::model::caller::Principal;
use crate::model::escape::line;
use crate::model::id::CallId;
use crate::model::limit;
use crate::model::resource::{Content, Resource};
use crate::protocol::RoleError;
use crate::protocol::gateway_recorder::{Propose, Proposed, StoredTask};
use crate::text;
use serde_json::json;

/// The part of an address before the id.
const CALL: &str = "cofferdam://call/";

const TEXT: &str = "text/plain";
const JSON: &str = "application/json";

/// One of the four views of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    Plan,
    Job,
    Receipt,
    Log,
}

impl Part {
    const ALL: [Self; 4] = [Self::Job, Self::Log, Self::Plan, Self::Receipt];

    fn name(self) -> &'static str {
        match self {
            Self::Plan => "plan",
            Self::Job => "job",
            Self::Receipt => "receipt",
            Self::Log => "log",
        }
    }

    fn title(self) -> &'static str {
        match self {
            Self::Plan => "Plan of a call",
            Self::Job => "State of a call",
            Self::Receipt => "Receipt of a call",
            Self::Log => "Log of a call",
        }
    }

    fn description(self) -> &'static str {
        match self {
            Self::Plan => {
                "The plan of one of your own calls, in the bytes that its plan digest is of."
            }
            Self::Job => "The state of one of your own calls, in the words of `job_get`.",
            Self::Receipt => {
                "What is recorded of one of your own calls: digests, outcome, ledger entry, and \
                 the newest checkpoint of the ledger."
            }
            Self::Log => "The newest lines that the job of one of your own calls said.",
        }
    }

    fn media(self) -> &'static str {
        match self {
            Self::Plan | Self::Receipt => JSON,
            Self::Job | Self::Log => TEXT,
        }
    }
}

/// The addresses of all resources, as templates.
pub fn templates() -> Vec<Resource> {
    let template = |part: Part| Resource {
        uri: format!("{CALL}{{id}}/{}", part.name()),
        name: part.name().to_owned(),
        title: part.title().to_owned(),
        description: part.description().to_owned(),
        media: part.media(),
    };
    Part::ALL.into_iter().map(template).collect()
}

/// The states of the caller's newest calls, newest first.
///
/// # Errors
/// The recorder cannot be asked.
pub async fn resources<H: Host>(
    host: &H,
    principal: &Principal,
) -> Result<Vec<Resource>, RoleError> {
    let calls = own_calls(host, principal, limit::CALLS_USUAL).await?;
    Ok(calls.iter().map(listed).collect())
}

/// The ids of the caller's newest calls that begin with `start`, newest first.
///
/// # Errors
/// The recorder cannot be asked.
pub async fn ids<H: Host>(
    host: &H,
    principal: &Principal,
    start: &str,
) -> Result<Vec<String>, RoleError> {
    let calls = own_calls(host, principal, limit::CALLS).await?;
    Ok(calls.iter().map(|own| own.call.to_string()).filter(|id| id.starts_with(start)).collect())
}

async fn own_calls<H: Host>(
    host: &H,
    principal: &Principal,
    limit: u32,
) -> Result<Vec<OwnCall>, RoleError> {
    let ask = Propose::Calls { principal: principal.name.clone(), open: false, limit };
    match host.recorder().propose(ask).await? {
        Proposed::Calls { calls, .. } => Ok(calls),
        _ => Err(misplaced()),
    }
}

fn listed(own: &OwnCall) -> Resource {
    let what = line(&own.what.join("; "));
    Resource {
        uri: job_uri(&own.call),
        name: format!("job-{}", own.call),
        title: format!("{}: {what}", line(&own.tool)),
        description: Part::Job.description().to_owned(),
        media: Part::Job.media(),
    }
}

/// The address of the state of a call.
pub fn job_uri(call: &CallId) -> String {
    format!("{CALL}{call}/{}", Part::Job.name())
}

/// The call that an address is about, if the address has the form of one.
pub fn call_of(uri: &str) -> Option<CallId> {
    parse(uri).map(|(call, _)| call)
}

fn parse(uri: &str) -> Option<(CallId, Part)> {
    let (id, name) = uri.strip_prefix(CALL)?.split_once('/')?;
    let part = Part::ALL.into_iter().find(|part| part.name() == name)?;
    Some((CallId::parse(id).ok()?, part))
}

/// The content at an address. `None` if there is nothing for this caller.
///
/// # Errors
/// The recorder cannot be asked.
pub async fn resource<H: Host>(
    host: &H,
    world: &World,
    principal: &Principal,
    uri: &str,
) -> Result<Option<Content>, RoleError> {
    let Some((call, part)) = parse(uri) else { return Ok(None) };
    let text = match part {
        Part::Job => state(host, world, principal, &call).await?,
        Part::Plan => plan(host, principal, &call).await?,
        Part::Receipt => match task::stored(host, principal, &call).await? {
            Some(stored) => Some(receipt(host, &stored).await?),
            None => None,
        },
        Part::Log => task::stored(host, principal, &call)
            .await?
            .map(|stored| text::describe_notes(&stored.job).join("\n")),
    };
    Ok(text.map(|text| Content { uri: uri.to_owned(), media: part.media(), text }))
}

/// The text of `job_get`, also for a call that left no job.
async fn state<H: Host>(
    host: &H,
    world: &World,
    principal: &Principal,
    call: &CallId,
) -> Result<Option<String>, RoleError> {
    let at_once = Wait { ms: 0, person_ms: 0, progress: &no_progress };
    match follow::job(host, world, principal, call, at_once).await {
        Reply::Success(success) => Ok(Some(success.text)),
        Reply::Refused(refusal) if refusal.kind == RefusalKind::Absent => Ok(None),
        Reply::Refused(refusal) => Ok(Some(refusal.text())),
        Reply::Unavailable { reason } => Err(RoleError::Unavailable(reason)),
        _ => Err(misplaced()),
    }
}

async fn plan<H: Host>(
    host: &H,
    principal: &Principal,
    call: &CallId,
) -> Result<Option<String>, RoleError> {
    let ask = Propose::Plan { principal: principal.name.clone(), call: call.clone() };
    match host.recorder().propose(ask).await {
        Ok(Proposed::Plan { plan }) => Ok(plan),
        Ok(_) => Err(misplaced()),
        Err(RoleError::NotFound(_)) => Ok(None),
        Err(error) => Err(error),
    }
}

async fn receipt<H: Host>(host: &H, stored: &StoredTask) -> Result<String, RoleError> {
    let (size, checkpoint) = match host.recorder().propose(Propose::Head).await? {
        Proposed::Head { size, checkpoint } => (size, checkpoint),
        _ => return Err(misplaced()),
    };
    let job = &stored.job;
    let receipt = json!({
        "call": job.call,
        "tool": job.tool,
        "environment": job.environment,
        "arguments": job.arguments,
        "plan": job.plan,
        "phase": job.phase,
        "outcome": job.outcome,
        "asked": stored.created.to_string(),
        "recorded": stored.updated.to_string(),
        "ledger": {"entry": job.ledger, "size": size, "checkpoint": checkpoint},
    });
    Ok(receipt.to_string())
}

fn misplaced() -> RoleError {
    RoleError::Unavailable("a response to another request".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_read_in_one_way() {
        let call = CallId::from_random(7);
        assert_eq!(call_of(&job_uri(&call)), Some(call.clone()));
        assert_eq!(parse(&format!("cofferdam://call/{call}/log")), Some((call.clone(), Part::Log)));
        for other in [
            String::new(),
            format!("cofferdam://call/{call}"),
            format!("cofferdam://call/{call}/"),
            format!("cofferdam://call/{call}/job/"),
            format!("cofferdam://call/{call}/jobs"),
            format!("cofferdam://call//{call}/job"),
            format!("Cofferdam://call/{call}/job"),
            format!("cofferdam://call/{call}/../{call}/job"),
            format!("cofferdam://call/{}/job", call.to_string().to_uppercase()),
            "cofferdam://call/%61/job".to_owned(),
            "file:///etc/passwd".to_owned(),
        ] {
            assert_eq!(call_of(&other), None, "{other}");
        }
    }
}
