//! The same in a real browser: only a browser shows which cookies it sends along the way back from
//! another site.

use super::World;
use crate::browser::Browser;
use crate::passkeys::origin;

#[test]
#[cfg_attr(without_browser, ignore = "no browser: COFFERDAM_BROWSER is not 1")]
fn a_person_signs_in_at_the_issuer_and_out_again() {
    let mut world = World::start();
    world.person("ada@example.com", "ops");
    let browser = Browser::start(360, 740, false);
    browser.open(&format!("{}/sign-in", origin(&world.installation)));
    browser.until_seen("Auditors and operators may sign in at their organisation");
    browser.picture("sign-in-issuer");
    browser.tap("#issuer");
    browser.until_seen("You signed in as ada@example.com, at the issuer of your organisation.");
    browser.picture("signed-in");
    browser.tap("#sign-out");
    browser.until_seen("Signing in approves nothing.");
    world.person("eve@example.com", "staff");
    browser.tap("#issuer");
    browser.until_seen("no group of `eve@example.com` has a role here");
    browser.picture("no-role");
}
