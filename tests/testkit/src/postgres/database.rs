//! A database of one test with its owner, and the refusals of the server.

use super::{SUPERUSER, Server};
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;

/// The password of the owner; it protects nothing.
const PASSWORD: &str = "for-tests";

/// A database that one test uses.
#[derive(Clone)]
pub struct Database {
    server: Server,
    name: String,
}

impl Database {
    pub(super) fn make(server: Server, name: String) -> Self {
        let sql = format!(
            "CREATE ROLE {name} LOGIN PASSWORD '{PASSWORD}';\nCREATE DATABASE {name} OWNER {name};"
        );
        server.run(SUPERUSER, &sql).unwrap();
        Self { server, name }
    }

    /// The server of the database.
    pub fn server(&self) -> &Server {
        &self.server
    }

    /// The name of the database, and of the role that owns it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The password of the owner.
    pub fn password(&self) -> &'static str {
        PASSWORD
    }

    /// The address over TCP, without a password. The server also accepts TLS: see
    /// [`crate::tls::CA`].
    pub fn url(&self) -> String {
        self.url_of(&self.name)
    }

    /// The same address for another role.
    pub fn url_of(&self, role: &str) -> String {
        format!("postgresql://{role}@127.0.0.1:{}/{}", self.server.port(), self.name)
    }

    /// The address over TCP with the password of the owner.
    pub fn url_with_password(&self) -> String {
        let port = self.server.port();
        format!("postgresql://{0}:{PASSWORD}@127.0.0.1:{port}/{0}", self.name)
    }

    /// The address at the Unix socket, where no password is asked for.
    pub fn socket_url(&self) -> String {
        let folder = self.server.socket_folder().to_str().unwrap().replace('/', "%2F");
        format!("postgresql://{0}@{folder}:{1}/{0}", self.name, self.server.port())
    }

    /// A file with the password of the owner, which only this user may read.
    pub fn password_file(&self) -> PathBuf {
        let path = self.server.socket_folder().join(format!("{}.password", self.name));
        fs::write(&path, format!("{PASSWORD}\n")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        path
    }

    /// Runs SQL as the superuser, each statement in a transaction of its own.
    pub fn run(&self, sql: &str) -> Result<String, Refused> {
        self.server.run(&self.name, sql)
    }

    /// Runs SQL as a role.
    pub fn run_as(&self, role: &str, sql: &str) -> Result<String, Refused> {
        self.server.run_as(role, &self.name, sql)
    }

    /// Ends the sessions of this database, as an administrator or a fail-over does.
    pub fn end_sessions(&self) {
        self.server.end_sessions(&self.name);
    }

    /// Lets new transactions only read, as a server that lost its place as primary does; or lets
    /// them write again. The sessions end, so that each has the new setting.
    pub fn read_only(&self, only: bool) {
        let word = if only { "on" } else { "off" };
        let sql =
            format!("ALTER DATABASE {} SET default_transaction_read_only = {word}", self.name);
        self.server.run(SUPERUSER, &sql).unwrap();
        self.end_sessions();
    }
}

/// The refusal of a statement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// Its SQLSTATE; empty if the server could not be asked.
    pub state: String,
    /// All that was said.
    pub text: String,
}

impl Refused {
    pub(super) fn of(text: String) -> Self {
        let after = text.split_once("ERROR:  ").map(|(_, after)| after);
        let state = after.and_then(|after| after.get(..5)).unwrap_or_default().to_owned();
        Self { state, text }
    }
}
