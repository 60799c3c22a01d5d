//! One server: started, stopped, killed, paused, and asked with `psql`. Durable: `fsync` is on.

use super::keeper::{Keeper, processes, signal};
use super::template::{Account, make, programs};
use super::{Database, Refused, SUPERUSER};
use crate::tls;
use std::fs::{self, File};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

/// The longest time of a start or a stop.
const TIME_LIMIT: Duration = Duration::from_secs(60);

/// The pause between two looks at a server that starts.
const PAUSE: Duration = Duration::from_millis(20);

/// The ports below those that the system gives to connections: a stopped server keeps its port.
const PORTS: std::ops::Range<u32> = 15_000..30_000;

/// The settings of a server.
const SETTINGS: &str = "\
listen_addresses = '127.0.0.1'
fsync = on
full_page_writes = on
synchronous_commit = on
max_connections = 60
shared_buffers = '16MB'
ssl = on
ssl_cert_file = 'server.pem'
ssl_key_file = 'server.key'
ssl_min_protocol_version = 'TLSv1.2'
log_line_prefix = '%m %p %d '
";

/// A handle of a server. The server ends with its last handle, and with the process.
#[derive(Clone)]
pub struct Server {
    inner: Arc<Inner>,
}

struct Inner {
    account: Account,
    folder: PathBuf,
    port: u16,
    process: Mutex<Option<Child>>,
    databases: AtomicU32,
    _keeper: Keeper,
}

impl Server {
    /// The server that the tests of a process share: none of them stops it.
    pub fn shared() -> Self {
        static SHARED: OnceLock<Server> = OnceLock::new();
        SHARED.get_or_init(Self::start).clone()
    }

    /// A server of its own, for a test that stops it.
    pub fn start() -> Self {
        let account = Account::of_server();
        let folder = tempfile::Builder::new().prefix("cofferdam-pg.").tempdir().unwrap().keep();
        let keeper = Keeper::of(&folder);
        account.give(&folder, 0o700);
        let data = folder.join("data");
        make(&data, &account);
        for (name, text) in
            [("server.pem", tls::SERVER.certificate), ("server.key", tls::SERVER.key)]
        {
            fs::write(data.join(name), text).unwrap();
            account.give(&data.join(name), 0o600);
        }
        let settings = fs::read_to_string(data.join("postgresql.conf")).unwrap();
        let socket = format!("unix_socket_directories = '{}'\n", folder.display());
        fs::write(data.join("postgresql.conf"), settings + SETTINGS + &socket).unwrap();
        let (port, process) = first_start(&account, &folder);
        Self {
            inner: Arc::new(Inner {
                account,
                folder,
                port,
                process: Mutex::new(Some(process)),
                databases: AtomicU32::new(0),
                _keeper: keeper,
            }),
        }
    }

    /// A new database with a role of the same name, which owns it.
    pub fn database(&self) -> Database {
        let number = self.inner.databases.fetch_add(1, Ordering::SeqCst);
        Database::make(self.clone(), format!("test_{}_{number}", std::process::id()))
    }

    /// The loopback port.
    pub fn port(&self) -> u16 {
        self.inner.port
    }

    /// The folder of the Unix socket; private to the server's user, and to root.
    pub fn socket_folder(&self) -> &Path {
        &self.inner.folder
    }

    /// Everything the server logged.
    pub fn log(&self) -> String {
        fs::read_to_string(self.inner.folder.join("log")).unwrap()
    }

    /// Runs SQL as the superuser, each statement in a transaction of its own. Rows are lines, and
    /// columns are separated by `|`.
    pub fn run(&self, database: &str, sql: &str) -> Result<String, Refused> {
        self.run_as(SUPERUSER, database, sql)
    }

    /// The same as another role.
    pub fn run_as(&self, role: &str, database: &str, sql: &str) -> Result<String, Refused> {
        let done = Command::new(programs().join("psql"))
            .env_clear()
            .args(["--no-psqlrc", "--quiet", "--no-align", "--tuples-only", "--no-password"])
            .args(["--set", "ON_ERROR_STOP=1", "--set", "VERBOSITY=verbose", "--file", "-"])
            .arg("--host")
            .arg(self.socket_folder())
            .args(["--port", &self.port().to_string(), "--username", role, "--dbname", database])
            .stdin(statements(sql))
            .output()
            .unwrap();
        if done.status.success() {
            return Ok(String::from_utf8(done.stdout).unwrap().trim_end().to_owned());
        }
        Err(Refused::of(String::from_utf8(done.stderr).unwrap()))
    }

    /// A copy of a database as SQL, by `pg_dump` as a role.
    pub fn copy(&self, role: &str, database: &str) -> String {
        let done = Command::new(programs().join("pg_dump"))
            .env_clear()
            .arg("--no-password")
            .arg("--host")
            .arg(self.socket_folder())
            .args(["--port", &self.port().to_string(), "--username", role, "--dbname", database])
            .output()
            .unwrap();
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
        String::from_utf8(done.stdout).unwrap()
    }

    /// Ends the sessions of a database, as an administrator or a fail-over does.
    pub fn end_sessions(&self, database: &str) {
        let sql = format!(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{database}' \
             AND pid <> pg_backend_pid()"
        );
        self.run(SUPERUSER, &sql).unwrap();
    }

    /// Stops the server in order: open transactions are rolled back.
    pub fn stop(&self) {
        self.end("INT", |process| vec![process]);
    }

    /// Kills every process of the server at once, as a loss of power does.
    pub fn kill(&self) {
        self.end("KILL", |_| processes(&self.inner.folder.join("data")));
    }

    /// Starts a stopped or killed server at the same port. It recovers first.
    pub fn start_again(&self) {
        let mut process = self.inner.process.lock().unwrap_or_else(PoisonError::into_inner);
        assert!(process.is_none(), "the server runs");
        let began = Instant::now();
        loop {
            match launch(&self.inner.account, &self.inner.folder, self.inner.port) {
                Ok(child) => break *process = Some(child),
                // A killed server's last process may still have the memory or the port.
                Err(why) => assert!(began.elapsed() < TIME_LIMIT, "{why}"),
            }
        }
    }

    /// Stops the server in order, and starts it again.
    pub fn restart(&self) {
        self.stop();
        self.start_again();
    }

    /// Stops every process of the server until [`Server::go_on`]: a connection is open, and never
    /// answered.
    pub fn pause(&self) {
        signal("STOP", &processes(&self.inner.folder.join("data")));
    }

    /// Ends a pause.
    pub fn go_on(&self) {
        signal("CONT", &processes(&self.inner.folder.join("data")));
    }

    fn end(&self, name: &str, whom: impl Fn(u32) -> Vec<u32>) {
        let mut process = self.inner.process.lock().unwrap_or_else(PoisonError::into_inner);
        let mut child = process.take().expect("the server runs");
        signal(name, &whom(child.id()));
        let began = Instant::now();
        while child.try_wait().unwrap().is_none() {
            assert!(began.elapsed() < TIME_LIMIT, "the server does not stop: {}", self.log());
            std::thread::sleep(PAUSE);
        }
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        // The keeper ends what is left and removes the folder.
        let process = self.process.get_mut().unwrap_or_else(PoisonError::into_inner);
        if let Some(mut child) = process.take() {
            signal("KILL", &processes(&self.folder.join("data")));
            let _ended = child.wait();
        }
    }
}

/// A file with statements, as the standard input of `psql`: errors then name each of them.
fn statements(sql: &str) -> Stdio {
    use std::io::{Seek as _, Write as _};
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(sql.as_bytes()).unwrap();
    file.rewind().unwrap();
    file.into()
}

/// Starts the server at the first free port. Another process may take a port between the look and
/// the start.
fn first_start(account: &Account, folder: &Path) -> (u16, Child) {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let mut told = String::new();
    for _ in 0..50 {
        let number = NEXT.fetch_add(1, Ordering::SeqCst);
        let spread = std::process::id().wrapping_mul(7).wrapping_add(number) % PORTS.len() as u32;
        let port = u16::try_from(PORTS.start + spread).unwrap();
        if TcpListener::bind(("127.0.0.1", port)).is_err() {
            continue;
        }
        match launch(account, folder, port) {
            Ok(process) => return (port, process),
            Err(why) if why.contains("Address already in use") => told = why,
            Err(why) => panic!("PostgreSQL does not start: {why}"),
        }
    }
    panic!("no free port for PostgreSQL: {told}")
}

/// Starts the server, and waits until it takes connections. Otherwise returns its log.
fn launch(account: &Account, folder: &Path, port: u16) -> Result<Child, String> {
    let data = folder.join("data");
    let log = File::options().create(true).append(true).open(folder.join("log")).unwrap();
    let mut process = account
        .command("postgres")
        .arg("-D")
        .arg(&data)
        .args(["-p", &port.to_string()])
        .stdout(log.try_clone().unwrap())
        .stderr(log)
        .spawn()
        .unwrap();
    let began = Instant::now();
    let told = || fs::read_to_string(folder.join("log")).unwrap_or_default();
    while process.try_wait().unwrap().is_none() {
        // Its eighth line is the state of the server.
        let state = fs::read_to_string(data.join("postmaster.pid")).unwrap_or_default();
        let mut state = state.lines();
        let own = state.next() == Some(process.id().to_string().as_str());
        if own && state.nth(6).is_some_and(|word| word.trim() == "ready") {
            return Ok(process);
        }
        assert!(began.elapsed() < TIME_LIMIT, "PostgreSQL does not start: {}", told());
        std::thread::sleep(PAUSE);
    }
    Err(told())
}
