//! Builds of the files of a tree: kustomizations, and Flux and Argo CD objects that name a folder.
//! Says under which namespace and name an object is built, which files set a field again, and which
//! name a file. Builds nothing: runs no `kustomize`, Helm or generator, fetches nothing, and
//! changes no file.
//!
//! | file | content |
//! |---|---|
//! | `view.rs` | values of a document by key |
//! | `layer.rs` | what one kustomization says |
//! | `parse.rs` | a kustomization file; `parse/flux.rs`, `parse/argo.rs` objects |
//! | `graph.rs` | which layer includes which file; `graph/link.rs` makes it |
//! | `identity.rs` | namespace and name under which an object is built |
//! | `overrides.rs` | which layers set a field again |
//! | `delete.rs` | what still names a file or an object that goes |
//! | `autoscaler.rs` | objects that set the replicas of others at run time |
//! | `placeholder.rs` | values that another program fills in |

pub mod autoscaler;
pub mod delete;
pub mod graph;
pub mod identity;
mod layer;
pub mod overrides;
mod parse;
pub mod placeholder;
#[cfg(test)]
mod tests;
pub mod view;
