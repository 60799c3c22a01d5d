//! The binary `cofferdam`: commands for people, the supervisor, and the roles `gateway` and
//! `recorder`. Decides nothing itself.
//!
//! | folder | what |
//! |---|---|
//! | `command/` | one file per command; `command/mod.rs` is the list |
//! | `config/` | `cofferdam.toml` and `agents.toml`, checked |
//! | `health/` | what can be wrong with an installation |
//! | `serve/` | the supervisor and the two roles of this binary |
//! | `show/` | texts for people: stories, questions, ceilings |
//! | `served.rs` | the copies that `serve` uses until its next start |
//! | `guest.rs` | asking a guest process one thing |
//! | `home.rs` | where each file of an installation lies |
//! | `encode.rs` | components from core modules |

mod command;
mod config;
mod encode;
mod guest;
mod health;
mod home;
mod serve;
mod served;
mod show;

use std::process::ExitCode;

fn main() -> ExitCode {
    command::main()
}
