//! Disks that are full, read-only, short or broken: under the store and the published ledger
//! (recorder), the journal (runners) and the tree (viewer, runners).

use super::agent::{Agent, Asked};
use super::judge::Judge;
use super::killed::{prepared, stop_at, stopped};
use super::shim::{Action, CREATE, EIO, ENOSPC, EROFS, Faults, READ, Rule, SYNC, WRITE};
use super::table::Fault;
use crate::cluster::until;
use crate::installation::{TestInstallation, text};
use crate::supervise::processes::kill;
use crate::unwritable::stuck;
use cofferdam_core::model::run::JobStep;
use std::fs;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::Command;
use std::thread;

const STORE: &str = "/store/";
const LEDGER: &str = "/ledger/";
const JOURNAL: &str = "/journal/";

/// A fault that begins and ends while jobs run: before a call, and in the middle of another one.
fn fails_and_heals(
    judge: &mut Judge,
    (installation, faults, agent): (&TestInstallation, &Faults, &Agent),
    begin: impl Fn(),
    words: &str,
    heal: impl Fn(),
) {
    let before = installation.files();
    let mut from = installation.log().len();
    begin();
    let refused = agent.once();
    assert_eq!(refused.status(), 503, "{refused:#?}");
    assert_eq!(installation.files(), before, "a call that was refused changed something");
    let log = until("the cause in the log", || {
        Some(installation.log().split_off(from)).filter(|log| log.contains(words))
    });
    judge.told(&log, words);
    let ready = installation.http("GET", "/readyz", "", None);
    assert_eq!(ready.status, 503, "{:?}", ready.body);
    judge.heard(refused);
    heal();
    judge.heard(agent.until_told());
    for step in [JobStep::OperationStarted, JobStep::EffectCommitted] {
        from = installation.log().len();
        stop_at(faults, step);
        let asked = thread::scope(|scope| {
            let asking = scope.spawn(|| agent.until_told());
            let runner = stopped(installation, faults);
            begin();
            kill("CONT", &[runner]);
            // A read may be answered from memory: the job then goes through.
            until("the cause in the log, or the outcome", || {
                let failed = installation.log()[from..].contains(words);
                (failed || asking.is_finished()).then_some(())
            });
            heal();
            asking.join().unwrap()
        });
        judge.heard(asked);
    }
    let done = agent.until_told();
    assert!(done.said().starts_with("DONE "), "{done:#?}\n{}", installation.log());
    judge.heard(done);
}

/// A small file system at a folder, for as long as this lives.
struct Small(PathBuf);

impl Small {
    fn at(folder: PathBuf) -> Self {
        fs::create_dir_all(&folder).unwrap();
        let done = Command::new("mount")
            .args(["-t", "tmpfs", "-o", "size=16m,mode=700", "tmpfs", text(&folder)])
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&done.stderr);
        assert!(done.status.success(), "a mount needs root: {said}");
        Self(folder)
    }

    /// Fills it to the last page.
    fn fill(&self) {
        let mut file = fs::File::create(self.0.join("filler")).unwrap();
        while file.write_all(&[0; 4096]).is_ok() {}
    }

    fn free(&self) {
        fs::remove_file(self.0.join("filler")).unwrap();
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        let _gone = Command::new("umount").arg("--lazy").arg(&self.0).status();
    }
}

#[test]
#[cfg_attr(without_faults, ignore = "no patchelf: COFFERDAM_FAULTS is 0")]
fn a_full_disk_of_the_store_refuses_and_heals() {
    let (mut installation, faults, agent) = prepared();
    let disk = Small::at(installation.home().join("store"));
    installation.serve(&[]);
    let mut judge = Judge::of(Fault::StoreFull, &installation);
    let parts = (&installation, &faults, &agent);
    let words = "No space left on device (os error 28)";
    fails_and_heals(&mut judge, parts, || disk.fill(), words, || disk.free());
    judge.settle(&installation);
    installation.stop();
}

#[test]
#[cfg_attr(without_faults, ignore = "no patchelf: COFFERDAM_FAULTS is 0")]
fn a_store_that_fails_refuses_and_heals() {
    let (mut installation, faults, agent) = prepared();
    installation.serve(&[]);
    let every = |calls, error| [Rule::every(calls, STORE, Action::Fail(error))];
    for (fault, rules, words) in [
        (Fault::StoreReadOnly, every(WRITE | CREATE | SYNC, EROFS), "changes cannot be recorded"),
        (Fault::StoreSync, every(SYNC, EIO), "changes cannot be recorded"),
    ] {
        let mut judge = Judge::of(fault, &installation);
        let parts = (&installation, &faults, &agent);
        let begin = || faults.arm("recorder", &rules);
        fails_and_heals(&mut judge, parts, begin, words, || faults.calm("recorder"));
        judge.settle(&installation);
    }
    let mut judge = Judge::of(Fault::StoreShort, &installation);
    // Every third of the first writes of a call: later ones are its runner's.
    for at in (0..=24).step_by(3) {
        let rest = Rule { skip: at + 1, ..Rule::every(WRITE, STORE, Action::Fail(ENOSPC)) };
        faults.arm("recorder", &[Rule::one(WRITE, STORE, Action::Short, at), rest]);
        let asked = agent.once();
        let acted = faults.counts("recorder").1;
        faults.calm("recorder");
        let done = asked.said().starts_with("DONE ");
        // Refused, or accepted and not finished in time: the judge looks for its one outcome.
        assert!(done || [202, 503].contains(&asked.status()), "{at}: {asked:#?}");
        judge.heard(asked);
        assert!(acted > 0, "{at}: no write failed");
    }
    judge.told(&installation.log(), "changes cannot be recorded");
    judge.heard(agent.until_told());
    judge.settle(&installation);
}

#[test]
#[cfg_attr(without_faults, ignore = "no patchelf: COFFERDAM_FAULTS is 0")]
fn a_published_ledger_that_fails_stops_no_job() {
    let (mut installation, faults, agent) = prepared();
    installation.serve(&[]);
    for (fault, calls, error) in
        [(Fault::LedgerFull, WRITE, ENOSPC), (Fault::LedgerSync, SYNC, EIO)]
    {
        let mut judge = Judge::of(fault, &installation);
        faults.arm("recorder", &[Rule::every(calls, LEDGER, Action::Fail(error))]);
        let done = agent.until_told();
        assert!(done.said().starts_with("DONE "), "{done:#?}");
        judge.heard(done);
        let words = "checkpoint";
        until("a failed call", || (faults.counts("recorder").1 > 0).then_some(()));
        let status = until("the warning", || {
            Some(installation.run(&["status"])).filter(|status| status.contains(words))
        });
        judge.told(&status, words);
        faults.calm("recorder");
        judge.heard(agent.until_told());
        judge.settle(&installation);
    }
}

#[test]
#[cfg_attr(without_faults, ignore = "no patchelf: COFFERDAM_FAULTS is 0")]
fn a_journal_that_fails_ends_the_job_before_any_effect() {
    let (mut installation, faults, agent) = prepared();
    installation.serve(&[]);
    let half = Rule::one(WRITE, JOURNAL, Action::Short, 0);
    let rest = Rule { skip: 1, ..Rule::every(WRITE, JOURNAL, Action::Fail(ENOSPC)) };
    let every = |calls, error| vec![Rule::every(calls, JOURNAL, Action::Fail(error))];
    for (fault, rules, words) in [
        (Fault::JournalFull, every(WRITE, ENOSPC), "No space left on device (os error 28)"),
        (Fault::JournalSync, every(SYNC, EIO), "Input/output error (os error 5)"),
        (Fault::JournalShort, vec![half, rest], "No space left on device (os error 28)"),
    ] {
        let mut judge = Judge::of(fault, &installation);
        let before = installation.files();
        faults.arm("runner", &rules);
        let failed = agent.until_told();
        assert_eq!(installation.files(), before, "{fault:?}");
        let said = failed.said();
        assert!(
            said.starts_with("FAILED ") && said.contains("\nNothing was changed.\n"),
            "{fault:?}: {said}"
        );
        judge.told(&said, words);
        judge.heard(failed);
        faults.calm("runner");
        let done = agent.until_told();
        assert!(done.said().starts_with("DONE "), "{fault:?}: {done:#?}");
        judge.heard(done);
        judge.settle(&installation);
    }
}

#[test]
#[cfg_attr(without_faults, ignore = "no patchelf: COFFERDAM_FAULTS is 0")]
fn a_tree_that_became_read_only_holds_up_its_own_job_alone() {
    let mut installation = TestInstallation::bare("example");
    let token = installation.agent("other", "operator");
    let mut judge = Judge::of(Fault::TreeReadOnly, &installation);
    let (call, mount) = stuck(&mut installation, &token);
    let answer = installation.http("GET", &format!("/v1/jobs/{call}"), &token, None);
    let asked = Asked { wanted: 5, answers: vec![answer] };
    judge.told(&asked.said(), "Read-only file system (os error 30)");
    judge.heard(asked);
    mount.again("rw");
    let story = installation.closed(&call);
    assert_eq!(story["view"]["outcome"], "succeeded", "{story:#}");
    judge.settle(&installation);
    installation.stop();
}

#[test]
#[cfg_attr(without_faults, ignore = "no patchelf: COFFERDAM_FAULTS is 0")]
fn a_tree_that_cannot_be_read_is_not_changed() {
    let (mut installation, faults, agent) = prepared();
    installation.serve(&[]);
    let mut judge = Judge::of(Fault::TreeRead, &installation);
    judge.heard(agent.until_told());
    let before = installation.files();
    for role in ["viewer", "runner"] {
        faults.arm(role, &[Rule::every(READ, "/manifests/storefront/", Action::Fail(EIO))]);
    }
    let refused = agent.once();
    assert_eq!(installation.files(), before);
    judge.told(&refused.said(), "Input/output error (os error 5)");
    judge.heard(refused);
    for role in ["viewer", "runner"] {
        faults.calm(role);
    }
    let done = agent.until_told();
    assert!(done.said().starts_with("DONE "), "{done:#?}");
    judge.heard(done);
    judge.settle(&installation);
}
