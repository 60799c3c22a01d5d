//! Chromium's accessibility tree of a page: what a screen reader tells a person. Each control has a
//! name, the page has one title, one main heading and its landmarks.

use super::Browser;
use serde_json::{Value, json};

/// Roles that a person acts on.
const CONTROLS: [&str; 18] = [
    "button",
    "link",
    "textbox",
    "searchbox",
    "checkbox",
    "radio",
    "combobox",
    "listbox",
    "menuitem",
    "option",
    "slider",
    "spinbutton",
    "switch",
    "tab",
    "treeitem",
    "DisclosureTriangle",
    "PopUpButton",
    "Date",
];

/// The parts of the tree that are wrong, one text each.
pub fn faults(browser: &Browser) -> Vec<String> {
    let told = browser.cdp("Accessibility.getFullAXTree", &json!({}));
    let nodes: Vec<&Value> = told["nodes"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|node| node["ignored"] == json!(false))
        .collect();
    let role = |node: &Value| node["role"]["value"].as_str().unwrap_or_default().to_owned();
    let name = |node: &Value| node["name"]["value"].as_str().unwrap_or_default().trim().to_owned();
    let level = |node: &Value| {
        let all = node["properties"].as_array();
        let own = all.and_then(|all| all.iter().find(|one| one["name"] == "level"));
        own.and_then(|one| one["value"]["value"].as_u64()).unwrap_or(0)
    };
    let of = |wanted: &str| nodes.iter().filter(|node| role(node) == wanted).count();
    let mut faults = Vec::new();
    for node in &nodes {
        let role = role(node);
        if (CONTROLS.contains(&role.as_str()) || role == "image") && name(node).is_empty() {
            faults.push(format!("a {role} without a name: {node}"));
        }
    }
    let levels: Vec<u64> =
        nodes.iter().filter(|node| role(node) == "heading").map(|node| level(node)).collect();
    let first = levels.iter().filter(|level| **level == 1).count();
    if first != 1 {
        faults.push(format!("{first} headings of the first level"));
    }
    let jumps = levels.windows(2).any(|pair| pair[1] > pair[0] + 1);
    if jumps {
        faults.push(format!("a level of headings is left out: {levels:?}"));
    }
    for landmark in ["main", "banner"] {
        if of(landmark) != 1 {
            faults.push(format!("{} landmarks `{landmark}`", of(landmark)));
        }
    }
    let root = nodes.iter().find(|node| role(node) == "RootWebArea").map(|node| name(node));
    if root.is_none_or(|title| !title.contains("Cofferdam")) {
        faults.push("the page has no title of ours".to_owned());
    }
    faults
}
