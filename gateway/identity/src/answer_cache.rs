//! The answers of introspections, by the digest of the token, for some seconds: a client makes many
//! requests with one token. Refused tokens have places of their own, so that any number of invented
//! ones displaces no good answer. Bounded, and never keeps a token.

use crate::issuer::Checked;
use crate::refused::Refused;
use cofferdam_core::model::id::TokenDigest;
use jiff::Timestamp;
use std::collections::HashMap;

/// Seconds for which an answer is kept. A withdrawn token is good for this time at most.
const SECONDS: i64 = 30;

/// The most answers of each kind. Past it, all of the kind are asked for again.
const MOST: usize = 4_096;

type Answer = Result<Checked, Refused>;

/// The answers that are kept.
#[derive(Debug, Default)]
pub struct AnswerCache {
    good: Kept<Checked>,
    refused: Kept<Refused>,
}

impl AnswerCache {
    /// The kept answer about a token.
    pub fn get(&self, token: &TokenDigest, now: Timestamp) -> Option<Answer> {
        let good = self.good.get(token, now).map(Ok);
        good.or_else(|| self.refused.get(token, now).map(Err))
    }

    /// Keeps an answer about a token.
    pub fn keep(&mut self, token: TokenDigest, answer: &Answer, now: Timestamp) {
        match answer {
            Ok(checked) => {
                let end = checked.expires().as_second();
                self.refused.0.remove(&token);
                self.good.keep(token, checked, end, now);
            }
            Err(refused) => {
                self.good.0.remove(&token);
                self.refused.keep(token, refused, i64::MAX, now);
            }
        }
    }
}

/// Answers of one kind, each with the second at which it ends.
#[derive(Debug)]
struct Kept<T>(HashMap<TokenDigest, (T, i64)>);

impl<T> Default for Kept<T> {
    fn default() -> Self {
        Self(HashMap::new())
    }
}

impl<T: Clone> Kept<T> {
    fn get(&self, token: &TokenDigest, now: Timestamp) -> Option<T> {
        let (answer, until) = self.0.get(token)?;
        (now.as_second() < *until).then(|| answer.clone())
    }

    fn keep(&mut self, token: TokenDigest, answer: &T, end: i64, now: Timestamp) {
        let now = now.as_second();
        if self.0.len() >= MOST {
            self.0.retain(|_, (_, until)| now < *until);
        }
        if self.0.len() >= MOST {
            self.0.clear();
        }
        self.0.insert(token, (answer.clone(), end.min(now + SECONDS)));
    }
}
