//! Every view is true while the gateway serves: a lost or damaged file of the home is named in
//! `/readyz`, in the log once, in `status` and in `doctor`, with its effect and a remedy that
//! works. After a repair no view names it.

use crate::cluster::until;
use crate::installation::{TestInstallation, text};
use serde_json::json;
use std::fs;
use std::path::Path;

/// The effect on calls.
#[derive(Clone, Copy, PartialEq)]
enum Calls {
    Fail,
    GoOn,
}

/// A file or folder of the home, its replacement, and the text of every view.
struct Loss {
    place: &'static str,
    instead: fn(&Path),
    calls: Calls,
    words: &'static [&'static str],
}

fn nothing(_: &Path) {}

fn garbage(path: &Path) {
    fs::write(path, "garbage = [").unwrap();
}

const NEXT: &str = "the next start will fail";

const LOSSES: [Loss; 14] = [
    Loss {
        place: "served",
        instead: nothing,
        calls: Calls::Fail,
        words: &["are gone", "start `cofferdam serve` again"],
    },
    Loss {
        place: "store/cofferdam.db",
        instead: nothing,
        calls: Calls::Fail,
        words: &["cofferdam.db` is gone", "from a backup"],
    },
    Loss {
        place: "store/cofferdam.db",
        instead: garbage,
        calls: Calls::Fail,
        words: &["was replaced by another file", "from a backup"],
    },
    Loss {
        place: "ledger",
        instead: nothing,
        calls: Calls::GoOn,
        words: &["ledger` is gone", "new checkpoints are not published"],
    },
    Loss {
        place: "artefacts",
        instead: nothing,
        calls: Calls::GoOn,
        words: &["artefacts` is gone", "runners that start from now on fail"],
    },
    Loss {
        place: "artefacts/gateway",
        instead: garbage,
        calls: Calls::GoOn,
        words: &["is a file where a folder belongs", "started again"],
    },
    Loss {
        place: "keys",
        instead: nothing,
        calls: Calls::GoOn,
        words: &["keys` is missing", "runners that start from now on fail"],
    },
    Loss {
        place: "keys/gateway",
        instead: nothing,
        calls: Calls::GoOn,
        words: &[NEXT, "keys/gateway`", "from a backup"],
    },
    Loss {
        place: "policy",
        instead: nothing,
        calls: Calls::GoOn,
        words: &["policy` is missing", NEXT, "from a backup"],
    },
    Loss {
        place: "plugins/executors/sequential.wasm",
        instead: nothing,
        calls: Calls::GoOn,
        words: &[NEXT, "`sequential`", "restore the file"],
    },
    Loss {
        place: "agents/agents.toml",
        instead: nothing,
        calls: Calls::GoOn,
        words: &[NEXT, "agents.toml` is not there", "from a backup"],
    },
    Loss {
        place: "agents/agents.toml",
        instead: garbage,
        calls: Calls::GoOn,
        words: &[NEXT, "agents.toml: agent:", "from a backup"],
    },
    Loss {
        place: "trust/trust.toml",
        instead: nothing,
        calls: Calls::GoOn,
        words: &[NEXT, "trust.toml` is not there", "from a backup"],
    },
    Loss {
        place: "trust/trust.toml",
        instead: garbage,
        calls: Calls::GoOn,
        words: &[NEXT, "the trust file is damaged", "from a backup"],
    },
];

fn ready(installation: &TestInstallation) -> (u16, String) {
    let answer = installation.http("GET", "/readyz", "", None);
    (answer.status, answer.body.as_str().unwrap_or_default().to_owned())
}

fn any(installation: &TestInstallation, words: &[&str]) -> String {
    let done = std::process::Command::new(crate::installation::binaries().join("cofferdam"))
        .arg("--home")
        .arg(installation.home())
        .args(words)
        .output();
    let done = done.unwrap();
    format!("{}{}", String::from_utf8_lossy(&done.stdout), String::from_utf8_lossy(&done.stderr))
}

#[test]
fn a_loss_is_told_in_every_view_with_its_true_effect_until_it_is_put_back() {
    let mut installation = TestInstallation::bare("example");
    installation.serve(&[]);
    installation.until_logged("Cofferdam serves the environment");
    let kept = installation.home().with_file_name("kept");
    for Loss { place, instead, calls, words } in LOSSES {
        let (path, logged) = (installation.home().join(place), installation.log().len());
        fs::rename(&path, &kept).unwrap();
        instead(&path);
        let whole = |text: &str| words.iter().all(|words| text.contains(words));
        let (status, told) = until(&format!("readyz to tell the loss of {place}"), || {
            Some(ready(&installation)).filter(|(_, text)| whole(text))
        });
        assert_eq!(status, if calls == Calls::Fail { 503 } else { 200 }, "{place}: {told}");
        assert!(!told.contains("restart needed") && !told.contains("served/1"), "{place}: {told}");
        let log = || installation.log().get(logged..).unwrap_or_default().to_owned();
        until(&format!("the log to tell the loss of {place}"), || whole(&log()).then_some(()));
        assert_eq!(
            log().contains("calls fail: "),
            calls == Calls::Fail && !place.starts_with("store"),
            "{place}: {}",
            log()
        );
        for view in ["status", "doctor"] {
            let said = any(&installation, &[view]);
            assert!(whole(&said), "{view}, {place}:\n{said}");
            assert!(
                !said.contains("restart      needed")
                    && !said.contains("is taken by another program"),
                "{view}, {place}:\n{said}"
            );
        }
        if path.is_dir() {
            fs::remove_dir_all(&path).unwrap();
        } else if path.symlink_metadata().is_ok() {
            fs::remove_file(&path).unwrap();
        }
        fs::rename(&kept, &path).unwrap();
        until(&format!("{place} to be whole"), || {
            (ready(&installation) == (200, "ready\n".to_owned())).then_some(())
        });
        // Each is told once: what a look says each second would be here as often.
        let first = words.first().unwrap();
        let times = log()
            .lines()
            .filter(|line| line.contains(first) && !line.contains("repaired: "))
            .count();
        assert_eq!(times, 1, "{place}: {}", log());
        assert!(!log().contains("was added"), "{place}: {}", log());
    }
    let token = installation.agent("bot", "operator");
    let answer = installation.call(
        &token,
        "deployment_scale",
        &json!({"namespace": "storefront", "name": "web", "replicas": 5}),
    );
    assert_eq!(answer.status, 200, "{:#}", answer.body);
}

#[test]
fn a_restart_that_is_advised_for_lost_copies_helps() {
    let mut installation = TestInstallation::bare("example");
    installation.serve(&[]);
    installation.until_logged("Cofferdam serves the environment");
    fs::remove_dir_all(installation.home().join("served")).unwrap();
    until("readyz to fail", || (ready(&installation).0 == 503).then_some(()));
    installation.stop();
    installation.serve(&[]);
    assert_eq!(ready(&installation), (200, "ready\n".to_owned()));
}

#[test]
fn an_operators_socket_that_is_lost_is_told_and_status_says_what_it_can() {
    let mut installation = TestInstallation::bare("example");
    installation.serve(&[]);
    installation.until_logged("Cofferdam serves the environment");
    fs::remove_dir_all(installation.home().join("run")).unwrap();
    let (status, told) = until("readyz to warn", || {
        Some(ready(&installation)).filter(|(_, text)| text.contains("run` is gone"))
    });
    assert!(status == 200 && told.contains("do not reach the recorder"), "{told}");
    let said = installation.fail(&["status"]);
    assert!(
        said.contains("serving      yes")
            && said.contains("run` is gone")
            && said.contains("cannot be asked"),
        "{said}"
    );
    assert!(any(&installation, &["doctor"]).contains("run` is gone"));
}

#[test]
fn a_ledger_that_cannot_be_published_is_a_warning_in_every_view() {
    let mut installation = TestInstallation::bare("example");
    installation.serve(&[]);
    let checkpoint = installation.home().join("ledger/checkpoint");
    fs::remove_file(&checkpoint).unwrap();
    fs::create_dir(&checkpoint).unwrap();
    let token = installation.agent("bot", "operator");
    let answer = installation.call(
        &token,
        "deployment_scale",
        &json!({"namespace": "storefront", "name": "web", "replicas": 5}),
    );
    assert_eq!(answer.status, 200, "{:#}", answer.body);
    let words = "new checkpoints are not published";
    let (status, told) = until("readyz to warn", || {
        Some(ready(&installation)).filter(|(_, text)| text.contains(words))
    });
    assert!(status == 200 && told.contains(text(&checkpoint)), "{told}");
    for view in ["status", "doctor"] {
        assert!(any(&installation, &[view]).contains(words), "{view}");
    }
    fs::remove_dir(&checkpoint).unwrap();
    until("readyz to warn no more", || {
        (ready(&installation) == (200, "ready\n".to_owned())).then_some(())
    });
    installation.verify_ledger();
}
