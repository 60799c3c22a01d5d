//! The edge: agents' calls in, answers out, over HTTP. The only crate that names hyper.
//!
//! It reads strictly, authenticates, hands over to a [`cofferdam_core::journey::ports::Front`] and
//! writes down what that answered. It decides nothing, plans nothing, holds no key and no store,
//! and never words a result of its own: the texts of results and refusals come from the journey.
//!
//! | path | what it serves | file |
//! |---|---|---|
//! | `POST /mcp` | MCP, revisions 2026-07-28 (stateless), 2025-11-25, 2025-06-18 and 2025-03-26 (without sessions) | `mcp.rs` |
//! | `/v1/…` | the same calls as plain HTTP | `plain.rs` |
//! | `/.well-known/oauth-…`, `/register` and the like | that there is no sign-in by OAuth | `auth.rs` |
//! | `/`, `/healthz`, `/readyz`, `/metrics` | for people, probes and Prometheus | `pages.rs` |
//!
//! A connection has a seat (`seats.rs`), and hands on heads that are whole and clear (`heads.rs`).
//! A request passes `gate` (Host, Origin), `body` (type, size, time), `auth` (who), then `mcp` or
//! `plain`, then `ask` (the one place that calls the Front with something that may change the
//! world). Every refusal of the edge itself is a row of `deny.rs`; every answer of the
//! Front becomes HTTP in `wire.rs`.

mod ask;
mod auth;
mod body;
mod calls;
mod companions;
mod cors;
mod count;
mod deny;
mod gate;
mod head;
mod header;
mod heads;
mod host;
mod mcp;
pub mod names;
mod pages;
mod patience;
mod plain;
mod respond;
mod route;
mod seats;
mod serve;
mod settings;
mod shares;
mod wire;

pub use calls::Calls;
pub use companions::is_companion;
pub use serve::{Drained, serve};
pub use settings::EdgeSettings;
pub use wire::bad_arguments;
