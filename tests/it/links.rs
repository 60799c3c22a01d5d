//! Roles on hosts of their own: each in a process tree and a home of its own, linked by mutual TLS.

mod attacks;
mod fleet;
pub mod hosts;
mod rolling;
mod story;
mod stranger;
mod versions;
