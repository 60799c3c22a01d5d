//! The ledger: an RFC 6962 Merkle log in the C2SP tile layout with Ed25519-signed checkpoints. Own
//! code over sha2 for tree, tiles and proofs. Never contains a payload, and never signs a tree that
//! does not continue the last one.

pub mod approvals;
pub mod export;
pub mod leaf;
pub mod note;
pub mod proof;
pub mod prove;
pub mod publish;
pub mod tile;
pub mod tree;
pub mod verify;
