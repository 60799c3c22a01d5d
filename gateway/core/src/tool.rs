//! Tools: their definition, schemas and accepted ceiling, and the catalog of those that are loaded.
//! Never runs a tool.

mod able;
pub mod bound;
pub mod catalog;
pub mod compare;
pub mod facts;
pub mod load;
pub mod schema;

pub use able::able;
