//! The binary `cofferdam`: commands for people, the supervisor, and the roles `gateway` and
//! `recorder`. Decides nothing itself.
//!
//! `command` uses `serve` and `config`; `serve` uses `config`; `config` uses neither.
//!
//! | folder | content |
//! |---|---|
//! | `command/` | one file for each command; `command.rs` is the list |
//! | `command/show/` | texts for people: stories, questions, ceilings |
//! | `serve/` | the supervisor and the two roles of this binary |
//! | `serve/health/` | the checks of an installation, for `doctor` and for `serve` |
//! | `serve/copies/` | the copies of accepted files that a running `serve` uses |
//! | `config/` | `cofferdam.toml`, `agents.toml`, the trust file and the layout of the home |

mod command;
mod config;
mod serve;

use std::process::ExitCode;

fn main() -> ExitCode {
    command::main()
}
