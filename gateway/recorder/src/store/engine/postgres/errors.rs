//! The errors of PostgreSQL: their cause and remedy for people, and those that a repetition heals.

use crate::store::sql::Fenced;
use std::io;

/// Transactions that the server ended because of another one: a repetition succeeds.
const PASSING: [&str; 2] = ["40001", "40P01"];

/// Returns whether the same transaction may succeed when it is repeated. It did not commit.
pub(crate) fn is_passing(error: &sqlx::Error) -> bool {
    code(error).is_some_and(|code| PASSING.contains(&code.as_str()))
}

/// The error of a server that does not answer.
pub(super) fn no_answer() -> sqlx::Error {
    io::Error::new(io::ErrorKind::TimedOut, "no answer in time").into()
}

/// The description of a failure: place, cause and remedy.
pub(super) fn described(place: &str, what: &str, error: &sqlx::Error) -> String {
    if let Some(fenced) = Fenced::of(error) {
        return format!("the store in `{place}` {what}: {fenced}");
    }
    let code = code(error);
    let remedy = code.as_deref().map_or(UNREACHABLE, remedy);
    let said = match error.as_database_error() {
        Some(error) => error.message().to_owned(),
        None => error.to_string(),
    };
    let code = code.map(|code| format!(", code {code}")).unwrap_or_default();
    format!("the store in `{place}` {what}: {said}{code}; {remedy}")
}

/// The remedy for a server that cannot be reached.
const UNREACHABLE: &str =
    "check that the server runs, and that this machine reaches it with the settings of `[store]`";

fn remedy(code: &str) -> &'static str {
    match code {
        "25006" => {
            "the server takes no writes, as after a fail-over: name the one that does in \
             `store.postgres`"
        }
        "53100" => "free space on the disk of the database server",
        "53200" | "53400" => "give the database server more memory",
        "53300" => "raise `max_connections` of the server, or end sessions that are not needed",
        "28000" | "28P01" => {
            "correct the user in `store.postgres`, `store.password_file`, or the server's \
             `pg_hba.conf`"
        }
        "3D000" => "make the database, or correct its name in `store.postgres`",
        "42501" => "give the user of `store.postgres` the rights on the tables",
        "57014" => "look for what keeps the server busy, or for a lock on the tables",
        "57P01" | "57P02" | "57P03" => "wait until the server runs again",
        "57P05" => "the process was paused; it opens another session by itself",
        code if code.starts_with("08") => UNREACHABLE,
        code if code.starts_with("XX") => {
            "stop `cofferdam serve`, and look for damage in the log of the database server"
        }
        _ => "see the log of the database server",
    }
}

fn code(error: &sqlx::Error) -> Option<String> {
    error.as_database_error()?.code().map(std::borrow::Cow::into_owned)
}
