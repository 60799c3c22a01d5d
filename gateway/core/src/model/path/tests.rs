//! Tests of field paths, most of them over generated paths.

use super::{FieldPath, PathError, Segment};
use proptest::prelude::*;
use serde_json::{Value, json};

fn path(text: &str) -> FieldPath {
    FieldPath::parse(text).unwrap()
}

#[test]
fn one_meaning_has_one_spelling() {
    for good in [
        "spec.replicas",
        "data.*",
        "spec.template.spec.containers[*].image",
        "a[name=web]",
        r#"data["a.b/c"].x"#,
        r#"["0"]"#,
        r#"data["*"]"#,
    ] {
        assert_eq!(path(good).to_string(), good);
    }
    for bad in [
        "",
        ".",
        "a.",
        ".a",
        "a..b",
        "a[",
        "a[]",
        "a[name=]",
        "a[name=x",
        "a[name=a]b]",
        "a b",
        "a/b",
        r#"a["b]"#,
        "a.[*]",
        "a]b",
        "a.0",
    ] {
        assert!(
            matches!(FieldPath::parse(bad), Err(PathError::Form { .. } | PathError::Size(_))),
            "{bad}: {:?}",
            FieldPath::parse(bad)
        );
    }
    let spelled = FieldPath::parse(r#"data["LOG_LEVEL"]"#);
    assert_eq!(
        spelled,
        Err(PathError::Spelling {
            given: r#"data["LOG_LEVEL"]"#.into(),
            canonical: "data.LOG_LEVEL".into()
        })
    );
    assert!(matches!(FieldPath::parse(r#"a["\u0041"]"#), Err(PathError::Spelling { .. })));
}

#[test]
fn ceilings_cover_what_they_name_and_nothing_beneath() {
    let check = |ceiling: &str, plan: &str, expect: bool| {
        assert_eq!(path(ceiling).covers(&path(plan)), expect, "`{ceiling}` over `{plan}`")
    };
    check("spec.replicas", "spec.replicas", true);
    check("spec", "spec.replicas", false);
    check("spec.replicas", "spec", false);
    check("data.*", "data.COLOR", true);
    check("data.*", r#"data["a]b"]"#, true);
    check("data.*", "data.a.b", false);
    check("data.*", "data[name=a]", false);
    check("c[*].image", "c[name=web].image", true);
    check("c[*].image", "c[*].image", true);
    check("c[name=web].image", "c[*].image", false);
    check("c[name=web].image", "c[name=api].image", false);
    check("c[*].image", "c.name.image", false);
    check("data.*", "data.*", true);
    check("data.a", "data.*", false);
}

#[test]
fn values_are_found_and_changed_by_merge_key() {
    let object = json!({"spec": {"replicas": 3, "containers": [{"name": "web", "image": "a"},
    {"name": "log", "image": "b", "ports": [{"containerPort": 80}]}]}});
    let get = |text: &str| path(text).get(&object);
    assert_eq!(get("spec.replicas"), Ok(Some(json!(3))));
    assert_eq!(get("spec.paused"), Ok(None));
    assert_eq!(get("spec.replicas.deep"), Ok(None));
    assert_eq!(get("spec.containers[name=log].image"), Ok(Some(json!("b"))));
    assert_eq!(get("spec.containers[*].image"), Ok(Some(json!(["a", "b"]))));
    assert_eq!(
        get("spec.containers[name=log].ports[containerPort=80]"),
        Ok(Some(json!({"containerPort": 80})))
    );
    assert!(matches!(get("spec.*"), Err(PathError::Wildcard(_))));

    let set = |text: &str, value: Option<Value>| {
        let mut copy = object.clone();
        path(text).set(&mut copy, value).map(|()| path(text).get(&copy).unwrap())
    };
    assert_eq!(set("spec.replicas", Some(json!(5))), Ok(Some(json!(5))));
    assert_eq!(set("spec.replicas", None), Ok(None));
    assert_eq!(set("metadata.annotations.a", Some(json!("x"))), Ok(Some(json!("x"))));
    assert_eq!(set("metadata.annotations.a", None), Ok(None));
    assert_eq!(set("spec.containers[name=log].image", Some(json!("c"))), Ok(Some(json!("c"))));
    assert!(matches!(
        set("spec.containers[name=new].image", Some(json!("c"))),
        Err(PathError::NoMember(_))
    ));
    assert_eq!(
        set("spec.containers[name=new]", Some(json!({"name": "new"}))),
        Ok(Some(json!({"name": "new"})))
    );
    assert!(matches!(
        set("spec.containers[name=new]", Some(json!({"name": "other"}))),
        Err(PathError::MergeKey(_))
    ));
    assert!(matches!(
        set("spec.containers[name=log].name", Some(json!("x"))),
        Err(PathError::MergeKey(_))
    ));
    assert!(matches!(set("spec.replicas.deep", Some(json!(1))), Err(PathError::Misfit { .. })));
    assert!(matches!(set("spec.containers[*].image", Some(json!(1))), Err(PathError::Wildcard(_))));
    let twice = json!({"c": [{"name": "a"}, {"name": "a"}]});
    assert!(matches!(path("c[name=a].image").get(&twice), Err(PathError::Ambiguous { .. })));
}

fn segment() -> impl Strategy<Value = Segment> {
    prop_oneof![
        4 => "[a-z][a-zA-Z0-9-]{0,6}".prop_map(Segment::Key),
        1 => any::<String>().prop_map(|text| Segment::Key(text.chars().take(8).collect())),
        2 => ("[a-z]{1,4}", "[a-z0-9./:-]{1,6}").prop_map(|(key, value)| Segment::Member { key,
        value }),
    ]
}

proptest! {
    #[test]
    fn what_is_written_is_read_back(segments in prop::collection::vec(segment(), 1..6)) {
        let written = FieldPath(segments);
        prop_assert_eq!(FieldPath::parse(&written.to_string()), Ok(written));
    }

    #[test]
    fn any_text_is_read_or_refused_and_reads_back_the_same(text in ".{0,40}") {
        if let Ok(path) = FieldPath::parse(&text) {
            prop_assert_eq!(path.to_string(), text);
        }
    }

    #[test]
    fn a_path_covers_itself_and_only_itself(a in prop::collection::vec(segment(), 1..4),
    b in prop::collection::vec(segment(), 1..4)) {
        let (a, b) = (FieldPath(a), FieldPath(b));
        prop_assert!(a.covers(&a));
        prop_assert_eq!(a.covers(&b), a == b);
    }

    #[test]
    fn what_is_set_is_got_and_what_is_removed_is_gone(keys in prop::collection::vec("[a-z]{1,3}",
    1..5), number in 0u32..9) {
        let path = FieldPath(keys.into_iter().map(Segment::Key).collect());
        let mut object = json!({});
        path.set(&mut object, Some(json!(number))).unwrap();
        prop_assert_eq!(path.get(&object), Ok(Some(json!(number))));
        path.set(&mut object, None).unwrap();
        prop_assert_eq!(path.get(&object), Ok(None));
    }
}

#[test]
fn a_member_that_is_not_there_is_told_with_those_that_are() {
    let mut object =
        json!({"spec": {"containers": [{"name": "web"}, {"name": "metrics"}], "ports": []}});
    let mut error = |path: &str| {
        FieldPath::parse(path).unwrap().set(&mut object, Some(json!("x"))).unwrap_err().about("web")
    };
    assert_eq!(
        error("spec.containers[name=app].image"),
        "web has no container `app`; it has `web` and `metrics`"
    );
    assert_eq!(error("spec.ports[containerPort=80].name"), "web has no port `80`; it has none");
    assert_eq!(
        error("spec.initContainers[name=app].image"),
        "web has no initContainer `app`; it has none"
    );
}

#[test]
fn a_path_overlaps_itself_and_the_paths_beneath_it() {
    for (one, other, overlap) in [
        ("spec.replicas", "spec.replicas", true),
        ("spec", "spec.replicas", true),
        ("spec.replicas", "spec", true),
        ("spec.replicas", "spec.paused", false),
        ("a[name=web].image", "a[name=web]", true),
        ("a[name=web]", "a[name=api].image", false),
        ("spec", "status", false),
    ] {
        assert_eq!(path(one).overlaps(&path(other)), overlap, "{one} {other}");
    }
}

#[test]
fn only_a_star_for_a_key_is_any_key() {
    for (text, any) in [("data.*", true), ("data.a", false), ("a[*].image", false)] {
        assert_eq!(path(text).has_any_key(), any, "{text}");
    }
}
