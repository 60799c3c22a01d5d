//! A page by keyboard alone: Tab reaches every control in both directions, and shows where it is.

use super::Browser;
use serde_json::{Value, json};

/// The keys of WebDriver.
const TAB: &str = "\u{e004}";
const SHIFT: &str = "\u{e008}";
const ENTER: &str = "\u{e007}";

/// Marks what a keyboard has to reach, and starts at the top of the page.
const MARK: &str = "document.activeElement?.blur();
    window.stops = [...document.querySelectorAll(
        'a[href], button, input, select, textarea, summary, [tabindex]')].filter((one) =>
        !one.disabled && one.tabIndex >= 0 && one.checkVisibility({visibilityProperty: true}));
    window.getSelection().removeAllRanges();
    return stops.length";

/// The place of the focus among them, or -1, and whether a person sees it.
const WHERE: &str = "const at = document.activeElement; const style = getComputedStyle(at);
    return [stops.indexOf(at), style.outlineStyle !== 'none' && parseFloat(style.outlineWidth) >= 2,
        at.outerHTML.slice(0, 120)]";

impl Browser {
    /// Presses keys together, and lets them go.
    pub fn press(&self, keys: &[&str]) {
        let down = keys.iter().map(|key| json!({"type": "keyDown", "value": key}));
        let up = keys.iter().rev().map(|key| json!({"type": "keyUp", "value": key}));
        let actions: Vec<Value> = down.chain(up).collect();
        let keyboard = json!({"actions": [{"type": "key", "id": "keyboard", "actions": actions}]});
        self.command("POST", "/actions", &keyboard);
    }

    /// Goes to a control by Tab alone, and presses Enter.
    pub fn enter(&self, selector: &str) {
        let there = json!(selector);
        self.until(&format!(
            "(document.querySelector({there}) ?? {{disabled: true}}).disabled !== true"
        ));
        let is_there = format!("return document.activeElement.matches({})", json!(selector));
        for _ in 0..100 {
            if self.run(&is_there) == json!(true) {
                self.press(&[ENTER]);
                return;
            }
            self.press(&[TAB]);
        }
        panic!("Tab never reaches `{selector}`:\n{}", self.text());
    }

    /// Types words where the focus is.
    pub fn type_words(&self, words: &str) {
        for letter in words.chars() {
            self.press(&[&letter.to_string()]);
        }
    }
}

/// The controls that Tab does not reach, or that do not show that they have the focus.
pub fn faults(browser: &Browser) -> Vec<String> {
    let mut faults = Vec::new();
    for (way, keys) in [("Tab", &[TAB][..]), ("Shift and Tab", &[SHIFT, TAB][..])] {
        let count = usize::try_from(browser.run(MARK).as_u64().unwrap()).unwrap();
        let mut seen = vec![false; count];
        // One press more than there are controls: the focus leaves the page between two rounds.
        for _ in 0..count + 2 {
            browser.press(keys);
            let told = browser.run(WHERE);
            let Some(at) = told[0].as_u64().and_then(|at| usize::try_from(at).ok()) else {
                continue;
            };
            if told[1] != json!(true) && !seen[at] {
                faults.push(format!("no sign of the focus: {}", told[2]));
            }
            seen[at] = true;
        }
        for (at, _) in seen.iter().enumerate().filter(|(_, seen)| !**seen) {
            let control = browser.run(&format!("return stops[{at}].outerHTML.slice(0, 120)"));
            faults.push(format!("{way} does not reach {control}"));
        }
    }
    faults
}
