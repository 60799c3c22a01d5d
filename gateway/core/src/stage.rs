//! The stages of a call. Each consumes the value of the stage before it, so that no stage can be
//! skipped. Runs no tool and evaluates no policy: that happens behind `journey::ports`.

// In the order of a call.
pub mod discover;

pub mod validate;

pub mod plan;

pub mod seal;

pub mod preview;

pub mod question;

pub mod judge;

pub mod askable;

pub mod enqueue;

// Later checks: of a waiting question, of a stored job, of a policy before it is accepted.
pub mod drift;
pub mod largest;
pub mod outdated;
pub mod readmit;
