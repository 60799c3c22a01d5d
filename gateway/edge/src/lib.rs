//! The edge: HTTP requests of agents in, responses out. The only crate that names hyper.
//!
//! The edge reads requests strictly, authenticates the caller, calls a
//! [`cofferdam_core::journey::ports::Front`] and renders its reply. The edge decides nothing, plans
//! nothing, and holds no key and no store. The texts of results and refusals come from the journey.
//!
//! | path | service | file |
//! |---|---|---|
//! | `POST /mcp` | MCP, revisions 2026-07-28 (stateless), 2025-11-25, 2025-06-18 and 2025-03-26 (without sessions): tools, tasks, subscriptions, resources, prompts | `mcp.rs` |
//! | `/v1/…` | the same calls as plain HTTP | `rest_v1.rs` |
//! | `/v1/approvals…` | approvers on other machines: sign in, read, hand in signatures | `approvers.rs` |
//! | `/calls/ID` | the page of a call | `call_page.rs` |
//! | `/enrol` and its files | pages for approvers | `people.rs` |
//! | `/console…` | the console: calls, agents, tools, policy and health | `people/console.rs` |
//! | `/.well-known/oauth-…`, `/register` and the like | metadata of OAuth, or the error that there is none | `oauth.rs` |
//! | `/`, `/healthz`, `/readyz`, `/metrics` | pages for people, probes and Prometheus | `pages.rs` |
//!
//! A connection takes a seat (`seats.rs`), and shakes hands if TLS is configured (`tls.rs`).
//! `heads.rs` passes on only complete and unambiguous request heads. `dispatch.rs` picks the
//! handler of a path (`path.rs`). A request then passes `host_origin` (Host and Origin), `body`
//! (type, size, time), `auth` (the caller), `mcp` or `rest_v1`, and `submit`: the one place that
//! calls the Front with a request that may change the infrastructure. Each refusal of the edge
//! itself is a row of `deny.rs`. `render.rs` turns each reply of the Front into HTTP. `edge.rs` is
//! the state that all requests share.

mod approvers;
mod auth;
mod body;
mod bounded;
mod builtin_tools;
mod call_page;
mod calls;
mod cors;
mod deny;
mod dispatch;
mod edge;
mod followed;
mod head;
mod header;
mod heads;
mod host;
mod host_origin;
mod limit;
mod listed;
mod mcp;
mod metrics;
mod oauth;
pub mod oracle;
mod pages;
mod path;
mod peers;
mod people;
mod proxies;
mod rate;
mod render;
mod respond;
mod rest_v1;
mod seats;
mod serve;
mod settings;
mod shares;
pub mod span_names;
mod submit;
mod tls;
mod write_timeout;

pub use builtin_tools::is_builtin_tool;
pub use calls::Calls;
pub use followed::{Followed, FollowedFiles};
pub use rate::Rate;
pub use render::bad_arguments;
pub use serve::{Drained, serve};
pub use settings::{CALLS, EACH, EdgeSettings, WAITS, WITHOUT_TOKEN};
pub use shares::CallerLimits;
pub use tls::{ClientCertificate, Tls, TlsError, TlsFiles};
