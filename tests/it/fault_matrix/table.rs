//! The rows and the columns of the fault matrix, and the page that shows them. Runs no fault.

use crate::installation::repository;
use expect_test::expect_file;
use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;

/// A promise that holds after each fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Promise {
    Kept,
    Intent,
    Once,
    Window,
    Ledger,
    Told,
}

/// Every promise: its heading in the table, and its meaning.
const PROMISES: [(Promise, &str, &str); 6] = [
    (
        Promise::Kept,
        "kept",
        "No acknowledged job is lost. Each call whose id an agent was told has one outcome at the \
         end, and no answer contradicts that outcome.",
    ),
    (
        Promise::Intent,
        "intent",
        "No effect without intent. The ledger has the intent and the start of an operation before \
         the file changes, and no file changes for a call that did not succeed.",
    ),
    (
        Promise::Once,
        "once",
        "At most one accepted effect per fence. Fences grow, no entry comes under an older fence \
         than the newest, each operation is done once, and no file is replaced more often than \
         calls succeeded.",
    ),
    (
        Promise::Window,
        "window",
        "`indeterminate` only in its honest window. A directory has no such window, because the \
         commit record decides: no call may end so.",
    ),
    (
        Promise::Ledger,
        "ledger",
        "`cofferdam ledger verify` finds the published ledger sound, with the key that the caller \
         brings.",
    ),
    (
        Promise::Told,
        "told",
        "A person is told: the log, `/readyz`, `cofferdam status` or the answer names the fault, \
         in the words that the test compares.",
    ),
];

/// A fault that a test runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    RunnerKilled,
    GatewayKilled,
    ViewerKilled,
    RecorderKilled,
    SupervisorKilled,
    MachineStopped,
    CommitKilled,
    RunnerPaused,
    GatewayPaused,
    ViewerPaused,
    RecorderPaused,
    RoleHangs,
    StoreFull,
    StoreReadOnly,
    StoreShort,
    StoreSync,
    LedgerFull,
    LedgerSync,
    JournalFull,
    JournalSync,
    JournalShort,
    TreeReadOnly,
    TreeRead,
    ClockGateway,
    ClockRecorder,
    ClockViewer,
    ClockRunner,
    SecondSupervisor,
}

/// A row of the table.
pub struct Row {
    pub fault: Fault,
    /// The fault, for the reader.
    words: &'static str,
    /// How the test makes it.
    means: &'static str,
    /// The test, as `FILE::FUNCTION`.
    test: &'static str,
    /// Promises that the test does not check, with the reason.
    without: &'static [(Promise, &'static str)],
}

const fn row(fault: Fault, words: &'static str, means: &'static str, test: &'static str) -> Row {
    Row { fault, words, means, test, without: &[] }
}

const fn untold(row: Row, without: &'static [(Promise, &'static str)]) -> Row {
    Row { without, ..row }
}

/// The clock of a role without a word about it.
const NO_WORD_OF_THE_CLOCK: &[(Promise, &str)] = &[(
    Promise::Told,
    "the answer says that the permit ran out before a runner took it, and no word names the clock",
)];
const NO_USE_OF_THE_CLOCK: &[(Promise, &str)] =
    &[(Promise::Told, "the viewer decides nothing by its clock, and every call is done")];

/// The reason why a test does not look for a word to a person.
const BY_THE_MANAGER: &[(Promise, &str)] = &[(
    Promise::Told,
    "the supervisor itself is gone; its service manager tells it, and the test runs none",
)];
const SHORT_PAUSE: &[(Promise, &str)] = &[(
    Promise::Told,
    "a pause that ends by itself leaves nothing to do; the row of a role that stands still for good \
     checks the word to a person",
)];

const HELD_AT_A_STEP: &str =
    "`kill -9` while the runner stands still right after each of the 14 steps";
const BRIEF: &str = "`kill -STOP` in the middle of a job for longer than the lease, then \
                     `kill -CONT`; the supervisor is told to be patient";
const JUMP: &str = "its wall clock is one hour ahead, then one hour behind, then right";

/// Faults of processes, disks and clocks of one host.
const ROWS: &[Row] = &[
    row(
        Fault::RunnerKilled,
        "The runner is killed after each step of a job",
        "`kill -9` of the runner that stands still right after each of the 14 steps",
        "tests/it/fault_matrix/killed.rs::a_runner_that_is_killed_at_any_step_loses_no_job",
    ),
    row(
        Fault::GatewayKilled,
        "The gateway is killed at each step of a job",
        HELD_AT_A_STEP,
        "tests/it/fault_matrix/killed.rs::a_gateway_that_is_killed_at_any_step_loses_no_job",
    ),
    row(
        Fault::ViewerKilled,
        "The viewer is killed at each step of a job",
        HELD_AT_A_STEP,
        "tests/it/fault_matrix/killed.rs::a_viewer_that_is_killed_at_any_step_loses_no_job",
    ),
    row(
        Fault::RecorderKilled,
        "The recorder is killed at each step of a job",
        HELD_AT_A_STEP,
        "tests/it/fault_matrix/killed.rs::a_recorder_that_is_killed_at_any_step_loses_no_job",
    ),
    untold(
        row(
            Fault::SupervisorKilled,
            "The supervisor alone is killed at each step of a job",
            "`kill -9` at each step, then `cofferdam serve` again",
            "tests/it/fault_matrix/killed.rs::a_supervisor_that_is_killed_at_any_step_loses_no_job",
        ),
        BY_THE_MANAGER,
    ),
    untold(
        row(
            Fault::MachineStopped,
            "Every process is killed at once at each step of a job",
            "`kill -9` of all at each step, then `cofferdam serve` again",
            "tests/it/fault_matrix/killed.rs::all_processes_killed_at_any_step_lose_no_job",
        ),
        BY_THE_MANAGER,
    ),
    row(
        Fault::CommitKilled,
        "The recorder is killed at each step of each commit",
        "it ends before or after a flush, or in the middle of the writes, of each commit of a job",
        "tests/it/fault_matrix/killed.rs::a_recorder_killed_within_a_commit_has_all_of_it_or_nothing",
    ),
    untold(
        row(
            Fault::RunnerPaused,
            "The runner stands still past its lease, and goes on",
            "it stops itself right after each of six steps, for longer than the lease",
            "tests/it/fault_matrix/paused.rs::a_runner_that_slept_past_its_lease_changes_nothing",
        ),
        SHORT_PAUSE,
    ),
    untold(
        row(
            Fault::GatewayPaused,
            "The gateway stands still past the lease, and goes on",
            BRIEF,
            "tests/it/fault_matrix/paused.rs::a_gateway_that_slept_past_the_lease_answers_late",
        ),
        SHORT_PAUSE,
    ),
    untold(
        row(
            Fault::ViewerPaused,
            "The viewer stands still past the lease, and goes on",
            BRIEF,
            "tests/it/fault_matrix/paused.rs::a_viewer_that_slept_past_the_lease_answers_late",
        ),
        SHORT_PAUSE,
    ),
    untold(
        row(
            Fault::RecorderPaused,
            "The recorder stands still past the lease, and goes on",
            BRIEF,
            "tests/it/fault_matrix/paused.rs::a_recorder_that_slept_past_the_lease_loses_no_job",
        ),
        SHORT_PAUSE,
    ),
    row(
        Fault::RoleHangs,
        "A role stands still for good",
        "`kill -STOP` of recorder, viewer, gateway and runner, each in the middle of a job",
        "tests/it/fault_matrix/paused.rs::a_role_that_hangs_in_a_job_is_replaced",
    ),
    row(
        Fault::StoreFull,
        "The disk of the store is full",
        "a file system of its own, filled to the last page, then emptied",
        "tests/it/fault_matrix/storage.rs::a_full_disk_of_the_store_refuses_and_heals",
    ),
    row(
        Fault::StoreReadOnly,
        "The file system of the store becomes read-only",
        "each write, new file and flush of the recorder in `store/` fails with `EROFS`",
        "tests/it/fault_matrix/storage.rs::a_store_that_fails_refuses_and_heals",
    ),
    row(
        Fault::StoreShort,
        "A write to the store is short, and the rest fails",
        "half of a write arrives, the next one fails with `ENOSPC`, at every third of the first writes \
         of a call",
        "tests/it/fault_matrix/storage.rs::a_store_that_fails_refuses_and_heals",
    ),
    row(
        Fault::StoreSync,
        "A flush of the store fails",
        "each `fsync` and `fdatasync` of the recorder in `store/` fails with `EIO`",
        "tests/it/fault_matrix/storage.rs::a_store_that_fails_refuses_and_heals",
    ),
    row(
        Fault::LedgerFull,
        "The disk of the published ledger is full",
        "each write of the recorder in `ledger/` fails with `ENOSPC`",
        "tests/it/fault_matrix/storage.rs::a_published_ledger_that_fails_stops_no_job",
    ),
    row(
        Fault::LedgerSync,
        "A flush of the published ledger fails",
        "each `fsync` and `fdatasync` of the recorder in `ledger/` fails with `EIO`",
        "tests/it/fault_matrix/storage.rs::a_published_ledger_that_fails_stops_no_job",
    ),
    row(
        Fault::JournalFull,
        "The disk of the journal is full",
        "each write of the runners in `journal/` fails with `ENOSPC`",
        "tests/it/fault_matrix/storage.rs::a_journal_that_fails_ends_the_job_before_any_effect",
    ),
    row(
        Fault::JournalSync,
        "A flush of the journal fails",
        "each `fsync` of the runners in `journal/` fails with `EIO`",
        "tests/it/fault_matrix/storage.rs::a_journal_that_fails_ends_the_job_before_any_effect",
    ),
    row(
        Fault::JournalShort,
        "A write to the journal is short, and the rest fails",
        "half of a write of the runners in `journal/` arrives, the next one fails with `ENOSPC`",
        "tests/it/fault_matrix/storage.rs::a_journal_that_fails_ends_the_job_before_any_effect",
    ),
    row(
        Fault::TreeReadOnly,
        "The tree becomes read-only after the commit of a job",
        "a mount that becomes read-only, then writable again",
        "tests/it/fault_matrix/storage.rs::a_tree_that_became_read_only_holds_up_its_own_job_alone",
    ),
    row(
        Fault::TreeRead,
        "A read of the tree fails",
        "each read of viewer and runners in the tree fails with `EIO`",
        "tests/it/fault_matrix/storage.rs::a_tree_that_cannot_be_read_is_not_changed",
    ),
    row(
        Fault::ClockGateway,
        "The clock of the gateway jumps",
        JUMP,
        "tests/it/fault_matrix/clocks.rs::a_clock_that_jumps_refuses_and_changes_nothing_twice",
    ),
    untold(
        row(
            Fault::ClockRecorder,
            "The clock of the recorder jumps",
            JUMP,
            "tests/it/fault_matrix/clocks.rs::a_clock_that_jumps_refuses_and_changes_nothing_twice",
        ),
        NO_WORD_OF_THE_CLOCK,
    ),
    untold(
        row(
            Fault::ClockViewer,
            "The clock of the viewer jumps",
            JUMP,
            "tests/it/fault_matrix/clocks.rs::a_clock_that_jumps_refuses_and_changes_nothing_twice",
        ),
        NO_USE_OF_THE_CLOCK,
    ),
    row(
        Fault::ClockRunner,
        "The clock of the runners jumps",
        JUMP,
        "tests/it/fault_matrix/clocks.rs::a_clock_that_jumps_refuses_and_changes_nothing_twice",
    ),
    row(
        Fault::SecondSupervisor,
        "A second supervisor is started on the same home",
        "`cofferdam serve` again, while the first one has a job",
        "tests/it/fault_matrix/twice.rs::a_second_supervisor_is_refused_and_disturbs_no_job",
    ),
];

/// Faults that no test runs yet, with the reason.
const NOT_TESTED: &[(&str, &str)] = &[
    (
        "A database that restarts, fails over or becomes read-only, a partition between roles on \
         many hosts, and a recorder that takes over",
        "no row of this table makes them; tests of the recorder make some",
    ),
    (
        "A read of the store fails",
        "SQLite may answer from memory for any time, so a test knows no moment at which a person \
         must have been told",
    ),
    (
        "Power loss that takes written, unflushed bytes away",
        "a killed process leaves its bytes to the kernel; a device that forgets them is needed",
    ),
];

/// The row of a fault.
fn row_of(fault: Fault) -> &'static Row {
    ROWS.iter().find(|row| row.fault == fault).expect("each fault has a row")
}

/// The promises that the test of a fault has to check.
pub fn promised(fault: Fault) -> BTreeSet<Promise> {
    let row = row_of(fault);
    let without = |promise| row.without.iter().any(|(other, _)| *other == promise);
    PROMISES.iter().map(|(promise, ..)| *promise).filter(|promise| !without(*promise)).collect()
}

fn page() -> String {
    let mut page = String::from(
        "# The fault matrix\n\n\
         <!-- Made from tests/it/fault_matrix/table.rs: UPDATE_EXPECT=1 writes it again. -->\n\n\
         Each row is a fault that a test really makes, on real processes. Each column is a promise \
         that\nthe same test checks afterwards. The tests make this page from their table: a test \
         that does not\ncheck a promise of its row fails.\n\n",
    );
    for (_, heading, meaning) in PROMISES {
        page += &wrapped(&format!("- **{heading}**: {meaning}"));
    }
    page += "\n## Faults\n\n| Fault | How the test makes it |";
    for (_, heading, _) in PROMISES {
        write!(page, " {heading} |").unwrap();
    }
    page += " Test |\n|---|---|";
    page += &"---|".repeat(PROMISES.len() + 1);
    page.push('\n');
    for row in ROWS {
        write!(page, "| {} | {} |", row.words, row.means).unwrap();
        let promised = promised(row.fault);
        for (promise, ..) in PROMISES {
            page += if promised.contains(&promise) { " held |" } else { " no |" };
        }
        writeln!(page, " `{}` |", row.test).unwrap();
    }
    let missing = ROWS.iter().flat_map(|row| row.without.iter().map(move |cell| (row, cell)));
    let missing: Vec<String> = missing
        .map(|(row, (promise, why))| {
            let (_, heading, _) = PROMISES.iter().find(|(other, ..)| other == promise).unwrap();
            wrapped(&format!("- {}, **{heading}**: {why}.", row.words))
        })
        .collect();
    if !missing.is_empty() {
        page += "\n## Cells that say no\n\n";
        page += &missing.concat();
    }
    page += "\n## Faults without a test\n\n";
    for (fault, why) in NOT_TESTED {
        page += &wrapped(&format!("- {fault}: {why}."));
    }
    page
}

/// A list item in lines of at most 100 characters.
fn wrapped(item: &str) -> String {
    let (mut text, mut width) = (String::new(), 0);
    for word in item.split(' ') {
        if width + 1 + word.chars().count() > 100 {
            text += "\n  ";
            width = 2;
        } else if width > 0 {
            text.push(' ');
            width += 1;
        }
        text += word;
        width += word.chars().count();
    }
    text + "\n"
}

#[test]
fn the_page_shows_the_table() {
    expect_file!["../../../docs/fault-matrix.md"].assert_eq(&page());
}

#[test]
fn each_row_has_a_test_that_runs_its_fault() {
    for row in ROWS {
        let (file, function) = row.test.split_once("::").unwrap();
        let text = fs::read_to_string(repository().join(file)).unwrap();
        assert!(text.contains(&format!("\nfn {function}()")), "no `{}`", row.test);
        assert!(
            text.contains(&format!("Fault::{:?}", row.fault)),
            "{} runs no {:?}",
            file,
            row.fault
        );
    }
}
