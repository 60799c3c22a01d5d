//! Tests of the strict reader.

use super::*;
use expect_test::{Expect, expect};

fn check(text: &str, expect: &Expect) {
    let shown = match read(text) {
        Ok(documents) => documents
            .iter()
            .map(|document| match &document.unclear {
                Some(unclear) => format!("unclear {unclear}\n"),
                None => format!("{} {}\n", document.root.line, document.root.value()),
            })
            .collect(),
        Err(unclear) => format!("file {unclear}\n"),
    };
    expect.assert_eq(&shown);
}

#[test]
fn documents_are_read_one_by_one_and_an_unclear_one_hinders_no_other() {
    check(
        "a: 1\n---\n# nothing\n---\nb: {c: [x, 'y', \"z\"]}\n",
        &expect![[r#"
        1 {"a":1}
        5 {"b":{"c":["x","y","z"]}}
    "#]],
    );
    check(
        "a: &x 1\n---\nb: 2\n",
        &expect![[r#"
            1 {"a":1}
            3 {"b":2}
        "#]],
    );
    check(
        "a: 1\na: 2\n",
        &expect![[r#"
            unclear line 2: the key `a` is there twice; remove one
        "#]],
    );
    check(
        "a: !x 1\n",
        &expect![[r#"
        unclear line 1: a tag; remove it
    "#]],
    );
    check(
        "a: 1\nb:\n  <<: {c: 1}\n",
        &expect![[r#"
            1 {"a":1,"b":{"<<":{"c":1}}}
        "#]],
    );
    check(
        "1: a\n",
        &expect![[r#"
        unclear line 1: a key that is not a string; put it in quotes
    "#]],
    );
    check(
        "? {a: 1}\n: b\n",
        &expect![[r#"
        unclear line 1: a key that is not a string; put it in quotes
    "#]],
    );
    check("", &expect![""]);
    check(
        "a: |\n  one\n   two\nb:\n- x\n- z: ü\n",
        &expect![[r#"
        1 {"a":"one\n two\n","b":["x",{"z":"ü"}]}
    "#]],
    );
}

#[test]
fn a_file_that_is_no_plain_yaml_is_named_as_a_whole() {
    check(
        "a: 1\nb: {{ .Values.b }}\n",
        &expect![[r#"
            unclear line 2: a template; only plain manifests can be changed
        "#]],
    );
    check(
        "%YAML 1.1\n---\na: 1\n",
        &expect![[r#"
        file line 1: a YAML directive; remove it
    "#]],
    );
    check(
        "a:\n\tb: 1\n",
        &expect![[r#"
            unclear line 2: not valid YAML: tabs disallowed within this context (block indentation)
        "#]],
    );
    check(
        "a: [1\n",
        &expect![[r#"
            unclear line 2: not valid YAML: while parsing a flow sequence, expected ',' or ']'
        "#]],
    );
    check(
        &format!("{}1{}", "[".repeat(70), "]".repeat(70)),
        &expect![[r#"
            unclear line 1: nested more than 64 deep
        "#]],
    );
}

#[test]
fn scalars_that_readers_disagree_about_are_doubtful() {
    for (text, value, doubtful) in [
        ("1", "1", false),
        ("-7", "-7", false),
        ("0", "0", false),
        ("1.5", "1.5", false),
        (".5", "0.5", false),
        ("0x1F", "31", false),
        ("1.2.3", "\"1.2.3\"", false),
        ("10.0.0.1", "\"10.0.0.1\"", false),
        ("v1", "\"v1\"", false),
        ("-", "\"-\"", false),
        ("web-1", "\"web-1\"", false),
        ("2026-11-24", "\"2026-11-24\"", false),
        ("500m", "\"500m\"", false),
        ("yes", "\"yes\"", true),
        ("Off", "\"Off\"", true),
        ("0644", "\"0644\"", true),
        ("0o644", "\"0o644\"", true),
        ("1_000", "\"1_000\"", true),
        ("1e3", "\"1e3\"", true),
        ("12:30", "\"12:30\"", true),
        (".inf", "\".inf\"", true),
        ("9007199254740993", "\"9007199254740993\"", true),
        ("TRUE", "true", false),
        ("~", "null", false),
    ] {
        let (got, doubt) = plain(text);
        assert_eq!((got.to_string().as_str(), doubt), (value, doubtful), "{text}");
    }
}

#[test]
fn spans_are_bytes_of_the_scalar_as_written() {
    let text =
        "ü: 'ä'\nb: \"x\" # c\nc: plain # d\nd: [1, 22] # e\ne: 'it''s' # f\nf: \"\\\"\" # g\n";
    let documents = read(text).unwrap();
    let Shape::Map { entries, .. } = &documents[0].root.shape else { panic!("not a map") };
    let spans: Vec<_> = entries.iter().map(|entry| &text[entry.node.span.clone()]).collect();
    assert_eq!(spans, ["'ä'", "\"x\"", "plain", "[1, 22]", "'it''s'", "\"\\\"\""]);
}
