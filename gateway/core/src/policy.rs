//! Policy: its input, its output, and the approvals it asks for. Never evaluates Rego itself.
//!
//! Words follow the AuthZEN Authorization API 1.0 (`subject`, `action`, `resource`, `context`).
//! Every key is always present.

pub mod approval;
pub mod approvals;
pub mod asked;
pub mod delegation;
pub mod digest;
pub mod enrolment;
pub mod input;
pub mod output;
pub mod passkey;
#[cfg(test)]
mod schema;
pub mod sign_in;
