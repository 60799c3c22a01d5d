//! Each fault is named with its path, and what is whole is not.

use super::*;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;

fn home() -> (tempfile::TempDir, Home) {
    let folder = tempfile::tempdir().unwrap();
    let home = Home::at(folder.path().join("home"));
    home.make_folders().unwrap();
    (folder, home)
}

fn bad(look: impl FnOnce(&mut Findings)) -> String {
    let mut found = Findings::default();
    look(&mut found);
    found.bad_ones().map(Finding::line).collect::<Vec<_>>().join("\n")
}

#[test]
fn a_folder_that_is_lost_a_file_or_a_dangling_link_is_named() {
    let (_folder, home) = home();
    assert_eq!(bad(|found| places(&home, None, true, found)), "");
    fs::remove_dir(home.journal()).unwrap();
    // The next start makes it, so before a start it is no obstacle.
    assert_eq!(bad(|found| places(&home, None, false, found)), "");
    let said = bad(|found| places(&home, None, true, found));
    assert!(said.contains("journal` is gone (start `cofferdam serve` again"), "{said}");
    fs::write(home.journal(), "x").unwrap();
    let said = bad(|found| places(&home, None, false, found));
    assert!(said.contains("journal` is a file where a folder belongs"), "{said}");
    fs::remove_file(home.journal()).unwrap();
    std::os::unix::fs::symlink("nowhere", home.journal()).unwrap();
    let said = bad(|found| places(&home, None, false, found));
    assert!(said.contains("journal` is a link to `nowhere`, and nothing is there"), "{said}");
    fs::remove_file(home.journal()).unwrap();
    fs::remove_dir(home.keys()).unwrap();
    let said = bad(|found| places(&home, None, false, found));
    assert!(said.contains("keys` is missing (restore it from a backup"), "{said}");
}

#[test]
fn what_others_can_read_is_named() {
    let (_folder, home) = home();
    assert_eq!(bad(|found| permissions(&home, found)), "");
    fs::set_permissions(home.root(), fs::Permissions::from_mode(0o755)).unwrap();
    let said = bad(|found| permissions(&home, found));
    assert!(said.contains("other users can read") && said.contains("chmod -R go= "), "{said}");
}

#[test]
fn a_port_is_free_ours_or_taken() {
    let held = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = held.local_addr().unwrap();
    assert_eq!(bad(|found| port(address, true, found)), "");
    assert!(bad(|found| port(address, false, found)).contains("is taken by another program"));
    assert!(
        bad(|found| port("203.0.113.1:80".parse().unwrap(), false, found))
            .contains("cannot listen on")
    );
    drop(held);
    assert_eq!(bad(|found| port(address, false, found)), "");
}

#[test]
fn a_tree_is_looked_at_in_every_part() {
    let (folder, _) = home();
    let root = folder.path().join("tree");
    fs::create_dir_all(root.join("web/.git")).unwrap();
    fs::write(root.join("web/a.yaml"), "a: 1\n").unwrap();
    assert_eq!(bad(|found| tree(&root, Depth::Whole, found)), "");
    std::os::unix::fs::symlink("nowhere", root.join("web/link.yaml")).unwrap();
    assert_eq!(bad(|found| tree(&root, Depth::Whole, found)), "");
    let none = folder.path().join("none");
    assert!(
        bad(|found| tree(&none, Depth::Root, found))
            .contains("none` cannot be reached: No such file")
    );
    assert!(
        bad(|found| tree(&root.join("web/a.yaml"), Depth::Root, found))
            .contains("is a file, not a folder")
    );
}

#[test]
fn bytes_read_as_people_say_them() {
    for (count, expect) in
        [(0, "0 bytes"), (1023, "1023 bytes"), (1536, "1.5 KiB"), (2 << 30, "2.0 GiB")]
    {
        assert_eq!(disk::bytes(count), expect);
    }
}

#[test]
fn two_looks_at_one_fault_are_known_as_one() {
    let finding = |what: &'static str, detail: &str| Finding {
        grade: Grade::Bad,
        calls: true,
        what,
        detail: detail.to_owned(),
        remedy: "restore it".to_owned(),
    };
    let check = |what, detail: &str, line: &str, expect| {
        assert_eq!(finding(what, detail).is_told_by(line), expect, "{detail} | {line}")
    };
    let gone = "the folder `/h/journal` is gone";
    check(
        "home",
        gone,
        "home: the folder `/h/journal` is gone (start `cofferdam serve` again)",
        true,
    );
    check(
        "home",
        gone,
        "home: the folder `/h/runs` is gone (start `cofferdam serve` again)",
        false,
    );
    check("home", gone, "home: the folder `/h/journal/old` is gone", false);
    // What differs in its numbers alone is one fault.
    check(
        "disk",
        "1.0 GiB free under `/h`, below the reserve",
        "disk: 1.1 GiB free under `/h`, below the reserve (free some)",
        true,
    );
    check(
        "disk",
        "1.0 GiB free under `/h`, below the reserve",
        "tree's disk: 1.1 GiB free under `/h`, below",
        false,
    );
    // As the next start would say it, on one line.
    check(
        "agents",
        "not TOML:\n  line 3",
        &format!("{NEXT}agents.toml: not TOML: line 3; correct it"),
        true,
    );
    check(
        "keys",
        "cannot read the key `/h/keys/gateway`",
        &format!("{NEXT}keys: cannot read the key `/h/keys/gateway`; restore it"),
        true,
    );
    check(
        "keys",
        "cannot read the key `/h/keys/gateway`",
        &format!("{NEXT}keys: cannot read the key `/h/keys/recorder`; restore it"),
        false,
    );
    // What is as it should be is no fault.
    let good =
        Finding { grade: Grade::Good, ..finding("tree", "`/t` can be changed by this user") };
    assert!(
        !good.is_told_by("tree: in `/t`: cannot be changed")
            && !good.is_told_by("`/t` can be changed by this user")
    );
}

#[test]
fn a_lost_folder_is_named_and_not_each_of_its_files() {
    let mut found = Findings::default();
    for detail in [
        "the folder `/h/plugins` is missing",
        "the accepted tool `a` cannot be read from `/h/plugins/tools/a.wasm`: gone",
    ] {
        found.bad("plugins", detail, "restore it");
    }
    found.bad("keys", "cannot read the key `/h/keys/gateway`: gone", "restore it");
    found.leave_out_beneath(&["/h/plugins".into(), "/h/plugins/tools".into()]);
    let kept: Vec<_> = found.0.iter().map(|one| one.detail.as_str()).collect();
    assert_eq!(
        kept,
        ["the folder `/h/plugins` is missing", "cannot read the key `/h/keys/gateway`: gone"]
    );
}
