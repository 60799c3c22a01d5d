//! Pages for people, probes and Prometheus. They reveal nothing about calls.

use crate::deny::{Deny, revisions};
use crate::edge::Edge;
use crate::respond::{self, Answer};
use crate::seats::Seat;
use cofferdam_core::journey::ports::{Front, Readiness};
use hyper::StatusCode;
use hyper::header::ACCEPT;
use hyper::http::request::Parts;
use serde_json::json;
use std::time::{Duration, Instant};

/// The greatest age of a readiness that a client over the rate of probes gets: short beside the
/// pause of a prober.
const RECENT: Duration = Duration::from_secs(1);

impl<F: Front> Edge<F> {
    /// `GET /`: the name of this installation, and its paths.
    pub fn home(&self) -> Answer {
        respond::text(
            StatusCode::OK,
            format!(
                "Cofferdam, environment {environment}\n\
                 \n\
                 {instructions}\n\
                 \n\
                 MCP          POST /mcp                       bearer token; revisions {revisions}\n\
                 plain HTTP   GET  /v1/tools\n\
                 \x20            POST /v1/tools/NAME             body: the arguments; ?wait=SECONDS\n\
                 \x20            POST /v1/tools/NAME/preview     shows, changes nothing\n\
                 \x20            GET  /v1/jobs/ID                ?wait=SECONDS; DELETE withdraws\n\
                 approvers    GET  /v1/approvals              `cofferdam approve --server URL`\n\
                 pages        GET  /calls/ID                  the state of a call, for its person\n\
                 \x20            GET  /approve/ID                the question of a call, for its approvers\n\
                 \x20            GET  /console                   calls, tools, policy and health, for people\n\
                 probes       GET  /healthz  /readyz\n\
                 metrics      GET  /metrics                   from this machine only\n",
                environment = self.front.environment(),
                instructions = self.front.instructions(),
                revisions = revisions(),
            ),
        )
    }

    /// `GET /readyz`: 200 while calls can be carried out. The causes name files, so only clients on
    /// this machine get them.
    pub async fn ready(&self, parts: &Parts, seat: &Seat) -> Answer {
        if self.calls.is_draining() {
            let (status, word) = (StatusCode::SERVICE_UNAVAILABLE, "stopping");
            return if wants_json(parts) {
                respond::json(status, &json!({"ready": false, "missing": [word]}))
            } else {
                respond::text(status, format!("{word}\n"))
            };
        }
        let readiness = match self.probe(parts, seat) {
            Ok(()) => self.front.ready().await,
            // A probe may share its address with a client in a loop, so it is answered all the same.
            Err(_over) => self.recent_readiness().await,
        };
        let Readiness { missing, warnings, restart, stuck } = readiness;
        let status =
            if missing.is_empty() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
        // A page whose host name resolves to this machine is local too, and must get no causes.
        let told =
            self.client(&parts.headers, seat).is_local && self.host_origin.host(parts).is_ok();
        if wants_json(parts) {
            let mut body = json!({"ready": missing.is_empty()});
            if told && let Some(body) = body.as_object_mut() {
                body.insert("missing".to_owned(), json!(missing));
                body.insert("warnings".to_owned(), json!(warnings));
                body.insert("restart_needed".to_owned(), json!(restart));
                body.insert("stuck".to_owned(), json!(stuck));
            }
            return respond::json(status, &body);
        }
        let mut text = match (missing.is_empty(), told) {
            (true, _) => "ready\n".to_owned(),
            (false, true) => format!("not ready: {}\n", missing.join("; ")),
            (false, false) => "not ready\n".to_owned(),
        };
        for (what, causes) in [("warning", warnings), ("restart needed", restart), ("stuck", stuck)]
        {
            if told && !causes.is_empty() {
                text.push_str(&format!("{what}: {}\n", causes.join("; ")));
            }
        }
        respond::text(status, text)
    }

    /// The readiness, at most [`RECENT`] old. One request at a time asks for it.
    async fn recent_readiness(&self) -> Readiness {
        let mut last = self.readiness.lock().await;
        if let Some((told, readiness)) = &*last
            && told.elapsed() < RECENT
        {
            return readiness.clone();
        }
        let readiness = self.front.ready().await;
        *last = Some((Instant::now(), readiness.clone()));
        readiness
    }

    /// Counts one request for a page that costs work.
    pub fn probe(&self, parts: &Parts, seat: &Seat) -> Result<(), Deny> {
        self.probes.probe(self.client(&parts.headers, seat).address, Instant::now())
    }

    /// `GET /metrics`: for a collector on this machine.
    pub async fn metrics(&self, parts: &Parts, seat: &Seat) -> Result<Answer, Deny> {
        if !self.client(&parts.headers, seat).is_local {
            return Err(Deny::NotLocal);
        }
        let text = self.front.metrics().await;
        Ok(respond::with(StatusCode::OK, "text/plain; version=0.0.4; charset=utf-8", text))
    }
}

/// Returns whether a probe asks for JSON with its `Accept` header.
fn wants_json(parts: &Parts) -> bool {
    let accepted = parts.headers.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok());
    accepted.into_iter().any(|value| value.contains("application/json"))
}
