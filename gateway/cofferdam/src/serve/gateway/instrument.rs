//! Spans and metrics of the stages: one span and one measurement for each request to a host, and a
//! count for each end of a call. Never changes a request or a result.

use super::call_log::CallLog;
use super::host::Roles;
use cofferdam_core::journey::ports::{GuestError, Judge, Planner, Recorder, Viewer};
use cofferdam_core::model::answer::Reply;
use cofferdam_core::model::id::ComponentDigest;
use cofferdam_core::model::operation::{Draft, ToolRefusal};
use cofferdam_core::protocol::RoleError;
use cofferdam_core::protocol::gateway_recorder::{Propose, Proposed};
use cofferdam_core::protocol::gateway_viewer::{ReadRequest, ReadResponse};
use cofferdam_core::protocol::telemetry_names::{ERROR_TYPE, GEN_AI_TOOL_NAME, MCP_METHOD_NAME};
use cofferdam_sandbox::policy_pool::Policies;
use cofferdam_sandbox::tool_pool::Tools;
use cofferdam_telemetry::{Outlet, metrics};
use std::future::Future;
use std::sync::Arc;
use std::time::Instant;
use tracing::{Instrument as _, info_span};

/// A host with spans and metrics.
pub struct Observed<T> {
    inner: T,
    outlet: Outlet,
    call_log: CallLog,
}

impl<T> Observed<T> {
    /// Adds spans and metrics to a host.
    pub fn new(inner: T, outlet: Outlet) -> Self {
        Self { inner, outlet, call_log: CallLog::default() }
    }

    /// The log lines of calls, with their rate limits.
    pub fn call_log(&self) -> &CallLog {
        &self.call_log
    }

    /// The host itself.
    pub fn inner(&self) -> &T {
        &self.inner
    }

    async fn stage<R>(&self, stage: &'static str, work: impl Future<Output = R>) -> R {
        let began = Instant::now();
        let done =
            work.instrument(info_span!("stage", otel.name = stage, cofferdam.stage = stage)).await;
        self.outlet.observe(metrics::STAGE_DURATION, &[("stage", stage)], began.elapsed());
        done
    }
}

impl Planner for Observed<Tools> {
    async fn plan(
        &self,
        tool: ComponentDigest,
        arguments: &str,
    ) -> Result<Result<Draft, ToolRefusal>, GuestError> {
        let planned = self.stage("plan", self.inner.plan(tool, arguments)).await;
        if let Err(error) = &planned {
            self.outlet.count(
                metrics::TOOL_ERRORS,
                &[("tool", &tool.short()), ("code", &error.code)],
                1,
            );
        }
        planned
    }
}

impl Judge for Observed<Policies> {
    async fn evaluate(&self, entrypoint: &str, input: &str) -> Result<String, GuestError> {
        let stage = if entrypoint == cofferdam_core::policy::digest::LIST_ENTRYPOINT {
            "discover"
        } else {
            "decide"
        };
        let began = Instant::now();
        let decided = self.stage(stage, self.inner.evaluate(entrypoint, input)).await;
        self.outlet.observe(metrics::POLICY_EVALUATION, &[("phase", stage)], began.elapsed());
        if let Err(error) = &decided {
            self.outlet.count(metrics::POLICY_ERRORS, &[("code", &error.code)], 1);
        }
        decided
    }
}

impl Viewer for Observed<Arc<Roles>> {
    async fn read(&self, request: ReadRequest) -> Result<ReadResponse, RoleError> {
        let stage = if matches!(request, ReadRequest::Preview { .. }) { "preview" } else { "look" };
        self.stage(stage, self.inner.read(&request)).await
    }
}

impl Recorder for Observed<Arc<Roles>> {
    async fn propose(&self, propose: Propose) -> Result<Proposed, RoleError> {
        let stage = match &propose {
            Propose::Enqueue { .. } | Propose::Permit { .. } => "enqueue",
            Propose::Job { .. } | Propose::Task { .. } => "wait",
            Propose::Plan { .. }
            | Propose::NextApproved { .. }
            | Propose::NextPreview { .. }
            | Propose::Previewed { .. }
            | Propose::Tokens { .. }
            | Propose::Served { .. }
            | Propose::Invited { .. }
            | Propose::Enrol { .. }
            | Propose::Head
            | Propose::Runners
            | Propose::Health
            | Propose::Counts => {
                return self.inner.recorder.call(&propose).await;
            }
            _ => "record",
        };
        let answer = self.stage(stage, self.inner.propose(&propose)).await;
        self.call_log.recorded(&self.outlet, &propose, &answer);
        answer
    }
}

/// Counts the end of a call of a tool of the catalog, with its code.
pub fn ended(outlet: &Outlet, tool: &str, began: Instant, reply: &Reply) {
    let error = match reply {
        Reply::Success(_) | Reply::Listed(_) => "",
        Reply::Refused(_) | Reply::BadArguments { .. } => "tool_error",
        Reply::UnknownTool { .. } => return,
        Reply::Busy { .. } | Reply::OverLimit { .. } | Reply::Unavailable { .. } => "-32603",
    };
    let labels = [(MCP_METHOD_NAME, "tools/call"), (GEN_AI_TOOL_NAME, tool), (ERROR_TYPE, error)];
    outlet.observe(metrics::MCP_OPERATION_DURATION, &labels, began.elapsed());
}
