//! Components, Flux and Argo CD; what leads out of the tree; and bounds.

use super::{answer, delete, deployment, image, scale, tree};
use expect_test::expect;

#[test]
fn a_component_changes_what_includes_it() {
    let web = deployment("web", "storefront");
    let files = [
        ("base/web.yaml", web.as_str()),
        ("base/kustomization.yaml", "resources: [web.yaml]\n"),
        (
            "components/small/kustomization.yaml",
            "apiVersion: kustomize.config.k8s.io/v1alpha1\nkind: Component\nreplicas:\n- name: \
             web\n  count: 1\n",
        ),
        ("prod/kustomization.yaml", "resources: [../base]\ncomponents:\n- ../components/small\n"),
    ];
    expect![[r#"
        base/web.yaml:1
        `spec.replicas` is set again by `replicas` in components/small/kustomization.yaml:4 (to 1); this change has no effect there"#]]
    .assert_eq(&answer(&tree(&files), scale("storefront", "web")));
    expect!["base/web.yaml:1"].assert_eq(&answer(&tree(&files), image("storefront", "web")));
}

#[test]
fn a_flux_monorepo() {
    let (web, api, job) = (deployment("web", ""), deployment("api", ""), deployment("job", ""));
    let flux = |name: &str, rest: &str| {
        format!(
            "apiVersion: kustomize.toolkit.fluxcd.io/v1\nkind: Kustomization\nmetadata:\n  name: \
             {name}\n  namespace: flux-system\nspec:\n  sourceRef: {{kind: GitRepository, name: \
             flux-system}}\n{rest}"
        )
    };
    let apps = flux(
        "apps",
        "  path: ./apps/prod\n  targetNamespace: shop\n  images:\n  - name: \
         registry.example.com/web\n    newTag: '7'\n  patches:\n  - target: {kind: Deployment, \
         name: api}\n    patch: |\n      - {op: replace, path: /spec/replicas, value: 4}\n",
    );
    let jobs = flux("jobs", "  path: jobs\n  targetNamespace: jobs\n");
    let cluster = flux("flux-system", "  path: ./clusters/prod\n");
    let elsewhere = flux("other", "  path: ./\n  targetNamespace: other\n")
        .replace("name: flux-system}", "name: podinfo}");
    let files = [
        ("apps/base/web.yaml", web.as_str()),
        ("apps/base/api.yaml", api.as_str()),
        ("apps/base/kustomization.yaml", "resources: [web.yaml, api.yaml]\n"),
        ("apps/prod/kustomization.yaml", "resources: [../base]\n"),
        ("jobs/deep/job.yaml", job.as_str()),
        ("clusters/prod/apps.yaml", apps.as_str()),
        ("clusters/prod/jobs.yaml", jobs.as_str()),
        ("clusters/prod/other.yaml", elsewhere.as_str()),
        ("clusters/prod/flux-system/gotk-sync.yaml", cluster.as_str()),
        ("clusters/prod/flux-system/kustomization.yaml", "resources: [gotk-sync.yaml]\n"),
    ];
    expect![[r#"
        apps/base/web.yaml:1
        `spec.template.spec.containers[name=web].image` is set again by `images` in clusters/prod/apps.yaml:11 (to "registry.example.com/web:7"); this change has no effect there
        namespace shop is given by `targetNamespace` in clusters/prod/apps.yaml:9"#]].assert_eq(&answer(&tree(&files), image("shop", "web")));
    expect![[r#"
        apps/base/api.yaml:1
        `spec.replicas` is set again by `patches` in clusters/prod/apps.yaml:14 (to 4); this change has no effect there
        namespace shop is given by `targetNamespace` in clusters/prod/apps.yaml:9"#]]
    .assert_eq(&answer(&tree(&files), scale("shop", "api")));
    expect![[r#"
        jobs/deep/job.yaml:1
        namespace jobs is given by `targetNamespace` in clusters/prod/jobs.yaml:9"#]]
    .assert_eq(&answer(&tree(&files), scale("jobs", "job")));
    expect![[r#"
        REFUSED still-named: `jobs/deep/job.yaml` is still named by clusters/prod/jobs.yaml:8 (`path`); a build from there fails when it is gone
        a person has to take it out of those lines first"#]].assert_eq(&answer(&tree(&files), delete("jobs", "job")));
}

#[test]
fn argo_cd_applications() {
    let (web, job) = (deployment("web", ""), deployment("job", ""));
    let application = |name: &str, source: &str| {
        format!(
            "apiVersion: argoproj.io/v1alpha1\nkind: Application\nmetadata: {{name: {name}, \
             namespace: argocd}}\nspec:\n  destination: {{namespace: shop}}\n  source:\n    \
             repoURL: https://example.com/repo\n{source}"
        )
    };
    let apps = application(
        "web",
        "    path: web\n    kustomize:\n      namePrefix: eu-\n      images:\n      - \
         registry.example.com/web=mirror/web:5\n      replicas:\n      - name: web\n        \
         count: 6\n",
    );
    let jobs = application("jobs", "    path: ./jobs/\n    directory: {recurse: true}\n");
    let set = "apiVersion: argoproj.io/v1alpha1\nkind: ApplicationSet\nmetadata: {name: s, \
               namespace: argocd}\nspec:\n  template:\n    spec:\n      destination: {namespace: \
               shop}\n      source: {path: '{{path}}'}\n";
    let files = [
        ("web/web.yaml", web.as_str()),
        ("web/kustomization.yaml", "resources: [web.yaml]\n"),
        ("jobs/deep/job.yaml", job.as_str()),
        ("argocd/web.yaml", apps.as_str()),
        ("argocd/jobs.yaml", jobs.as_str()),
        ("argocd/set.yaml", set),
    ];
    expect![[r#"
        web/web.yaml:1
        `spec.replicas` is set again by `replicas` in argocd/web.yaml:14 (to 6); this change has no effect there
        name eu-web is given by `namePrefix` in argocd/web.yaml:10
        namespace shop is given by `destination.namespace` in argocd/web.yaml:5"#]]
    .assert_eq(&answer(&tree(&files), scale("shop", "eu-web")));
    expect![[r#"
        web/web.yaml:1
        `spec.template.spec.containers[name=web].image` is set again by `images` in argocd/web.yaml:12 (to "mirror/web:5"); this change has no effect there
        name eu-web is given by `namePrefix` in argocd/web.yaml:10
        namespace shop is given by `destination.namespace` in argocd/web.yaml:5"#]].assert_eq(&answer(&tree(&files), image("shop", "eu-web")));
    expect![[r#"
        jobs/deep/job.yaml:1
        namespace shop is given by `destination.namespace` in argocd/jobs.yaml:5"#]]
    .assert_eq(&answer(&tree(&files), scale("shop", "job")));
}

#[test]
fn what_leads_out_of_the_tree_is_counted_and_followed_nowhere() {
    let index = tree(&[(
        "a/kustomization.yaml",
        "resources:\n- https://example.com/x.yaml\n- ../../outside\n- \
         github.com/org/repo/deploy?ref=v1\n- /etc/x.yaml\n- missing.yaml\n",
    )]);
    let told: Vec<_> =
        index.survey().iter().map(|place| format!("{} {}", place.file, place.reason)).collect();
    expect![[r#"
        a/kustomization.yaml:2 `resources` names `https://example.com/x.yaml`, which is not in this tree; objects from there are not seen
        a/kustomization.yaml:3 `resources` names `../../outside`, which is not in this tree; objects from there are not seen
        a/kustomization.yaml:4 `resources` names `github.com/org/repo/deploy?ref=v1`, which is not in this tree; objects from there are not seen
        a/kustomization.yaml:5 `resources` names `/etc/x.yaml`, which is not in this tree; objects from there are not seen
        a/kustomization.yaml:6 `resources` names `missing.yaml`, which is not in this tree; objects from there are not seen"#]].assert_eq(&told.join("\n"));
}

#[test]
fn circles_end_and_diamonds_are_bounded() {
    let web = deployment("web", "storefront");
    let circle = [
        ("a/web.yaml", web.as_str()),
        ("a/kustomization.yaml", "resources: [web.yaml, ../b]\n"),
        ("b/kustomization.yaml", "resources: [../a, ../b]\n"),
    ];
    expect!["a/web.yaml:1"].assert_eq(&answer(&tree(&circle), scale("storefront", "web")));
    let mut files = vec![
        ("l0/web.yaml".to_owned(), web.clone()),
        ("l0/kustomization.yaml".to_owned(), "resources: [web.yaml]\n".to_owned()),
    ];
    for level in 1..30 {
        for side in ["a", "b"] {
            let below = if level == 1 {
                "../l0".to_owned()
            } else {
                format!("../l{0}a, ../l{0}b", level - 1)
            };
            files.push((
                format!("l{level}{side}/kustomization.yaml"),
                format!("resources: [{below}]\n"),
            ));
        }
    }
    let files: Vec<_> = files.iter().map(|(path, text)| (path.as_str(), text.as_str())).collect();
    let text = answer(&tree(&files), scale("storefront", "web"));
    assert!(
        text.starts_with("REFUSED built-as-several:")
            && text.contains("there are more than can be told"),
        "{text}"
    );
}
