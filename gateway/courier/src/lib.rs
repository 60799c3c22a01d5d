//! The role `courier`: the one role that connects to servers outside of the infrastructure. It
//! fetches the keys of configured issuers, asks them about opaque tokens, and sends notifications to
//! people. It reaches the configured hosts alone, faces no agent, and has no key, no store and no
//! Wasm.
//!
//! | file | content |
//! |---|---|
//! | `courier.rs` | answers one request of the gateway, within its limits |
//! | `issuer.rs` | one issuer: metadata, keys, introspection |
//! | `http.rs` | one HTTP request for each connection |
//! | `trust.rs` | the certificates that are trusted, and the secrets of clients |
//! | `notify.rs` | notifications: one task for each receiver |
//! | `cache_age.rs` | how long a response may be kept |
//! | `retry_after.rs` | the pause for which a server asks |
//! | `role.rs` | the process: files, confinement, sockets |

pub mod cache_age;
pub mod courier;
pub mod http;
pub mod issuer;
pub mod notify;
pub mod retry_after;
pub mod role;
pub mod trust;
