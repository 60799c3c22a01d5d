//! Directories that kustomizations build: a change names the fields that an overlay sets, to the
//! agent and to the approver, before and after. No delete breaks a build.

use crate::installation::{TestInstallation, text};
use serde_json::{Value, json};
use std::fs;

const CART: &str = "apiVersion: apps/v1\nkind: Deployment\nmetadata:\n  name: cart\nspec:\n  \
                    replicas: 3 # as measured\n";

/// The example directory with these files in `kustom/`, served, and the token of an operator.
fn staged(files: &[(&str, &str)]) -> (TestInstallation, String) {
    let mut installation = TestInstallation::bare("example");
    let token = installation.agent("bot", "operator");
    for (path, text) in files {
        let path = installation.tree().join("kustom").join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    installation.serve(&[]);
    (installation, token)
}

fn cart(replicas: u32) -> Value {
    json!({"namespace": "storefront", "name": "cart", "replicas": replicas})
}

/// The text for the agent.
fn told(body: &Value) -> String {
    body["error"]["text"].as_str().or(body["text"].as_str()).unwrap_or_default().to_owned()
}

fn assert_says(text: &str, words: &[&str]) {
    for words in words {
        assert!(text.contains(words), "not `{words}`:\n{text}");
    }
}

#[test]
fn what_an_overlay_gives_and_sets_again_is_named_before_and_after() {
    let (installation, token) = staged(&[
        ("base/cart.yaml", CART),
        ("base/kustomization.yaml", "resources:\n- cart.yaml\n"),
        (
            "prod/kustomization.yaml",
            "namespace: storefront\nresources:\n- ../base\nreplicas:\n- name: cart\n  count: 2\n",
        ),
    ]);
    let notes = [
        "note: namespace storefront is given by `namespace` in kustom/prod/kustomization.yaml:1",
        "note: `spec.replicas` is set again by `replicas` in kustom/prod/kustomization.yaml:5 (to \
         2); this change has no effect there",
    ];
    let listed = installation.call(&token, "workloads_list", &json!({"namespace": "storefront"}));
    let given = "namespace storefront is given by `namespace` in kustom/prod/kustomization.yaml:1";
    assert_says(&told(&listed.body), &["\"cart\"", given]);
    assert_eq!(listed.body["result"]["given"], json!([given]), "{:#}", listed.body);
    let preview =
        installation.http("POST", "/v1/tools/deployment_scale/preview", &token, Some(&cart(5)));
    assert_says(&told(&preview.body), &notes);
    assert_eq!(
        preview.body["result"]["preview"]["operations"][0]["remarks"].as_array().unwrap().len(),
        2,
        "{:#}",
        preview.body
    );
    let done = installation.call(&token, "deployment_scale", &cart(5));
    assert_says(&told(&done.body), &["DONE ", "kustom/base/cart.yaml", notes[0], notes[1]]);
    assert_eq!(
        fs::read_to_string(installation.tree().join("kustom/base/cart.yaml")).unwrap(),
        CART.replace('3', "5")
    );
}

/// A file in UTF-16, which no YAML reader accepts.
const UNREADABLE: &[u8] = &[0xff, 0xfe, b'a', 0];

#[test]
fn a_change_beside_a_file_that_is_not_read_says_so_and_runs() {
    let named = CART.replace("name: cart\n", "name: cart\n  namespace: storefront\n");
    let (installation, token) =
        staged(&[("cart.yaml", &named), ("more.yaml", &named.replace("name: cart", "name: more"))]);
    let note = "note: kustom/other.yaml:1 is UTF-16 or UTF-32";
    let copy = "a second copy of this object in it would not be seen";
    let preview = || {
        told(
            &installation
                .http("POST", "/v1/tools/deployment_scale/preview", &token, Some(&cart(5)))
                .body,
        )
    };
    assert!(!preview().contains(copy), "{}", preview());
    // The question comes before the file, and the signature after it: the call runs.
    let delete = json!({"namespace": "storefront", "name": "more"});
    let asked =
        installation.http("POST", "/v1/tools/deployment_delete?wait=0", &token, Some(&delete));
    assert_eq!(asked.status, 202, "{:#}", asked.body);
    let call = installation.waiting();
    fs::write(installation.tree().join("kustom/other.yaml"), UNREADABLE).unwrap();
    assert_says(&preview(), &[note, copy]);
    installation.run(&["approve", &call, "--key", text(&installation.key("bob")), "--yes"]);
    installation.closed(&call);
    let done = installation.http("GET", &format!("/v1/jobs/{call}"), &token, None);
    assert_says(&told(&done.body), &["DONE ", "kustom/other.yaml:1 is UTF-16 or UTF-32", copy]);
    assert!(!installation.tree().join("kustom/more.yaml").exists());
    assert_says(
        &told(&installation.call(&token, "deployment_scale", &cart(5)).body),
        &["DONE ", note, copy],
    );
    // The approver of a later question signs with the note.
    let gone = json!({"namespace": "storefront", "name": "cart"});
    let asked =
        installation.http("POST", "/v1/tools/deployment_delete?wait=0", &token, Some(&gone));
    assert_eq!(asked.status, 202, "{:#}", asked.body);
    assert_says(&installation.run(&["show", &installation.waiting(), "--shown"]), &[note, copy]);
}

#[test]
fn a_delete_that_would_break_a_build_is_refused_with_the_line() {
    let kustomization = "namespace: storefront\nresources:\n- cart.yaml\n- more.yaml\n";
    let named = CART.replace("name: cart\n", "name: cart\n  namespace: storefront\n");
    let more = named.replace("name: cart", "name: more");
    let (installation, token) = staged(&[
        ("cart.yaml", &named),
        ("more.yaml", &more),
        ("kustomization.yaml", kustomization),
    ]);
    let delete = json!({"namespace": "storefront", "name": "cart"});
    let before = installation.files();
    let refused = installation.call(&token, "deployment_delete", &delete);
    assert_says(
        &told(&refused.body),
        &[
            "by still-named in",
            "`kustom/cart.yaml` is still named by kustom/kustomization.yaml:3 (`resources`)",
        ],
    );
    assert_eq!(installation.files(), before);
    // Without that line the same call runs.
    fs::write(
        installation.tree().join("kustom/kustomization.yaml"),
        kustomization.replace("- cart.yaml\n", ""),
    )
    .unwrap();
    let asked =
        installation.http("POST", "/v1/tools/deployment_delete?wait=0", &token, Some(&delete));
    assert_eq!(asked.status, 202, "{:#}", asked.body);
}

#[test]
fn one_file_of_two_namespaces_is_changed_in_neither() {
    let (installation, token) = staged(&[
        ("base/cart.yaml", CART),
        ("base/kustomization.yaml", "resources:\n- cart.yaml\n"),
        ("prod/kustomization.yaml", "namespace: storefront\nresources:\n- ../base\n"),
        ("staging/kustomization.yaml", "namespace: storefront-staging\nresources:\n- ../base\n"),
    ]);
    let listed = installation.call(&token, "workloads_list", &json!({"namespace": "storefront"}));
    assert_says(
        &told(&listed.body),
        &["kustom/base/cart.yaml:1: (Deployment cart) is built as several objects"],
    );
    let refused = installation.call(&token, "deployment_scale", &cart(5));
    assert_says(
        &told(&refused.body),
        &[
            "by built-as-several in",
            "kustom/prod/kustomization.yaml:1 gives",
            "kustom/staging/kustomization.yaml:1 gives",
        ],
    );
    fs::remove_dir_all(installation.tree().join("kustom/staging")).unwrap();
    assert_says(&told(&installation.call(&token, "deployment_scale", &cart(5)).body), &["DONE "]);
}

#[test]
fn a_placeholder_is_shown_to_the_person_who_signs() {
    let named = CART
        .replace("name: cart\n", "name: cart\n  namespace: storefront\n")
        .replace("3 #", "${CART_REPLICAS:=3} #");
    let (installation, token) = staged(&[("cart.yaml", &named)]);
    let note = "note: `spec.replicas` holds the placeholder \"${CART_REPLICAS:=3}\"; this change \
                overwrites it";
    let asked =
        installation.http("POST", "/v1/tools/deployment_scale?wait=0", &token, Some(&cart(5)));
    assert_eq!(asked.status, 202, "{:#}", asked.body);
    let call = installation.waiting();
    let shown = installation.run(&["show", &call, "--shown"]);
    assert_says(
        &shown,
        &[
            note,
            "overwrites-placeholder: spec.replicas of cart has a placeholder, which this change \
             overwrites",
        ],
    );
    installation.run(&["approve", &call, "--key", text(&installation.key("bob")), "--yes"]);
    installation.closed(&call);
    let done = installation.http("GET", &format!("/v1/jobs/{call}"), &token, None);
    assert_says(&told(&done.body), &["DONE ", note]);
}
