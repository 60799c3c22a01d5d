//! A delete that would leave a kustomization without what it names.

use super::{answer, delete, deployment, tree};
use expect_test::{Expect, expect};

/// A delete of `gift` beside this kustomization; `gift` is in `shop/gift.yaml`.
fn check(kustomization: &str, expect: Expect) {
    let (web, gift) = (deployment("web", "storefront"), deployment("gift", "storefront"));
    let files = [
        ("shop/web.yaml", web.as_str()),
        ("shop/gift.yaml", gift.as_str()),
        ("shop/kustomization.yaml", kustomization),
    ];
    expect.assert_eq(&answer(&tree(&files), delete("storefront", "gift")));
}

#[test]
fn a_file_that_something_names_stays() {
    check(
        "resources:\n- web.yaml   # the front\n- gift.yaml\n",
        expect![[r#"
        REFUSED still-named: `shop/gift.yaml` is still named by shop/kustomization.yaml:3 (`resources`); a build from there fails when it is gone
        a person has to take it out of those lines first"#]],
    );
    check(
        "resources: [web.yaml, ./gift.yaml]\n",
        expect![[r#"
        REFUSED still-named: `shop/gift.yaml` is still named by shop/kustomization.yaml:1 (`resources`); a build from there fails when it is gone
        a person has to take it out of those lines first"#]],
    );
    check(
        "resources: [web.yaml, ../shop/gift.yaml]\nconfigMapGenerator:\n- name: a\n  files: \
         [x=gift.yaml]\n",
        expect![[r#"
        REFUSED still-named: `shop/gift.yaml` is still named by shop/kustomization.yaml:1 (`resources`), shop/kustomization.yaml:4 (`configMapGenerator`); a build from there fails when it is gone
        a person has to take it out of those lines first"#]],
    );
    check(
        "bases:\n- gift.yaml\n",
        expect![[r#"
        REFUSED still-named: `shop/gift.yaml` is still named by shop/kustomization.yaml:2 (`bases`); a build from there fails when it is gone
        a person has to take it out of those lines first"#]],
    );
    check(
        "resources: [web.yaml]\n",
        expect![[r#"
        shop/gift.yaml:1
        shop/kustomization.yaml:1 does not include this file; this change has no effect there"#]],
    );
}

#[test]
fn an_object_that_an_overlay_needs_stays() {
    let both = deployment("gift", "storefront") + "---\n" + &deployment("web", "storefront");
    let check = |kustomization: &str, expect: Expect| {
        let patch =
            "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: gift}\nspec: {replicas: 9}\n";
        let files = [
            ("shop/all.yaml", both.as_str()),
            ("shop/patch.yaml", patch),
            ("shop/kustomization.yaml", kustomization),
        ];
        expect.assert_eq(&answer(&tree(&files), delete("storefront", "gift")));
    };
    check("resources: [all.yaml]\n", expect!["shop/all.yaml:1"]);
    check(
        "resources: [all.yaml]\nreplicas:\n- name: gift\n  count: 2\n",
        expect![[r#"
        REFUSED still-named: Deployment gift is still named by shop/kustomization.yaml:3 (`replicas`); a build from there fails when it is gone
        a person has to take it out of those lines first"#]],
    );
    check(
        "resources: [all.yaml]\npatches:\n- path: patch.yaml\n",
        expect![[r#"
        REFUSED still-named: Deployment gift is still named by shop/kustomization.yaml:3 (`patches`); a build from there fails when it is gone
        a person has to take it out of those lines first"#]],
    );
    check(
        "resources: [all.yaml]\npatchesStrategicMerge:\n- patch.yaml\n",
        expect![[r#"
        REFUSED still-named: Deployment gift is still named by shop/kustomization.yaml:3 (`patchesStrategicMerge`); a build from there fails when it is gone
        a person has to take it out of those lines first"#]],
    );
    let target = "target: {kind: Deployment, name: gift}\n  patch: |-\n    - {op: remove, path: \
                  /spec/replicas}\n";
    // One with a target may match nothing.
    check(&format!("resources: [all.yaml]\npatches:\n- {target}"), expect!["shop/all.yaml:1"]);
    check(
        &format!("resources: [all.yaml]\npatchesJson6902:\n- {target}"),
        expect![[r#"
        REFUSED still-named: Deployment gift is still named by shop/kustomization.yaml:3 (`patchesJson6902`); a build from there fails when it is gone
        a person has to take it out of those lines first"#]],
    );
    check(
        "resources: [all.yaml]\nreplicas:\n- name: web\n  count: 2\n",
        expect!["shop/all.yaml:1"],
    );
}

#[test]
fn beside_a_kustomization_that_cannot_be_read_nothing_is_removed() {
    check(
        "resources: [web.yaml\n",
        expect![[r#"
        REFUSED still-named: shop/kustomization.yaml:2 cannot be read (not valid YAML: while parsing a flow sequence, expected ',' or ']'); it may name `shop/gift.yaml`
        a person makes that file readable first"#]],
    );
}

#[test]
fn what_takes_a_whole_folder_needs_a_file_in_it() {
    let (gift, web) = (deployment("gift", "storefront"), deployment("web", "storefront"));
    let flux = "apiVersion: kustomize.toolkit.fluxcd.io/v1\nkind: Kustomization\nmetadata: {name: \
                shop, namespace: flux-system}\nspec:\n  path: ./shop\n";
    let files = [("shop/gift.yaml", gift.as_str()), ("clusters/shop.yaml", flux)];
    expect![[r#"
        REFUSED still-named: `shop/gift.yaml` is still named by clusters/shop.yaml:5 (`path`); a build from there fails when it is gone
        a person has to take it out of those lines first"#]]
    .assert_eq(&answer(&tree(&files), delete("storefront", "gift")));
    let two = [&files[..], &[("shop/deep/web.yaml", web.as_str())]].concat();
    expect!["shop/gift.yaml:1"].assert_eq(&answer(&tree(&two), delete("storefront", "gift")));
}
