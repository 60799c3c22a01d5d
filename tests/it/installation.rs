//! An installation for whole journeys: a directory of manifests, a home, and the real gateway with
//! all its roles, made by the real commands. Never a mock.

// Included by their paths, because the benchmarks use this file too.
#[path = "installation/entries.rs"]
mod entries;
#[path = "installation/warm.rs"]
mod warm;

use cofferdam_testkit::http::{Connection, Request, Response};
use serde_json::Value;
use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// The time limit of every wait, long enough for a busy machine.
pub const TIME_LIMIT: Duration = Duration::from_secs(120);

/// The longest pause between two reads of a slow state.
const LONGEST_PAUSE: Duration = Duration::from_millis(400);

/// Sends bytes to an address, and returns everything that comes back before the connection ends.
pub type SendBytes = fn(SocketAddr, &[u8]) -> Option<Vec<u8>>;

/// An installation in a temporary folder.
pub struct TestInstallation {
    folder: tempfile::TempDir,
    port: u16,
    served: Option<Child>,
    /// The home of the recorder, if roles are on hosts of their own: operators use it.
    operated: Option<PathBuf>,
    /// The folder of the programs that are served.
    programs: PathBuf,
    /// The way to the gateway, if it is not plain HTTP.
    tls: Option<SendBytes>,
    /// Reserves the port while no gateway runs: a bound socket that does not listen refuses
    /// connections.
    _port: tokio::net::TcpSocket,
}

/// The response to an HTTP request.
#[derive(Debug)]
pub struct Answer {
    /// The status code.
    pub status: u16,
    /// The body, as JSON if it is JSON.
    pub body: Value,
}

/// The folder of built binaries; tests never build.
pub fn binaries() -> PathBuf {
    std::env::var_os("COFFERDAM_BINARIES")
        .map(PathBuf::from)
        .expect("COFFERDAM_BINARIES is not set: run `scripts/test`, which builds everything first")
}

/// The folder of built tools, executors and policies.
pub fn assets() -> PathBuf {
    std::env::var_os("COFFERDAM_ASSETS")
        .map(PathBuf::from)
        .expect("COFFERDAM_ASSETS is not set: run `scripts/test`, which builds everything first")
}

/// The root folder of the repository.
pub fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

impl TestInstallation {
    /// The example directory, the named policy (`example` or `single`), approvers Alice and Bob,
    /// and no agent.
    pub fn bare(policy: &str) -> Self {
        let installation = Self::cold(policy);
        warm::give(&installation.home());
        installation
    }

    /// The same without compiled machine code.
    fn cold(policy: &str) -> Self {
        let installation = Self::empty();
        let tree = installation.tree();
        copy(&repository().join("examples/manifests"), &tree);
        installation
            .init(&[text(&tree), "--name", "shop"], &assets().join(format!("policy-{policy}")));
        installation
    }

    /// An installation that `init` makes with these words and this policy, with approvers Alice and
    /// Bob, and no agent.
    pub fn over(words: &[&str], policy: &Path) -> Self {
        let installation = Self::empty();
        installation.init(words, policy);
        warm::give(&installation.home());
        installation
    }

    fn empty() -> Self {
        let folder = tempfile::Builder::new().prefix("cofferdam-it.").tempdir().unwrap();
        let held = tokio::net::TcpSocket::new_v4().unwrap();
        // The same option as the gateway: it may then listen on this port, and the kernel gives the
        // port to no other program.
        held.set_reuseaddr(true).unwrap();
        held.bind(SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
        let port = held.local_addr().unwrap().port();
        let programs = binaries();
        Self { folder, port, served: None, operated: None, programs, tls: None, _port: held }
    }

    fn init(&self, words: &[&str], policy: &Path) {
        let parts = assets();
        let rest = ["--assets", text(&parts), "--policy", text(policy)];
        self.run(&[&["init"][..], words, &rest].concat());
        self.configure("listen", &format!("\"127.0.0.1:{}\"", self.port));
        for person in ["alice", "bob"] {
            let key = self.key(person);
            fs::create_dir_all(key.parent().unwrap()).unwrap();
            let made = Command::new("ssh-keygen")
                .args(["-q", "-t", "ed25519", "-N", "", "-C", person, "-f"])
                .arg(&key)
                .status()
                .unwrap();
            assert!(made.success());
            self.run(&[
                "approver",
                "add",
                &format!("{person}@example.com"),
                "--key",
                text(&key.with_extension("pub")),
            ]);
        }
    }

    /// Changes the value of a key in the configuration, before the start.
    pub fn configure(&self, key: &str, value: &str) {
        let config = self.home().join("cofferdam.toml");
        let text = fs::read_to_string(&config).unwrap();
        let own = |line: &str| line.strip_prefix(key).is_some_and(|rest| rest.starts_with(" = "));
        assert!(text.lines().any(own), "`{key}` is no key of {text}");
        let lines: Vec<String> = text
            .lines()
            .map(|line| if own(line) { format!("{key} = {value}") } else { line.to_owned() })
            .collect();
        fs::write(&config, lines.join("\n") + "\n").unwrap();
    }

    /// An installation with the example policy, started.
    pub fn started() -> Self {
        let mut installation = Self::bare("example");
        installation.serve(&[]);
        installation
    }

    /// The directory of manifests.
    pub fn tree(&self) -> PathBuf {
        self.beside("manifests")
    }

    /// The home folder: where operators run commands.
    pub fn home(&self) -> PathBuf {
        self.operated.clone().unwrap_or_else(|| self.administrator())
    }

    /// The home that `init` made, in which tools are accepted.
    pub fn administrator(&self) -> PathBuf {
        self.folder.path().join("home")
    }

    /// Runs commands with this home from now on.
    pub fn operate(&mut self, home: PathBuf) {
        self.operated = Some(home);
    }

    /// The log, to append to it.
    pub fn append_log(&self) -> fs::File {
        fs::OpenOptions::new().create(true).append(true).open(self.log_file()).unwrap()
    }

    /// True if the gateway says that calls can be carried out.
    pub fn ready(&self) -> bool {
        let answer = self.try_http("GET", "/readyz", "", None, None);
        answer.is_some_and(|answer| answer.status == 200)
    }

    /// A path beside the home and the tree.
    pub fn beside(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Serves the programs of this folder from now on. Commands stay the built ones.
    pub fn run_from(&mut self, programs: PathBuf) {
        self.programs = programs;
    }

    /// The address of the gateway.
    pub fn address(&self) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], self.port))
    }

    /// A person's private SSH key.
    pub fn key(&self, person: &str) -> PathBuf {
        self.folder.path().join("keys").join(person)
    }

    /// Writes a secret that only its owner may read, beside the keys of people.
    pub fn secret(&self, name: &str, secret: &str) -> PathBuf {
        let file = self.key(name);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        write_private(&file, secret);
        file
    }

    /// All files of the directory, by relative path.
    pub fn files(&self) -> std::collections::BTreeMap<PathBuf, String> {
        let mut files = std::collections::BTreeMap::new();
        collect(&self.tree(), &self.tree(), &mut files);
        files
    }

    /// Runs a command that must succeed. Returns its standard output.
    pub fn run(&self, words: &[&str]) -> String {
        let (ok, out, fault) = self.try_run(words);
        assert!(ok, "`cofferdam {}` failed:\n{out}{fault}", words.join(" "));
        out
    }

    /// Runs a command that must succeed. Returns its standard output and standard error.
    pub fn told(&self, words: &[&str]) -> String {
        let (ok, out, fault) = self.try_run(words);
        assert!(ok, "`cofferdam {}` failed:\n{out}{fault}", words.join(" "));
        out + &fault
    }

    /// Runs a command that must fail. Returns its standard output and standard error.
    pub fn fail(&self, words: &[&str]) -> String {
        let (ok, out, fault) = self.try_run(words);
        assert!(!ok, "`cofferdam {}` should have failed:\n{out}", words.join(" "));
        out + &fault
    }

    /// Runs a command with `--json`. Returns its output.
    pub fn json(&self, words: &[&str]) -> Value {
        let words: Vec<&str> = std::iter::once("--json").chain(words.iter().copied()).collect();
        serde_json::from_str(&self.run(&words)).unwrap()
    }

    /// Runs a command. Returns whether it succeeded, its standard output and its standard error.
    pub fn try_run(&self, words: &[&str]) -> (bool, String, String) {
        let done = Command::new(binaries().join("cofferdam"))
            .arg("--home")
            .arg(self.home())
            .args(words)
            .stdin(Stdio::null())
            .output()
            .unwrap();
        (
            done.status.success(),
            String::from_utf8_lossy(&done.stdout).into_owned(),
            String::from_utf8_lossy(&done.stderr).into_owned(),
        )
    }

    /// Adds an agent. Returns its token.
    pub fn agent(&self, name: &str, role: &str) -> String {
        self.json(&["agents", "add", name, "--role", role, "--for", "alice@example.com"])["token"]
            .as_str()
            .unwrap()
            .to_owned()
    }

    /// Sends requests this way from now on: the gateway has TLS.
    pub fn speaks_tls(&mut self, send: SendBytes) {
        self.tls = Some(send);
    }

    /// Starts the gateway and waits until it is ready.
    pub fn serve(&mut self, options: &[&str]) {
        self.serve_in(&[], options);
    }

    /// The same, with these variables in its environment.
    pub fn serve_in(&mut self, environment: &[(&str, &str)], options: &[&str]) {
        let log = self.append_log();
        let child = Command::new(self.programs.join("cofferdam"))
            .arg("--home")
            .arg(self.home())
            .arg("serve")
            .args(options)
            .envs(environment.iter().copied())
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        self.served = Some(child);
        let began = Instant::now();
        loop {
            if let Some(status) = self.served.as_mut().and_then(|child| child.try_wait().unwrap()) {
                panic!("`cofferdam serve` ended ({status}):\n{}", self.log());
            }
            if self.ready() {
                return;
            }
            assert!(
                began.elapsed() < TIME_LIMIT,
                "`cofferdam serve` was not ready:\n{}",
                self.log()
            );
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// The supervisor's process id.
    pub fn supervisor(&self) -> u32 {
        self.served.as_ref().expect("it is served").id()
    }

    /// Waits until the supervisor has ended. Returns its exit status.
    pub fn ended(&mut self) -> std::process::ExitStatus {
        let mut child = self.served.take().expect("it is served");
        let began = Instant::now();
        loop {
            if let Some(status) = child.try_wait().unwrap() {
                return status;
            }
            if began.elapsed() > TIME_LIMIT {
                child.kill().unwrap();
                panic!("it did not end:\n{}", self.log());
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Stops the gateway as an operator does, with TERM.
    pub fn stop(&mut self) {
        if let Some(mut child) = self.served.take() {
            let _ended = Command::new("kill").args(["-TERM", &child.id().to_string()]).status();
            let began = Instant::now();
            while child.try_wait().unwrap().is_none() {
                if began.elapsed() > TIME_LIMIT {
                    child.kill().unwrap();
                }
                std::thread::sleep(Duration::from_millis(20));
            }
        }
    }

    fn log_file(&self) -> PathBuf {
        self.folder.path().join("serve.log")
    }

    /// The log of the gateway and its roles.
    pub fn log(&self) -> String {
        fs::read_to_string(self.log_file()).unwrap_or_default()
    }

    /// Waits until the log has these words.
    pub fn until_logged(&self, words: &str) {
        let began = Instant::now();
        while !self.log().contains(words) {
            assert!(began.elapsed() < TIME_LIMIT, "it never said `{words}`:\n{}", self.log());
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// A request over plain HTTP.
    pub fn http(&self, method: &str, path: &str, token: &str, body: Option<&Value>) -> Answer {
        self.try_http(method, path, token, None, body)
            .unwrap_or_else(|| panic!("no answer to {method} {path}:\n{}", self.log()))
    }

    /// A tool call over plain HTTP that waits as long as the gateway holds calls.
    pub fn call(&self, token: &str, tool: &str, arguments: &Value) -> Answer {
        self.http("POST", &format!("/v1/tools/{tool}?wait=45"), token, Some(arguments))
    }

    /// The same by a client without a `wait` parameter.
    pub fn brief_call(&self, token: &str, tool: &str, arguments: &Value) -> Answer {
        self.http("POST", &format!("/v1/tools/{tool}"), token, Some(arguments))
    }

    /// A tool call with an idempotency key.
    pub fn keyed_call(&self, token: &str, tool: &str, arguments: &Value, key: &str) -> Answer {
        let path = format!("/v1/tools/{tool}");
        let header = Some(("Idempotency-Key", key));
        self.try_http("POST", &path, token, header, Some(arguments))
            .unwrap_or_else(|| panic!("no answer to {path}:\n{}", self.log()))
    }

    /// A tool call within a client's trace.
    pub fn traced_call(
        &self,
        token: &str,
        tool: &str,
        arguments: &Value,
        traceparent: &str,
    ) -> Answer {
        let path = format!("/v1/tools/{tool}");
        let header = Some(("traceparent", traceparent));
        self.try_http("POST", &path, token, header, Some(arguments))
            .unwrap_or_else(|| panic!("no answer to {path}:\n{}", self.log()))
    }

    fn try_http(
        &self,
        method: &str,
        path: &str,
        token: &str,
        header: Option<(&str, &str)>,
        body: Option<&Value>,
    ) -> Option<Answer> {
        let mut request = Request::new(method, path)
            .with("Host", &self.address().to_string())
            .body(body.map(Value::to_string).unwrap_or_default())
            .with("Content-Type", "application/json");
        if !token.is_empty() {
            request = request.bearer(token);
        }
        if let Some((name, value)) = header {
            request = request.and(name, value);
        }
        let response = match self.tls {
            None => {
                let mut connection = Connection::open(self.address(), TIME_LIMIT).ok()?;
                connection.send(&request.bytes()).ok()?
            }
            Some(send) => Response::parse(&send(self.address(), &request.bytes())?),
        };
        let text = response.text();
        let body = serde_json::from_str(&text).unwrap_or(Value::String(text));
        Some(Answer { status: response.status, body })
    }

    /// The output of `show` for a call, after its job is closed.
    pub fn closed(&self, call: &str) -> Value {
        self.story_until(call, is_closed)
    }

    /// The output of `show` for a call, after its job is closed or it ended without a job.
    pub fn story_of_end(&self, call: &str) -> Value {
        self.story_until(call, |story| is_closed(story) || ended_without_a_job(story))
    }

    fn story_until(&self, call: &str, over: impl Fn(&Value) -> bool) -> Value {
        let (began, mut pause) = (Instant::now(), Duration::from_millis(50));
        loop {
            // A job that a test puts into the store is in the ledger only after a runner took it.
            let (known, out, fault) = self.try_run(&["--json", "show", call]);
            let story: Value =
                if known { serde_json::from_str(&out).unwrap() } else { Value::Null };
            if over(&story) {
                return story;
            }
            assert!(
                began.elapsed() < TIME_LIMIT,
                "the job is not closed: {story:#}\n{fault}{}",
                self.log()
            );
            std::thread::sleep(pause);
            // Each read starts a program, and on a cluster the end takes seconds.
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    /// Verifies the ledger offline, with its own key.
    pub fn verify_ledger(&self) {
        let key = self.run(&["ledger", "key"]);
        self.run(&["ledger", "verify", text(&self.home().join("ledger")), "--key", key.trim()]);
    }

    /// The first call that waits for a person.
    pub fn waiting(&self) -> String {
        let began = Instant::now();
        loop {
            if let Some(call) = self.json(&["jobs", "--waiting"])["jobs"][0]["job"]["call"].as_str()
            {
                return call.to_owned();
            }
            assert!(began.elapsed() < TIME_LIMIT, "nothing waits for a person:\n{}", self.log());
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// The names of the private copies that still exist.
    pub fn namespaces(&self) -> Vec<String> {
        let entries = fs::read_dir(self.home().join("runs")).unwrap();
        entries.map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned()).collect()
    }
}

impl Drop for TestInstallation {
    fn drop(&mut self) {
        self.stop();
    }
}

/// A path as an argument.
pub fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

fn collect(root: &Path, folder: &Path, files: &mut std::collections::BTreeMap<PathBuf, String>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(root, &path, files);
        } else {
            files.insert(
                path.strip_prefix(root).unwrap().to_owned(),
                fs::read_to_string(&path).unwrap(),
            );
        }
    }
}

/// Writes a file that only its owner may read.
pub fn write_private(file: &Path, text: &str) {
    fs::write(file, text).unwrap();
    fs::set_permissions(file, fs::Permissions::from_mode(0o600)).unwrap();
}

fn is_closed(story: &Value) -> bool {
    story["view"]["phase"] == "closed"
}

fn ended_without_a_job(story: &Value) -> bool {
    let ended = |entry: &Value| entry["event"]["kind"] == "ended";
    story["view"].is_null() && story["entries"].as_array().is_some_and(|all| all.iter().any(ended))
}
