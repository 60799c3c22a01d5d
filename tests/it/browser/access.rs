//! Every page for everyone: by the rules of axe-core, in Chromium's accessibility tree, by keyboard,
//! on a phone and on a desk, light and dark, and with letters of double size. The same pages are the
//! pictures of the documentation: `UPDATE_PICTURES=1` takes them again.

use super::paths::{is_page, patterns};
use super::{Browser, axe, enrol, keyboard, tree};
use crate::installation::TestInstallation;
use crate::passkeys::{asked, origin, single};
use crate::tidy::root;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;

/// The person of these pages.
const CARL: &str = "carl@example.com";

/// The sizes of a phone and of a desk, in CSS pixels.
const PHONE: (u32, u32) = (360, 740);
const DESK: (u32, u32) = (1280, 800);

/// The pictures of all pages.
const PICTURES: &str = "docs/pictures";

/// The most of a page that a picture shows, in CSS pixels.
const TALL: u64 = 1600;

/// Paths of the table that no person opens.
const NOT_FOR_PEOPLE: [&str; 4] = ["/assets/", "/v1/", "/.well-known/", "/{oauth}"];

impl Browser {
    /// Shows the page in this size and scheme, without loading it again.
    fn look(&self, (width, height): (u32, u32), dark: bool) {
        let metrics = json!({"width": width, "height": height, "deviceScaleFactor": 1,
            "mobile": width < 600});
        self.cdp("Emulation.setDeviceMetricsOverride", &metrics);
        let scheme = if dark { "dark" } else { "light" };
        let features = json!([{"name": "prefers-color-scheme", "value": scheme}]);
        self.cdp("Emulation.setEmulatedMedia", &json!({"features": features}));
        self.until(&format!(
            "matchMedia('(width: {width}px) and (prefers-color-scheme: {scheme})').matches"
        ));
    }

    /// A picture of the page from its top on, as PNG.
    fn whole(&self, width: u32) -> Vec<u8> {
        let height = self.run(
            "document.activeElement?.blur(); scrollTo(0, 0);
             return Math.max(document.documentElement.scrollHeight, 1)",
        );
        let height = height.as_u64().unwrap().min(TALL);
        let clip = json!({"x": 0, "y": 0, "width": width, "height": height, "scale": 1});
        let taken = self.cdp(
            "Page.captureScreenshot",
            &json!({"format": "png", "clip": clip, "captureBeyondViewport": true}),
        );
        STANDARD.decode(taken["data"].as_str().unwrap()).unwrap()
    }

    /// The elements that are wider than the page.
    fn too_wide(&self, width: u32) -> Vec<String> {
        let script = format!(
            "if (document.documentElement.scrollWidth <= {width}) return [];
            return [...document.querySelectorAll('body *')]
                .filter((one) => one.getBoundingClientRect().right > {width} + 0.5)
                .map((one) => one.outerHTML.slice(0, 120)).concat(['(the page)'])"
        );
        let found = self.run(&script);
        found.as_array().unwrap().iter().map(ToString::to_string).collect()
    }

    /// The elements that cut their own words off.
    fn cut_off(&self) -> Vec<String> {
        let script = "return [...document.querySelectorAll('body *')].filter((one) => {
                const style = getComputedStyle(one);
                return ['hidden', 'clip'].includes(style.overflowX) && one.clientWidth > 1 &&
                    (one.scrollWidth > one.clientWidth + 1 || one.scrollHeight > one.clientHeight + 1);
            }).map((one) => one.outerHTML.slice(0, 120))";
        let found = self.run(script);
        found.as_array().unwrap().iter().map(ToString::to_string).collect()
    }
}

/// Checks pages, and collects what is wrong with them.
struct Check<'a> {
    browser: &'a Browser,
    axe: String,
    wrong: Vec<String>,
    /// The page of the book with all pictures.
    book: String,
}

impl<'a> Check<'a> {
    fn new(browser: &'a Browser) -> Self {
        let book = std::fs::read_to_string(root().join("docs/pages.md")).unwrap();
        Self { browser, axe: axe::script(), wrong: Vec::new(), book }
    }

    fn note(&mut self, page: &str, what: &str, faults: Vec<String>) {
        self.wrong.extend(faults.into_iter().map(|fault| format!("{page}, {what}: {fault}")));
    }

    /// Checks the page that is open.
    fn page(&mut self, name: &str) {
        let browser = self.browser;
        browser.until("document.readyState === 'complete'");
        axe::load(browser, &self.axe);
        for (size, device) in [(PHONE, "phone"), (DESK, "desk")] {
            for dark in [false, true] {
                browser.look(size, dark);
                let what = format!("{device} {}", if dark { "dark" } else { "light" });
                self.note(name, &what, axe::violations(browser));
            }
            self.note(name, &format!("{device}, width"), browser.too_wide(size.0));
            self.note(name, &format!("{device}, tree"), tree::faults(browser));
            self.note(name, &format!("{device}, keyboard"), keyboard::faults(browser));
            // Letters of double size, as a person sets them in the browser.
            browser.run("document.documentElement.style.fontSize = '200%'");
            self.note(name, &format!("{device}, 200 % letters"), browser.too_wide(size.0));
            self.note(name, &format!("{device}, 200 % letters"), browser.cut_off());
            browser.run("document.documentElement.style.fontSize = ''");
        }
        self.pictures(name);
        // The same with the whole page at 200 %.
        browser.look((DESK.0 / 2, DESK.1 / 2), false);
        self.note(name, "desk, 200 % zoom", browser.too_wide(DESK.0 / 2));
        browser.look(PHONE, false);
    }

    /// The two pictures of a page, which the documentation has: taken again on request, and there.
    fn pictures(&mut self, name: &str) {
        for (size, dark, device) in [(PHONE, false, "phone"), (DESK, true, "desk")] {
            let file = root().join(PICTURES).join(format!("{name}-{device}.png"));
            if std::env::var_os("UPDATE_PICTURES").is_some() {
                self.browser.look(size, dark);
                std::fs::write(&file, self.browser.whole(size.0)).unwrap();
            }
            let shown = format!("(pictures/{name}-{device}.png)");
            if !file.exists() || !self.book.contains(&shown) {
                let fault = "UPDATE_PICTURES=1 takes it, and docs/pages.md shows it".to_owned();
                self.note(name, &format!("no picture {}", file.display()), vec![fault]);
            }
        }
    }

    fn open(&mut self, name: &str, url: &str) {
        self.browser.open(url);
        self.page(name);
    }

    fn done(self) {
        assert!(self.wrong.is_empty(), "{}", self.wrong.join("\n"));
    }
}

/// A path of a pattern, with these values.
fn filled(pattern: &str, call: &str) -> String {
    let path = pattern.replace("{id}", call).replace("{name}", "deployment_scale");
    assert!(!path.contains('{'), "no value for `{pattern}`: add one to this test");
    path
}

fn sign_in(browser: &Browser) {
    browser.tap("#sign-in");
    browser.until("document.querySelector('#sign-in') === null");
}

/// The name of a page in a picture: `console-calls-id`.
fn name_of(pattern: &str) -> String {
    let words = pattern.trim_matches('/').replace(['{', '}'], "").replace('/', "-");
    if words.is_empty() { "home".to_owned() } else { words }
}

#[test]
#[cfg_attr(without_browser, ignore = "no browser: COFFERDAM_BROWSER is not 1")]
fn every_page_is_without_fault_on_phone_and_desk_in_light_and_dark() {
    let installation = single();
    let browser = Browser::start(PHONE.0, PHONE.1, false);
    let mut check = Check::new(&browser);
    // The pages of an invitation.
    enrol_slowly(&installation, &mut check);
    // One person in every role of the console.
    installation.run(&["people", "add", CARL, "--role", "auditor", "--role", "operator"]);
    let token = installation.agent("release", "operator");
    let (waiting, over) = (asked(&installation, &token, 17), asked(&installation, &token, 18));
    let here = origin(&installation);
    let open = |call: &str| format!("{here}/approve/{call}");
    check.open("signing-in", &open(&waiting));
    sign_in(&browser);
    browser.until_seen("What it would do");
    check.page("approve-id");
    browser.run("document.querySelectorAll('details').forEach((one) => (one.open = true))");
    check.page("approve-unfolded");
    browser.open(&open(&over));
    browser.tap("#approve");
    installation.closed(&over);
    // Pages beside their table: a question that is over, one that is not there, another address.
    check.open("approve-over", &open(&over));
    // Another change of the same object: a signature would make nothing run.
    check.open("approve-changed", &open(&waiting));
    check.open("approve-unknown", &open(&"a".repeat(26)));
    check.open("elsewhere", &format!("http://{}/enrol", installation.address()));
    // Every other page of the table.
    let for_people = |path: &String| !NOT_FOR_PEOPLE.iter().any(|start| path.starts_with(start));
    for pattern in patterns().into_iter().filter(for_people) {
        let path = filled(&pattern, &waiting);
        browser.open(&open(&waiting));
        if pattern != "/approve/{id}" && is_page(&browser, &path) {
            // The page of an agent's own person takes the agent's token as a password.
            let url = match path.starts_with("/calls/") {
                true => format!("{}{path}", here.replace("//", &format!("//x:{token}@"))),
                false => format!("{here}{path}"),
            };
            check.open(&name_of(&pattern), &url);
        }
    }
    // The story of a call that ran, and a list that has none.
    check.open("console-story", &format!("{here}/console/calls/{over}"));
    check.open("console-none", &format!("{here}/console/calls?tool=none"));
    check.done();
}

/// Carl makes a passkey, and each of its pages is checked.
fn enrol_slowly(installation: &TestInstallation, check: &mut Check<'_>) {
    let browser = check.browser;
    let link = installation.json(&["approver", "invite", CARL])["link"].clone();
    browser.open(link.as_str().unwrap());
    browser.until("document.querySelector('#invited')?.hidden === false");
    check.page("enrol-invited");
    browser.tap("#enrol");
    browser.until_seen("Your passkey is made.");
    check.page("enrol-made");
    let print = browser.run("return document.querySelector('#print').textContent");
    let print = print.as_str().unwrap();
    installation.run(&["approver", "confirm", CARL, "--fingerprint", print]);
}

#[test]
#[cfg_attr(without_browser, ignore = "no browser: COFFERDAM_BROWSER is not 1")]
fn a_person_signs_in_and_approves_or_denies_by_keyboard_alone() {
    let installation = single();
    let browser = Browser::start(DESK.0, DESK.1, false);
    enrol(&installation, &browser);
    let token = installation.agent("release", "operator");
    let (good, bad) = (asked(&installation, &token, 17), asked(&installation, &token, 18));
    let here = origin(&installation);
    browser.open(&format!("{here}/approve/{good}"));
    browser.enter("#sign-in");
    browser.until_seen("What it would do");
    browser.enter("#approve");
    assert_eq!(installation.closed(&good)["view"]["outcome"], "succeeded");
    browser.open(&format!("{here}/approve/{bad}"));
    browser.until_seen("What it would do");
    browser.enter("details:has(#reason) > summary");
    browser.press(&["\u{e004}"]);
    assert_eq!(browser.run("return document.activeElement.id"), json!("reason"));
    browser.type_words("not before the release");
    browser.enter("#deny");
    let story = installation.closed(&bad);
    assert_eq!(story["view"]["detail"], "not before the release", "{story:#}");
}

#[test]
#[cfg_attr(without_browser, ignore = "no browser: COFFERDAM_BROWSER is not 1")]
fn the_checks_see_what_is_wrong() {
    let installation = single();
    let browser = Browser::start(PHONE.0, PHONE.1, false);
    browser.open(&format!("{}/enrol", origin(&installation)));
    axe::load(&browser, &axe::script());
    let clean = || {
        browser.look(PHONE, false);
        let all = [axe::violations(&browser), tree::faults(&browser), keyboard::faults(&browser)];
        (all.concat(), browser.too_wide(PHONE.0))
    };
    assert_eq!(clean(), (vec![], vec![]));
    let add = |make: &str| {
        browser.run(&format!(
            "const one = document.createElement('button'); one.id = 'wrong'; {make};
             document.querySelector('main').append(one)"
        ));
        let found = clean();
        browser.run("document.querySelector('#wrong').remove()");
        found
    };
    let (found, wide) = add("one.textContent = ''");
    assert!(found.iter().any(|one| one.starts_with("button-name")), "{found:?}");
    assert!(found.iter().any(|one| one.contains("a button without a name")), "{found:?}");
    assert!(wide.is_empty(), "{wide:?}");
    let (found, _) = add("one.textContent = 'wrong'; one.style.color = '#777'; \
                          one.style.background = '#888'");
    assert!(found.iter().any(|one| one.starts_with("color-contrast")), "{found:?}");
    let (found, _) = add("one.textContent = 'wrong'; one.style.outline = 'none'");
    assert!(found.iter().any(|one| one.starts_with("no sign of the focus")), "{found:?}");
    let (found, _) = add("one.textContent = 'wrong'; \
                          one.onfocus = () => document.querySelector('#wrong').blur()");
    assert!(found.iter().any(|one| one.contains("does not reach")), "{found:?}");
    let (_, wide) = add("one.textContent = 'wrong'; one.style.width = '50rem'");
    assert!(wide.len() > 1, "{wide:?}");
}
