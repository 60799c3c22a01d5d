//! Fields that another file sets again, and placeholders that an edit would overwrite.

use super::{answer, change, config, deployment, image, scale, tree};
use cofferdam_core::model::operation::Step;
use expect_test::{Expect, expect};
use serde_json::json;

/// An edit of `web` in `shop/web.yaml`, with this kustomization beside it.
fn check(kustomization: &str, step: Step, expect: Expect) {
    let web = deployment("web", "storefront");
    let set = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: web, namespace: \
               storefront}\ndata: {LOG_LEVEL: info, OTHER: x}\n";
    let patch =
        "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: web}\nspec: {replicas: 9}\n";
    let files = [
        ("shop/web.yaml", web.as_str()),
        ("shop/config.yaml", set),
        ("shop/patch.yaml", patch),
        ("shop/operations.json.yaml", "- op: replace\n  path: /spec/replicas\n  value: 8\n"),
        ("shop/kustomization.yaml", kustomization),
    ];
    expect.assert_eq(&answer(&tree(&files), step));
}

const RESOURCES: &str = "resources: [web.yaml, config.yaml]\n";

#[test]
fn images_and_replicas_of_a_kustomization_are_named() {
    let all = format!(
        "{RESOURCES}images:\n- name: registry.example.com/web\n  newTag: \"9.9.9\"\n- name: \
         other\n  newTag: \"1\"\nreplicas:\n- name: web\n  count: 2\n- name: other\n  count: 4\n"
    );
    check(
        &all,
        scale("storefront", "web"),
        expect![[r#"
        shop/web.yaml:1
        `spec.replicas` is set again by `replicas` in shop/kustomization.yaml:8 (to 2); this change has no effect there"#]],
    );
    check(
        &all,
        image("storefront", "web"),
        expect![[r#"
        shop/web.yaml:1
        `spec.template.spec.containers[name=web].image` is set again by `images` in shop/kustomization.yaml:3 (to "registry.example.com/web:9.9.9"); this change has no effect there"#]],
    );
    check(
        &all,
        change("storefront", "web", "spec.paused", json!(true)),
        expect!["shop/web.yaml:1"],
    );
    let moved = format!(
        "{RESOURCES}images:\n- name: registry.example.com/web\n  newName: mirror.example.com/web\n"
    );
    check(
        &moved,
        image("storefront", "web"),
        expect![[r#"
        shop/web.yaml:1
        `spec.template.spec.containers[name=web].image` is changed again by `images` in shop/kustomization.yaml:3 (to "mirror.example.com/web:1.0.1")"#]],
    );
    let digest =
        format!("{RESOURCES}images:\n- name: registry.example.com/web\n  digest: sha256:abc\n");
    check(
        &digest,
        image("storefront", "web"),
        expect![[r#"
        shop/web.yaml:1
        `spec.template.spec.containers[name=web].image` is set again by `images` in shop/kustomization.yaml:3 (to "registry.example.com/web@sha256:abc"); this change has no effect there"#]],
    );
}

#[test]
fn patches_of_each_form_are_named() {
    let set = |rest: &str| format!("{RESOURCES}{rest}");
    check(
        &set("patches:\n- path: patch.yaml\n"),
        scale("storefront", "web"),
        expect![[r#"
        shop/web.yaml:1
        `spec.replicas` is set again by `patches` in shop/kustomization.yaml:3 (to 9); this change has no effect there"#]],
    );
    check(
        &set("patchesStrategicMerge:\n- patch.yaml\n"),
        scale("storefront", "web"),
        expect![[r#"
        shop/web.yaml:1
        `spec.replicas` is set again by `patchesStrategicMerge` in shop/kustomization.yaml:3 (to 9); this change has no effect there"#]],
    );
    check(
        &set("patches:\n- path: operations.json.yaml\n  target: {kind: Deployment, name: web}\n"),
        scale("storefront", "web"),
        expect![[r#"
            shop/web.yaml:1
            `spec.replicas` is set again by `patches` in shop/kustomization.yaml:3 (to 8); this change has no effect there"#]],
    );
    check(
        &set("patches:\n- target:\n    kind: Deployment\n  patch: |-\n    spec:\n      replicas: \
              7\n"),
        scale("storefront", "web"),
        expect![[r#"
            shop/web.yaml:1
            `spec.replicas` is set again by `patches` in shop/kustomization.yaml:3 (to 7); this change has no effect there"#]],
    );
    check(
        &set("patches:\n- target: {labelSelector: app=web}\n  patch: |-\n    [{op: add, path: \
              /spec/template/spec/containers/0/image, value: w}]\n"),
        image("storefront", "web"),
        expect![[r#"
            shop/web.yaml:1
            `spec.template.spec.containers[name=web].image` is set again by `patches` in shop/kustomization.yaml:3 (to "w"); this change has no effect there"#]],
    );
    check(
        &set(
            "patches:\n- target: {name: web-.*}\n  patch: '[{op: remove, path: /spec/replicas}]'\n",
        ),
        scale("storefront", "web"),
        expect!["shop/web.yaml:1"],
    );
    check(
        &set("patches:\n- target: {name: 'w[e]b'}\n  patch: '[{op: remove, path: \
              /spec/replicas}]'\n"),
        scale("storefront", "web"),
        expect![[r#"
            shop/web.yaml:1
            shop/kustomization.yaml:3 (`patches`) is not read by Cofferdam and may set `spec.replicas` again"#]],
    );
    check(
        &set("patches:\n- target: {kind: Deployment}\n  path: missing.yaml\n"),
        scale("storefront", "web"),
        expect![[r#"
        shop/web.yaml:1
        shop/kustomization.yaml:3 (`patches`) is not read by Cofferdam and may set `spec.replicas` again"#]],
    );
    check(
        &set("patchesJson6902:\n- target: {group: apps, version: v1, kind: Deployment, name: \
              web}\n  path: operations.json.yaml\n"),
        scale("storefront", "web"),
        expect![[r#"
            shop/web.yaml:1
            `spec.replicas` is set again by `patchesJson6902` in shop/kustomization.yaml:3 (to 8); this change has no effect there"#]],
    );
    check(
        &set("patches:\n- path: patch.yaml\n"),
        image("storefront", "web"),
        expect!["shop/web.yaml:1"],
    );
}

#[test]
fn other_keys_that_set_a_field_are_named() {
    let set = |rest: &str| format!("{RESOURCES}{rest}");
    let note = |path: &str| change("storefront", "web", path, json!("x"));
    check(
        &set("commonAnnotations: {team: shop}\n"),
        note("metadata.annotations.team"),
        expect![[r#"
        shop/web.yaml:1
        `metadata.annotations.team` is set again by `commonAnnotations` in shop/kustomization.yaml:2 (to "shop"); this change has no effect there"#]],
    );
    check(
        &set("commonAnnotations: {team: shop}\n"),
        note("spec.template.metadata.annotations.team"),
        expect![[r#"
        shop/web.yaml:1
        `spec.template.metadata.annotations.team` is set again by `commonAnnotations` in shop/kustomization.yaml:2 (to "shop"); this change has no effect there"#]],
    );
    check(
        &set("labels:\n- pairs: {team: shop}\n"),
        note("metadata.labels.team"),
        expect![[r#"
        shop/web.yaml:1
        `metadata.labels.team` is set again by `labels` in shop/kustomization.yaml:3 (to "shop"); this change has no effect there"#]],
    );
    check(
        &set("labels:\n- pairs: {team: shop}\n"),
        note("spec.template.metadata.labels.team"),
        expect!["shop/web.yaml:1"],
    );
    check(
        &set("commonAnnotations: {team: shop}\n"),
        note("metadata.annotations.other"),
        expect!["shop/web.yaml:1"],
    );
    let generator = |rest: &str| set(&format!("configMapGenerator:\n- name: web\n{rest}"));
    check(
        &generator("  behavior: merge\n  literals: [LOG_LEVEL=warn]\n"),
        config("storefront", "web", "LOG_LEVEL"),
        expect![[r#"
        shop/config.yaml:1
        `data.LOG_LEVEL` is set again by `configMapGenerator` in shop/kustomization.yaml:3 (to "warn"); this change has no effect there"#]],
    );
    check(
        &generator("  behavior: merge\n  literals: [LOG_LEVEL=warn]\n"),
        config("storefront", "web", "OTHER"),
        expect!["shop/config.yaml:1"],
    );
    check(
        &generator("  behavior: replace\n  literals: [LOG_LEVEL=warn]\n"),
        config("storefront", "web", "OTHER"),
        expect![[r#"
        shop/config.yaml:1
        `data.OTHER` is set again by `configMapGenerator` in shop/kustomization.yaml:3; this change has no effect there"#]],
    );
    check(
        &generator("  behavior: merge\n  envs: [web.env]\n"),
        config("storefront", "web", "OTHER"),
        expect![[r#"
        shop/config.yaml:1
        shop/kustomization.yaml:3 (`configMapGenerator`) is not read by Cofferdam and may set `data.OTHER` again"#]],
    );
    check(
        &set("replacements:\n- source: {kind: ConfigMap, name: web}\n  targets:\n  - select: \
              {kind: Deployment}\n    fieldPaths: [spec.replicas]\n"),
        scale("storefront", "web"),
        expect![[r#"
            shop/web.yaml:1
            `spec.replicas` is set again by `replacements` in shop/kustomization.yaml:5; this change has no effect there"#]],
    );
    check(
        &set("transformers: [own.yaml]\n"),
        scale("storefront", "web"),
        expect![[r#"
        shop/web.yaml:1
        shop/kustomization.yaml:2 (`transformers`) is not read by Cofferdam and may set `spec.replicas` again"#]],
    );
    check(
        &set("components: ['https://example.com/a?ref=v1']\n"),
        scale("storefront", "web"),
        expect![[r#"
        shop/web.yaml:1
        shop/kustomization.yaml:2 (`components`) is not read by Cofferdam and may set `spec.replicas` again"#]],
    );
}

#[test]
fn a_file_that_its_kustomization_does_not_include_is_named() {
    check(
        "resources: [config.yaml]\n",
        scale("storefront", "web"),
        expect![[r#"
        shop/web.yaml:1
        shop/kustomization.yaml:1 does not include this file; this change has no effect there"#]],
    );
    check(
        "resources: [web.yaml\n",
        scale("storefront", "web"),
        expect![[r#"
        shop/web.yaml:1
        shop/kustomization.yaml:2 (`not valid YAML: while parsing a flow sequence, expected ',' or ']'`) is not read by Cofferdam and may set `spec.replicas` again"#]],
    );
}

#[test]
fn overrides_of_all_layers_are_named() {
    let web = deployment("web", "");
    let files = [
        ("base/web.yaml", web.as_str()),
        (
            "base/kustomization.yaml",
            "resources: [web.yaml]\nimages: [{name: registry.example.com/web, newName: \
             inner/web}]\n",
        ),
        (
            "prod/kustomization.yaml",
            "namespace: a\nnamePrefix: p-\nresources: [../base]\nimages: [{name: inner/web, \
             newTag: '3'}]\n",
        ),
        ("top/kustomization.yaml", "resources: [../prod]\nreplicas: [{name: p-web, count: 1}]\n"),
    ];
    expect![[r#"
        base/web.yaml:1
        `spec.template.spec.containers[name=web].image` is set again by `images` in prod/kustomization.yaml:4 (to "inner/web:3"); this change has no effect there
        `spec.template.spec.containers[name=web].image` is changed again by `images` in base/kustomization.yaml:2 (to "inner/web:1.0.1")
        name p-web is given by `namePrefix` in prod/kustomization.yaml:2
        namespace a is given by `namespace` in prod/kustomization.yaml:1"#]].assert_eq(&answer(&tree(&files), image("a", "p-web")));
    expect![[r#"
        base/web.yaml:1
        `spec.replicas` is set again by `replicas` in top/kustomization.yaml:2 (to 1); this change has no effect there
        name p-web is given by `namePrefix` in prod/kustomization.yaml:2
        namespace a is given by `namespace` in prod/kustomization.yaml:1"#]]
    .assert_eq(&answer(&tree(&files), scale("a", "p-web")));
}

#[test]
fn a_placeholder_that_goes_is_named() {
    let web = deployment("web", "storefront")
        .replace("replicas: 3", "replicas: ${web_replicas:=3}")
        .replace("web:1.0.0", "web:${TAG}");
    let files = [("web.yaml", web.as_str())];
    expect![[r#"
        web.yaml:1
        `spec.replicas` holds the placeholder "${web_replicas:=3}"; this change overwrites it, and its variable has no effect any more"#]]
    .assert_eq(&answer(&tree(&files), scale("storefront", "web")));
    expect![[r#"
        web.yaml:1
        `spec.template.spec.containers[name=web].image` holds the placeholder "${TAG}"; this change overwrites it, and its variable has no effect any more"#]].assert_eq(&answer(&tree(&files), image("storefront", "web")));
    let kept = change(
        "storefront",
        "web",
        "spec.template.spec.containers[name=web].image",
        json!("other:${TAG}"),
    );
    expect!["web.yaml:1"].assert_eq(&answer(&tree(&files), kept));
}

#[test]
fn replicas_that_an_autoscaler_sets_are_named() {
    let web = deployment("web", "");
    let scaler = "apiVersion: autoscaling/v2\nkind: HorizontalPodAutoscaler\nmetadata: {name: \
                  web-scaler}\nspec:\n  scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, \
                  name: web}\n";
    let keda = "apiVersion: keda.sh/v1alpha1\nkind: ScaledObject\nmetadata: {name: k, namespace: \
                a}\nspec: {scaleTargetRef: {name: web}}\n";
    let other = scaler.replace("name: web}", "name: api}").replace("web-scaler", "api-scaler");
    let files = [
        ("web.yaml", web.as_str()),
        ("scaler.yaml", scaler),
        ("keda.yaml", keda),
        ("other.yaml", other.as_str()),
        (
            "kustomization.yaml",
            "namespace: a\nresources: [web.yaml, scaler.yaml, other.yaml, keda.yaml]\n",
        ),
    ];
    expect![[r#"
        web.yaml:1
        `spec.replicas` is set again by `ScaledObject k` in keda.yaml:1; this change has no effect there
        `spec.replicas` is set again by `HorizontalPodAutoscaler web-scaler` in scaler.yaml:1; this change has no effect there
        namespace a is given by `namespace` in kustomization.yaml:1"#]]
    .assert_eq(&answer(&tree(&files), scale("a", "web")));
    expect![[r#"
        web.yaml:1
        namespace a is given by `namespace` in kustomization.yaml:1"#]]
    .assert_eq(&answer(&tree(&files), image("a", "web")));
}
