//! A `Front` for tests: its reply depends on the name of the tool alone. It counts the slow calls
//! that started and ended.

use cofferdam_core::journey::ports::{
    Answered, Front, FrontCall, ProgressSink, Readiness, Unauthenticated,
};
use cofferdam_core::model::answer::{
    Changed, Listed, Proof, Refusal, RefusalKind, Reply, Success, ToolListing, ToolListings,
};
use cofferdam_core::model::caller::Principal;
use cofferdam_core::model::id::{CallId, PlanDigest};
use cofferdam_core::model::trust::Environment;
use cofferdam_core::protocol::RoleError;
use cofferdam_testkit::build::principal;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// The one valid token.
pub const TOKEN: &str = "token-of-alice";

#[derive(Default)]
pub struct FakeFront {
    /// True if a token is needed.
    pub closed: bool,
    /// The number of further tools.
    pub extra: u32,
    /// True if no list and no call works.
    pub down: bool,
    /// Slow calls that started.
    pub started: AtomicU32,
    /// Slow calls that ended.
    pub finished: AtomicU32,
    /// Lets held calls go on.
    pub let_go: tokio::sync::Notify,
    /// HTTP requests in progress.
    pub active: AtomicU32,
    /// Events that the edge reported, with the number of each.
    pub counts: Mutex<BTreeMap<String, u32>>,
    /// The last call that the Front got.
    pub last: Mutex<Option<FrontCall>>,
}

impl FakeFront {
    fn count(&self, event: String) {
        *self.counts.lock().unwrap().entry(event).or_default() += 1;
    }
}

pub fn id() -> CallId {
    CallId::from_random(0x0123_4567_89ab_cdef)
}

fn proof() -> Proof {
    Proof { call: id(), plan: Some(PlanDigest::of(b"plan")), ledger: Some(41) }
}

fn success(text: &str, structured: Value, complete: bool) -> Reply {
    Reply::Success(Success { text: text.to_owned(), structured, proof: proof(), complete })
}

fn refusal(kind: RefusalKind, verb: &'static str, changed: Changed) -> Reply {
    Reply::Refused(Refusal {
        kind,
        verb,
        proof: proof(),
        rule: "replicas.limit".into(),
        environment: Environment { name: "staging".into(), id: "e1".into() },
        changed,
        why: "40 replicas are more than 10".into(),
        allowed: "up to 10 replicas".into(),
        next: "ask for fewer replicas".into(),
    })
}

fn tool(name: &str) -> ToolListing {
    ToolListing {
        name: name.to_owned(),
        title: format!("Tool {name}"),
        description: format!("Does {name} in staging."),
        input_schema: json!({"type": "object", "properties": {"purpose": {"type": "string",
        "maxLength": 300}}}),
        output_schema: json!({"type": "object", "$defs": {"n": {"type": "integer"}},
        "properties": {"replicas": {"$ref": "#/$defs/n"}}}),
        read_only: false,
        destructive: true,
        idempotent: true,
    }
}

impl Front for FakeFront {
    async fn authenticate(&self, token: Option<&str>) -> Result<Principal, Unauthenticated> {
        match token {
            Some(TOKEN) => Ok(principal("alice")),
            Some(_) => Err(Unauthenticated::Unknown),
            None if self.closed => Err(Unauthenticated::Missing),
            None => Ok(Principal { anonymous: true, ..principal("anonymous") }),
        }
    }

    async fn list(&self, _principal: &Principal) -> Result<ToolListings, RoleError> {
        if self.down {
            return Err(RoleError::Unavailable(
                "the policy engine at its secret place is away".into(),
            ));
        }
        let numbered = (0..self.extra).map(|number| tool(&format!("tool_{number:03}")));
        // `preview` is a built-in tool: a tool of that name must not be listed twice.
        let tools = [tool("scale"), tool("preview")].into_iter().chain(numbered);
        Ok(tools.map(Arc::new).collect())
    }

    async fn call(&self, call: FrontCall, progress: &ProgressSink) -> Reply {
        *self.last.lock().unwrap() = Some(call.clone());
        match call.tool.as_str() {
            "scale" => success("SCALED web to 3", json!({"replicas": 3}), true),
            "waiting" => {
                success("WAITING for a person", json!({"phase": "awaiting_approval"}), false)
            }
            "array" => success("three", json!([1, 2, 3]), true),
            "denied" => refusal(RefusalKind::Denied, "DENIED", Changed::Nothing),
            "declined" => refusal(RefusalKind::Declined, "DECLINED", Changed::Nothing),
            "conflict" => refusal(RefusalKind::Conflict, "CONFLICT", Changed::Nothing),
            "failed" => refusal(RefusalKind::Unsuccessful, "FAILED", Changed::Undone),
            "lost" => refusal(RefusalKind::Unsuccessful, "INDETERMINATE", Changed::Unknown),
            "bad" => Reply::BadArguments {
                path: "/replicas".into(),
                reason: "it must be at most 10".into(),
            },
            "down" => Reply::Unavailable { reason: "the recorder does not answer".into() },
            "crowd" => Reply::Busy {
                reason: "4000 jobs wait for a runner, for about 420 seconds, and the permit of \
                         this call would be good for 600 seconds"
                    .into(),
                retry_after_seconds: 120,
            },
            "slow" => {
                self.started.fetch_add(1, Ordering::SeqCst);
                tokio::time::sleep(Duration::from_millis(300)).await;
                self.finished.fetch_add(1, Ordering::SeqCst);
                success("slow but done", json!({}), true)
            }
            // Held until the test lets it go.
            "held" => {
                self.started.fetch_add(1, Ordering::SeqCst);
                self.let_go.notified().await;
                self.finished.fetch_add(1, Ordering::SeqCst);
                success("held and done", json!({}), true)
            }
            // The last line and the end of the call come together.
            "talks" | "talks_and_fails" => {
                for line in ["RUNNING", "The executor says: \"one\"", "The executor says: \"two\""]
                {
                    tokio::time::sleep(Duration::from_millis(50)).await;
                    progress(line.to_owned());
                }
                self.finished.fetch_add(1, Ordering::SeqCst);
                match call.tool.as_str() {
                    "talks" => success("said it all", json!({"replicas": 3}), true),
                    _ => Reply::Unavailable { reason: "the recorder does not answer".into() },
                }
            }
            "big" => success(&"x".repeat(8 << 20), json!({}), true),
            "panic" => panic!("on purpose"),
            _ => Reply::UnknownTool { name: call.tool },
        }
    }

    async fn preview(&self, call: FrontCall) -> Reply {
        *self.last.lock().unwrap() = Some(call.clone());
        success(
            &format!("PREVIEW of {} with {}", call.tool, call.arguments),
            json!({"decision": "allow"}),
            true,
        )
    }

    async fn job(
        &self,
        principal: &Principal,
        call: &CallId,
        wait_ms: u64,
        progress: &ProgressSink,
    ) -> Reply {
        if *call != id() {
            return refusal(RefusalKind::Absent, "NOT FOUND", Changed::Nothing);
        }
        if wait_ms > 0 {
            progress("RUNNING".to_owned());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        success(
            &format!("job of {}, held {wait_ms} ms", principal.name),
            json!({"phase": "closed"}),
            true,
        )
    }

    async fn calls(&self, principal: &Principal, open: bool, limit: u32) -> Reply {
        let text = format!("calls of {}: open {open}, limit {limit}", principal.name);
        Reply::Listed(Listed { text, structured: json!({"calls": []}) })
    }

    async fn cancel(&self, principal: &Principal, _call: &CallId) -> Reply {
        success(&format!("withdrawn by {}", principal.name), json!({"outcome": "cancelled"}), true)
    }

    fn instructions(&self) -> String {
        "Changes to staging, decided by policy.".into()
    }

    fn environment(&self) -> String {
        "staging".into()
    }

    async fn ready(&self) -> Readiness {
        let missing = if self.down { vec!["policy does not answer".into()] } else { Vec::new() };
        Readiness { missing, ..Readiness::default() }
    }

    fn answered(&self, answered: &Answered) {
        let Answered { method, route, status, code, .. } = answered;
        self.count(format!("answered {method} {route} {status} {code}"));
    }

    fn active(&self, requests: u32) {
        self.active.store(requests, Ordering::SeqCst);
    }

    fn mixed_revisions(&self, client: &str) {
        self.count(format!("mixed revisions by {client}"));
    }

    async fn metrics(&self) -> String {
        let active = self.active.load(Ordering::SeqCst);
        let counts = self.counts.lock().unwrap();
        let lines = counts.iter().map(|(event, count)| format!("{event}: {count}\n"));
        format!("active: {active}\n") + &lines.collect::<String>()
    }
}
