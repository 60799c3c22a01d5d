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
//! | `fault.rs` | what went wrong, as one stable code |
//! | `store.rs` | one guest's account: memory, tables, ticks, host calls |
//! | `examine.rs` | what a stranger's component is for |
//! | `ticker.rs` | the thread that counts guests' time, while there are any |
//! | `load.rs` | whether a component is of its world and asks for nothing else; artefacts |
//! | `bindings.rs` | the generated types of both worlds, private |
//! | `convert/` | a guest's words to the core's types: every size and form of the WIT |
//! | `plan.rs` | one tool, one call |
//! | `tools.rs` | the gateway's tools, on worker threads: the core's `Planner` |
//! | `policy.rs` | one policy, one decision |
//! | `execute.rs` | one executor, one job |
//! | `command.rs` | one command of a task, one run: all of WASI there is |
//! | `guest.rs` | the one request of a `cofferdam-guest` process |
//! | `policies.rs` | the gateway's policy, on worker threads: the core's `Judge` |

mod bindings;
pub mod command;
mod convert;
pub mod engine;
pub mod examine;
pub mod execute;
pub mod fault;
pub mod guest;
pub mod limit;
pub mod load;
pub mod plan;
pub mod policies;
pub mod policy;
mod store;
mod ticker;
pub mod tools;
mod workers;

#[cfg(test)]
mod tests;
