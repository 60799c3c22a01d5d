//! A task: its input, a Pod of a fixed name, its output and its end or time limit. Never started
//! twice, since the name is taken.

use super::refused;
use crate::api::ApiError;
use crate::error_text;
use crate::namespace::Namespace;
use crate::poll::Poll;
use crate::task::{self, CONTAINER, Log, Place, Reason, Task, TaskState};
use cofferdam_backend::effect_error::{EffectError, Told};
use cofferdam_core::model::limit::TASK_OUTPUT;
use cofferdam_core::model::operation::{Operation, Target};
use cofferdam_core::model::preview::PreviewedOperation;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::time::Duration;
use tokio::time::Instant;

/// How long a Pod may take to come to a node and to have its image, besides its own time.
const START: Duration = Duration::from_secs(120);

impl Namespace {
    /// Runs a task to its end, and sends its output meanwhile. The state after it has `result`, its
    /// standard output, and `exit_code`.
    pub(super) async fn run(
        &mut self,
        operation: &Operation,
        approved: &PreviewedOperation,
        told: &Told,
    ) -> Result<BTreeMap<String, Value>, EffectError> {
        let Some(task) = Task::of(operation, approved.index) else {
            return Err(EffectError::Refused(
                "a command runs beside the cluster, not in it".to_owned(),
            ));
        };
        let labels = self.marks.name.labels();
        let place = Place {
            namespace: &self.name,
            labels: &labels,
            user_namespace: false,
            runtime_class: None,
        };
        let target = |kind: &str| Target {
            kind: kind.to_owned(),
            namespace: self.name.clone(),
            name: task.object(),
            ..approved.target.clone()
        };
        self.put(&task::input(&task, &place), &target("ConfigMap")).await?;
        let pod = target("Pod");
        match self.put(&task::pod(&task, &place), &pod).await {
            Ok(_) => {}
            Err(EffectError::Refused(words)) => {
                return Err(match task::refused(&words) {
                    TaskState::CannotStart { reason, .. } if reason != Reason::Other => {
                        failed(&task, reason, &words)
                    }
                    _ => EffectError::Refused(words),
                });
            }
            Err(error) => return Err(error),
        }
        let mut log = Log::default();
        self.await_end(&task, &pod, &mut log, told).await?;
        let mut after = approved.after.clone();
        after.insert("result".to_owned(), json!(self.result(&task, &log).await?));
        after.insert("exit_code".to_owned(), json!(0));
        Ok(after)
    }

    async fn await_end(
        &self,
        task: &Task<'_>,
        pod: &Target,
        log: &mut Log,
        told: &Told,
    ) -> Result<(), EffectError> {
        let at = self.at(pod)?;
        let mut poll = Poll::within(START + Duration::from_secs(task.seconds.into()));
        let mut since: Option<(Reason, Instant)> = None;
        loop {
            let found = self.job().await?.get(&at).await;
            let state = match &found {
                Ok(Some(pod)) => task::state(pod, &[]),
                Ok(None) => return Err(failed(task, Reason::Deleted, "")),
                // An outage of the API server is not an error of the task.
                Err(error) if poll.is_over() => return Err(refused(pod, error)),
                Err(_) => TaskState::Waiting,
            };
            match state {
                TaskState::Succeeded => return Ok(()),
                TaskState::Failed { reason, code, detail } => {
                    let code = code.map(|code| format!("exit code {code}; ")).unwrap_or_default();
                    return Err(failed(task, reason, &format!("{code}{detail}")));
                }
                TaskState::CannotStart { reason, detail } => {
                    let (_, first) = *since.get_or_insert((reason, Instant::now()));
                    if since.is_some_and(|(seen, _)| seen != reason) {
                        since = Some((reason, Instant::now()));
                    } else if first.elapsed() >= reason.patience() {
                        return Err(failed(task, reason, &detail));
                    }
                }
                TaskState::Waiting => since = None,
                TaskState::Running => {
                    since = None;
                    self.pass_on(task, log, told).await;
                }
            }
            if !poll.again().await {
                return Err(failed(
                    task,
                    Reason::Deadline,
                    "it neither ended nor failed in the time there was",
                ));
            }
        }
    }

    /// Sends the new lines of the task's log, at each read. A line that cannot be read or sent now
    /// is sent at the next read.
    async fn pass_on(&self, task: &Task<'_>, log: &mut Log, told: &Told) {
        let (false, Ok(place)) = (log.is_over(), told.try_reserve()) else { return };
        if let Ok(text) = self.log(task).await {
            place.send(log.news(task.index, &text));
        }
    }

    /// The output of the task so far, with at most one byte more than a result may have.
    async fn log(&self, task: &Task<'_>) -> Result<String, ApiError> {
        let at = format!("/api/v1/namespaces/{}/pods/{}/log", self.name, task.object());
        // The job may not read logs, which have no fence of their own; the provisioner may, of Pods
        // of these names.
        self.provisioner
            .text(&at, &format!("container={CONTAINER}&limitBytes={}", TASK_OUTPUT + 1))
            .await
    }

    /// The task's standard output. Longer than the limit is refused, not cut: half a result is of
    /// no use.
    async fn result(&self, task: &Task<'_>, log: &Log) -> Result<String, EffectError> {
        let text = self.log(task).await.map_err(|error| {
            EffectError::Refused(format!(
                "the task `{}` ended well, and its result cannot be read: {}",
                task.name,
                error_text::said(&error)
            ))
        })?;
        if text.len() > TASK_OUTPUT || log.is_overfull() {
            return Err(EffectError::Refused(format!(
                "the task `{}` ended well, and its result has more than {TASK_OUTPUT} bytes",
                task.name
            )));
        }
        Ok(text)
    }
}

fn failed(task: &Task<'_>, reason: Reason, detail: &str) -> EffectError {
    let detail = if detail.is_empty() { String::new() } else { format!(": {detail}") };
    EffectError::Refused(format!(
        "the task `{}` failed ({}): {}{detail}",
        task.name,
        reason.word(),
        reason.says()
    ))
}
