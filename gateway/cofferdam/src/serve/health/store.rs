//! Checks the store and the published ledger: present, whole, of this environment, and consistent.
//! Only reads; opens the store only if no recorder has it open.

use super::{Findings, instead};
use crate::config::home::Home;
use cofferdam_core::model::trust::Trust;
use cofferdam_core::protocol::role_settings::DatabaseSettings;
use cofferdam_process::writable;
use cofferdam_recorder::{
    ExamineError, Examined, ExaminedDatabase, database, examine, examine_database,
};
use std::path::Path;

/// The remedy: store and ledger are restored together.
const RESTORE: &str =
    "restore `store/` and `ledger/` together from the newest backup; keep what is there for a look";

/// Checks the store and the published ledger.
pub fn store(home: &Home, trust: &Trust, serving: bool, found: &mut Findings) {
    let path = database(&home.store());
    let published = published(&home.ledger());
    let shown = path.display();
    if let Some(instead) = instead(&path) {
        return found.bad("store", format!("`{shown}` {instead}"), RESTORE);
    }
    if let Some((origin, _)) = &published
        && let Some(other) =
            origin.strip_prefix(cofferdam_recorder::ORIGIN).filter(|id| *id != trust.environment.id)
    {
        return found.bad("store", another(other, &trust.environment.id), WRONG_TRUST);
    }
    match (path.metadata(), &published) {
        (Err(_), None) => found.good("store", "not made yet: `cofferdam serve` makes it"),
        (Err(error), Some((_, size))) => {
            let detail = format!(
                "`{shown}` cannot be read ({error}), and its published ledger has {size} entries"
            );
            found.bad("store", detail, RESTORE);
        }
        (Ok(facts), _) if !facts.is_file() => {
            found.bad("store", format!("`{shown}` is not a file"), RESTORE);
        }
        // The recorder checked the whole store at its start.
        (Ok(_), _) if serving => found.good("store", "open in the recorder"),
        (Ok(_), _) => {
            match examine(&home.store()) {
                Ok(Examined { environment: Some(other), .. }) if other != trust.environment.id => {
                    found.bad("store", another(&other, &trust.environment.id), WRONG_TRUST);
                }
                Ok(Examined { entries, .. })
                    if published.as_ref().is_some_and(|(_, size)| *size > entries) =>
                {
                    let size = published.map(|(_, size)| size).unwrap_or_default();
                    let detail = format!(
                        "`{shown}` has {entries} entries, and its published ledger {size}: it is \
                         older"
                    );
                    found.bad("store", detail, RESTORE);
                }
                Ok(Examined { entries, .. }) if entries > 0 && published.is_none() => {
                    let detail = format!(
                        "{entries} entries; `{}` has no checkpoint",
                        home.ledger().display()
                    );
                    found.less(
                        "store",
                        detail,
                        "nothing to do: `cofferdam serve` publishes the ledger again from the \
                         store",
                    );
                }
                Ok(Examined { entries, .. }) => found.good("store", format!("{entries} entries")),
                Err(ExamineError::Damaged(error)) => {
                    found.bad("store", format!("`{shown}` is damaged: {error}"), RESTORE)
                }
                // SQLite needs a writable folder even to read: the folder has a finding of its own.
                Err(ExamineError::Unreadable(_)) if writable::folder(&home.store()).is_err() => {
                    let detail = format!(
                        "`{shown}` cannot be looked into while its folder cannot be written"
                    );
                    found.less("store", detail, "see what is said of the home above");
                }
                Err(ExamineError::Unreadable(error)) => {
                    let remedy = "make the file readable for the user who runs Cofferdam, and \
                                  check its disk";
                    found.bad("store", format!("`{shown}` cannot be read: {error}"), remedy);
                }
            }
        }
    }
}

/// Looks into the database of the store, whether a recorder uses it or not.
pub fn store_in_database(
    home: &Home,
    settings: &DatabaseSettings,
    trust: &Trust,
    found: &mut Findings,
) {
    let place = settings.place();
    let opened = crate::serve::recorder::database(settings.clone());
    let looked = opened.map_err(|error| format!("{error:#}")).and_then(examine_database);
    let published = published(&home.ledger()).map(|(_, size)| size).unwrap_or_default();
    match looked {
        Err(error) => {
            let (problem, remedy) = error.split_once("; ").unwrap_or((&error, LOOK));
            found.bad("store", problem.to_owned(), remedy);
        }
        Ok(ExaminedDatabase { environment: Some(other), .. }) if other != trust.environment.id => {
            found.bad("store", another(&other, &trust.environment.id), WRONG_TRUST);
        }
        Ok(ExaminedDatabase { entries, .. }) if published > entries => {
            let detail = format!(
                "`{place}` has {entries} entries, and the published ledger {published}: it is older"
            );
            found.bad("store", detail, "restore the newer database");
        }
        Ok(ExaminedDatabase { term: 0, .. }) => {
            found.good("store", format!("`{place}` is empty: `cofferdam serve` makes its tables"));
        }
        Ok(ExaminedDatabase { entries, term, holder, .. }) => {
            let detail = format!("`{place}`: {entries} entries, term {term} of {holder}");
            found.good("store", detail);
        }
    }
}

/// The remedy for an error without one.
const LOOK: &str = "correct `[store]` in cofferdam.toml";

const WRONG_TRUST: &str = "restore the right `trust/trust.toml` from a backup";

fn another(stored: &str, trusted: &str) -> String {
    format!(
        "this trust file belongs to another environment ({trusted}) than the stored ledger \
         ({stored})"
    )
}

/// The origin and the size in the published checkpoint.
fn published(ledger: &Path) -> Option<(String, u64)> {
    let note = std::fs::read_to_string(ledger.join("checkpoint")).ok()?;
    let mut lines = note.lines();
    Some((lines.next()?.to_owned(), lines.next()?.parse().ok()?))
}
