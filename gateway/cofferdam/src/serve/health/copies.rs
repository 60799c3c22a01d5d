//! The copies that `serve` uses: whole, as long as it serves. Makes none again: a restart does.

use super::Findings;
use crate::config::home::Home;
use crate::serve::copies::Copies;

/// Copies that are named one by one; of more, all are named together.
const NAMED: usize = 3;

/// What makes them again. That the next start succeeds is looked at apart.
const REMEDY: &str = "start `cofferdam serve` again, which copies the home's own files again";

/// Looks at each of them.
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
