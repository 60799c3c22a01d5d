//! A real PostgreSQL server for tests: private, in a temporary folder, with a Unix socket, a
//! loopback port and TLS. It ends with the process that started it, however that ends. Never a
//! server that was there before.
//!
//! `COFFERDAM_POSTGRES` names the folder of its programs; `scripts/test` sets it. A test that needs
//! a server says `#[cfg_attr(without_postgres, ignore = "needs PostgreSQL")]`.

mod database;
mod keeper;
mod server;
mod template;
#[cfg(test)]
mod tests;

pub use database::{Database, Refused};
pub use server::Server;

/// The superuser of each server. It has no password, so it connects at the Unix socket alone.
pub const SUPERUSER: &str = "postgres";
