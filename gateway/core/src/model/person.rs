//! The rule for the identity of a person: one rule for names, used wherever a name is compared with
//! another person's. Names come from identity providers, the trust file and policies. Two spellings
//! of one name are never two people.

/// True if two names may be one person's: in any case of the letters, and with or without the
/// domain. A person who cannot approve is a smaller harm than a person who approves their own
/// request, or counts as two.
pub fn same_person(a: &str, b: &str) -> bool {
    let local = |name: &str| name.split_once('@').map_or(name, |(local, _)| local).to_owned();
    a.eq_ignore_ascii_case(b)
        || (a.contains('@') != b.contains('@') && local(a).eq_ignore_ascii_case(&local(b)))
}

/// One name for each person among these, in the order given. Names with a domain come first,
/// because they distinguish people whom a bare name does not.
pub fn people<'a>(names: impl IntoIterator<Item = &'a str>) -> Vec<&'a str> {
    let mut names: Vec<&str> = names.into_iter().collect();
    names.sort_by_key(|name| !name.contains('@'));
    let mut people: Vec<&str> = Vec::new();
    for name in names {
        if !people.iter().any(|known| same_person(known, name)) {
            people.push(name);
        }
    }
    people
}

/// The first pair of different names that are one person's.
pub fn two_spellings<'a>(names: &[&'a str]) -> Option<(&'a str, &'a str)> {
    let other = |(at, first): (usize, &&'a str)| {
        let rest = names.iter().skip(at + 1);
        rest.copied()
            .find(|second| second != first && same_person(first, second))
            .map(|second| (*first, second))
    };
    names.iter().enumerate().find_map(other)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_spelling_is_the_same_person() {
        let check = |a, b, expect| {
            assert_eq!(same_person(a, b), expect, "{a} {b}");
            assert_eq!(same_person(b, a), expect, "{b} {a}");
        };
        check("alice", "alice", true);
        check("alice", "Alice", true);
        check("alice", "ALICE@example.com", true);
        check("alice@example.com", "alice@Example.com", true);
        check("alice@example.com", "alice@example.org", false);
        check("alice", "bob", false);
        check("alice", "alicex@example.com", false);
        check("alice", "", false);
        check("@example.com", "alice", false);
    }

    #[test]
    fn each_person_is_counted_once() {
        let check = |names: &[&str], expect: usize| {
            assert_eq!(people(names.iter().copied()).len(), expect, "{names:?}")
        };
        check(&[], 0);
        check(&["bob", "Bob", "bob@example.com", "BOB@EXAMPLE.COM"], 1);
        check(&["bob", "carl"], 2);
        // A bare name is one of the two, and takes no voice away from either.
        check(&["bob", "bob@example.com", "bob@example.org"], 2);
    }

    #[test]
    fn two_keys_under_one_name_are_no_second_spelling() {
        assert_eq!(two_spellings(&["bob", "carl", "bob"]), None);
        assert_eq!(two_spellings(&["bob", "carl", "Bob"]), Some(("bob", "Bob")));
        assert_eq!(
            two_spellings(&["carl@example.com", "bob", "Carl"]),
            Some(("carl@example.com", "Carl"))
        );
    }
}
