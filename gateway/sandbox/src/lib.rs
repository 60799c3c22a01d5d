//! # Cofferdam's sandbox: runs untrusted code
//!
//! The only crate that names wasmtime. It loads tools, executors and policies, runs each call in a
//! fresh sandbox under named limits, and turns what comes out into the core's types. It decides
//! nothing: ceilings, precedence and who may ask are the core's matter.
//!
//! | file | what it answers |
//! |---|---|
//! | `engine.rs` | how guests are compiled, and who counts their time |
//! | `limit.rs` | how much of everything a guest may use, and why |
//! | `error.rs` | what went wrong, as one stable code |
//! | `accounting.rs` | one guest's account: memory, tables, ticks, host calls |
//! | `examine.rs` | what a stranger's component is for |
//! | `ticker.rs` | the thread that counts guests' time, while there are any |
//! | `load.rs` | whether a component is of its world and asks for nothing else; artefacts |
//! | `bindings.rs` | the generated types of both worlds, private |
//! | `convert/` | a guest's words to the core's types: every size and form of the WIT |
//! | `tool.rs` | one tool, one call |
//! | `tool_pool.rs` | the gateway's tools, on worker threads: the core's `Planner` |
//! | `policy.rs` | one policy, one decision |
//! | `execute.rs` | one executor, one job |
//! | `wasi_command.rs` | one command of a task, one run: all of WASI there is |
//! | `guest.rs` | the one request of a `cofferdam-guest` process |
//! | `policy_pool.rs` | the gateway's policy, on worker threads: the core's `Judge` |

mod accounting;
mod bindings;
mod convert;
pub mod engine;
pub mod error;
pub mod examine;
pub mod execute;
pub mod guest;
pub mod limit;
pub mod load;
pub mod policy;
pub mod policy_pool;
mod ticker;
pub mod tool;
pub mod tool_pool;
pub mod wasi_command;
mod workers;

// Former names, until each crate has the new ones.
#[doc(hidden)]
pub use policy_pool as policies;
#[doc(hidden)]
pub use tool_pool as tools;

#[cfg(test)]
mod tests;
