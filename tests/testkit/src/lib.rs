//! Builders and an HTTP client for the tests of all crates but the core, which this crate depends
//! on. Only a dev-dependency; never part of a program.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails where it cannot build its data"
)]

pub mod authenticator;
pub mod build;
pub mod http;
pub mod issuer;
pub mod postgres;
pub mod tls;
