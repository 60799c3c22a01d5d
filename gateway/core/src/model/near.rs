//! Near misses: the existing name that was probably meant by a missing one. Only ever given
//! names that its reader may see; never guesses what to do, only says what there is.

/// Edits by which a name that was meant may differ: a letter twice, one left out, two swapped
/// (which are two), a hyphen.
const EDITS: usize = 3;

/// Names of one list: what a model reads at a glance.
const LISTED: usize = 12;

/// Characters of a name that are compared: names in Kubernetes have at most 253, and comparing
/// takes the product of both.
const LONGEST: usize = 253;

/// Kinds that run pods and are taken for each other.
pub const WORKLOADS: [&str; 3] = ["Deployment", "StatefulSet", "DaemonSet"];

/// True if this kind is one of [`WORKLOADS`].
pub fn is_workload(kind: &str) -> bool {
    WORKLOADS.contains(&kind)
}

/// The name that was most likely meant: the fewest edits away, and at most a third of its letters.
pub fn nearest<'a>(given: &str, there: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let most = EDITS.min((given.chars().count() / 3).max(1));
    let near =
        there.into_iter().filter_map(|name| edits(given, name, most).map(|edits| (edits, name)));
    near.min().map(|(_, name)| name)
}

/// `` `api`, `web` and 3 more ``, in the order given, each once; empty for no names.
pub fn listed<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    let mut once: Vec<&str> = Vec::new();
    for name in names {
        if !once.contains(&name) {
            once.push(name);
        }
    }
    let more = once.len().saturating_sub(LISTED);
    let quoted = |name: &&str| format!("`{}`", crate::model::escape::line(name));
    let mut words: Vec<String> = once.iter().take(LISTED).map(quoted).collect();
    if more > 0 {
        words.push(format!("{more} more"));
    }
    match words.split_last() {
        None => String::new(),
        Some((only, [])) => only.clone(),
        Some((last, rest)) => format!("{} and {last}", rest.join(", ")),
    }
}

/// Single-character edits from one to the other; `None` where there are more than `most`.
fn edits(one: &str, other: &str, most: usize) -> Option<usize> {
    let (one, other): (Vec<char>, Vec<char>) = (one.chars().collect(), other.chars().collect());
    if one.len().max(other.len()) > LONGEST || one.len().abs_diff(other.len()) > most {
        return None;
    }
    // Levenshtein, a row at a time: `row[j]` is the distance from what was read of `one` to the
    // first `j` of `other`.
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (at, left) in one.iter().enumerate() {
        let mut next = Vec::with_capacity(row.len());
        next.push(at + 1);
        for ((right, above), diagonal) in other.iter().zip(row.iter().skip(1)).zip(&row) {
            let before = next.last().copied().unwrap_or_default();
            next.push((diagonal + usize::from(left != right)).min(above + 1).min(before + 1));
        }
        row = next;
    }
    row.last().copied().filter(|edits| *edits <= most)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_name_is_found_and_a_far_one_is_not() {
        let there = ["storefront", "storefront-staging", "payments", "platform", "web", "api"];
        let near = |given: &str| nearest(given, there);
        assert_eq!(near("store-front"), Some("storefront"));
        assert_eq!(near("storefrnot"), Some("storefront"));
        assert_eq!(near("payment"), Some("payments"));
        assert_eq!(near("wbe"), None, "two edits of three letters");
        assert_eq!(near("wev"), Some("web"));
        assert_eq!(near("checkout"), None);
        assert_eq!(near(""), None);
        assert_eq!(near(&"x".repeat(10_000)), None);
        assert_eq!(nearest("zürich", ["zurich"]), Some("zurich"));
    }

    #[test]
    fn lists_are_bounded() {
        assert_eq!(listed([]), "");
        assert_eq!(listed(["web"]), "`web`");
        assert_eq!(listed(["web", "web", "metrics"]), "`web` and `metrics`");
        let many: Vec<String> = (0..40).map(|number| format!("n{number:02}")).collect();
        let told = listed(many.iter().map(String::as_str));
        assert!(
            told.starts_with("`n00`, `n01`, ") && told.ends_with("`n11` and 28 more"),
            "{told}"
        );
    }
}
