//! The plans of SQLite for the statements of claims, sweeps and lists.

use super::open::open_file;
use super::{busy, expire, lease, outbox, read};
use crate::store::sql;

/// Each statement reads the beginning of an index or rows by their key: none reads every job, and
/// an index that is read as a whole has only the rows of one claim.
#[tokio::test]
async fn claims_sweeps_and_lists_never_read_every_job() {
    let folder = tempfile::tempdir().unwrap();
    let mut opened = open_file(folder.path()).await.unwrap();
    for sql in [
        lease::NEXT,
        busy::BLOCKED,
        busy::BLOCK_NEW,
        busy::UNBLOCK,
        expire::OUT_OF_TIME,
        read::LATE,
        read::DUE,
        read::OWN,
        read::OWN_OPEN,
        read::ALL,
        read::QUESTIONS,
        outbox::DUE_TO_TELL,
        outbox::NEXT,
    ]
    .into_iter()
    .chain(read::STATEMENTS)
    {
        let explain = format!("EXPLAIN QUERY PLAN {sql}");
        let steps: Vec<(i64, i64, i64, String)> =
            sql::query_as(explain).fetch_all(&mut opened.writer).await.unwrap();
        assert!(!steps.is_empty());
        for (_, _, _, step) in steps {
            // These indexes begin with the next job, and one row is read.
            let first = ["jobs_recover", "jobs_queue", "jobs_leased", "calls_at"]
                .iter()
                .any(|index| step.ends_with(index));
            let table = step.strip_prefix("SCAN ").and_then(|rest| rest.split(' ').next());
            let whole = table.is_some_and(|table| {
                ["jobs", "job_objects", "own", "other", "calls", "c", "o"].contains(&table)
            });
            assert!(!whole || first, "{step}\n{sql}");
        }
    }
}
