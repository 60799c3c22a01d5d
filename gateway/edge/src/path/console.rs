//! The paths of the console. A call's id has 26 characters, so it is no other name below
//! `/console/calls`. Knows no handler.

use hyper::Method;

/// The pages of the console, their exports, and the requests of their script.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum ConsolePage {
    /// The script of the console.
    Script,
    /// The questions that wait.
    Waiting,
    /// The list of calls.
    Calls,
    /// The list of calls as a CSV file.
    CallsCsv,
    /// The list of calls as a JSON file, a line for each call.
    CallsJson,
    /// The stream of new and changed calls.
    Changes,
    /// One call as a story.
    Call,
    /// The proofs of a call's ledger entries.
    Proof,
    /// The cancellation of a call.
    Cancel,
    /// The agents.
    Agents,
    /// The tools.
    Tools,
    /// The policy.
    Policy,
    /// The state of roles, ledger, backlog and disk.
    Health,
}

impl ConsolePage {
    /// Those without an id in their path.
    const FIXED: [Self; 10] = [
        Self::Script,
        Self::Waiting,
        Self::Calls,
        Self::CallsCsv,
        Self::CallsJson,
        Self::Changes,
        Self::Agents,
        Self::Tools,
        Self::Policy,
        Self::Health,
    ];

    /// The path, or its pattern.
    pub fn name(self) -> &'static str {
        match self {
            Self::Script => "/assets/console.js",
            Self::Waiting => "/console",
            Self::Calls => "/console/calls",
            Self::CallsCsv => "/console/calls.csv",
            Self::CallsJson => "/console/calls.jsonl",
            Self::Changes => "/console/changes",
            Self::Call => "/console/calls/{id}",
            Self::Proof => "/console/calls/{id}/proof",
            Self::Cancel => "/console/calls/{id}/cancel",
            Self::Agents => "/console/agents",
            Self::Tools => "/console/tools",
            Self::Policy => "/console/policy",
            Self::Health => "/console/health",
        }
    }

    /// The page of a path, and the id in it.
    pub fn of(path: &str) -> Option<(Self, &str)> {
        if let Some(page) = Self::FIXED.into_iter().find(|page| page.name() == path) {
            return Some((page, ""));
        }
        let rest = path.strip_prefix("/console/calls/")?;
        let (id, page) = match rest.split_once('/') {
            None => (rest, Self::Call),
            Some((id, "proof")) => (id, Self::Proof),
            Some((id, "cancel")) => (id, Self::Cancel),
            Some(_) => return None,
        };
        (!id.is_empty()).then_some((page, id))
    }

    /// The method of the page or request.
    pub fn method(self) -> Method {
        if self == Self::Cancel { Method::POST } else { Method::GET }
    }

    /// The methods that are served, for a refusal.
    pub fn methods(self) -> &'static str {
        if self == Self::Cancel { "POST" } else { "GET, HEAD" }
    }

    /// Returns whether a browser shows the answer as a page.
    pub fn is_document(self) -> bool {
        matches!(
            self,
            Self::Waiting
                | Self::Calls
                | Self::Call
                | Self::Agents
                | Self::Tools
                | Self::Policy
                | Self::Health
        )
    }

    /// Returns whether the path takes a query string.
    pub fn takes_query(self) -> bool {
        matches!(self, Self::Calls | Self::CallsCsv | Self::CallsJson | Self::Changes)
    }
}

#[cfg(test)]
mod tests {
    use super::ConsolePage as Page;

    #[test]
    fn each_path_is_one_page_or_none() {
        for (path, found) in [
            ("/console", Some((Page::Waiting, ""))),
            ("/console/calls", Some((Page::Calls, ""))),
            ("/console/calls.csv", Some((Page::CallsCsv, ""))),
            ("/console/calls/abc", Some((Page::Call, "abc"))),
            ("/console/calls/abc/proof", Some((Page::Proof, "abc"))),
            ("/console/calls/abc/cancel", Some((Page::Cancel, "abc"))),
            ("/console/calls/", None),
            ("/console/calls//proof", None),
            ("/console/calls/abc/other", None),
            ("/console/calls/abc/proof/x", None),
            ("/console/other", None),
            ("/consoles", None),
        ] {
            assert_eq!(Page::of(path), found, "{path}");
        }
    }
}
