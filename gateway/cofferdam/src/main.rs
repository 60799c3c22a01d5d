//! The binary `cofferdam`: commands for people, the supervisor, and the roles `gateway` and `recorder`. Decides nothing itself.
//!
//! | folder | what |
//! |---|---|
//! | `command/` | one file per command; `command/mod.rs` is the list |
//! | `config/` | `cofferdam.toml` and `agents.toml`, checked |
//! | `serve/` | the supervisor and the two roles of this binary |
//! | `show/` | texts for people: stories, questions, ceilings |
//! | `home.rs` | where each file of an installation lies |
//! | `encode.rs` | components from core modules |

mod command;
mod config;
mod encode;
mod home;
mod serve;
mod show;

use std::process::ExitCode;

fn main() -> ExitCode {
    command::main()
}
