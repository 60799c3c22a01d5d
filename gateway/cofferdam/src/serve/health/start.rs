//! The errors that would stop the next start of `serve` on this home. Starts nothing.

use super::{Findings, keys, parts};
use crate::config::Installation;
use crate::config::home::{Home, SECRETS};
use crate::serve::copies::{self, Facts};

/// The beginning of a line about an error that would stop the next start.
pub const NEXT: &str = "what is served stays in use, and the next start will fail: ";

/// The beginning of a line about files that a reload would bring into use.
pub const UNLOADED: &str = "not loaded yet: ";

/// The errors of the next start, valid until a file of the home changes.
#[derive(Debug, Default)]
pub struct NextStart {
    seen: Vec<Option<Facts>>,
    refused: Vec<String>,
}

impl NextStart {
    /// The errors that would stop the next start, each a sentence with its remedy. Reads the files
    /// only after a change, because the check runs each second.
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
            let role = installation.config.role();
            keys(home, role, &installation.trust, false, &mut found);
            parts(home, role, &installation.trust, &mut found);
            found
                .bad_ones()
                .map(|finding| format!("{}: {}; {}", finding.what, finding.detail, finding.remedy))
                .collect()
        }
        // The message of a parser has several lines; a view shows one.
        Err(errors) => errors
            .0
            .iter()
            .map(|error| error.to_string().split_whitespace().collect::<Vec<_>>().join(" "))
            .collect(),
    }
}
