//! What a Cofferdam tool or executor is written with. It reaches nothing: a tool built with it has
//! no import at all, an executor its handles, a word to people, and where it waits a look at what
//! is ready.
//!
//! A **tool** is a manifest and two functions. `define` says what the tool is and the widest plan
//! it may ever return; `plan` turns arguments into a draft. [`tool!`] exports both, and makes every
//! example in the definition a test. `plugins/tools/hello` is the worked example.
//!
//! An **executor** is one function that performs approved operations in some order. [`executor!`]
//! exports it.
//!
//! | module | what is in it |
//! |---|---|
//! | [`tool`] | everything a tool uses: definition, ceiling, draft, kinds of objects |
//! | [`executor`] | everything an executor uses: handles, outcomes, readiness, progress |
//! | `check` | what the tests that [`tool!`] makes are written with; not in guests |
//! | `memory` | the allocator of guests: a fixed memory that never grows |
//!
//! The contract is `wit/tool.wit` and `wit/executor.wit`, carried in this crate so that it also
//! builds outside its repository.

extern crate self as cofferdam_sdk;

#[doc(hidden)]
pub mod bindings;
#[cfg(not(target_arch = "wasm32"))]
pub mod check;
pub mod executor;
#[cfg(any(target_arch = "wasm32", test))]
mod memory;
pub mod tool;

#[doc(hidden)]
pub use wit_bindgen;
