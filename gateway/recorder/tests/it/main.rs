//! The recorder as its binary holds it, on a real store in a temporary folder.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "helpers of tests fail as tests do"
)]

mod approvers;
mod backlog;
mod budgets;
mod callers;
mod calls;
mod console;
mod console_entry;
mod crash;
mod escalation;
mod failing;
mod gateways;
mod invitations;
mod jobs;
mod leases;
mod ledger;
mod lost;
mod model;
mod outbox;
mod people;
mod postgres;
mod reload;
mod resume;
mod retention;
mod stops;
mod stuck;
mod world;
