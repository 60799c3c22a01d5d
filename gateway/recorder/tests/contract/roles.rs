//! The roles of a database that `deploy/postgresql` makes: the recorder's is enough for every story,
//! and each is refused what is not its part.

use super::real::Real;
use super::step::{CALLS, Proposal, Step};
use super::{exercise, runtime};
use crate::world::World;
use cofferdam_core::protocol::role_settings::{DatabaseSettings, DatabaseTls};
use cofferdam_recorder::migrate::prepare;
use cofferdam_recorder::{Database, RecorderContext};
use cofferdam_testkit::postgres::{SUPERUSER, Server};
use std::sync::atomic::{AtomicU32, Ordering};

const ROLES: &str = include_str!("../../../../deploy/postgresql/roles.sql");
const RIGHTS: &str = include_str!("../../../../deploy/postgresql/rights.sql");

/// The password of each role; it protects nothing.
const PASSWORD: &str = "for-tests";

/// A database as the pages describe it, whose names begin with this word.
struct Installed {
    server: Server,
    word: String,
}

impl Installed {
    /// Makes roles, database, tables and rights, as an administrator does.
    async fn new(server: &Server) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let word = format!("installed{}", NEXT.fetch_add(1, Ordering::SeqCst));
        let own = Self { server: server.clone(), word };
        server.run(SUPERUSER, &own.named(ROLES)).unwrap();
        for role in ["owner", "recorder", "backup"] {
            let sql = format!("ALTER ROLE {}_{role} PASSWORD '{PASSWORD}'", own.word);
            server.run(SUPERUSER, &sql).unwrap();
        }
        let (before, after) = prepare(own.database("owner")).await.unwrap();
        assert!(before == 0 && after >= 15, "{before} {after}");
        own.run("owner", &own.named(RIGHTS)).unwrap();
        own
    }

    /// A script with the names of this database.
    fn named(&self, script: &str) -> String {
        script.replace("cofferdam", &self.word)
    }

    fn database(&self, role: &str) -> Database {
        Database {
            settings: DatabaseSettings {
                host: "127.0.0.1".to_owned(),
                port: self.server.port(),
                user: format!("{}_{role}", self.word),
                database: self.word.clone(),
                password_file: None,
                ca_file: None,
                tls: DatabaseTls::Off,
            },
            password: Some(PASSWORD.to_owned()),
            ca: None,
            holder: "test".to_owned(),
        }
    }

    fn run(&self, role: &str, sql: &str) -> Result<String, String> {
        let role = format!("{}_{role}", self.word);
        self.server.run_as(&role, &self.word, sql).map_err(|refused| {
            assert_ne!(refused.state, "", "{}", refused.text);
            refused.state
        })
    }

    /// A recorder with its own role.
    async fn recorder(&self) -> Real {
        let world = World::new();
        let settings =
            RecorderContext { database: Some(self.database("recorder")), ..world.settings() };
        Real::start(world, settings).await
    }
}

#[test]
#[cfg_attr(without_postgres, ignore = "needs PostgreSQL: COFFERDAM_POSTGRES is not set")]
fn the_role_of_the_recorder_is_enough_for_each_story() {
    let server = Server::shared();
    runtime().block_on(exercise(async || Installed::new(&server).await.recorder().await));
}

#[test]
#[cfg_attr(without_postgres, ignore = "needs PostgreSQL: COFFERDAM_POSTGRES is not set")]
fn each_role_of_the_database_can_do_only_its_part() {
    const DENIED: &str = "42501";
    const READ_ONLY: &str = "25006";
    let installed = runtime().block_on(async {
        let installed = Installed::new(&Server::shared()).await;
        installed.recorder().await.finish().await;
        installed
    });
    let write = "SET default_transaction_read_only = off; ";
    for (role, sql, expected) in [
        // The recorder changes no table, and no entry of the ledger.
        ("recorder", "CREATE TABLE more (a BIGINT)".to_owned(), DENIED),
        ("recorder", "ALTER TABLE jobs ADD COLUMN more BIGINT".to_owned(), DENIED),
        ("recorder", "DROP TABLE jobs".to_owned(), DENIED),
        ("recorder", "DROP INDEX leaves_call".to_owned(), DENIED),
        ("recorder", "TRUNCATE jobs CASCADE".to_owned(), DENIED),
        ("recorder", "TRUNCATE leaves CASCADE".to_owned(), DENIED),
        ("recorder", "DELETE FROM leaves".to_owned(), DENIED),
        ("recorder", "DELETE FROM checkpoint".to_owned(), DENIED),
        ("recorder", "DELETE FROM tiles".to_owned(), DENIED),
        ("recorder", "UPDATE leaves SET entry = ''".to_owned(), DENIED),
        ("recorder", "UPDATE leaves SET hash = ''".to_owned(), DENIED),
        ("recorder", "UPDATE leaves SET call = NULL".to_owned(), DENIED),
        ("recorder", "UPDATE meta SET schema = 99".to_owned(), DENIED),
        ("recorder", "DELETE FROM fences".to_owned(), DENIED),
        ("recorder", "DELETE FROM sequencer".to_owned(), DENIED),
        ("recorder", "DELETE FROM removed".to_owned(), DENIED),
        (
            "recorder",
            "CREATE TRIGGER more BEFORE INSERT ON leaves EXECUTE FUNCTION \
                      suppress_redundant_updates_trigger()"
                .to_owned(),
            DENIED,
        ),
        ("recorder", installed.named("SET ROLE cofferdam_owner"), DENIED),
        ("recorder", "COPY leaves TO PROGRAM 'cat'".to_owned(), DENIED),
        // A copy changes nothing, and stops no recorder.
        ("backup", "DELETE FROM jobs".to_owned(), READ_ONLY),
        ("backup", format!("{write}DELETE FROM jobs"), DENIED),
        ("backup", format!("{write}UPDATE sequencer SET term = term + 1"), DENIED),
        ("backup", "SELECT pg_advisory_lock(1)".to_owned(), DENIED),
        ("backup", "SELECT pg_try_advisory_xact_lock_shared(1)".to_owned(), DENIED),
        // The owner of the tables is no administrator.
        ("owner", "CREATE ROLE more".to_owned(), DENIED),
        ("owner", installed.named("ALTER ROLE cofferdam_recorder SUPERUSER"), DENIED),
    ] {
        assert_eq!(installed.run(role, &sql), Err(expected.to_owned()), "{role}: {sql}");
    }
    // The same statements without the attack succeed.
    for (role, sql) in [
        ("recorder", "UPDATE leaves SET key = NULL, payloads = NULL WHERE idx < 0"),
        ("recorder", "DELETE FROM jobs WHERE seq < 0"),
        ("recorder", "SELECT pg_advisory_lock(1)"),
        ("backup", "SELECT count(*) FROM leaves"),
        ("owner", "CREATE TABLE more (a BIGINT)"),
        ("backup", "SELECT count(*) FROM more"),
        ("owner", "DROP TABLE more"),
    ] {
        installed.run(role, sql).unwrap_or_else(|state| panic!("{role}: {sql}: {state}"));
    }
    // A table that a later version adds needs a line in rights.sql.
    let writes = installed.named(
        "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind = 'r' \
         AND NOT has_any_column_privilege('cofferdam_recorder', oid, 'INSERT, UPDATE') AND NOT \
         has_table_privilege('cofferdam_recorder', oid, 'DELETE') ORDER BY relname",
    );
    assert_eq!(installed.run("owner", &writes).unwrap(), "meta", "tables that are only read");
}

#[test]
#[cfg_attr(without_postgres, ignore = "needs PostgreSQL: COFFERDAM_POSTGRES is not set")]
fn a_copy_that_its_role_made_is_a_whole_store_again() {
    let server = Server::shared();
    runtime().block_on(async {
        let installed = Installed::new(&server).await;
        let mut recorder = installed.recorder().await;
        for call in 0..CALLS {
            recorder.step(&Step::Enqueue(Proposal::of(call, call))).await;
        }
        let entries = recorder.finish().await;
        let copy = server.copy(&installed.named("cofferdam_backup"), &installed.word);
        let restored = format!("{}_restored", installed.word);
        server.run(SUPERUSER, &format!("CREATE DATABASE {restored} TEMPLATE template0")).unwrap();
        server.run(&restored, &copy).unwrap();
        let world = World::new();
        let mut database = installed.database("recorder");
        database.settings.database = restored;
        let settings = RecorderContext { database: Some(database), ..world.settings() };
        let again = Real::start(world, settings).await.finish().await;
        assert_eq!(again[..entries.len()], entries);
        assert_eq!(again.len(), entries.len() + 1, "the entry of the second start");
    });
}
