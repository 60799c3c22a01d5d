//! Against a real API server, with the real manifests of `deploy/` and each identity's own token.

mod acting;
mod client;
mod faults;
mod fences;
mod held;
mod impersonation;
pub mod installation;
mod journey;
mod node;
mod selfcheck;
mod viewing;
