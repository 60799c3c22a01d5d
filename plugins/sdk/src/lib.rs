//! The SDK for authors of Cofferdam tools and executors. A tool that is built with it has no
//! imports. An executor imports its handles and progress notes, and observations if it waits for
//! objects.
//!
//! A **tool** is a manifest and two functions. `define` describes the tool and the widest plan that
//! it may return. `plan` turns arguments into a draft. [`tool!`] exports both and makes a test of
//! every example in the definition. `plugins/tools/hello` is the worked example.
//!
//! An **executor** is one function that performs approved operations in an order. [`executor!`]
//! exports it.
//!
//! | module | content |
//! |---|---|
//! | [`tool`] | the items for tools: definition, ceiling, draft, kinds of objects |
//! | [`executor`] | the items for executors: handles, outcomes, readiness, progress |
//! | `check` | the checks in the tests that [`tool!`] makes; not in guests |
//! | `memory` | the allocator of guests, for a memory that never grows |
//!
//! The contract is `wit/tool.wit` and `wit/executor.wit`. This crate has a copy, so that it also
//! builds outside of its repository.

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
