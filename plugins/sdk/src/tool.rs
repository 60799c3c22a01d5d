//! The items for tools: definition, ceiling and drafts. None of them has an effect: a draft is a
//! proposal.
//!
//! Start with [`tool!`](crate::tool!), [`Definition::new`] and [`Draft::change`] or
//! [`Draft::look`].

mod definition;
mod draft;
mod egress;
mod entry;
mod kind;
mod manifest;
mod patch;
mod schema;
mod task;
mod workload;

pub use crate::bindings::tool_world::exports::cofferdam::tool::tool::{
    Action, Addresses, Apply, Ceiling, Change, Definition, Draft, Egress, Example, Grant, Image,
    Listing, Logs, Operation, Patch, Place, Program, Protocol, Read, Refusal, Step, Target, Task,
};
pub use definition::{EPHEMERAL, EVERYWHERE};
pub use draft::{ROLLOUT, SEQUENTIAL};
#[doc(hidden)]
pub use entry::{call, fits};
pub use kind::{
    CONFIG_MAP, DAEMON_SET, DEPLOYMENT, EVENT, JOB, Kind, NETWORK_POLICY, POD, SERVICE,
    STATEFUL_SET,
};
pub use manifest::{Manifest, in_order};
pub use patch::{HostValue, key, member};
pub use schema::CHANGE_OUTPUT;
pub use workload::may_apply;
