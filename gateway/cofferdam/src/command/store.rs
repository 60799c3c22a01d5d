//! `cofferdam store`: moves the store to PostgreSQL, makes its tables there as their owner, and prints
//! the scripts that give each role of the database its part. Never while a recorder runs.

use super::report::{Report, Usage};
use crate::config::home::Home;
use crate::config::store::named;
use crate::config::trust_file::TrustFile;
use crate::serve::recorder::database;
use anyhow::{Context as _, Result};
use clap::{Args, Subcommand, ValueHint};
use cofferdam_core::model::permit::verifying_key;
use cofferdam_recorder::Database;
use cofferdam_recorder::migrate::{Moved, Origin, Progress, migrate, prepare};
use serde_json::json;
use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;

/// The script that makes the database and its roles.
const ROLES: &str = include_str!("../../../../deploy/postgresql/roles.sql");

/// The script that gives the recorder its rights on the tables.
const RIGHTS: &str = include_str!("../../../../deploy/postgresql/rights.sql");

/// The permissions that no other user may have on the password.
const OTHERS: u32 = 0o077;

/// Rows between two lines of progress.
const TOLD: u64 = 100_000;

/// The commands about the store on PostgreSQL.
#[derive(Debug, Subcommand)]
pub enum Store {
    /// Move the store of this installation to an empty PostgreSQL database, with its whole ledger
    #[command(after_help = "Example:\n  cofferdam store migrate --to \
                            postgresql://cofferdam_owner@db.example.com:5432/cofferdam \
                            --password-file owner.password --ca-file db-ca.pem")]
    Migrate(Migrate),
    /// Make the tables in an empty PostgreSQL database, or complete those of an older version
    #[command(after_help = "Example:\n  cofferdam store prepare --at \
                            postgresql://cofferdam_owner@db.example.com:5432/cofferdam \
                            --password-file owner.password --ca-file db-ca.pem")]
    Prepare(Prepare),
    /// Print the SQL that makes the database and its roles, for a superuser to read and run
    #[command(after_help = "Example:\n  cofferdam store roles > roles.sql")]
    Roles,
    /// Print the SQL that gives the recorder its rights on the tables, for their owner to run
    #[command(after_help = "Example:\n  cofferdam store rights > rights.sql")]
    Rights,
}

/// Moves the stopped store. The ledger is verified before and after, and each table is compared. An
/// interrupted move leaves the database empty; the store stays as it is in any case.
#[derive(Debug, Args)]
pub struct Migrate {
    /// The database: postgresql://USER@HOST:PORT/DATABASE, with the user who owns its tables
    #[arg(long, value_name = "ADDRESS")]
    to: String,
    #[command(flatten)]
    access: Access,
}

/// Makes or completes the tables, as their owner. Repeat `cofferdam store rights` after it.
#[derive(Debug, Args)]
pub struct Prepare {
    /// The database: postgresql://USER@HOST:PORT/DATABASE, with the user who owns its tables
    #[arg(long, value_name = "ADDRESS")]
    at: String,
    #[command(flatten)]
    access: Access,
}

/// The access to a database.
#[derive(Debug, Args)]
struct Access {
    /// The file with the password of the user [default: the server asks for none]
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    password_file: Option<PathBuf>,
    /// The file with the certificates of the server's authorities, as PEM
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    ca_file: Option<PathBuf>,
    /// The check of the server: verify-full, verify-ca or off [default: off on this machine, else
    /// verify-full]
    #[arg(long, value_name = "CHECK")]
    tls: Option<String>,
}

impl Access {
    fn database(self, address: &str) -> Result<Database> {
        let Self { password_file, ca_file, tls } = self;
        if let Some(path) = &password_file {
            let facts = path.metadata();
            let facts = facts.with_context(|| format!("cannot read `{}`", path.display()))?;
            if facts.permissions().mode() & OTHERS != 0 {
                let path = path.display();
                let problem = format!("other users can read `{path}`; run `chmod 600 {path}`");
                return Err(Usage(problem).into());
            }
        }
        database(named(address, (password_file, ca_file), tls.as_deref()).map_err(Usage)?)
    }
}

impl Store {
    /// Runs the command and returns its report.
    pub fn run(self, home: &Home) -> Result<Report> {
        match self {
            Self::Migrate(command) => command.run(home),
            Self::Prepare(command) => command.run(),
            Self::Roles => Ok(script(ROLES)),
            Self::Rights => Ok(script(RIGHTS)),
        }
    }
}

fn script(text: &str) -> Report {
    Report::new(text.trim_end(), json!({ "script": text }))
}

fn count(number: u64, one: &str, more: &str) -> String {
    format!("{number} {}", if number == 1 { one } else { more })
}

fn runtime() -> Result<tokio::runtime::Runtime> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.context("the operating system gives no threads or no timers")
}

impl Migrate {
    fn run(self, home: &Home) -> Result<Report> {
        let trust = TrustFile::open(home)?.trust()?;
        let key = verifying_key(&trust.keys.recorder).context(
            "the recorder's key in trust.toml is not readable; restore the file from a copy",
        )?;
        let to = self.access.database(&self.to)?;
        let store = home.store();
        let from = Origin { store: &store, environment: &trust.environment.id, key: &key };
        let mut last = Progress { step: "", done: 0, of: 0 };
        let mut told = |now: Progress| {
            let is_end = now.done >= now.of;
            if now.step != last.step || is_end || now.done >= last.done + TOLD {
                eprintln!("{}: {} of {}", now.step, now.done, now.of);
                last = now;
            }
        };
        let Moved { ledger, rows } = runtime()?.block_on(migrate(from, to, &mut told))?;
        let of = |table: &str| rows.iter().find(|(name, _)| *name == table).map_or(0, |row| row.1);
        let text = format!(
            "Moved {} with {} and {}. The whole ledger was verified before and after, and every \
             table was compared.\nNow:\n  1. Give the recorder its rights, as the owner: \
             `cofferdam store rights`.\n  2. Write into cofferdam.toml, with the recorder's own \
             user:\n\n     [store]\n     postgres = \"postgresql://cofferdam_recorder@HOST:PORT/DATABASE\"\n     \
             password_file = \"FILE\"\n     ca_file = \"FILE\"\n\n  3. Start `cofferdam serve`.\nThe \
             old store stays as it is in `{}`. Keep it as a copy, and start no recorder on it again.",
            count(ledger.entries, "ledger entry", "ledger entries"),
            count(of("jobs"), "job", "jobs"),
            count(ledger.payloads, "payload", "payloads"),
            store.display(),
        );
        let rows: BTreeMap<&str, u64> = rows.iter().copied().collect();
        let value = json!({"entries": ledger.entries, "root": ledger.root,
            "payloads": ledger.payloads, "without_payloads": ledger.bare, "rows": rows});
        Ok(Report::new(text, value))
    }
}

impl Prepare {
    fn run(self) -> Result<Report> {
        let at = self.access.database(&self.at)?;
        let place = at.settings.place();
        let (before, after) = runtime()?.block_on(prepare(at))?;
        let text = match before {
            0 => format!("The database `{place}` has the tables of schema {after} now."),
            before if before == after => format!("The database `{place}` has schema {after}."),
            before => format!("The database `{place}` had schema {before}, and has {after} now."),
        };
        let next = "Give the recorder its rights, as the owner: `cofferdam store rights`.";
        Ok(Report::new(format!("{text} {next}"), json!({"before": before, "schema": after})))
    }
}
