//! The gaps that a list and a refusal report: files, links, copies, namespaces, placeholders.
//! Without the report a list would read as if there were no gaps.

use super::{Desk, deployment, link, replicas, step, target};
use crate::index::Index;
use crate::preview::preview;
use cofferdam_core::model::left_out::{LeftOut, Place};
use cofferdam_core::model::operation::Operation;
use cofferdam_core::text::remark_words;
use serde_json::json;
use std::fs;

fn words(left_out: &LeftOut) -> Vec<String> {
    left_out.places.iter().map(Place::words).collect()
}

#[test]
fn each_object_that_is_left_out_of_a_list_is_named_with_its_place_and_reason() {
    let twice = deployment("twice");
    let desk = Desk::new(&[
        ("a.yaml", &deployment("web")),
        ("b.yaml", &twice),
        ("c.yaml", &twice),
        ("d.yaml", &deployment("base").replace("  namespace: storefront\n", "")),
        ("e.yaml", &deployment("later").replace("storefront\n", "${NS}\n")),
        ("f.yaml", &deployment("odd").replace("replicas: 3", "replicas: 0644")),
        ("g.yaml", &deployment("tagged").replace("replicas: 3", "replicas: !x 3")),
        ("h.yaml", &deployment("chart").replace("replicas: 3", "replicas: {{ .Values.r }}")),
        (
            "i.yaml",
            &deployment("elsewhere")
                .replace("storefront\n", "other\n")
                .replace("replicas: 3", "replicas: ["),
        ),
        ("j.yaml", &deployment("cut").replace("replicas: 3", "replicas: [")),
        ("k.yaml", "kind: ConfigMap\ndata: [\n"),
        (
            "o.yaml",
            &deployment("alias").replace(
                "  namespace: storefront",
                "  labels: {a: &n storefront}\n  namespace: *n",
            ),
        ),
    ]);
    desk.write("l.yaml", b"# caf\xe9\n");
    desk.write("m.yaml", "x".repeat(1024 * 1024 + 1));
    link("/etc", &desk.tree().join("n"));
    link("a.yaml", &desk.tree().join("inside.yaml"));
    let (items, left_out) = desk.list();
    assert_eq!(items, [("odd".into(), json!(null)), ("web".into(), json!(3))]);
    let words = words(&left_out);
    for start in [
        "`b.yaml:1` has Deployment twice, which is also in `c.yaml:1`",
        "`c.yaml:1` has Deployment twice, which is also in `b.yaml:1`",
        "`d.yaml:1` (Deployment base) has no `metadata.namespace`",
        "`e.yaml:1` (Deployment later) has the namespace `${NS}`, which another program fills in",
        "`f.yaml:7` (`spec.replicas`) has a value that readers disagree about",
        "`g.yaml:7` (Deployment tagged) has a tag",
        "`h.yaml:7` (Deployment chart) is a template",
        "`j.yaml:8` is not valid YAML",
        "`l.yaml:1` is not UTF-8",
        "`m.yaml:1` is larger than 1 MiB, and is not read; split it; a second copy of an object \
         in it would not be seen",
        "`n` is a link",
        "`o.yaml:1` (Deployment alias) has no `metadata.namespace`",
    ] {
        assert!(words.iter().any(|word| word.starts_with(start)), "{start}\n{words:#?}");
    }
    assert_eq!(words.len(), 12, "{words:#?}");
}

#[test]
fn an_unreadable_file_fails_no_call_about_another() {
    let desk = Desk::new(&[("a.yaml", &deployment("web"))]);
    desk.write("b.yaml", [0xff, 0xfe, b'a', 0]);
    desk.write("c.yaml", "[".repeat(200_000));
    desk.write("d.yaml", "a: ".to_owned() + &"[1,".repeat(150_000));
    desk.write("e.yaml", "---\na: 1\n".repeat(20_000));
    desk.scale("web", 5).unwrap();
    let words = words(&desk.list().1).join("\n");
    assert!(
        words.contains("`b.yaml:1` is UTF-16 or UTF-32") && words.contains("`e.yaml:"),
        "{words}"
    );
}

/// The remarks of a preview, in words.
fn remarks(desk: &Desk, operation: Operation) -> Vec<String> {
    let shown = preview(&Index::read(&desk.root(), None).unwrap(), &[step(operation)]).unwrap();
    shown.operations[0].remarks.iter().map(remark_words).collect()
}

#[test]
fn a_preview_of_a_change_names_files_where_a_second_copy_would_not_be_seen() {
    let copy = "a second copy of this object in it would not be seen";
    let web = deployment("web");
    for (file, bytes, told) in [
        ("b.yaml", vec![0xff, 0xfe, b'a', 0], "b.yaml:1 is UTF-16 or UTF-32"),
        ("b.yaml", b"# caf\xe9\n".to_vec(), "b.yaml:1 is not UTF-8"),
        ("b.yaml", vec![b'x'; 1024 * 1024 + 1], "b.yaml:1 is larger than 1 MiB"),
        ("b.yaml", "---\na: 1\n".repeat(20_000).into_bytes(), "b.yaml:"),
        (
            "b.yaml",
            web.replace("replicas: 3", "replicas: [").into_bytes(),
            "b.yaml:8 is not valid YAML",
        ),
        (
            "b.yaml",
            web.replace("name: web\n", "name: {{ .n }}-web\n").into_bytes(),
            "b.yaml:4 is a template",
        ),
        (
            "b.json",
            br#"{"kind":"Deployment","metadata":{"name":"web"},"spec":["#.to_vec(),
            "b.json:1 is not valid JSON",
        ),
    ] {
        let desk = Desk::new(&[("web.yaml", &web)]);
        for operation in
            [replicas("web"), Operation::Delete { target: target("Deployment", "web") }]
        {
            let _none = fs::remove_file(desk.tree().join(file));
            assert_eq!(remarks(&desk, operation.clone()), Vec::<String>::new());
            desk.write(file, &bytes);
            let said = remarks(&desk, operation);
            assert!(
                said.len() == 1 && said[0].starts_with(told) && said[0].ends_with(copy),
                "{told}: {said:?}"
            );
        }
    }
}

#[test]
fn a_preview_names_three_such_files_and_counts_the_rest() {
    let desk = Desk::new(&[("web.yaml", &deployment("web"))]);
    (0..5).for_each(|at| desk.write(&format!("u{at}.yaml"), [0xff, 0xfe, b'a', 0]));
    link("/etc", &desk.tree().join("beside"));
    let said = remarks(&desk, replicas("web"));
    assert_eq!(said.len(), 4, "{said:?}");
    assert!(said[0].starts_with("u0.yaml:1 ") && said[2].starts_with("u2.yaml:1 "), "{said:?}");
    assert!(said[3].starts_with("3 further places are not read; "), "{said:?}");
}

#[test]
fn a_broken_document_that_names_another_object_is_not_remarked() {
    let api = deployment("api").replace("replicas: 3", "replicas: [");
    let desk = Desk::new(&[
        ("web.yaml", &deployment("web")),
        ("api.yaml", &api),
        ("odd.yaml", "kind: ConfigMap\ndata: [\n"),
    ]);
    assert_eq!(remarks(&desk, replicas("web")), Vec::<String>::new());
}

#[test]
fn a_refusal_names_links_that_were_passed_over() {
    let desk = Desk::new(&[("kustomization.yaml", "resources: [apps]\n")]);
    link("../../base", &desk.tree().join("apps"));
    link("../../base/web.yaml", &desk.tree().join("web.yaml"));
    let refused = desk.refused(replicas("web"));
    assert!(
        refused.starts_with("not-found: ")
            && refused.contains("`apps` is a link")
            && refused.contains("`web.yaml` is a link"),
        "{refused}"
    );
}

#[test]
fn a_refusal_names_the_document_that_holds_the_object_and_no_other() {
    let broken = |name: &str| deployment(name).replace("replicas: 3", "replicas: {{ .r }}\n  x: [");
    let desk = Desk::new(&[
        ("agent.yaml", &broken("api").replace("name: api\n", "name: api\n  labels: {name: web}\n")),
        ("web.yaml", &broken("web")),
    ]);
    let refused = desk.refused(replicas("web"));
    assert!(
        refused.starts_with("ambiguous: ")
            && refused.contains("`web.yaml:")
            && !refused.contains("agent.yaml"),
        "{refused}"
    );
    let read = Operation::Read {
        target: target("Deployment", "gone"),
        fields: vec!["spec.replicas".into()],
    };
    let refused = desk.refused(read);
    assert!(
        refused.starts_with("not-found: ")
            && refused.contains("agent.yaml")
            && refused.contains("web.yaml"),
        "{refused}"
    );
}

#[test]
fn a_placeholder_is_shown_as_it_is_and_fails_no_list() {
    let text = deployment("web").replace("replicas: 3", "replicas: ${web_replicas:=3}");
    let desk = Desk::new(&[("web.yaml", text.as_str())]);
    assert_eq!(desk.list().0, [("web".into(), json!("${web_replicas:=3}"))]);
    assert_eq!(desk.changed("web.yaml", |desk| desk.scale("web", 5))[1], "+  replicas: 5\n");
}

#[test]
fn a_large_bundle_is_read_to_its_last_object() {
    let field = |at: usize| {
        format!(
            "    f{at}:\n      description: |-\n        Field {at}, and a sentence or two about \
             it.\n      type: string\n"
        )
    };
    let definition = format!(
        "apiVersion: apiextensions.k8s.io/v1\nkind: CustomResourceDefinition\nmetadata:\n  name: \
         a\nspec:\n  properties:\n{}",
        (0..1000).map(field).collect::<String>()
    );
    let text = format!("{}{}", format!("{definition}---\n").repeat(8), deployment("near"));
    assert!(text.len() > 700 * 1024 && text.len() < 1024 * 1024);
    let desk = Desk::new(&[("near.yaml", text.as_str())]);
    assert_eq!(desk.list().0, [("near".into(), json!(3))]);
    desk.scale("near", 2).unwrap();
    desk.restart("near").unwrap();
    let added = "  template:\n    metadata:\n      labels: {app: near}\n      annotations:\n        \
         example.com/at: now\n";
    let expect = text
        .replace("replicas: 3", "replicas: 2")
        .replace("  template:\n    metadata:\n      labels: {app: near}\n", added);
    assert!(desk.text("near.yaml") == expect);
}
