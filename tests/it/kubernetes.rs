//! Against a real API server, with the real manifests of `deploy/` and each identity's own token.

mod acting;
mod actor;
mod faults;
mod fences;
mod held;
mod impersonation;
mod journey;
mod node;
mod selfcheck;
mod viewing;
pub mod world;
