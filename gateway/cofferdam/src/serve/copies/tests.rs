//! Copies are whole, private and one start's; every difference is named.

use super::*;
use std::os::unix::fs::PermissionsExt as _;

const POLICY: [&str; 2] = ["0", "1"];

fn trust(policy: &str, rest: &str) -> String {
    format!(
        "policy = \"sha256:{}\"\nself_approval = false\n[environment]\nname = \"lab\"\nid = \
         \"1\"\n[keys]\ngateway = \"g\"\nrecorder = \"r\"\n[floor]\nactions = []\nnamespaces = \
         []\n{rest}",
        policy.repeat(64)
    )
}

fn home() -> (tempfile::TempDir, Home) {
    let folder = tempfile::tempdir().unwrap();
    let home = Home::at(folder.path().to_owned());
    home.make_folders().unwrap();
    write_private(&home.config(), b"one").unwrap();
    write_private(&home.trust(), trust(POLICY[0], "").as_bytes()).unwrap();
    write_private(&home.policy_module(), b"module").unwrap();
    write_private(&home.policy_data(), b"{}").unwrap();
    write_private(&home.tools().join("hello.wasm"), b"hello").unwrap();
    (folder, home)
}

#[test]
fn a_start_has_copies_of_its_own_and_removes_older_ones() {
    let (_folder, home) = home();
    // As a start that was killed leaves it.
    fs::create_dir_all(home.served().join("7/policy")).unwrap();
    fs::create_dir_all(home.served().join("8.new")).unwrap();
    let served = Served::take(&home).unwrap();
    assert_eq!(served.copies().home().root(), home.served().join("8"));
    assert_eq!(current(&home).unwrap().root(), served.copies().home().root());
    assert_eq!(fs::read(served.copies().home().tools().join("hello.wasm")).unwrap(), b"hello");
    assert_eq!(
        fs::metadata(served.copies().home().root()).unwrap().permissions().mode() & 0o777,
        PRIVATE
    );
    assert_eq!(numbers(&home.served()), [8]);
    let second = Served::take(&home).unwrap_err().to_string();
    assert!(second.contains("another `cofferdam serve`"), "{second}");
    drop(served);
    assert!(current(&home).is_none());
    assert_eq!(in_use(&home), home);
}

#[test]
fn a_load_has_copies_of_its_own_and_is_in_use_when_the_link_moved() {
    let (_folder, home) = home();
    let mut served = Served::take(&home).unwrap();
    let first = served.copies().home().clone();
    write_private(&home.policy_data(), b"{\"a\":1}").unwrap();
    write_private(&home.config(), b"two").unwrap();
    write_private(&home.tools().join("new.wasm"), b"new").unwrap();
    let copies = again(&home, served.copies()).unwrap();
    assert_eq!(current(&home).unwrap(), first, "a load that is not in use yet");
    assert_eq!(fs::read(link(&home).join("policy/data.json")).unwrap(), b"{}");
    served.replace(copies).unwrap();
    assert_eq!(current(&home).unwrap().root(), home.served().join("2"));
    assert_eq!(fs::read(link(&home).join("policy/data.json")).unwrap(), b"{\"a\":1}");
    assert_eq!(fs::read(link(&home).join("plugins/tools/new.wasm")).unwrap(), b"new");
    assert_eq!(fs::read(first.policy_data()).unwrap(), b"{}", "a job may use it still");
    assert_eq!(loads(&home).len(), 2, "a removed approver is removed from both");
    let trusted = crate::config::read_trust(&home).unwrap();
    assert_eq!(differences(&home, served.copies(), &trusted), [""; 0]);
    assert!(served.copies().damaged().is_empty(), "{:?}", served.copies().damaged());
    assert!(changed_config(&home, served.copies()).is_some(), "a restart uses it");
    // An equal component is one file under two names.
    let hello = |home: &Home| Facts::of(&home.tools().join("hello.wasm"));
    assert!(hello(&first).is_some() && hello(&first) == hello(served.copies().home()));
    drop(served);
    assert_eq!(numbers(&home.served()), [0; 0]);
    assert!(link(&home).symlink_metadata().is_err());
}

#[test]
fn every_difference_is_named_and_nothing_else() {
    let (_folder, home) = home();
    let served = Served::take(&home).unwrap();
    let trusted = crate::config::read_trust(&home).unwrap();
    let told = || differences(&home, served.copies(), &trusted).join("\n");
    assert_eq!(told(), "");
    // Written again with the same bytes.
    write_private(&home.policy_data(), b"{}").unwrap();
    assert_eq!(told(), "");
    write_private(&home.tools().join("hello.wasm"), b"jello").unwrap();
    assert!(told().contains("`plugins/tools/hello.wasm` was changed at 2"), "{}", told());
    write_private(&home.tools().join("hello.wasm"), b"hello").unwrap();
    assert_eq!(told(), "");
    let approver = "[[approver]]\nname = \"bob\"\nkey = \"k\"\n";
    write_private(&home.trust(), trust(POLICY[1], approver).as_bytes()).unwrap();
    let said = told();
    assert!(said.starts_with("`trust/trust.toml` was changed at 2"), "{said}");
    assert!(said.contains("policy 1111") && said.contains("is not served yet"), "{said}");
    assert!(said.contains("a key of the approver `bob` is not known yet"), "{said}");
    fs::remove_file(home.trust()).unwrap();
    assert_eq!(told(), "`trust/trust.toml` is gone");
    write_private(&home.trust(), trust(POLICY[0], "").as_bytes()).unwrap();
    write_private(&home.config(), b"two").unwrap();
    assert_eq!(told(), "");
    let config = changed_config(&home, served.copies()).unwrap();
    assert!(config.starts_with("`cofferdam.toml` was changed at 2"), "{config}");
}

#[test]
fn a_copy_that_is_lost_or_changed_is_named_and_is_no_difference_of_the_home() {
    type Break = fn(&Path);
    let table: [(Break, &str); 4] = [
        (|path| fs::remove_file(path).unwrap(), "the copy of `policy/policy.wasm` is gone"),
        (|path| fs::write(path, "other").unwrap(), "the copy of `policy/policy.wasm` was changed"),
        (
            |path| {
                fs::remove_file(path).unwrap();
                fs::create_dir(path).unwrap();
            },
            "the copy of `policy/policy.wasm` cannot be read (Is a directory",
        ),
        (
            |path| fs::remove_dir_all(path.ancestors().nth(3).unwrap()).unwrap(),
            "5 of its 5 files are gone",
        ),
    ];
    for (break_it, words) in table {
        let (_folder, home) = home();
        let served = Served::take(&home).unwrap();
        let trusted = crate::config::read_trust(&home).unwrap();
        let path = served.copies().home().policy_module();
        let said = || {
            let mut found = crate::serve::health::Findings::default();
            crate::serve::health::copies(&home, served.copies(), &mut found);
            found.bad_ones().map(crate::serve::health::Finding::line).collect::<Vec<_>>().join("\n")
        };
        // The same bytes again, as by a restore, are no loss.
        write_private(&path, b"module").unwrap();
        assert_eq!(said(), "");
        break_it(&path);
        assert!(said().contains(words), "not `{words}`: {}", said());
        assert!(
            said().contains("start `cofferdam serve` again") && !said().contains("served/1"),
            "{}",
            said()
        );
        assert_eq!(differences(&home, served.copies(), &trusted), [""; 0]);
        // Whether it serves does not depend on that folder.
        assert!(running(&home));
    }
}

#[test]
fn trust_files_are_read_again_only_after_a_change() {
    let (_folder, home) = home();
    let approver = "[[approver]]\nname = \"bob\"\nkey = \"k\"\n";
    write_private(&home.trust(), trust(POLICY[0], approver).as_bytes()).unwrap();
    let served = Served::take(&home).unwrap();
    let (mut copies, trusted) =
        (served.copies().clone(), crate::config::read_trust(&home).unwrap());
    assert!(copies.changed_trust(&home).is_some(), "the first check reads both");
    assert_eq!(copies.follow_removals(&home, &trusted), None);
    assert!(copies.changed_trust(&home).is_none());
    // An unreadable file is tried again each time.
    write_private(&home.trust(), b"no trust file").unwrap();
    assert_eq!(copies.follow_removals(&home, &trusted), None);
    assert!(copies.changed_trust(&home).is_some());
    write_private(&home.trust(), trust(POLICY[0], "").as_bytes()).unwrap();
    let now = copies.follow_removals(&home, &trusted).unwrap();
    assert!(now.approvers.is_empty());
    assert!(copies.damaged().is_empty(), "{:?}", copies.damaged());
    // The copy itself changed, so both are read once more.
    assert!(copies.changed_trust(&home).is_some());
    assert_eq!(copies.follow_removals(&home, &now), None);
    assert!(copies.changed_trust(&home).is_none());
}
