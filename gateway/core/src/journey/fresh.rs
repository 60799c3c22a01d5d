//! Before a person signs: reads again the changes that the waiting call would make. Reads only
//! objects that the tool plans from the stored arguments; the recorder's copy of the plan is not
//! trusted. Decides nothing, records nothing.

use super::World;
use super::read::{ReadError, read_preview};
use crate::journey::ports::{Host, Planner, Recorder};
use crate::model::job::StoredJob;
use crate::model::json;
use crate::protocol::RoleError;
use crate::protocol::gateway_recorder::{Propose, Proposed};
use crate::protocol::operator_recorder::FreshPreview;
use crate::stage::{preview, seal};

/// Takes the next call that a person is about to sign, waiting up to `wait_ms`, and reads its
/// objects. Returns whether there was one.
///
/// # Errors
///
/// The recorder did not respond.
pub async fn fresh<H: Host>(host: &H, world: &World, wait_ms: u64) -> Result<bool, RoleError> {
    let Some(job) = next_preview(host.recorder(), wait_ms).await? else { return Ok(false) };
    fresh_job(host, world, job).await?;
    Ok(true)
}

/// Takes the next call that a person is about to sign, waiting up to `wait_ms`; `None` if none came
/// in time.
///
/// # Errors
///
/// The recorder did not respond.
pub async fn next_preview(
    recorder: &impl Recorder,
    wait_ms: u64,
) -> Result<Option<StoredJob>, RoleError> {
    match recorder.propose(Propose::NextPreview { wait_ms }).await? {
        Proposed::ToPreview { job } => Ok(job.map(|job| *job)),
        _ => Err(RoleError::Unavailable(
            "the recorder gave a response to another request".to_owned(),
        )),
    }
}

/// Reads the objects of one call that a person is about to sign, and reports them.
///
/// # Errors
///
/// The recorder did not respond.
pub async fn fresh_job<H: Host>(host: &H, world: &World, job: StoredJob) -> Result<(), RoleError> {
    let seen = look(host, world, &job).await.unwrap_or_else(|why| FreshPreview::Not { why });
    host.recorder().propose(Propose::Previewed { call: job.call, seen }).await.map(drop)
}

/// Reads the objects of one call. The error is a clause for people.
async fn look<H: Host>(host: &H, world: &World, job: &StoredJob) -> Result<FreshPreview, String> {
    let tool = world.catalog.get(&job.tool).filter(|tool| tool.digest() == job.tool_digest);
    let tool = tool.ok_or("its tool is not served any more")?;
    let arguments = json::strict(job.arguments.as_bytes())
        .map_err(|error| format!("its arguments are not readable: {error}"))?;
    let draft = host
        .planner()
        .plan(tool.digest(), &job.arguments)
        .await
        .map_err(|error| format!("its tool gave no plan: {error}"))?;
    let draft = draft.map_err(|refusal| crate::model::escape::line(&refusal.reason))?;
    let sealed =
        seal::seal(draft, tool.trusted(), &world.trust, &arguments, &world.trust.environment)
            .map_err(|error| error.to_string())?;
    if sealed.text() != job.plan {
        return Err("its tool gives another plan now".to_owned());
    }
    match read_preview(host, &sealed).await {
        Ok(preview) => {
            let plan = preview::preview(sealed, preview).map_err(|error| error.to_string())?;
            Ok(FreshPreview::Now { preview: plan.preview().clone() })
        }
        Err(ReadError::Refused { reason, .. }) => Err(reason),
        Err(ReadError::OtherResponse) => {
            Err("the viewer gave a response to another request".to_owned())
        }
        Err(ReadError::Unavailable(error)) => {
            Err(format!("the infrastructure cannot be read: {error}"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Bench, asked, now_or_never, scale, world};

    /// A call that waits, and what a look sees after this change.
    fn seen(change: impl Fn(&Bench)) -> (StoredJob, FreshPreview) {
        let host = asked();
        let entries = host.entries.lock().unwrap().len();
        change(&host);
        assert_eq!(now_or_never(fresh(&host, &world(), 0)), Ok(true));
        assert_eq!(
            host.entries.lock().unwrap().len(),
            entries,
            "a look decides and records nothing"
        );
        let job = host.jobs.lock().unwrap()[0].0.clone();
        let (call, seen) = host.seen.lock().unwrap().pop().unwrap();
        assert_eq!(call, job.call);
        (job, seen)
    }

    #[test]
    fn an_approver_is_told_what_changed_since() {
        let since = |(job, seen): (StoredJob, FreshPreview)| match seen {
            FreshPreview::Now { preview } => {
                crate::stage::drift::agree(&job.preview, job.preview_digest, &preview)
                    .map(|outside| crate::text::difference::sentence(&outside))
            }
            FreshPreview::Not { why } => panic!("{why}"),
        };
        assert_eq!(since(seen(|_| {})), Ok(None));
        let told = since(seen(|host| host.meddle("asks-b", 4))).unwrap_err();
        assert!(told.contains("`spec.replicas`") && told.contains("was 3 and is 4"), "{told}");
    }

    #[test]
    fn an_approver_is_told_who_changed_it() {
        let (job, seen) = seen(|host| {
            host.meddle("asks-b", 4);
            *host.writer.lock().unwrap() = Some("night-shift".to_owned());
        });
        // As it comes over the recorder's socket.
        let sent = serde_json::to_vec(&seen).unwrap();
        let FreshPreview::Now { preview } = serde_json::from_slice(&sent).unwrap() else {
            panic!("{seen:?}")
        };
        let told =
            crate::stage::drift::agree(&job.preview, job.preview_digest, &preview).unwrap_err();
        assert_eq!(
            told,
            "`spec.replicas` of Deployment web in namespace asks-b was 3 and is 4 (by \
             `night-shift`)"
        );
    }

    #[test]
    fn only_what_the_tool_plans_of_the_stored_arguments_is_looked_at() {
        let not = |change: &dyn Fn(&mut StoredJob)| match seen(|host| {
            change(&mut host.jobs.lock().unwrap()[0].0)
        })
        .1
        {
            FreshPreview::Not { why } => why,
            FreshPreview::Now { preview } => panic!("{preview:?}"),
        };
        assert_eq!(
            not(&|job| job.arguments = scale("prod", 5).to_string()),
            "its tool gives another plan now"
        );
        assert_eq!(not(&|job| job.plan = "{}".to_owned()), "its tool gives another plan now");
        assert_eq!(
            not(&|job| job.tool_digest = crate::model::id::ComponentDigest::of(b"other")),
            "its tool is not served any more"
        );
        let (_, gone) = seen(|host| {
            host.objects.lock().unwrap().remove("asks-b");
        });
        assert_eq!(
            gone,
            FreshPreview::Not { why: "there is no Deployment web in namespace asks-b".to_owned() }
        );
    }

    #[test]
    fn without_a_call_nothing_is_looked_at() {
        assert_eq!(now_or_never(fresh(&Bench::new(), &world(), 0)), Ok(false));
    }
}
