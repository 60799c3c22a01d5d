//! Pages for people, probes and Prometheus. None of them tells anything about calls.

use crate::deny::{Deny, revisions};
use crate::gate::is_local;
use crate::respond::{self, Answer};
use crate::route::Edge;
use crate::seats::Seat;
use cofferdam_core::ports::Front;
use hyper::StatusCode;

impl<F: Front> Edge<F> {
    /// `GET /`: where one is, and where to go.
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
                 probes       GET  /healthz  /readyz\n\
                 metrics      GET  /metrics                   from this machine only\n",
                environment = self.front.environment(),
                instructions = self.front.instructions(),
                revisions = revisions(),
            ),
        )
    }

    /// `GET /readyz`.
    pub async fn ready(&self) -> Answer {
        match self.front.ready().await {
            Ok(()) => respond::text(StatusCode::OK, "ready\n"),
            Err(missing) => respond::text(StatusCode::SERVICE_UNAVAILABLE, format!("not ready: {missing}\n")),
        }
    }

    /// `GET /metrics`: for whoever scrapes on this machine.
    pub async fn metrics(&self, seat: &Seat) -> Result<Answer, Deny> {
        if !is_local(seat.client) {
            return Err(Deny::NotLocal);
        }
        let mut text = self.front.metrics().await;
        text.push_str(&self.count.prometheus());
        Ok(respond::with(StatusCode::OK, "text/plain; version=0.0.4; charset=utf-8", text))
    }
}
