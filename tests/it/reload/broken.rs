//! A set with a broken part is refused whole: the cause is told, and what is served stays in use.

use super::{loaded, scale};
use crate::installation::TestInstallation;
use cofferdam_core::model::id::ComponentDigest;
use std::fs;

#[test]
fn a_broken_set_is_refused_with_its_cause_and_changes_nothing() {
    let mut installation = TestInstallation::bare("single");
    installation.serve(&[]);
    let token = installation.agent("bot", "deployer");
    let (before, home) = (loaded(&installation), installation.home());
    let (data, trust) = (home.join("policy/data.json"), home.join("trust/trust.toml"));
    let (good_data, good_trust) =
        (fs::read_to_string(&data).unwrap(), fs::read_to_string(&trust).unwrap());
    let version = good_trust.lines().find(|line| line.starts_with("version = ")).unwrap();
    let table = [
        // Refused by the supervisor, which compares digests.
        (&data, "{}".to_owned(), "not the accepted"),
        (&trust, "no trust file".to_owned(), "trust.toml"),
        // Refused by the gateway process that rehearses the start.
        (&trust, good_trust.replace(version, "version = \"99.0.0\""), "its version differs"),
    ];
    for (path, broken, cause) in table {
        fs::write(path, &broken).unwrap();
        let said = installation.fail(&["reload"]);
        assert!(said.contains("not loaded; what is served stays in use: "), "{said}");
        assert!(said.contains(cause) && !said.contains("served/"), "not `{cause}`: {said}");
        assert_eq!(loaded(&installation), before);
        assert!(installation.run(&["status"]).contains("reload       refused at "));
        let done = installation.call(&token, "deployment_scale", &scale(5));
        assert_eq!(done.status, 200, "{:#}", done.body);
        fs::write(&data, &good_data).unwrap();
        fs::write(&trust, &good_trust).unwrap();
        let said = installation.run(&["reload"]);
        assert!(said.starts_with("Loaded tools: "), "{said}");
    }
    let left = fs::read_dir(home.join("served")).unwrap().count();
    assert!(left <= 5, "at most the copies of the start, of three loads, and the link: {left}");
    assert!(!installation.run(&["status"]).contains("refused at"));
}

#[test]
fn an_executor_that_is_no_component_of_its_kind_is_refused_before_a_job_needs_it() {
    let mut installation = TestInstallation::bare("single");
    installation.serve(&[]);
    let home = installation.home();
    let trust = home.join("trust/trust.toml");
    let good = fs::read_to_string(&trust).unwrap();
    let tool = fs::read(home.join("plugins/tools/deployment_scale.wasm")).unwrap();
    for (bytes, cause) in [(b"no component".to_vec(), "odd.wasm"), (tool, "it is a tool")] {
        fs::write(home.join("plugins/executors/odd.wasm"), &bytes).unwrap();
        let digest = ComponentDigest::of(&bytes);
        let entry = format!("\n[[executor]]\nname = \"odd\"\ndigest = \"{digest}\"\n");
        fs::write(&trust, good.clone() + &entry).unwrap();
        let said = installation.fail(&["reload"]);
        assert!(said.contains("is no executor that can be used"), "{said}");
        assert!(said.contains(cause) && !said.contains("served/"), "not `{cause}`: {said}");
    }
    fs::write(&trust, good).unwrap();
    installation.run(&["reload"]);
    let token = installation.agent("bot", "deployer");
    let done = installation.call(&token, "deployment_scale", &scale(5));
    assert_eq!(done.status, 200, "{:#}", done.body);
}
