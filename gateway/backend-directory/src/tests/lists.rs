//! Objects in a `List`, in JSON and beside anchors: found, edited and removed one by one.

use super::{Desk, deployment};
use serde_json::{Value, json};

/// Members of a list in block style: `- ` and then the object, two columns deeper.
fn list(kind: &str, names: &[&str]) -> String {
    let api = if kind == "List" { "v1" } else { "apps/v1" };
    let item = |name: &&str| format!("- {}\n", deployment(name).trim_end().replace('\n', "\n  "));
    format!(
        "apiVersion: {api}\nkind: {kind}\nitems:\n{}",
        names.iter().map(item).collect::<String>()
    )
}

#[test]
fn objects_of_a_list_are_found_and_edited_alone() {
    let desk = Desk::new(&[
        ("all.yaml", &list("List", &["web", "api"])),
        ("dl.yaml", &list("DeploymentList", &["gift"])),
    ]);
    let (items, left_out) = desk.list();
    assert_eq!(
        items.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(),
        ["api", "gift", "web"]
    );
    assert!(left_out.is_empty());
    assert_eq!(
        desk.changed("all.yaml", |desk| desk.scale("web", 5)),
        ["-    replicas: 3\n", "+    replicas: 5\n"]
    );
    let added = ["+        annotations:\n", "+          example.com/at: now\n"];
    assert_eq!(desk.changed("all.yaml", |desk| desk.restart("api")), added);
    assert_eq!(
        desk.changed("dl.yaml", |desk| desk.scale("gift", 5)),
        ["-    replicas: 3\n", "+    replicas: 5\n"]
    );
    desk.delete("web").unwrap();
    assert_eq!(
        desk.text("all.yaml"),
        list("List", &["api"]).replace(
            "        labels: {app: api}\n",
            "        labels: {app: api}\n        annotations:\n          example.com/at: now\n"
        )
    );
    desk.delete("api").unwrap();
    assert_eq!(desk.text("all.yaml"), "apiVersion: v1\nkind: List\nitems: []\n");
}

#[test]
fn members_of_a_typed_list_take_kind_and_version_from_it() {
    let text = "apiVersion: apps/v1\nkind: DeploymentList\nitems:\n- metadata: {name: web, \
                namespace: storefront}\n  spec: {replicas: 3}\n";
    let desk = Desk::new(&[("dl.yaml", text)]);
    assert_eq!(desk.list().0, [("web".into(), json!(3))]);
    desk.scale("web", 5).unwrap();
    assert_eq!(desk.text("dl.yaml"), text.replace('3', "5"));
    // An object whose kind ends so, and which has a name, is no list.
    let own = "apiVersion: example.com/v1\nkind: AllowList\nmetadata: {name: a, namespace: \
               storefront}\nitems: []\n";
    assert_eq!(Desk::new(&[("a.yaml", own)]).list().0, []);
}

#[test]
fn what_is_wrong_with_one_member_hinders_no_other() {
    let text = list("List", &["web", "api"]).replace(
        "    replicas: 3\n    selector:\n      matchLabels: {app: api}",
        "    replicas: 3\n    replicas: 4\n    selector:\n      matchLabels: {app: api}",
    );
    let desk = Desk::new(&[("all.yaml", text.as_str())]);
    let (items, left_out) = desk.list();
    assert_eq!((items, left_out.count), (vec![("web".into(), json!(3))], 1));
    assert!(
        left_out.places[0].words().contains("(Deployment api) has the key `replicas`"),
        "{left_out:?}"
    );
    desk.scale("web", 5).unwrap();
    assert_eq!(desk.scale("api", 5).unwrap_err().code, "ambiguous");
}

/// As `kubectl get -o json` and as `JSON.stringify` write it.
fn json_texts() -> [String; 3] {
    let object: Value = json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {
            "name": "web",
            "namespace": "storefront",
            "labels": {},
        },
        "spec": {
            "replicas": 3,
            "template": {"spec": {"containers": [{"name": "web", "image": "w:1"}]}},
        },
    });
    let pretty = serde_json::to_string_pretty(
        &json!({"apiVersion": "v1", "kind": "List", "items": [object]}),
    )
    .unwrap()
        + "\n";
    [pretty.clone(), pretty.replace("  ", "\t").replace('\n', "\r\n"), object.to_string()]
}

#[test]
fn json_keeps_its_layout() {
    for text in json_texts() {
        let desk = Desk::new(&[("web.json", text.as_str())]);
        assert_eq!(desk.list().0, [("web".into(), json!(3))]);
        desk.scale("web", 5).unwrap();
        assert_eq!(desk.text("web.json"), text.replace('3', "5"));
        desk.image("web", "web", "yes").unwrap();
        assert_eq!(desk.text("web.json"), text.replace('3', "5").replace("w:1", "yes"));
        desk.restart("web").unwrap();
        let after = desk.text("web.json");
        assert_eq!(
            after.matches('\n').count(),
            after
                .matches("\r\n")
                .count()
                .max(after.matches('\n').count() * usize::from(!text.contains('\r')))
        );
        let read: Value = serde_json::from_str(&after).unwrap();
        let object = read.get("items").map_or(&read, |items| &items[0]);
        assert_eq!(object["spec"]["template"]["metadata"]["annotations"]["example.com/at"], "now");
        // What was written is laid out as the rest of the file.
        let again = match text.as_bytes()[1] {
            b'\n' => serde_json::to_string_pretty(&read).unwrap() + "\n",
            b'\r' => (serde_json::to_string_pretty(&read).unwrap() + "\n")
                .replace("  ", "\t")
                .replace('\n', "\r\n"),
            _ => read.to_string(),
        };
        assert_eq!(
            (after.len(), after.lines().count()),
            (again.len(), again.lines().count()),
            "{after}"
        );
    }
}

#[test]
fn a_member_of_a_json_list_goes_alone() {
    let member = |name: &str| {
        json!({
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {"name": name, "namespace": "storefront"},
        })
    };
    let text = |names: &[&str]| {
        let items: Vec<_> = names.iter().map(|name| member(name)).collect();
        serde_json::to_string_pretty(&json!({"apiVersion": "v1", "items": items, "kind": "List"}))
            .unwrap()
            + "\n"
    };
    let desk = Desk::new(&[("all.json", &text(&["a", "b", "c"]))]);
    for (name, rest) in [("b", &["a", "c"][..]), ("c", &["a"]), ("a", &[])] {
        desk.delete(name).unwrap();
        assert_eq!(desk.text("all.json"), text(rest));
    }
    let desk = Desk::new(&[("two.json", &format!("{}\n{}\n", member("a"), member("b")))]);
    desk.delete("a").unwrap();
    assert_eq!(desk.text("two.json"), format!("{}\n", member("b")));
}

const ANCHORS: &str = "apiVersion: apps/v1\nkind: Deployment\nmetadata:\n  name: &name web\n  \
                       namespace: storefront\n  labels: &labels\n    app: *name\nspec:\n  \
                       replicas: 3\n  selector: {matchLabels: *labels}\n  template:\n    \
                       metadata: {labels: *labels}\n    spec:\n      containers:\n      - \
                       &default\n        name: web\n        image: \
                       registry.example.com/storefront/web:1.0.0\n      - <<: *default\n        \
                       name: copy\n        command: [a]\n";

#[test]
fn an_anchor_hinders_only_the_fields_that_use_it() {
    let lost = deployment("lost").replace("replicas: 3", "replicas: *r");
    let gift = deployment("gift").replace("spec:\n  replicas", "spec:\n  x-r: &r 3\n  replicas");
    let desk = Desk::new(&[
        ("one.yaml", &format!("{ANCHORS}---\n{}", deployment("api"))),
        ("two.yaml", &format!("{gift}---\n{lost}")),
    ]);
    let (items, left_out) = desk.list();
    let three = |name: &str| (name.to_owned(), json!(3));
    assert_eq!(items, [three("api"), three("gift"), three("web")]);
    assert_eq!(left_out.count, 1);
    assert!(
        left_out.places[0].words().contains("`two.yaml:")
            && left_out.places[0].words().contains("is not valid YAML"),
        "{left_out:?}"
    );
    for name in ["web", "api", "gift"] {
        let file = if name == "gift" { "two.yaml" } else { "one.yaml" };
        assert_eq!(
            desk.changed(file, |desk| desk.scale(name, 5)),
            ["-  replicas: 3\n", "+  replicas: 5\n"]
        );
    }
    let added = [
        "-    metadata: {labels: *labels}\n",
        "+    metadata: {labels: *labels, annotations: {example.com/at: now}}\n",
    ];
    assert_eq!(desk.changed("one.yaml", |desk| desk.restart("web")), added);
    let copy = "spec.template.spec.containers[name=copy]";
    let changed = desk.changed("one.yaml", |desk| {
        desk.set("Deployment", "web", &format!("{copy}.command"), json!(["b"]))
    });
    assert_eq!(changed, ["-        command: [a]\n", "+        command: [b]\n"]);
    for (path, line, words) in [
        ("spec.template.spec.containers[name=web].image".to_owned(), 15, "an anchor"),
        (format!("{copy}.image"), 18, "a merge key"),
        ("metadata.labels.app".to_owned(), 6, "an anchor"),
        ("spec.selector.matchLabels".to_owned(), 10, "an alias"),
        ("spec.selector".to_owned(), 10, "an alias"),
    ] {
        let refusal = desk.set("Deployment", "web", &path, json!("x")).unwrap_err();
        assert!(
            refusal.code == "ambiguous"
                && refusal.reason.contains(&format!("`one.yaml:{line}` has {words}")),
            "{path}: {refusal:?}"
        );
    }
    let refusal = desk.scale("lost", 5).unwrap_err();
    assert!(
        refusal.code == "ambiguous" && refusal.reason.contains("`two.yaml:25` is not valid YAML"),
        "{refusal:?}"
    );
}
