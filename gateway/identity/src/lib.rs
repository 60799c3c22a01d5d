//! Access tokens of OAuth 2.1: is a token valid for this server, who is its bearer, and what may it
//! be used for? Pure functions: no I/O, and clock and keys are arguments. Never passes a token on.
//!
//! | file | content |
//! |---|---|
//! | `token.rs` | a token as it was sent, read strictly and not believed |
//! | `keys.rs`, `signature.rs` | the keys of an issuer; a signature by one of them |
//! | `issuer.rs` | the checks of a token of one issuer |
//! | `claims.rs`, `identity.rs` | claims by name; claims as principal, access and binding |
//! | `id_token.rs` | an ID token of a person at the console |
//! | `proof.rs` | the proof of a sender (RFC 9449) and its certificate (RFC 8705) |
//! | `key_cache.rs`, `answer_cache.rs`, `replays.rs` | what is kept, how long, and how much |
//! | `refused.rs` | a refusal: words for its sender, and words for the log |

mod answer_cache;
mod claims;
mod id_token;
mod identity;
mod issuer;
mod key_cache;
mod keys;
mod proof;
mod refused;
mod replays;
mod signature;
mod token;

pub use answer_cache::AnswerCache;
pub use id_token::{IdTokenError, IdTokens};
pub use identity::{Binding, Identity};
pub use issuer::{Checked, Issuer, SettingsError};
pub use key_cache::{KeyCache, Step};
pub use keys::{KeySet, KeysError};
pub use proof::Sender;
pub use refused::Refused;
pub use replays::Replays;
pub use signature::{ALGORITHMS, PROOF_ALGORITHMS};
pub use token::{Jwt, TOKEN_BYTES, is_jwt};

#[cfg(test)]
mod tests;
