//! Effects in a private copy: done as approved, undone, refused when the world is another, and gone
//! afterwards.

use super::*;
use crate::preview::preview;
use cofferdam_core::model::operation::{Change, Step};
use cofferdam_core::model::preview::Expect;
use cofferdam_process::rooted_fs::Root;
use jiff::Timestamp;
use serde_json::json;

const TWO: &str = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a, namespace: t}\ndata: {x: \
                   \"1\"} # one\n---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: b, \
                   namespace: t}\ndata: {}\n";

fn target(name: &str) -> Target {
    Target {
        group: String::new(),
        version: "v1".into(),
        kind: "ConfigMap".into(),
        namespace: "t".into(),
        name: name.into(),
    }
}

fn step(operation: Operation) -> Step {
    Step { operation, after: vec![], reversible: true }
}

#[test]
fn a_delete_and_a_patch_in_one_file_are_done_and_undone_apart() {
    let place = tempfile::tempdir().unwrap();
    fs::create_dir_all(place.path().join("tree/deep")).unwrap();
    fs::create_dir(place.path().join("runs")).unwrap();
    fs::write(place.path().join("tree/deep/two.yaml"), TWO).unwrap();
    let index = Index::read(&Root::open(&place.path().join("tree")).unwrap(), None).unwrap();
    let (call, runs) = (CallId::from_random(1), place.path().join("runs"));
    let change = Change { path: "data.y".into(), value: Some(json!({"$host": "call_id"})) };
    let delete = Operation::Delete { target: target("b") };
    let patch = Operation::Patch { target: target("a"), changes: vec![change] };
    let approved =
        preview(&index, &[step(delete.clone()), step(patch.clone())]).unwrap().operations;
    let host = Host::new(call.clone(), Timestamp::UNIX_EPOCH);
    let mut copy =
        PrivateCopy::make(&runs, &call, Fence(3), &index, &[&target("b"), &target("a")]).unwrap();
    assert!(PrivateCopy::make(&runs, &call, Fence(3), &index, &[]).is_err());
    assert_eq!(copy.changed().unwrap(), []);

    assert_eq!(copy.perform(&delete, &approved[0], &host).unwrap(), BTreeMap::new());
    assert!(matches!(copy.perform(&delete, &approved[0], &host), Err(EffectError::Conflict(_))));
    let after = copy.perform(&patch, &approved[1], &host).unwrap();
    assert_eq!(json!(after), json!({"data.y": call.as_str()}));
    let changed = copy.changed().unwrap();
    assert_eq!(changed[0].path, Path::new("deep/two.yaml"));
    let meant = TWO[..TWO.find("---").unwrap()]
        .replace("{x: \"1\"}", &format!("{{x: \"1\", \"y\": {call}}}"));
    assert_eq!(changed[0].content.as_deref(), Some(meant.as_str()));

    // The file was changed since the delete: its undo would take the patch with it.
    assert!(matches!(copy.undo(&approved[0]), Err(EffectError::Conflict(_))));
    assert_eq!(json!(copy.undo(&approved[1]).unwrap()), json!({"data.y": null}));
    assert_eq!(fs::read_to_string(place.path().join("tree/deep/two.yaml")).unwrap(), TWO);

    assert_eq!(sweep(&runs, &call, Fence(3)).unwrap(), None);
    assert_eq!(sweep(&runs, &call, Fence(4)).unwrap(), Some(copy.folder().to_owned()));
    assert!(!copy.folder().exists());
}

#[test]
fn a_copy_that_cannot_be_made_names_path_and_error() {
    let place = tempfile::tempdir().unwrap();
    let (gone, call) = (place.path().join("gone"), CallId::from_random(1));
    let Err(EffectError::Unwritable(obstacle)) =
        PrivateCopy::make(&gone, &call, Fence(1), &Index::default(), &[])
    else {
        panic!()
    };
    assert!(
        obstacle.cause.contains("/gone/cofferdam-run-")
            && obstacle.cause.contains("No such file or directory (os error 2)"),
        "{obstacle}"
    );
    assert_eq!(sweep(&gone, &call, Fence(2)), Ok(None), "nothing is left where nothing is");
}

#[test]
fn the_last_object_of_a_file_takes_the_file_with_it_and_brings_it_back() {
    let place = tempfile::tempdir().unwrap();
    fs::create_dir(place.path().join("tree")).unwrap();
    let one = TWO[..TWO.find("---").unwrap()].to_owned();
    fs::write(place.path().join("tree/one.yaml"), &one).unwrap();
    let index = Index::read(&Root::open(&place.path().join("tree")).unwrap(), None).unwrap();
    let call = CallId::from_random(1);
    let delete = Operation::Delete { target: target("a") };
    let approved = preview(&index, &[step(delete.clone())]).unwrap().operations;
    let mut copy =
        PrivateCopy::make(place.path(), &call, Fence(1), &index, &[&target("a")]).unwrap();
    copy.perform(&delete, &approved[0], &Host::sample()).unwrap();
    assert_eq!(copy.changed().unwrap()[0].content, None);
    assert_eq!(copy.undo(&approved[0]).unwrap(), approved[0].before);
    assert_eq!(copy.changed().unwrap(), []);
    // Another state than the approved one.
    let mut other = approved[0].clone();
    other.expect = Expect::Present { uid: "file-0".into(), digest: ObjectDigest::of(b"") };
    assert!(matches!(
        copy.perform(&delete, &other, &Host::sample()),
        Err(EffectError::Conflict(_))
    ));
}
