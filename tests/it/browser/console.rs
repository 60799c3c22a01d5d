//! The console in a real browser at the size of a phone: a new call appears, an operator filters,
//! turns pages, checks the proof of a call and cancels it.

use super::Browser;
use crate::installation::TestInstallation;
use crate::passkeys::{asked, origin, single};
use serde_json::json;

/// Calls beside the one of the story: with it, more than one page has.
const PREVIEWS: usize = 52;

/// Olga makes a passkey in this browser, and becomes an operator of the console.
fn enter(installation: &TestInstallation, browser: &Browser) {
    let link = installation.json(&["people", "invite", "olga@example.com"])["link"].clone();
    browser.open(link.as_str().unwrap());
    browser.tap("#enrol");
    browser.until_seen("Your passkey is made.");
    let print = browser.run("return document.querySelector('#print').textContent");
    let confirm = ["people", "confirm", "olga@example.com", "--role", "operator"];
    installation.run(&[&confirm[..], &["--fingerprint", print.as_str().unwrap()]].concat());
}

/// The ids of the calls on the page.
fn listed(browser: &Browser) -> Vec<String> {
    let ids = browser
        .run("return [...document.querySelectorAll('#rows li')].map((row) => row.dataset.call)");
    serde_json::from_value(ids).unwrap()
}

#[test]
#[cfg_attr(without_browser, ignore = "no browser: COFFERDAM_BROWSER is not 1")]
fn an_operator_watches_filters_checks_and_cancels_calls_on_a_phone() {
    let installation = single();
    let token = installation.agent("release", "operator");
    let browser = Browser::start(360, 740, false);
    enter(&installation, &browser);
    for replicas in 0..PREVIEWS {
        let change = json!({"namespace": "storefront", "name": "web", "replicas": replicas + 20});
        let path = "/v1/tools/deployment_scale/preview";
        installation.http("POST", path, &token, Some(&change));
    }
    let console = |path: &str| format!("{}/console{path}", origin(&installation));
    browser.open(&console("/calls"));
    browser.tap("#sign-in");
    browser.until_seen("New calls are shown as they come.");
    // A new call appears by itself, and is announced.
    let call = asked(&installation, &token, 17);
    let row = format!("document.querySelector('#rows li:first-child').dataset.call === '{call}'");
    browser.until(&row);
    browser.until_seen("New, awaiting approval: deployment_scale");
    browser.picture("console-calls");
    // Pages follow each other without a gap or a repetition.
    let first = listed(&browser);
    browser.run("document.querySelector('a[rel=next]').click()");
    browser.until("location.search.startsWith('?before=')");
    let mut all = listed(&browser);
    all.extend(first);
    let count = all.len();
    all.sort();
    all.dedup();
    assert_eq!((all.len(), count), (PREVIEWS + 1, PREVIEWS + 1));
    // While a person reads further down, new calls wait for a tap.
    browser.open(&console("/calls"));
    browser.until_seen("New calls are shown as they come.");
    browser.run("scrollTo(0, document.body.scrollHeight)");
    let second = asked(&installation, &token, 18);
    browser.until_seen("Show 1 new call");
    assert!(!listed(&browser).contains(&second));
    browser.tap("#show-news");
    assert_eq!(listed(&browser)[0], second);
    // The filter is in the address.
    browser.run("document.querySelector('summary').click()");
    browser.run("document.querySelector('#filter-state').value = 'awaiting_approval'");
    browser.tap(".filter button");
    browser.until("location.search.includes('state=awaiting_approval')");
    assert_eq!(listed(&browser), [second.clone(), call.clone()]);
    browser.open(&console(&format!("/calls/{call}")));
    browser.until_seen("Asked");
    browser.picture("console-call");
    browser.tap("#check");
    browser.until_seen("of this page are in the ledger of");
    let told = browser.text();
    assert!(told.contains("The signature of the recorder's key is right."), "{told}");
    // A changed proof is found.
    browser.run(
        "const fetched = window.fetch;
         window.fetch = async (...given) => {
           const told = await (await fetched(...given)).json();
           const [head, extra, ...rest] = told.proofs[0].proof.split('\\n');
           told.proofs[0].proof = [head, extra.replace(/.$/, '') + 'A', ...rest].join('\\n');
           return { ok: true, json: async () => told };
         };",
    );
    browser.tap("#check");
    browser.until_seen("Not proven:");
    browser.open(&console(&format!("/calls/{call}")));
    browser.tap("#cancel-call");
    browser.until_seen("give a reason of 1 to 300 visible characters");
    browser.run("document.querySelector('#because').value = 'the release is over'");
    browser.tap("#cancel-call");
    browser.until_seen("The call is cancelled.");
    let story = installation.closed(&call);
    assert_eq!(story["view"]["outcome"], "cancelled", "{story:#}");
    // The list is made a moment after the ledger.
    let cancelled = console("/calls?state=cancelled");
    let mut looks = 0;
    while listed(&browser) != [call.clone()] {
        assert!(looks < 100, "never listed:\n{}", browser.text());
        browser.open(&cancelled);
        looks += 1;
    }
    for page in ["", "/agents", "/tools", "/policy", "/health"] {
        browser.open(&console(page));
        browser.until("document.querySelector('h1') !== null");
        browser.picture(&format!("console{}", page.replace('/', "-")));
    }
    installation.verify_ledger();
}
