//! The bytes that an edit keeps: all that it does not name.

use super::{Desk, deployment, difference};
use serde_json::json;

const CONFIG: &str = "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: web\n  namespace: \
                      storefront\ndata:\n  LOG_LEVEL: info\n  app.conf: |\n    color = red\n\n    \
                      size = 2\n  tail: last\n";

#[test]
fn new_lines_take_the_line_end_of_their_file_and_a_byte_order_mark_stays() {
    let text =
        format!("\u{feff}# front\n{}---\n{CONFIG}---\n{}", deployment("web"), deployment("gift"))
            .replace('\n', "\r\n");
    let desk = Desk::new(&[("web.yaml", text.as_str())]);
    let changed = |edit: &dyn Fn(&Desk) -> Result<(), cofferdam_backend::refusal::Refusal>| {
        desk.changed("web.yaml", edit)
    };
    assert_eq!(changed(&|desk| desk.scale("web", 5)), ["-  replicas: 3\r\n", "+  replicas: 5\r\n"]);
    assert_eq!(
        changed(&|desk| desk.config("web", "app.conf", "color = blue\n\nsize = 3\n")),
        ["-    color = red\r\n", "+    color = blue\r\n", "-    size = 2\r\n", "+    size = 3\r\n"]
    );
    assert_eq!(changed(&|desk| desk.config("web", "NEW", "x")), ["+  NEW: x\r\n"]);
    assert_eq!(
        changed(&|desk| desk.config("web", "new.conf", "a\nb\n")),
        ["+  new.conf: |\r\n", "+    a\r\n", "+    b\r\n"]
    );
    let annotation = "+        example.com/at: now\r\n";
    assert_eq!(changed(&|desk| desk.restart("web")), ["+      annotations:\r\n", annotation]);
    assert_eq!(changed(&|desk| desk.config("web", "tail", json!(null))), ["-  tail: last\r\n"]);
    let gone: Vec<_> = changed(&|desk| desk.delete("gift"));
    assert!(
        gone.len() == 17 && gone.iter().all(|line| line.starts_with('-')) && gone[0] == "----\r\n",
        "{gone:?}"
    );
    let after = desk.text("web.yaml");
    assert!(
        after.starts_with("\u{feff}# front\r\n")
            && after.matches('\n').count() == after.matches("\r\n").count()
    );
}

#[test]
fn each_line_of_a_mixed_file_keeps_its_own_line_end() {
    let text = CONFIG.replace("color = red\n", "color = red\r\n").replace("info\n", "info\r\n");
    let desk = Desk::new(&[("c.yaml", text.as_str())]);
    let changed =
        desk.changed("c.yaml", |desk| desk.config("web", "app.conf", "color = blue\n\nsize = 2\n"));
    assert_eq!(changed, ["-    color = red\r\n", "+    color = blue\r\n"]);
    let changed = desk.changed("c.yaml", |desk| desk.config("web", "LOG_LEVEL", "debug"));
    assert_eq!(changed, ["-  LOG_LEVEL: info\r\n", "+  LOG_LEVEL: debug\r\n"]);
    assert_eq!(desk.changed("c.yaml", |desk| desk.config("web", "NEW", "x")), ["+  NEW: x\n"]);
}

#[test]
fn separators_with_comments_and_empty_documents_hide_nothing() {
    let (web, gift, api) = (deployment("web"), deployment("gift"), deployment("api"));
    let text = format!(
        "# generated\n---\n# nothing here\n--- # Source: shop/web\n{web}---   \
         \n{gift}...\n---\n{api}\n---\n\n---\n# the end\n"
    );
    let desk = Desk::new(&[("all.yaml", text.as_str())]);
    let names: Vec<_> = desk.list().0.into_iter().map(|(name, _)| name).collect();
    assert_eq!(names, ["api", "gift", "web"]);
    desk.scale("web", 5).unwrap();
    desk.restart("gift").unwrap();
    desk.delete("gift").unwrap();
    desk.scale("api", 5).unwrap();
    let five = |text: &str| text.replace("replicas: 3", "replicas: 5");
    let expect = format!(
        "# generated\n---\n# nothing here\n--- # Source: shop/web\n{}---\n{}\n---\n\n---\n# the \
         end\n",
        five(&web),
        five(&api)
    );
    assert_eq!(desk.text("all.yaml"), expect);
}

#[test]
fn dashes_within_a_block_end_no_document() {
    let config = "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: certs\n  namespace: \
         storefront\ndata:\n  bundle.pem: |\n    -----BEGIN CERTIFICATE-----\n    AAAA\n    \
         -----END CERTIFICATE-----\n  docs.yaml: |\n    a: 1\n    ---\n    b: 2\n    ...\n    --- \
         # not the end\n    c: 3\n  COLOR: red\n";
    let desk = Desk::new(&[(
        "all.yaml",
        &format!("{}---\n{config}---\n{}", deployment("gift"), deployment("web")),
    )]);
    desk.delete("gift").unwrap();
    assert_eq!(desk.text("all.yaml"), format!("---\n{config}---\n{}", deployment("web")));
    let changed =
        desk.changed("all.yaml", |desk| desk.config("certs", "docs.yaml", "a: 1\n---\nb: 3\n"));
    assert_eq!(
        changed,
        ["-    b: 2\n", "-    ...\n", "-    --- # not the end\n", "-    c: 3\n", "+    b: 3\n"]
    );
    let changed = desk.changed("all.yaml", |desk| desk.config("certs", "bundle.pem", json!(null)));
    assert_eq!(changed.len(), 4);
}

const COMMENTS: &str = "# head\n\napiVersion: apps/v1\nkind: Deployment   # kind\nmetadata:\n# \
                        who\n  name: web\n\n  namespace: storefront\n  # annotations:\n  #   \
                        example.com/old: \"1\"\nspec:\n\n  # how many\n  replicas: 3   # was \
                        2\n\n\n  selector:\n    matchLabels:\n      app: web\n  template:\n    \
                        metadata:\n      # for the scraper\n      annotations:\n        # keep \
                        first\n        example.com/a: \"1\"   # one\n        # example.com/b: \
                        \"2\"\n\n      labels:\n        app: web\n      # end of metadata\n    \
                        spec:\n      # containers\n      containers:\n      # first\n      - \
                        name: web # c\n        image: registry.example.com/storefront/web:1.0.0 # \
                        i\n        # env:\n        # - name: A\n\n      # second\n      - name: \
                        side\n        image: registry.example.com/storefront/side:1.0.0\n        \
                        # resources:\n        #   limits: {}\n  # revisionHistoryLimit: 3\n# \
                        foot\n---\n# config\napiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: \
                        web\n  namespace: storefront\ndata:\n  # first\n  A: a\n\n  # second\n  \
                        B: b   # two\n\n  # third is commented out\n  # C: c\n\n# binaryData:\n#   \
                        x: y\n";

#[test]
fn an_added_key_stays_within_its_own_map_and_comments_stay_where_they_are() {
    let desk = Desk::new(&[("web.yaml", COMMENTS)]);
    let changed = |edit: &dyn Fn(&Desk) -> Result<(), cofferdam_backend::refusal::Refusal>| {
        desk.changed("web.yaml", edit)
    };
    assert_eq!(
        changed(&|desk| desk.scale("web", 5)),
        ["-  replicas: 3   # was 2\n", "+  replicas: 5   # was 2\n"]
    );
    assert_eq!(changed(&|desk| desk.restart("web")), ["+        example.com/at: now\n"]);
    assert!(desk.text("web.yaml").contains(
        "\"1\"   # one\n        example.com/at: now\n        # example.com/b: \"2\"\n\n      \
         labels:\n"
    ));
    let image =
        changed(&|desk| desk.image("web", "side", "registry.example.com/storefront/side:1.0.1"));
    assert_eq!(image[1], "+        image: registry.example.com/storefront/side:1.0.1\n");
    assert_eq!(changed(&|desk| desk.config("web", "NEW", "new")), ["+  NEW: new\n"]);
    assert!(desk.text("web.yaml").contains("  B: b   # two\n  NEW: new\n\n  # third"));
    assert_eq!(changed(&|desk| desk.config("web", "B", json!(null))), ["-  B: b   # two\n"]);
    assert_eq!(changed(&|desk| desk.config("web", "A", json!(null))), ["-  A: a\n"]);
    assert_eq!(
        changed(&|desk| desk.config("web", "NEW", json!(null))),
        ["-data:\n", "+data: {}\n", "-  NEW: new\n"]
    );
    assert!(desk.text("web.yaml").ends_with(
        "data: {}\n  # first\n\n  # second\n\n  # third is commented out\n  # C: c\n\n# \
         binaryData:\n#   x: y\n"
    ));
}

#[test]
fn an_image_is_one_string_in_whatever_form_it_is_written() {
    let container = |lines: &str| {
        format!(
            "apiVersion: apps/v1\nkind: Deployment\nmetadata: {{name: web, namespace: \
             storefront}}\nspec:\n  template:\n    spec:\n      containers:\n{lines}"
        )
    };
    let image = "registry.example.com:5000/storefront/web:1.0.1@sha256:0123456789abcdef";
    for (before, after) in [
        (
            "      - image: 'r:5000/w:1@sha256:00' # {\"$imagepolicy\": \
                 \"flux-system:web\"}\n        name: web\n",
            "      - image: 'IMAGE' # {\"$imagepolicy\": \"flux-system:web\"}\n        name: \
                 web\n",
        ),
        (
            "      - name: web\n        image: >-\n          r/w:1.0.0\n        \
                 imagePullPolicy: Always\n",
            "      - name: web\n        image: >-\n          IMAGE\n        imagePullPolicy: \
                 Always\n",
        ),
        (
            "      - name: web\n        image:\n          r/w:1.0.0\n",
            "      - name: web\n        image:\n          IMAGE\n",
        ),
        (
            "      - name: web\n        image: # set by the pipeline\n",
            "      - name: web\n        image: IMAGE # set by the pipeline\n",
        ),
        (
            "      - {name: web, image: r/w:1, args: [--a, 'b, c']}\n",
            "      - {name: web, image: \"IMAGE\", args: [--a, 'b, c']}\n",
        ),
        ("      - { name: web, image: r/w:1 }\n", "      - { name: web, image: \"IMAGE\" }\n"),
    ] {
        let desk = Desk::new(&[("a.yaml", &container(before))]);
        desk.image("web", "web", image).unwrap();
        assert_eq!(desk.text("a.yaml"), container(&after.replace("IMAGE", image)));
    }
    let desk = Desk::new(&[(
        "a.yaml",
        &container("      - {name: web, image: a}\n      - {name: web, image: b}\n"),
    )]);
    assert_eq!(desk.image("web", "web", image).unwrap_err().code, "conflict");
}

#[test]
fn folded_and_multiline_neighbours_keep_every_byte() {
    let text = "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: folded\n  namespace: \
                storefront\ndata:\n  json: >-\n    {\n      \"a\": [\n        1\n      ]\n    }\n  \
                para: >\n    one\n    two\n\n    three\n  plain: a long value\n    over two \
                lines\n  double: \"one \\\n    two\\n\n    three\"\n  single: 'it''s\n\n    \
                two'\n  AFTER: x\n";
    let desk = Desk::new(&[("c.yaml", text)]);
    let changed =
        |key: &str, value: &str| desk.changed("c.yaml", |desk| desk.config("folded", key, value));
    assert_eq!(changed("AFTER", "z"), ["-  AFTER: x\n", "+  AFTER: z\n"]);
    assert_eq!(
        changed("plain", "short"),
        ["-  plain: a long value\n", "-    over two lines\n", "+  plain: short\n"]
    );
    assert_eq!(
        changed("single", "it's"),
        ["-  single: 'it''s\n", "-\n", "-    two'\n", "+  single: 'it''s'\n"]
    );
    assert_eq!(
        changed("double", "d"),
        ["-  double: \"one \\\n", "-    two\\n\n", "-    three\"\n", "+  double: \"d\"\n"]
    );
    assert_eq!(changed("para", "one\n"), ["-    two\n", "-\n", "-    three\n"]);
    assert_eq!(changed("NEW", "new"), ["+  NEW: new\n"]);
    desk.config("folded", "json", "{\"a\": [2]}").unwrap();
    desk.config("folded", "para", "one\ntwo\n").unwrap();
    assert!(
        desk.text("c.yaml")
            .contains("  json: >-\n    {\"a\": [2]}\n  para: \"one\\ntwo\\n\"\n  plain: short\n")
    );
}

#[test]
fn an_indentation_indicator_stays() {
    let text = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: web, namespace: \
                storefront}\ndata:\n  a: |2-\n     lead\n    x\n  b: |+ # keep\n    y\n\n  c: z\n";
    let desk = Desk::new(&[("c.yaml", text)]);
    let changed =
        |key: &str, value: &str| desk.changed("c.yaml", |desk| desk.config("web", key, value));
    assert_eq!(changed("a", " lead\ny"), ["-    x\n", "+    y\n"]);
    assert_eq!(changed("a", " lead\ny\n"), ["-  a: |2-\n", "+  a: |2\n"]);
    assert_eq!(changed("c", "w"), ["-  c: z\n", "+  c: w\n"]);
    assert_eq!(
        changed("b", "y\nz\n"),
        ["-  b: |+ # keep\n", "+  b: | # keep\n", "-\n", "+    z\n"]
    );
}

#[test]
fn a_head_comment_and_the_comments_of_neighbours_stay_when_a_document_goes() {
    let head = "# Copyright 2026 Example Ltd.\n# SPDX-License-Identifier: Apache-2.0\n\n";
    let text = format!(
        "{head}{}\n# ---- the front ----\n---\n{}---\n{}# end of file; keep sorted\n",
        deployment("gift"),
        deployment("web"),
        deployment("old")
    );
    let desk = Desk::new(&[("all.yaml", text.as_str())]);
    desk.delete("gift").unwrap();
    desk.delete("old").unwrap();
    let web = deployment("web");
    assert_eq!(
        desk.text("all.yaml"),
        format!("{head}\n# ---- the front ----\n---\n{web}# end of file; keep sorted\n")
    );

    // With a separator before it, the first document leaves it, and takes the one behind it.
    let text = format!("---\n# Copyright\n{}# about web\n---\n{web}", deployment("gift"));
    let desk = Desk::new(&[("all.yaml", text.as_str())]);
    desk.delete("gift").unwrap();
    assert_eq!(desk.text("all.yaml"), format!("---\n# Copyright\n# about web\n{web}"));
    desk.delete("web").unwrap();
    assert!(!desk.tree().join("all.yaml").exists());
}

#[test]
fn braces_are_data_where_yaml_says_so() {
    let agent = "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: api, namespace: storefront}\nspec:\n  replicas: 3\n  template:\n    metadata:\n      annotations:\n        example.com/agent-template: |\n          {{- with secret \"kv/data/api\" }}user={{ .Data.user }}{{ end }}\n    spec:\n      containers:\n      - name: web\n        image: registry.example.com/storefront/api:1.0.0\n        args: [\"--format={{.Name}}\"]\n";
    let chart = "apiVersion: apps/v1\nkind: Deployment\nmetadata:\n  name: gift\n  namespace: \
                 storefront\nspec:\n  replicas: {{ .Values.replicas }}\n";
    let desk = Desk::new(&[
        ("agent.yaml", agent),
        ("web.yaml", &format!("{}---\n{chart}", deployment("web"))),
    ]);
    let (items, left_out) = desk.list();
    assert_eq!(items, [("api".into(), json!(3)), ("web".into(), json!(3))]);
    let words: Vec<_> =
        left_out.places.iter().map(cofferdam_core::model::left_out::Place::words).collect();
    assert_eq!(
        words,
        ["`web.yaml:24` (Deployment gift) is a template; only plain manifests can be changed"]
    );
    assert_eq!(
        desk.changed("web.yaml", |desk| desk.scale("web", 5)),
        ["-  replicas: 3\n", "+  replicas: 5\n"]
    );
    let changed = desk.changed("agent.yaml", |desk| {
        desk.image("api", "web", "registry.example.com/storefront/api:1.0.1")
    });
    assert_eq!(changed[1], "+        image: registry.example.com/storefront/api:1.0.1\n");
    let refusal = desk.scale("gift", 4).unwrap_err();
    assert!(
        refusal.code == "ambiguous" && refusal.reason.contains("`web.yaml:24` is a template"),
        "{refusal:?}"
    );
}

#[test]
fn what_looks_like_something_else_is_written_so_that_every_reader_takes_it_for_a_string() {
    let odd = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: odd, namespace: \
               storefront}\ndata:\n  plain: text\n  single: 'text'\n  block: |\n    text\n  \
               after: stays\n";
    let flow = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: flow, namespace: \
                storefront}\ndata: {plain: text, single: 'text', after: stays}\n";
    for value in [
        "706798e8",
        "0e12345",
        "yes",
        "012",
        "1:30",
        "=",
        "<<",
        " ",
        "a\r\nb\r\n",
        " lead\nx\n",
        "a\n  b\n   \nc\n",
        "a, b",
        "a: b",
        "~",
        "x}",
        "{{ x }}",
        "${X}",
        "- a",
        "# c",
        "\u{85}",
        "ä",
    ] {
        for (file, name, keys) in [
            (odd, "odd", ["plain", "single", "block", "new"]),
            (flow, "flow", ["plain", "single", "new", "other"]),
        ] {
            for key in keys {
                let desk = Desk::new(&[("c.yaml", file)]);
                desk.config(name, key, value).unwrap();
                let text = desk.text("c.yaml");
                assert!(
                    text.contains("after: stays") && difference(file, &text).len() <= 6,
                    "{key} {value:?}\n{text}"
                );
                let bare = [format!("{key}: {value}\n"), format!("{key}: {value},")];
                assert!(
                    value == "a, b" || !bare.iter().any(|bare| text.contains(bare.as_str())),
                    "{value}\n{text}"
                );
            }
        }
    }
}
