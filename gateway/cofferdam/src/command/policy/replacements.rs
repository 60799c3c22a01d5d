//! The replacement for each builtin of `opa` that a compiled policy does not have. Only texts:
//! `capabilities.json` decides which builtins exist.

/// The replacement of a builtin; `None` for a function that `opa` does not have.
pub fn instead(builtin: &str) -> Option<&'static str> {
    let longest = |known: &&(&str, &str)| {
        known.0 == builtin || (known.0.ends_with('.') && builtin.starts_with(known.0))
    };
    INSTEAD.iter().filter(longest).max_by_key(|known| known.0.len()).map(|known| known.1)
}

/// A builtin, or a family that ends with a dot, and what to write.
const INSTEAD: [(&str, &str); 87] = [
    ("sprintf", "write the text as `$\"{change.value} replicas of {operation.name}\"`"),
    (
        "print",
        "leave it out of rules; tests may print, and `cofferdam policy eval` shows a decision \
         with its reasons",
    ),
    ("trace", "leave it out; `cofferdam policy eval` shows a decision with its reasons"),
    ("internal.print", "leave it out of rules; tests may print"),
    ("internal.test_case", "leave it out; only `opa test` has it"),
    // Time is part of the policy input, so that a decision is repeatable.
    (
        "time.",
        "take the time from the question: `input.context.time` (RFC 3339, UTC), \
         `input.context.weekday` and `input.context.minute`",
    ),
    (
        "time.now_ns",
        "take `input.context.time`, `input.context.weekday` (`Monday`) or `input.context.minute` \
         (0 to 1439, UTC)",
    ),
    (
        "time.clock",
        "take `input.context.minute`: minutes since midnight, 0 to 1439, UTC; the hour is \
         `floor(minute / 60)`",
    ),
    ("time.weekday", "take `input.context.weekday`: `Monday` to `Sunday`, UTC"),
    (
        "time.date",
        "take `split(split(input.context.time, \"T\")[0], \"-\")`: year, month and day as texts",
    ),
    ("time.format", "take `input.context.time`, which is RFC 3339 in UTC"),
    (
        "time.parse_rfc3339_ns",
        "compare texts: `input.context.time < \"2026-12-24T00:00:00Z\"` orders times in UTC",
    ),
    (
        "time.parse_ns",
        "compare texts in the form of `input.context.time`, such as `2026-12-24T00:00:00Z`",
    ),
    ("time.parse_duration_ns", "write the duration as a number of minutes in data.json"),
    (
        "units.parse",
        "import `data.cofferdam.quantity`, and write `not quantity.at_most(change.value, \
         \"500m\")`; `quantity.milli` gives thousandths",
    ),
    (
        "units.parse_bytes",
        "import `data.cofferdam.quantity`, and write `not quantity.at_most(change.value, \
         \"1Gi\")`; `quantity.bytes` gives a number",
    ),
    (
        "semver.compare",
        "compare the parts as numbers: `[to_number(part) | some part in split(version, \".\")] < \
         [1, 2, 0]`",
    ),
    ("semver.is_valid", "use `regex.match(\"^[0-9]+\\\\.[0-9]+\\\\.[0-9]+$\", version)`"),
    // Randomness and the world outside: a decision would not be repeatable.
    ("rand.intn", "leave chance out of rules: the runner decides again, and must come to the same"),
    ("uuid.rfc4122", "leave it out: a decision has no identity of its own"),
    ("uuid.parse", "use `regex.match` with the form that you expect, or `split(text, \"-\")`"),
    (
        "http.send",
        "put what it would fetch into data.json, and build the policy again when it changes",
    ),
    ("net.lookup_ip_addr", "write the address blocks into data.json, and use `net.cidr_contains`"),
    ("opa.runtime", "put the settings into data.json"),
    ("rego.metadata.", "write the text into the rule"),
    ("rego.parse_module", "leave it out; `cofferdam policy build` checks policies"),
    ("providers.aws.sign_req", "leave it out: a policy holds no credential"),
    // The gateway has authenticated the caller.
    ("io.jwt.", "read `input.subject`: the gateway has verified the caller's token"),
    (
        "crypto.",
        "compare `input.plan.digest` or another digest of the question; the host computes them",
    ),
    ("crypto.x509.", "read `input.subject`: the host has verified the caller"),
    // Texts.
    ("strings.any_prefix_match", "write `some prefix in prefixes` and `startswith(text, prefix)`"),
    ("strings.any_suffix_match", "write `some suffix in suffixes` and `endswith(text, suffix)`"),
    ("strings.count", "write `count(split(text, part)) - 1`"),
    (
        "strings.render_template",
        "write the text as `$\"{operation.name} in {operation.namespace}\"`",
    ),
    ("strings.split_n", "use `split`, and `array.slice` of its result"),
    ("indexof_n", "use `split(text, part)`, and `count` of its pieces"),
    ("regex.replace", "use `replace` with plain texts"),
    ("regex.split", "use `split` with a plain text"),
    (
        "regex.find_n",
        "use `regex.find_all_string_submatch_n`; the match is the first of each result",
    ),
    ("regex.globs_match", "use `glob.match` of each pattern against the text"),
    ("regex.template_match", "use `regex.match`"),
    ("re_match", "use `regex.match`, which takes the same arguments"),
    ("glob.quote_meta", "use `startswith`, `endswith` or `==` for a plain text"),
    // Values.
    ("any", "write `true in list`"),
    ("all", "write `every item in list { item == true }`"),
    ("set_diff", "write `a - b`"),
    ("cast_array", "use `is_array`"),
    ("cast_boolean", "use `is_boolean`"),
    ("cast_null", "use `is_null`"),
    ("cast_object", "use `is_object`"),
    ("cast_set", "use `is_set`"),
    ("cast_string", "use `is_string`"),
    ("object.subset", "write `every key, value in part { whole[key] == value }`"),
    ("json.patch", "use `object.union` and `object.remove`"),
    ("json.marshal_with_options", "use `json.marshal`"),
    (
        "json.match_schema",
        "name the fields that the rule needs: the host has checked the question against its schema",
    ),
    ("json.verify_schema", "leave it out: the host has checked the question against its schema"),
    ("yaml.", "write the data as JSON, and use `json.unmarshal` for a text"),
    ("yaml.unmarshal", "use `json.unmarshal` for JSON, or write the data into data.json"),
    ("yaml.marshal", "use `json.marshal`"),
    ("yaml.is_valid", "use `json.is_valid`"),
    ("numbers.range_step", "use `numbers.range` and keep each n-th: `number % 5 == 0`"),
    (
        "graph.reachable_paths",
        "use `graph.reachable`, which gives what is reached without the paths",
    ),
    (
        "net.cidr_is_valid",
        "use `net.cidr_contains(block, block)`, which is undefined for what is no block",
    ),
    (
        "net.cidr_contains_matches",
        "write `some block in blocks` and `net.cidr_contains(block, address)`",
    ),
    ("net.cidr_expand", "use `net.cidr_contains(block, address)`"),
    ("net.cidr_merge", "write the merged blocks into data.json"),
    ("net.cidr_overlap", "use `net.cidr_contains` or `net.cidr_intersects`"),
    ("graphql.", "read `input.plan`: no plan has GraphQL"),
    ("uri.", "use `split`, `startswith` and `trim_prefix`"),
    ("uri.parse", "use `split(address, \"/\")`, `startswith` and `trim_prefix`"),
    ("uri.is_valid", "use `startswith(address, \"https://\")`"),
    ("urlquery.", "use `split` and `replace`"),
    ("hex.", "compare the texts as they are: digests are given in hexadecimal"),
    ("base64url.encode_no_pad", "use `trim_right(base64url.encode(text), \"=\")`"),
    ("crypto.md5", "compare the text itself"),
    (
        "crypto.sha1",
        "compare the text itself, or a digest of the question such as `input.plan.digest`",
    ),
    (
        "crypto.sha256",
        "compare the text itself, or a digest of the question such as `input.plan.digest`",
    ),
    ("crypto.hmac.", "leave it out: a policy holds no key"),
    ("crypto.hmac.equal", "write `a == b`"),
    ("crypto.parse_private_keys", "leave it out: a policy holds no key"),
    ("uuid.", "compare the texts as they are"),
    (
        "semver.",
        "compare the parts as numbers: `[to_number(part) | some part in split(version, \".\")] < \
         [1, 2, 0]`",
    ),
    ("rand.", "leave chance out of rules: the runner decides again, and must come to the same"),
    ("units.", "import `data.cofferdam.quantity`: `at_most`, `at_least`, `bytes` and `milli`"),
    ("http.", "put what it would fetch into data.json, and build the policy again when it changes"),
    ("opa.", "put the settings into data.json"),
];

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    /// The builtins in `opa capabilities --current` of 1.19.1 that are not in
    /// `policies/capabilities.json`.
    const WITHOUT: &str = include_str!("without.txt");

    #[test]
    fn each_builtin_that_is_not_there_has_words() {
        let without: Vec<&str> = WITHOUT.lines().collect();
        assert!(without.len() > 100);
        for name in &without {
            assert!(instead(name).is_some(), "what to write instead of `{name}`");
        }
        let used: BTreeSet<_> = without.iter().filter_map(|name| instead(name)).collect();
        assert!(used.len() > 60, "the words are about the single builtin");
    }

    #[test]
    fn a_builtin_has_the_words_of_its_own_before_those_of_its_family() {
        for (name, words) in [
            ("time.clock", "`input.context.minute`"),
            ("time.add_date", "`input.context.time`"),
            ("sprintf", "`$\""),
            ("units.parse_bytes", "quantity.at_most"),
            ("crypto.x509.parse_keypair", "input.subject"),
        ] {
            assert!(instead(name).is_some_and(|said| said.contains(words)), "{name}");
        }
        for unknown in ["timer", "sprint", "data.team.largest", "print_all", ""] {
            assert_eq!(instead(unknown), None);
        }
    }
}
