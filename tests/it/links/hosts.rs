//! An installation of several hosts on this machine: a home and a `cofferdam serve --role` for each,
//! made by the real commands. The homes share nothing but the tree.

use crate::installation::{TIME_LIMIT, TestInstallation, binaries, text};
use cofferdam_core::protocol::link::LinkRole;
use cofferdam_testkit::http::{Connection, Request};
use cofferdam_testkit::postgres::Database;
use cofferdam_testkit::tls;
use std::collections::BTreeMap;
use std::fs;
use std::io::Write as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use tokio::net::TcpSocket;

/// The number of hosts of each role.
#[derive(Debug, Clone, Copy)]
pub struct Counts {
    pub gateways: usize,
    pub recorders: usize,
    pub viewers: usize,
    pub runners: usize,
}

impl Counts {
    /// One host for each role.
    pub const ONE: Self = Self { gateways: 1, recorders: 1, viewers: 1, runners: 1 };
}

/// One host: a role with its home.
pub struct Host {
    pub role: LinkRole,
    pub home: PathBuf,
    /// The address of its links.
    pub links: SocketAddr,
    /// The address for agents; only of a gateway.
    pub edge: SocketAddr,
    served: Option<Child>,
    _ports: [TcpSocket; 2],
}

/// All hosts, by name: `recorder-1`, `gateway-2`.
pub struct Hosts {
    /// The home of the administrator, in which tools and agents are accepted. It is not served.
    pub installation: TestInstallation,
    pub hosts: BTreeMap<String, Host>,
    folder: tempfile::TempDir,
}

/// A port that no other program gets: a bound socket that does not listen.
fn port() -> (TcpSocket, SocketAddr) {
    let held = TcpSocket::new_v4().unwrap();
    held.set_reuseaddr(true).unwrap();
    held.bind(SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
    let address = held.local_addr().unwrap();
    (held, address)
}

impl Hosts {
    /// Makes certificates and a home for each host from the home of an installation that is not
    /// served. Starts nothing.
    pub fn new(installation: TestInstallation, counts: Counts) -> Self {
        let folder = tempfile::Builder::new().prefix("cofferdam-hosts.").tempdir().unwrap();
        installation.run(&["certificates", "--to", text(&folder.path().join("certificates"))]);
        let mut hosts = Self { installation, hosts: BTreeMap::new(), folder };
        for (role, count) in [
            (LinkRole::Recorder, counts.recorders),
            (LinkRole::Viewer, counts.viewers),
            (LinkRole::Gateway, counts.gateways),
            (LinkRole::Runner, counts.runners),
        ] {
            for number in 1..=count {
                let (one, other) = (port(), port());
                let name = format!("{role}-{number}");
                let host = Host {
                    role,
                    home: hosts.folder.path().join(&name),
                    links: one.1,
                    // The first gateway has the address of the installation, for its requests.
                    edge: if name == "gateway-1" { hosts.installation.address() } else { other.1 },
                    served: None,
                    _ports: [one.0, other.0],
                };
                hosts.hosts.insert(name, host);
            }
        }
        let names: Vec<String> = hosts.hosts.keys().cloned().collect();
        names.iter().for_each(|name| hosts.make(name));
        let recorder = hosts.hosts["recorder-1"].home.clone();
        hosts.installation.operate(recorder);
        hosts
    }

    /// Lets the recorders keep their store in a database, over TLS. Before the start.
    pub fn use_database(&self, database: &Database) {
        let password = self.installation.secret("database-password", database.password());
        let ca = self.installation.secret("database-ca.pem", tls::CA);
        let store = format!(
            "\n[store]\npostgres = \"postgresql://{0}@localhost:{1}/{0}\"\npassword_file = \
             \"{2}\"\nca_file = \"{3}\"\ntls = \"verify-full\"\n",
            database.name(),
            database.server().port(),
            password.display(),
            ca.display()
        );
        for host in self.hosts.values().filter(|host| host.role == LinkRole::Recorder) {
            let config = host.home.join("cofferdam.toml");
            let mut file = fs::File::options().append(true).open(config).unwrap();
            file.write_all(store.as_bytes()).unwrap();
        }
    }

    /// The host of the sequencer: the recorder of a standby answers no operator.
    pub fn sequencer(&self) -> Option<String> {
        let answers = |host: &&Host| {
            let words = ["--home", text(&host.home), "--json", "jobs"];
            let asked = Command::new(binaries().join("cofferdam")).args(words).output().unwrap();
            asked.status.success()
        };
        let recorders = self.hosts.values().filter(|host| host.role == LinkRole::Recorder);
        let found = recorders.filter(|host| host.served.is_some()).find(answers)?;
        let name = |(_, host): &(&String, &Host)| std::ptr::eq(*host, found);
        self.hosts.iter().find(name).map(|(name, _)| name.clone())
    }

    /// Where `certificates` put the files of a role.
    pub fn certificates(&self, role: LinkRole) -> PathBuf {
        self.folder.path().join("certificates").join(role.word())
    }

    /// The addresses of the links of a role.
    fn addresses(&self, role: LinkRole) -> Vec<String> {
        let own = self.hosts.values().filter(|host| host.role == role);
        own.map(|host| host.links.to_string()).collect()
    }

    fn make(&self, name: &str) {
        let host = &self.hosts[name];
        let (role, to) = (host.role, host.home.clone());
        let certificates = self.folder.path().join("certificates");
        let listen = host.links.to_string();
        let mut words = vec!["role-home", "--role", role.word(), "--to", text(&to)];
        words.extend(["--certificates", text(&certificates)]);
        if role != LinkRole::Runner {
            words.extend(["--listen", &listen]);
        }
        let peers: &[(&str, LinkRole)] = match role {
            LinkRole::Gateway => {
                &[("--recorder", LinkRole::Recorder), ("--viewer", LinkRole::Viewer)]
            }
            LinkRole::Runner => {
                &[("--recorder", LinkRole::Recorder), ("--gateway", LinkRole::Gateway)]
            }
            _ => &[("--gateway", LinkRole::Gateway)],
        };
        let addresses: Vec<(&str, String)> = peers
            .iter()
            .flat_map(|(word, role)| self.addresses(*role).into_iter().map(|at| (*word, at)))
            .collect();
        addresses.iter().for_each(|(word, at)| words.extend([*word, at.as_str()]));
        self.installation.run(&words);
        let from = self.installation.home();
        for part in ["gateway", "runner"] {
            let own = to.join("artefacts").join(part);
            if own.is_dir() {
                copy(&from.join("artefacts").join(part), &own);
            }
        }
        if role == LinkRole::Gateway && name != "gateway-1" {
            let config = to.join("cofferdam.toml");
            let own = self.installation.address().to_string();
            let text = fs::read_to_string(&config).unwrap();
            fs::write(&config, text.replace(&own, &host.edge.to_string())).unwrap();
        }
    }

    /// Starts `cofferdam serve --role` of a host. Waits for nothing.
    pub fn start(&mut self, name: &str) {
        let log = self.installation.append_log();
        let host = self.hosts.get_mut(name).unwrap();
        let child = Command::new(binaries().join("cofferdam"))
            .arg("--home")
            .arg(&host.home)
            .args(["serve", "--role", host.role.word()])
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        host.served = Some(child);
    }

    /// Starts every host, and waits until calls can be carried out.
    pub fn start_all(&mut self) {
        let names: Vec<String> = self.hosts.keys().cloned().collect();
        names.iter().for_each(|name| self.start(name));
        self.until_ready();
    }

    /// Waits until each gateway that was started says that calls can be carried out.
    pub fn until_ready(&mut self) {
        let began = Instant::now();
        while !self.is_ready() {
            for (name, host) in &mut self.hosts {
                let ended = host.served.as_mut().and_then(|child| child.try_wait().unwrap());
                assert_eq!(ended, None, "{name} ended:\n{}", self.installation.log());
            }
            let log = self.installation.log();
            assert!(began.elapsed() < TIME_LIMIT, "it is not ready:\n{log}");
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    fn is_ready(&self) -> bool {
        let ready = |address: SocketAddr| {
            let mut connection = Connection::open(address, TIME_LIMIT).ok()?;
            connection.send(&Request::new("GET", "/readyz").bytes()).ok()
        };
        let gateways = self.hosts.values().filter(|host| host.role == LinkRole::Gateway);
        gateways
            .filter(|host| host.served.is_some())
            .all(|host| ready(host.edge).is_some_and(|response| response.status == 200))
    }

    /// The process id of a host's supervisor.
    pub fn supervisor(&self, name: &str) -> u32 {
        self.hosts[name].served.as_ref().expect("it is served").id()
    }

    /// Stops a host as an operator does, with TERM. Returns whether it ended with success.
    pub fn stop(&mut self, name: &str) -> bool {
        self.end(name, "-TERM")
    }

    /// Ends a host as a power failure does: the supervisor, and with it its roles.
    pub fn kill(&mut self, name: &str) {
        self.end(name, "-KILL");
    }

    fn end(&mut self, name: &str, signal: &str) -> bool {
        let Some(mut child) = self.hosts.get_mut(name).unwrap().served.take() else { return true };
        let _ended = Command::new("kill").args([signal, &child.id().to_string()]).status();
        let began = Instant::now();
        loop {
            if let Some(status) = child.try_wait().unwrap() {
                return status.success();
            }
            if began.elapsed() > TIME_LIMIT {
                child.kill().unwrap();
                panic!("{name} did not end:\n{}", self.installation.log());
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Hosts {
    fn drop(&mut self) {
        let names: Vec<String> = self.hosts.keys().cloned().collect();
        // Clients before servers, so that nothing waits for a peer.
        for role in [LinkRole::Gateway, LinkRole::Runner, LinkRole::Viewer, LinkRole::Recorder] {
            let own: Vec<&String> =
                names.iter().filter(|name| self.hosts[*name].role == role).collect();
            own.into_iter().for_each(|name| {
                let _ended = self.end(name, "-TERM");
            });
        }
    }
}

fn copy(from: &Path, to: &Path) {
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
    }
}
