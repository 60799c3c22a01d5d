//! The answers of introspections, by the digest of the token, for some seconds: a client makes many
//! requests with one token. Bounded, and never keeps a token.

use crate::issuer::Checked;
use crate::refused::Refused;
use jiff::Timestamp;
use sha2::{Digest as _, Sha256};
use std::collections::HashMap;

/// Seconds for which an answer is kept. A withdrawn token is good for this time at most.
const SECONDS: i64 = 30;

/// The most answers. Past it, all are asked for again.
const MOST: usize = 4_096;

type Answer = Result<Checked, Refused>;

/// The answers that are kept.
#[derive(Debug, Default)]
pub struct AnswerCache(HashMap<[u8; 32], (Answer, i64)>);

impl AnswerCache {
    /// The kept answer about a token.
    pub fn get(&self, token: &str, now: Timestamp) -> Option<Answer> {
        let (answer, until) = self.0.get(&digest(token))?;
        (now.as_second() < *until).then(|| answer.clone())
    }

    /// Keeps an answer about a token.
    pub fn keep(&mut self, token: &str, answer: &Answer, now: Timestamp) {
        let now = now.as_second();
        if self.0.len() >= MOST {
            self.0.retain(|_, (_, until)| now < *until);
        }
        if self.0.len() >= MOST {
            self.0.clear();
        }
        let end = answer.as_ref().map_or(i64::MAX, |checked| checked.expires().as_second());
        self.0.insert(digest(token), (answer.clone(), end.min(now + SECONDS)));
    }
}

fn digest(token: &str) -> [u8; 32] {
    Sha256::digest(token).into()
}
