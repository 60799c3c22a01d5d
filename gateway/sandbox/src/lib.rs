//! # Sandbox of Cofferdam: runs untrusted code
//! The only crate that names wasmtime. It loads tools, executors, policies and Wasm commands, runs
//! each call in a fresh sandbox under named limits, and converts results to types of the core. It
//! decides nothing: ceilings, precedence and rights belong to the core.
//! | file | content |
//! |---|---|
//! | `engine.rs` | the engines that compile and run guests |
//! | `limit.rs` | the limits of guests, with reasons |
//! | `error.rs` | errors of guests, with one stable code each |
//! | `accounting.rs` | the account of one guest: memory, tables, ticks, host calls |
//! | `examine.rs` | the purpose of an unknown component |
//! | `ticker.rs` | the thread that counts guest time while guests are alive |
//! | `world.rs` | the check of a component against its world |
//! | `load.rs` | artefacts: compiling, and loading machine code |
//! | `bindings.rs` | the generated types of both worlds, private |
//! | `convert/` | values of a guest to types of the core: every size and form of the WIT |
//! | `tool.rs` | one tool, one call |
//! | `tool_pool.rs` | the gateway's tools: the core's `Planner` |
//! | `policy.rs` | one policy, one decision |
//! | `policy_pool.rs` | the gateway's policy: the core's `Judge` |
//! | `workers.rs` | the threads that run tools and policies |
//! | `overrun.rs` | the guests that took too long on a serving thread |
//! | `list_memo.rs` | list decisions that were given already, by the exact bytes of their question |
//! | `execute.rs` | one executor, one job |
//! | `wasi_command.rs` | one Wasm command of a task, one run: the only user of WASI |
//! | `guest.rs` | the one request of a `cofferdam-guest` process |

mod accounting;
mod bindings;
mod convert;
pub mod engine;
pub mod error;
pub mod examine;
pub mod execute;
pub mod guest;
pub mod limit;
mod list_memo;
pub mod load;
mod overrun;
pub mod policy;
pub mod policy_pool;
mod ticker;
pub mod tool;
pub mod tool_pool;
pub mod wasi_command;
mod workers;
pub mod world;

#[cfg(test)]
mod tests;
