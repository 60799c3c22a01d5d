//! Namespace and name that only an overlay gives.

use super::{answer, delete, deployment, image, scale, tree};
use expect_test::{Expect, expect};

fn check(files: &[(&str, &str)], step: cofferdam_core::model::operation::Step, expect: Expect) {
    expect.assert_eq(&answer(&tree(files), step));
}

#[test]
fn a_namespace_of_one_overlay_is_found_and_shown() {
    let web = deployment("web", "");
    let files = [
        ("base/deployment.yaml", web.as_str()),
        ("base/kustomization.yaml", "resources:\n- deployment.yaml\n"),
        (
            "overlays/prod/kustomization.yaml",
            "kind: Kustomization\nnamespace: storefront\nresources:\n- ../../base\n",
        ),
    ];
    check(
        &files,
        scale("storefront", "web"),
        expect![[r#"
        base/deployment.yaml:1
        namespace storefront is given by `namespace` in overlays/prod/kustomization.yaml:2"#]],
    );
    check(
        &files,
        scale("default", "web"),
        expect![[r#"
        REFUSED not-found: there is no Deployment web in namespace default in this tree
        list what is there and name one of those"#]],
    );
}

#[test]
fn a_base_of_two_namespaces_is_refused_and_both_are_named() {
    let web = deployment("web", "");
    let files = [
        ("base/deployment.yaml", web.as_str()),
        ("base/kustomization.yaml", "resources:\n- deployment.yaml\n"),
        ("overlays/prod/kustomization.yaml", "namespace: storefront\nresources:\n- ../../base\n"),
        (
            "overlays/staging/kustomization.yaml",
            "namespace: storefront-staging\nresources:\n- ../../base\n",
        ),
    ];
    check(
        &files,
        scale("storefront", "web"),
        expect![[r#"
            REFUSED built-as-several: Deployment web in namespace storefront comes from `base/deployment.yaml:1`, which is built as several objects; one change would reach all of them: `namespace` in overlays/prod/kustomization.yaml:1 gives namespace storefront; `namespace` in overlays/staging/kustomization.yaml:1 gives namespace storefront-staging
            a person changes that file for all of them, or adds a patch where one of them is built"#]],
    );
    check(
        &files,
        scale("storefront-staging", "web"),
        expect![[r#"
            REFUSED built-as-several: Deployment web in namespace storefront-staging comes from `base/deployment.yaml:1`, which is built as several objects; one change would reach all of them: `namespace` in overlays/prod/kustomization.yaml:1 gives namespace storefront; `namespace` in overlays/staging/kustomization.yaml:1 gives namespace storefront-staging
            a person changes that file for all of them, or adds a patch where one of them is built"#]],
    );
    check(
        &files,
        delete("storefront", "web"),
        expect![[r#"
            REFUSED built-as-several: Deployment web in namespace storefront comes from `base/deployment.yaml:1`, which is built as several objects; one change would reach all of them: `namespace` in overlays/prod/kustomization.yaml:1 gives namespace storefront; `namespace` in overlays/staging/kustomization.yaml:1 gives namespace storefront-staging
            a person changes that file for all of them, or adds a patch where one of them is built"#]],
    );
    let index = tree(&files);
    let list = index.list("apps", "v1", "Deployment", "storefront");
    assert_eq!((list.found.len(), list.gaps.len()), (0, 1));
    assert!(
        list.gaps[0]
            .words()
            .starts_with("`base/deployment.yaml:1` (Deployment web) is built as several objects"),
        "{:?}",
        list.gaps
    );
}

#[test]
fn a_base_that_one_overlay_gives_no_namespace_is_refused() {
    let web = deployment("web", "");
    let files = [
        ("base/web.yaml", web.as_str()),
        ("base/kustomization.yaml", "resources: [web.yaml]\n"),
        ("one/kustomization.yaml", "namespace: a\nresources: [../base]\n"),
        ("two/kustomization.yaml", "resources: [../base]\n"),
    ];
    check(
        &files,
        scale("a", "web"),
        expect![[r#"
            REFUSED built-as-several: Deployment web in namespace a comes from `base/web.yaml:1`, which is built as several objects; one change would reach all of them: `namespace` in one/kustomization.yaml:1 gives namespace a; two/kustomization.yaml:1 gives it no namespace
            a person changes that file for all of them, or adds a patch where one of them is built"#]],
    );
}

#[test]
fn the_outermost_namespace_counts_and_not_the_files_own() {
    let web = deployment("web", "written");
    let files = [
        ("base/web.yaml", web.as_str()),
        ("base/kustomization.yaml", "namespace: inner\nresources: [web.yaml]\n"),
        ("prod/kustomization.yaml", "namespace: outer\nresources: [../base]\n"),
    ];
    check(
        &files,
        scale("outer", "web"),
        expect![[r#"
        base/web.yaml:1
        namespace outer is given by `namespace` in prod/kustomization.yaml:1"#]],
    );
    check(
        &files,
        scale("inner", "web"),
        expect![[r#"
        REFUSED not-found: there is no Deployment web in namespace inner in this tree
        list what is there and name one of those"#]],
    );
    // What is permitted in the namespace that the file names must not reach another one.
    check(
        &files,
        scale("written", "web"),
        expect![[r#"
            REFUSED built-otherwise: Deployment web in namespace written is not built: `base/web.yaml:1` gives web in namespace outer, by `namespace` in prod/kustomization.yaml:1
            name it as it is built"#]],
    );
}

#[test]
fn a_name_with_prefix_and_suffix_is_the_built_one() {
    let web = deployment("web", "storefront");
    let files = [
        ("base/web.yaml", web.as_str()),
        ("base/kustomization.yaml", "nameSuffix: -v1\nresources: [web.yaml]\n"),
        (
            "prod/kustomization.yaml",
            "namePrefix: prod-\nresources: [../base]\nreplicas: [{name: web, count: 2}]\n",
        ),
    ];
    check(
        &files,
        scale("storefront", "prod-web-v1"),
        expect![[r#"
        base/web.yaml:1
        `spec.replicas` is set again by `replicas` in prod/kustomization.yaml:3 (to 2); this change has no effect there
        name prod-web-v1 is given by `namePrefix` in prod/kustomization.yaml:1"#]],
    );
    check(
        &files,
        scale("storefront", "web"),
        expect![[r#"
            REFUSED built-otherwise: Deployment web in namespace storefront is not built: `base/web.yaml:1` gives prod-web-v1 in namespace storefront, by `namePrefix` in prod/kustomization.yaml:1
            name it as it is built"#]],
    );
    let both =
        [&files[..], &[("dev/kustomization.yaml", "namePrefix: dev-\nresources: [../base]\n")]]
            .concat();
    check(
        &both,
        scale("storefront", "prod-web-v1"),
        expect![[r#"
            REFUSED built-as-several: Deployment prod-web-v1 in namespace storefront comes from `base/web.yaml:1`, which is built as several objects; one change would reach all of them: dev/kustomization.yaml:2 builds it in namespace storefront, `namePrefix` in dev/kustomization.yaml:1 the name dev-web-v1; prod/kustomization.yaml:2 builds it in namespace storefront, `namePrefix` in prod/kustomization.yaml:1 the name prod-web-v1
            a person changes that file for all of them, or adds a patch where one of them is built"#]],
    );
    check(
        &both,
        scale("storefront", "web"),
        expect![[r#"
            REFUSED built-as-several: Deployment web in namespace storefront comes from `base/web.yaml:1`, which is built as several objects; one change would reach all of them: dev/kustomization.yaml:2 builds it in namespace storefront, `namePrefix` in dev/kustomization.yaml:1 the name dev-web-v1; prod/kustomization.yaml:2 builds it in namespace storefront, `namePrefix` in prod/kustomization.yaml:1 the name prod-web-v1
            a person changes that file for all of them, or adds a patch where one of them is built"#]],
    );
}

#[test]
fn one_object_of_several_clusters_is_edited_and_all_are_named() {
    let web = deployment("web", "storefront");
    let files = [
        ("base/web.yaml", web.as_str()),
        ("base/kustomization.yaml", "resources: [web.yaml]\n"),
        ("east/kustomization.yaml", "resources: [../base]\n"),
        ("west/kustomization.yml", "bases:\n- ../base\nreplicas:\n- name: web\n  count: 9\n"),
    ];
    check(
        &files,
        scale("storefront", "web"),
        expect![[r#"
        base/web.yaml:1
        `spec.replicas` is set again by `replicas` in west/kustomization.yml:4 (to 9); this change has no effect there
        east/kustomization.yaml:1 includes this file; this change reaches what is built there
        west/kustomization.yml:2 includes this file; this change reaches what is built there"#]],
    );
    check(
        &files,
        image("storefront", "web"),
        expect![[r#"
        base/web.yaml:1
        east/kustomization.yaml:1 includes this file; this change reaches what is built there
        west/kustomization.yml:2 includes this file; this change reaches what is built there"#]],
    );
}

#[test]
fn a_patch_is_no_object() {
    let (web, patch) = (deployment("web", "storefront"), deployment("web", "storefront"));
    let only = deployment("only", "storefront");
    let files = [
        ("base/web.yaml", web.as_str()),
        ("base/kustomization.yaml", "resources: [web.yaml]\n"),
        ("prod/patch.yaml", patch.as_str()),
        ("prod/only.yaml", only.as_str()),
        ("prod/values.yaml", web.as_str()),
        (
            "prod/kustomization.yaml",
            "resources: [../base]\npatches:\n- path: patch.yaml\npatchesStrategicMerge:\n- \
             only.yaml\nconfigMapGenerator:\n- name: v\n  files: [values.yaml]\n",
        ),
    ];
    check(
        &files,
        scale("storefront", "web"),
        expect![[r#"
        base/web.yaml:1
        `spec.replicas` is set again by `patches` in prod/kustomization.yaml:3 (to 3); this change has no effect there"#]],
    );
    check(
        &files,
        scale("storefront", "only"),
        expect![[r#"
        REFUSED not-an-object: Deployment only in namespace storefront is in `prod/only.yaml:1`, which is a patch and no object: `patchesStrategicMerge` in prod/kustomization.yaml:5 names it
        name the object that is built, or have a person edit that file"#]],
    );
    let index = tree(&files);
    let list = index.list("apps", "v1", "Deployment", "storefront");
    assert_eq!((list.found.len(), list.gaps.len()), (1, 0));
}

#[test]
fn a_namespace_that_an_alias_or_a_merge_gives_is_not_the_files_own() {
    let web = deployment("web", "storefront");
    let files = [
        ("base/web.yaml", web.as_str()),
        ("base/kustomization.yaml", "resources: [web.yaml]\n"),
        ("prod/kustomization.yaml", "x: &ns payments\nnamespace: *ns\nresources: [../base]\n"),
    ];
    check(
        &files,
        scale("storefront", "web"),
        expect![[r#"
            REFUSED built-otherwise: Deployment web in namespace storefront is not built: `base/web.yaml:1` gives web in namespace (not read), by `namespace` in prod/kustomization.yaml:2
            name it as it is built"#]],
    );
    let merged = [
        &files[..2],
        &[(
            "prod/kustomization.yaml",
            "x: &x {namespace: payments}\n<<: *x\nresources: [../base]\n",
        )],
    ]
    .concat();
    check(
        &merged,
        scale("storefront", "web"),
        expect![[r#"
        REFUSED built-otherwise: Deployment web in namespace storefront is not built: `base/web.yaml:1` gives web in namespace (not read), by `namespace` in prod/kustomization.yaml:1
        name it as it is built"#]],
    );
}
