//! `[links]`: the role of a home, its peers, and the files that other roles have.

use super::super::home::{Home, write_private};
use super::{Config, ConfigErrors, file};
use cofferdam_core::protocol::link::LinkRole;

/// Reads the sections beside an environment and an infrastructure whose files are elsewhere.
fn read(sections: &str) -> Result<Config, String> {
    let folder = tempfile::tempdir().unwrap();
    let root = std::fs::canonicalize(folder.path()).unwrap();
    let home = Home::at(root.join("home"));
    home.make_folders().unwrap();
    std::fs::create_dir(home.links()).unwrap();
    for name in ["certificate.pem", "key.pem", "ca.pem"] {
        write_private(&home.links().join(name), b"x").unwrap();
    }
    let document = format!(
        "[environment]\nname = \"lab\"\n[kubernetes]\nviewer = \"/nowhere/viewer\"\nprovisioner = \
         \"/nowhere/provisioner\"\nreaper = \"/nowhere/reaper\"\n{sections}"
    );
    let mut errors = Vec::new();
    let config = file::check(&document, &home, &mut errors);
    let told = ConfigErrors(errors.clone()).to_string().replace(root.to_str().unwrap(), "ROOT");
    if errors.is_empty() { Ok(config.unwrap()) } else { Err(told) }
}

#[test]
fn a_home_of_one_role_is_without_the_files_of_the_others() {
    let recorder = read(
        "[links]\nrole = \"recorder\"\nlisten = \"10.0.0.1:8630\"\ngateway = [\"10.0.0.3:8630\"]\n\
         [notify.oncall]\nkind = \"slack\"\nsecret_file = \"/nowhere/secret\"",
    )
    .unwrap();
    let links = recorder.links.clone().unwrap();
    assert_eq!(recorder.role(), Some(LinkRole::Recorder));
    assert_eq!(links.trust_domain, "cofferdam");
    assert_eq!(links.peers, [(LinkRole::Gateway, vec!["10.0.0.3:8630".to_owned()])]);
    assert_eq!(links.accepts(), [LinkRole::Gateway, LinkRole::Courier, LinkRole::Runner]);
    // The same files are missing where a role reads them.
    for (role, rest, words) in [
        (
            "viewer",
            "listen = \"10.0.0.2:8630\"",
            "kubernetes.viewer: `/nowhere/viewer` is not a file",
        ),
        (
            "courier",
            "listen = \"10.0.0.4:8630\"\nrecorder = [\"r:1\"]\n[notify.oncall]\nkind = \
             \"slack\"\nsecret_file = \"/nowhere/secret\"",
            "notify.oncall.secret_file: `/nowhere/secret` is not a file",
        ),
    ] {
        let told = read(&format!("[links]\nrole = \"{role}\"\n{rest}")).unwrap_err();
        assert!(told.contains(words) && !told.contains("faults"), "{role}: {told}");
    }
}

#[test]
fn each_fault_of_the_links_is_told_with_its_remedy() {
    for (section, words) in [
        (
            "role = \"guest\"",
            &["cofferdam.toml:8: links.role: `guest` is no role", "write one of them"][..],
        ),
        (
            "role = \"recorder\"\nviewer = [\"v:1\"]",
            &[
                "links.listen: missing: other roles open links to the recorder; write an address",
                "cofferdam.toml:9: links.viewer: a recorder opens no link to a viewer; remove",
            ],
        ),
        (
            "role = \"gateway\"\nrecorder = [\"r\"]\ntrust_domain = \"A b\"",
            &[
                "links.recorder: `r` is no host with a port; write",
                "links.viewer: missing: a gateway opens links to a viewer; write its addresses",
                "links.trust_domain: `A b` is no trust domain; use",
            ],
        ),
        (
            "role = \"runner\"\nrecorder = [\"r:1\"]\nlisten = \"10.0.0.1:1\"",
            &["cofferdam.toml:10: links.listen: no role opens a link to a runner; remove"],
        ),
    ] {
        let told = read(&format!("[links]\n{section}")).unwrap_err();
        for words in words {
            assert!(told.contains(words), "not `{words}`:\n{told}");
        }
    }
}

#[test]
fn the_link_reads_no_credential_and_no_tree_with_its_files() {
    let folder = tempfile::tempdir().unwrap();
    let root = std::fs::canonicalize(folder.path()).unwrap();
    let home = Home::at(root.join("home"));
    home.make_folders().unwrap();
    for folder in ["links", "own", "tree/links"] {
        std::fs::create_dir_all(root.join(folder)).unwrap();
        for name in ["certificate.pem", "key.pem", "ca.pem", "viewer", "secret"] {
            write_private(&root.join(folder).join(name), b"x").unwrap();
        }
    }
    let told = |links: &str, infrastructure: &str, secret: &str| {
        let files = root.join(links);
        let document = format!(
            "[environment]\nname = \"lab\"\n{}\n[links]\nrole = \"viewer\"\nlisten = \
             \"10.0.0.2:1\"\ncertificate = {:?}\nkey = {:?}\nca = {:?}\n[notify.oncall]\nkind = \
             \"slack\"\nsecret_file = {:?}\n",
            infrastructure.replace("ROOT", root.to_str().unwrap()),
            files.join("certificate.pem"),
            files.join("key.pem"),
            files.join("ca.pem"),
            root.join(secret),
        );
        let mut errors = Vec::new();
        let config = file::check(&document, &home, &mut errors).unwrap();
        super::check_together(&config, &super::Agents::default(), None, &mut errors);
        errors.into_iter().map(|error| error.key).collect::<Vec<_>>()
    };
    let cluster = |viewer: &str| {
        format!(
            "[kubernetes]\nviewer = \"ROOT/{viewer}\"\nprovisioner = \"/nowhere/p\"\nreaper = \
             \"/nowhere/r\""
        )
    };
    let tree = "[directory]\ntree = \"ROOT/tree\"";
    assert_eq!(told("links", &cluster("own/viewer"), "own/secret"), [""; 0]);
    assert_eq!(told("links", &cluster("links/viewer"), "own/secret"), ["kubernetes.viewer"]);
    let secret = ["notify.oncall.secret_file"];
    assert_eq!(told("links", &cluster("own/viewer"), "links/secret"), secret);
    assert_eq!(told("links", tree, "own/secret"), [""; 0]);
    assert_eq!(told("tree/links", tree, "own/secret"), ["links"]);
}

#[test]
fn the_command_line_and_the_home_name_the_same_role() {
    let recorder = read("[links]\nrole = \"recorder\"\nlisten = \"10.0.0.1:8630\"").unwrap();
    assert_eq!(recorder.check_role(Some(LinkRole::Recorder)), Ok(()));
    for other in [None, Some(LinkRole::Viewer)] {
        let told = recorder.check_role(other).unwrap_err().to_string();
        assert!(told.contains("links.role") && told.contains("recorder"), "{told}");
    }
    let whole = Config { links: None, ..recorder };
    assert_eq!(whole.check_role(None), Ok(()));
    let told = whole.check_role(Some(LinkRole::Viewer)).unwrap_err().to_string();
    assert!(told.contains("cofferdam role-home --role viewer"), "{told}");
}
