//! A directory that cannot be written: as a whole, in one folder, or only after the commit of a
//! job. Every view gives path, error and remedy of such a job. No other job waits for it, and it
//! continues without help after the cause is gone. On file systems of their own, so that root is
//! refused too.

use crate::cluster::until;
use crate::installation::{TestInstallation, text};
use serde_json::{Value, json};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A mount that ends with the test. On a machine that cannot mount, the test fails.
pub struct Mount(PathBuf);

impl Mount {
    /// A folder mounted over itself, with its files.
    fn over(folder: &Path) -> Self {
        run(&["mount", "--bind", text(folder), text(folder)]);
        Self(folder.to_owned())
    }

    pub fn again(&self, option: &str) {
        run(&["mount", "-o", &format!("remount,bind,{option}"), text(&self.0)]);
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        run(&["umount", "--lazy", text(&self.0)]);
    }
}

fn run(words: &[&str]) {
    let done = Command::new(words[0]).args(&words[1..]).output().unwrap();
    assert!(
        done.status.success(),
        "{words:?} (this test needs root): {}",
        String::from_utf8_lossy(&done.stderr)
    );
}

fn scale(namespace: &str, name: &str, replicas: u32) -> Value {
    json!({"namespace": namespace, "name": name, "replicas": replicas})
}

/// The text for the agent of an unsuccessful call.
fn told(body: &Value) -> String {
    body["error"]["text"].as_str().or(body["text"].as_str()).unwrap_or_default().to_owned()
}

#[test]
fn what_cannot_be_written_fails_before_anything_is_done_and_names_path_error_and_remedy() {
    let mut installation = TestInstallation::bare("example");
    let token = installation.agent("release", "operator");
    let mount = Mount::over(&installation.tree());
    installation.serve(&[]);
    mount.again("ro");
    let before = installation.files();
    let answer = installation.call(&token, "deployment_scale", &scale("storefront", "web", 5));
    let said = told(&answer.body);
    for words in [
        "FAILED ",
        "\nNothing was changed.\n",
        "storefront/web.yaml` cannot be replaced: ",
        "Read-only file system (os error 30)",
        "mount it writable",
    ] {
        assert!(said.contains(words), "not `{words}`: {said}\n{}", installation.log());
    }
    assert_eq!(installation.files(), before);
    assert!(
        installation
            .log()
            .contains("a job could not be written: `storefront/web.yaml` cannot be replaced: "),
        "{}",
        installation.log()
    );
    mount.again("rw");
    let answer = installation.call(&token, "deployment_scale", &scale("storefront", "web", 5));
    assert!(told(&answer.body).starts_with("DONE "), "{:#}", answer.body);
    assert!(!installation.log().contains("restarting "), "{}", installation.log());
    installation.stop();
}

/// A job that is committed and whose file cannot be written since: its runner is lost right after
/// the commit record, and the next one starts after the directory became read-only.
pub fn stuck(installation: &mut TestInstallation, token: &str) -> (String, Mount) {
    let mount = Mount::over(&installation.tree().join("storefront"));
    installation.serve(&["--drill", "effect-committed"]);
    // A supervisor that stands still starts no other runner.
    let supervisor = installation.supervisor().to_string();
    run(&["kill", "-STOP", &supervisor]);
    let answer = installation.http(
        "POST",
        "/v1/tools/deployment_scale?wait=0",
        token,
        Some(&scale("storefront", "web", 5)),
    );
    let call =
        answer.body["call"].as_str().unwrap_or_else(|| panic!("{:#}", answer.body)).to_owned();
    let record = installation.home().join(format!("journal/{call}.committed"));
    until("the commit record", || record.exists().then_some(()));
    mount.again("ro");
    run(&["kill", "-CONT", &supervisor]);
    until("the obstacle", || {
        (view(installation, &call)["stuck"]["tries"].as_u64() >= Some(1)).then_some(())
    });
    (call, mount)
}

fn view(installation: &TestInstallation, call: &str) -> Value {
    installation.json(&["show", call])["view"].clone()
}

const CAUSE: &str = "web.yaml` cannot be replaced: Read-only file system (os error 30)";

#[test]
fn a_committed_job_that_cannot_be_finished_stops_no_other_and_closes_by_itself() {
    let mut installation = TestInstallation::bare("example");
    let (token, other) =
        (installation.agent("release", "operator"), installation.agent("other", "operator"));
    let (call, mount) = stuck(&mut installation, &token);
    // Every view names it.
    let job = installation.http("GET", &format!("/v1/jobs/{call}"), &token, None);
    let said = told(&job.body);
    for words in ["RUNNING ", "It cannot be finished at present: ", CAUSE, "mount it writable"] {
        assert!(said.contains(words), "not `{words}`: {said}");
    }
    for command in [&["show", &call][..], &["status"]] {
        let shown = installation.run(command);
        assert!(
            shown.contains("cannot be finished at present") && shown.contains(CAUSE),
            "{command:?}: {shown}"
        );
    }
    assert!(installation.run(&["jobs"]).contains("acting, stuck"));
    assert!(installation.log().contains(CAUSE), "{}", installation.log());
    // Other files: done. The same file: told why not. Each within the time of a usual call.
    let done =
        installation.call(&other, "deployment_scale", &scale("storefront-staging", "web", 2));
    assert!(told(&done.body).starts_with("DONE "), "{:#}\n{}", done.body, installation.log());
    let refused = installation.call(&other, "deployment_scale", &scale("storefront", "web", 4));
    let said = told(&refused.body);
    assert!(said.starts_with("FAILED ") && said.contains("\nNothing was changed.\n"), "{said}");
    // Further tries leave no entry.
    let entries = |installation: &TestInstallation| {
        installation.json(&["show", &call])["entries"].as_array().unwrap().len()
    };
    let (before, tries) =
        (entries(&installation), view(&installation, &call)["stuck"]["tries"].as_u64().unwrap());
    until("two further tries", || {
        (view(&installation, &call)["stuck"]["tries"].as_u64() >= Some(tries + 2)).then_some(())
    });
    assert_eq!(entries(&installation), before);
    mount.again("rw");
    let story = installation.closed(&call);
    assert_eq!(
        (&story["view"]["outcome"], &story["view"]["files"]),
        (&json!("succeeded"), &json!(["storefront/web.yaml"]))
    );
    assert!(
        fs::read_to_string(installation.tree().join("storefront/web.yaml"))
            .unwrap()
            .contains("replicas: 5")
    );
    assert_eq!(
        installation.log().matches("restarting ").count(),
        1,
        "the one that the drill ended: {}",
        installation.log()
    );
    installation.stop();
    installation.verify_ledger();
}

#[test]
fn an_operator_gives_up_what_is_stuck_and_everybody_is_told_what_is_written() {
    let mut installation = TestInstallation::bare("example");
    let token = installation.agent("release", "operator");
    let (call, mount) = stuck(&mut installation, &token);
    let refused =
        installation.fail(&["resolve", &call, "--as", "succeeded", "--because", "it will be"]);
    assert!(refused.contains("`--as failed` gives it up"), "{refused}");
    let because = "the tree is thrown away";
    installation.run(&["resolve", &call, "--as", "failed", "--because", because]);
    let story = installation.closed(&call);
    assert_eq!(story["view"]["outcome"], "failed", "{story:#}");
    let job = installation.http("GET", &format!("/v1/jobs/{call}"), &token, None);
    let said = told(&job.body);
    for words in [
        "FAILED ",
        "\nNothing was changed.\n",
        because,
        CAUSE,
        "none of its files was written",
        ".given-up",
    ] {
        assert!(said.contains(words), "not `{words}`: {said}");
    }
    // Once it is given up no runner completes it, not even when it could.
    mount.again("rw");
    let done = installation.call(&token, "deployment_scale", &scale("storefront", "web", 4));
    assert!(told(&done.body).starts_with("DONE "), "{:#}", done.body);
    let again = installation.fail(&["resolve", &call, "--as", "failed", "--because", because]);
    assert!(again.contains("is known, failed"), "{again}");
    installation.stop();
}

#[test]
fn folders_that_were_removed_are_made_again_and_said() {
    let mut installation = TestInstallation::bare("example");
    let token = installation.agent("release", "operator");
    for folder in ["runs", "journal", "ledger", "run"] {
        let _not_made_yet = fs::remove_dir_all(installation.home().join(folder));
    }
    installation.serve(&[]);
    assert!(
        installation.log().contains("was missing; it was made again, empty"),
        "{}",
        installation.log()
    );
    let done = installation.call(&token, "deployment_scale", &scale("storefront", "web", 5));
    assert!(told(&done.body).starts_with("DONE "), "{:#}\n{}", done.body, installation.log());
    // While it serves: the runners that wait end themselves, and what takes their place makes it
    // again.
    installation.closed(done.body["call"].as_str().unwrap());
    fs::remove_dir_all(installation.home().join("journal")).unwrap();
    let mut replicas = 5;
    until("a runner that has its folder again", || {
        replicas = if replicas == 5 { 4 } else { 5 };
        let answer =
            installation.call(&token, "deployment_scale", &scale("storefront", "web", replicas));
        let said = told(&answer.body);
        assert!(
            said.starts_with("DONE ")
                || said.contains("Nothing was changed.")
                || said.starts_with("RUNNING "),
            "{said}"
        );
        said.starts_with("DONE ").then_some(())
    });
    installation.stop();
    installation.verify_ledger();
}
