//! Whether the home could be served anew: what the next start would be refused for. Starts nothing.

use super::{Findings, keys, parts};
use crate::config::Installation;
use crate::config::home::{Home, SECRETS};
use crate::serve::copies::{self, Facts};

/// How a line begins that tells what the next start would be refused for.
pub const NEXT: &str = "what is served stays in use, and the next start will fail: ";

/// What was found of the next start, for as long as no file of the home changes.
#[derive(Debug, Default)]
pub struct NextStart {
    seen: Vec<Option<Facts>>,
    refused: Vec<String>,
}

impl NextStart {
    /// What the next start would be refused for, a sentence with its remedy each. Reads the files
    /// only when one of them changed: a look each second must cost little.
    pub fn refused(&mut self, home: &Home) -> &[String] {
        let files = copies::originals(home).into_iter().chain([home.agents()]);
        let seen: Vec<_> = files
            .chain(SECRETS.map(|secret| home.secret(secret)))
            .map(|path| Facts::of(&path))
            .collect();
        if self.seen != seen {
            self.refused = refusals(home);
            self.seen = seen;
        }
        &self.refused
    }
}

fn refusals(home: &Home) -> Vec<String> {
    match Installation::read(home.clone()) {
        Ok(installation) => {
            let mut found = Findings::default();
            keys(home, &installation.trust, false, &mut found);
            parts(home, &installation.trust, &mut found);
            found
                .bad_ones()
                .map(|finding| format!("{}: {}; {}", finding.what, finding.detail, finding.remedy))
                .collect()
        }
        // A parser's message has lines of its own; a view shows one.
        Err(errors) => errors
            .0
            .iter()
            .map(|error| error.to_string().split_whitespace().collect::<Vec<_>>().join(" "))
            .collect(),
    }
}
