//! Checks the copies that `serve` uses. Never makes a copy: a restart does.

use super::Findings;
use crate::config::home::Home;
use crate::serve::copies::Copies;

/// The most copies with a finding of their own; more have one finding together.
const NAMED: usize = 3;

/// The remedy. Another check tells whether the next start would succeed.
const REMEDY: &str = "start `cofferdam serve` again, which copies the home's own files again";

/// Checks each copy.
pub fn copies(home: &Home, copies: &Copies, found: &mut Findings) {
    let served = home.served();
    let folder = served.display();
    let damaged = copies.damaged();
    if damaged.len() > NAMED {
        let (lost, all) = (damaged.len(), copies.files().len());
        let detail = format!(
            "`{folder}` holds what is served, and {lost} of its {all} files are gone or were \
             changed"
        );
        return found.bad("served", detail, REMEDY);
    }
    for (name, happened) in damaged {
        found.bad(
            "served",
            format!("in `{folder}` the copy of `{}` {happened}", name.display()),
            REMEDY,
        );
    }
}
