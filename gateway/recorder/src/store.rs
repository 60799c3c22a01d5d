//! The one SQLite file: opened by one process, written by one task, changed only by plain data.
//! Never asked by anybody but the handlers.

mod batch;
mod busy;
pub mod change;
mod enqueue;
pub mod examine;
mod expire;
mod held;
mod lease;
pub mod open;
mod people;
mod read;
mod retire;
mod row;
mod run;
mod same;
mod source;
mod writer;

pub(crate) use batch::{Halt, Head, put_checkpoint};
pub(crate) use held::Held;
pub(crate) use read::Reader;
pub(crate) use same::Sameness;
pub use source::database;
pub(crate) use source::{Source, described, tried};
pub(crate) use writer::{Request, WAITING, Writer};
