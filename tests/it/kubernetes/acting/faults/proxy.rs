//! A proxy between a runner and the API server, with the server's own certificate. It reads one
//! request for each connection. A request that it does not pass on has no effect; the real server
//! carries out all others. It never makes a success by itself.

use super::rerouted;
use crate::cluster::Cluster;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{
    ClientConfig, ClientConnection, RootCertStore, ServerConfig, ServerConnection, StreamOwned,
};
use serde_json::json;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// The action on one request.
pub enum Act {
    Pass,
    /// The proxy responds with this status, and no server gets the request.
    Instead(u16, Option<u32>),
    /// The server carries it out; the response has this status.
    After(u16),
    /// The connection ends, and no server gets the request.
    CutBefore,
    /// The server carries it out; the response is cut in the middle.
    CutAfter,
    /// The request is delayed by this time.
    Late(Duration),
    /// The server carries it out; the response is delayed by this time.
    LateAnswer(Duration),
    /// The server carries it out; the response never arrives.
    Silence,
    /// The closure runs first.
    First(Box<dyn FnOnce() + Send>),
    /// The request arrives with another token, which the closure makes of the real one.
    With(Box<dyn FnOnce(&str) -> String + Send>),
}

/// Returns the action on a request, by its method and its path with query.
type Rule = Box<dyn FnMut(&str, &str) -> Act + Send>;

/// The state of the listener.
#[derive(Debug, Default)]
struct Door {
    shut: Mutex<Option<bool>>,
    /// The number of connections to cut before a byte is read.
    cut: AtomicUsize,
}

pub struct FaultProxy {
    pub kubeconfig: PathBuf,
    rule: Arc<Mutex<Rule>>,
    door: Arc<Door>,
    _folder: tempfile::TempDir,
    /// Reserves the port while the proxy does not listen: a bound socket that does not listen
    /// refuses connections.
    _port: tokio::net::TcpSocket,
}

impl FaultProxy {
    pub fn before(plane: &Cluster) -> Self {
        let port = bound(SocketAddr::from(([127, 0, 0, 1], 0)));
        let address = port.local_addr().unwrap();
        let (folder, kubeconfig, server) = rerouted(plane, address);
        let ends = Ends { near: serving(plane), far: asking(plane), server };
        let rule: Arc<Mutex<Rule>> = Arc::new(Mutex::new(Box::new(|_, _| Act::Pass)));
        let door = Arc::new(Door::default());
        let (rules, doors) = (Arc::clone(&rule), Arc::clone(&door));
        // The thread ends with the process of the test.
        std::thread::spawn(move || attend(address, &doors, &rules, &ends));
        let proxy = Self { kubeconfig, rule, door, _folder: folder, _port: port };
        proxy.open();
        proxy
    }

    /// Uses this rule for all later requests.
    pub fn arm(&self, rule: impl FnMut(&str, &str) -> Act + Send + 'static) {
        *self.rule.lock().unwrap() = Box::new(rule);
    }

    /// Cuts the next connections before a byte is read.
    pub fn cut(&self, connections: usize) {
        self.door.cut.store(connections, Ordering::SeqCst);
    }

    /// True if all of these connections were cut.
    pub fn was_cut(&self) -> bool {
        self.door.cut.load(Ordering::SeqCst) == 0
    }

    /// Refuses connections. When it returns, no socket listens.
    pub fn shut(&self) {
        self.door.ask(true);
    }

    pub fn open(&self) {
        self.door.ask(false);
    }

    /// A function that opens (`true`) and closes the listener, from any thread.
    pub fn handle(&self) -> impl Fn(bool) + Clone + Send + 'static {
        let door = Arc::clone(&self.door);
        move |shut| door.ask(shut)
    }
}

impl Door {
    fn ask(&self, shut: bool) {
        *self.shut.lock().unwrap() = Some(shut);
        while self.shut.lock().unwrap().is_some() {
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}

/// A socket of this address that others of this process may share.
fn bound(address: SocketAddr) -> tokio::net::TcpSocket {
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.set_reuseport(true).unwrap();
    socket.bind(address).unwrap();
    socket
}

/// Accepts connections while the listener is open.
fn attend(address: SocketAddr, door: &Door, rule: &Arc<Mutex<Rule>>, ends: &Ends) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build().unwrap();
    let mut listener: Option<TcpListener> = None;
    loop {
        {
            let mut asked = door.shut.lock().unwrap();
            if let Some(shut) = asked.take() {
                let _inside = runtime.enter();
                listener = (!shut).then(|| {
                    listener
                        .take()
                        .unwrap_or_else(|| bound(address).listen(64).unwrap().into_std().unwrap())
                });
            }
        }
        match listener.as_ref().map(TcpListener::accept) {
            Some(Ok((near, _))) if door.cut.load(Ordering::SeqCst) > 0 => {
                door.cut.fetch_sub(1, Ordering::SeqCst);
                drop(near);
            }
            Some(Ok((near, _))) => {
                let (rule, ends) = (Arc::clone(rule), ends.clone());
                // The other side notices a broken connection.
                std::thread::spawn(move || drop(ends.serve(near, &rule)));
            }
            _ => std::thread::sleep(Duration::from_millis(5)),
        }
    }
}

fn certificates(plane: &Cluster, name: &str) -> Vec<CertificateDer<'static>> {
    CertificateDer::pem_file_iter(key_file(plane, name)).unwrap().map(Result::unwrap).collect()
}

fn key_file(plane: &Cluster, name: &str) -> PathBuf {
    plane.admin().with_file_name("pki").join(name)
}

/// TLS with the certificate of the API server, for this machine.
pub fn serving(plane: &Cluster) -> Arc<ServerConfig> {
    let key = PrivateKeyDer::from_pem_file(key_file(plane, "serving.key")).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap();
    Arc::new(
        config
            .with_no_client_auth()
            .with_single_cert(certificates(plane, "serving.crt"), key)
            .unwrap(),
    )
}

/// TLS to the API server.
fn asking(plane: &Cluster) -> Arc<ClientConfig> {
    let mut roots = RootCertStore::empty();
    certificates(plane, "ca.crt").into_iter().for_each(|authority| roots.add(authority).unwrap());
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap();
    Arc::new(config.with_root_certificates(roots).with_no_client_auth())
}

/// The TLS settings of both ends, and the address of the server.
#[derive(Clone)]
struct Ends {
    near: Arc<ServerConfig>,
    far: Arc<ClientConfig>,
    server: String,
}

impl Ends {
    /// Reads one request and carries out the action on it.
    fn serve(&self, near: TcpStream, rule: &Mutex<Rule>) -> std::io::Result<()> {
        let mut near =
            StreamOwned::new(ServerConnection::new(Arc::clone(&self.near)).unwrap(), near);
        let (head, body) = request(&mut near)?;
        let mut words = head.split(' ');
        let (method, path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        let act = (rule.lock().unwrap())(method, path);
        let answer = match act {
            Act::Pass => self.pass(&head, &body)?,
            Act::Instead(status, retry_after) => said(status, retry_after),
            Act::After(status) => {
                self.pass(&head, &body)?;
                said(status, None)
            }
            Act::CutBefore => return Ok(()),
            Act::CutAfter => {
                let mut answer = self.pass(&head, &body)?;
                answer.truncate(answer.len() / 2);
                answer
            }
            Act::Late(time) => {
                std::thread::sleep(time);
                self.pass(&head, &body)?
            }
            Act::LateAnswer(time) => {
                let answer = self.pass(&head, &body)?;
                std::thread::sleep(time);
                answer
            }
            Act::Silence => {
                self.pass(&head, &body)?;
                let _ended = near.read(&mut [0]);
                return Ok(());
            }
            Act::First(happens) => {
                happens();
                self.pass(&head, &body)?
            }
            Act::With(other) => {
                let (_, rest) = head.split_once("authorization: Bearer ").unwrap();
                let token = rest.split("\r\n").next().unwrap();
                self.pass(&head.replace(token, &other(token)), &body)?
            }
        };
        near.write_all(&answer)?;
        near.conn.send_close_notify();
        near.flush()
    }

    /// The response of the server.
    fn pass(&self, head: &str, body: &[u8]) -> std::io::Result<Vec<u8>> {
        let name = ServerName::from(std::net::IpAddr::from([127, 0, 0, 1]));
        let far = TcpStream::connect(&self.server)?;
        let mut far =
            StreamOwned::new(ClientConnection::new(Arc::clone(&self.far), name).unwrap(), far);
        let (first, rest) = head.split_once("\r\n").unwrap();
        far.write_all(format!("{first}\r\nconnection: close\r\n{rest}").as_bytes())?;
        far.write_all(body)?;
        far.flush()?;
        let mut answer = Vec::new();
        far.read_to_end(&mut answer)?;
        Ok(answer)
    }
}

/// The head of a request with its empty line, and its body.
pub fn request(near: &mut impl Read) -> std::io::Result<(String, Vec<u8>)> {
    let mut bytes = Vec::new();
    let mut buffer = [0; 16_384];
    loop {
        let count = near.read(&mut buffer)?;
        if count == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        bytes.extend(&buffer[..count]);
        let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n").map(|at| at + 4)
        else {
            continue;
        };
        let head = String::from_utf8(bytes[..end].to_vec()).unwrap();
        let length = head
            .lines()
            .filter_map(|line| line.split_once(':'))
            .find(|(name, _)| name.eq_ignore_ascii_case("content-length"));
        let length: usize = length.map_or(0, |(_, value)| value.trim().parse().unwrap());
        let mut body = bytes[end..].to_vec();
        let missing = length - body.len();
        near.take(missing as u64).read_to_end(&mut body)?;
        return Ok((head, body));
    }
}

/// An API server's refusal with this status.
fn said(status: u16, retry_after: Option<u32>) -> Vec<u8> {
    let message = match status {
        401 => "Unauthorized".to_owned(),
        // The text of an authorizer that has not seen a binding yet.
        403 => r#"configmaps "x" is forbidden: User "system:serviceaccount:x:job" cannot patch resource "configmaps""#.to_owned(),
        _ => format!("status {status}, for a test"),
    };
    let body = json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "Test",
        "message": message, "code": status});
    let body = body.to_string();
    let wait = retry_after.map(|seconds| format!("retry-after: {seconds}\r\n")).unwrap_or_default();
    let head = format!(
        "HTTP/1.1 {status} Said\r\ncontent-type: application/json\r\n{wait}content-length: {}\r\n",
        body.len()
    );
    format!("{head}connection: close\r\n\r\n{body}").into_bytes()
}
