//! Links over real TLS on the loopback: each attack is refused with its code, and the same link
//! without the attack is made.

use super::accept::{self, Link};
use super::certificates::{self, CertificateError, LinkFiles};
use super::connect::{self, Failed};
use super::identity::Identity;
use super::{Hand, Shared, Times};
use crate::config::authority::{Authority, Pair};
use cofferdam_core::protocol::link::{LinkCode, LinkRole, Linked};
use jiff::{SignedDuration, Timestamp};
use std::fs::Permissions;
use std::io::{Read as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixStream as StdStream;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch};

const ENVIRONMENT: &str = "0f0c1ad89ad24e2b8f866a2f3c6e6b5d";

/// Long enough for a busy machine.
const SOON: Duration = Duration::from_secs(30);

const TIMES: Times = Times {
    handshake: Duration::from_secs(20),
    connect: Duration::from_secs(20),
    recheck: Duration::from_millis(20),
    look: Duration::from_millis(10),
    pause: Duration::from_millis(10),
    longest_pause: Duration::from_millis(50),
};

/// The sockets that a link handed over.
#[derive(Default)]
struct Taken(Mutex<Vec<(Linked, StdStream)>>);

impl Hand for Taken {
    fn hand(&self, linked: &Linked, socket: StdStream) -> std::io::Result<()> {
        self.0.lock().unwrap().push((linked.clone(), socket));
        Ok(())
    }
}

impl Taken {
    async fn next(&self) -> (Linked, StdStream) {
        tokio::time::timeout(SOON, async {
            loop {
                if let Some(first) = self.0.lock().unwrap().pop() {
                    return first;
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        })
        .await
        .expect("a link is handed over")
    }
}

/// The files of one end.
struct Files(tempfile::TempDir);

impl Files {
    fn new(pair: &Pair, ca: &str) -> Self {
        let files = Self(tempfile::tempdir().unwrap());
        files.put("ca.pem", ca);
        files.renew(pair);
        files
    }

    fn put(&self, name: &str, text: &str) {
        let path = self.0.path().join(name);
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
    }

    fn renew(&self, pair: &Pair) {
        self.put("certificate.pem", &pair.certificate);
        self.put("key.pem", &pair.key);
    }

    fn paths(&self) -> LinkFiles {
        let path = |name: &str| Path::join(self.0.path(), name);
        LinkFiles { certificate: path("certificate.pem"), key: path("key.pem"), ca: path("ca.pem") }
    }
}

fn identity(role: LinkRole) -> Identity {
    let (trust_domain, environment) = ("cofferdam".to_owned(), ENVIRONMENT.to_owned());
    Identity { trust_domain, environment, role }
}

/// An authority, with what it signs.
struct Signer {
    authority: Authority,
    pair: Pair,
}

impl Signer {
    fn new() -> Self {
        let (authority, pair) = Authority::make(ENVIRONMENT, 30, Timestamp::now()).unwrap();
        Self { authority, pair }
    }

    fn sign(&self, identity: &Identity) -> Pair {
        let role = identity.role;
        self.authority.sign(&identity.to_string(), role, 2, Timestamp::now()).unwrap()
    }
}

/// One end of links, with its files.
struct Side {
    shared: Arc<Shared>,
    taken: Arc<Taken>,
    serving: watch::Sender<bool>,
    _files: Files,
}

/// An end with these certificates. Its word about itself is `own`.
fn side(own: Identity, pair: &Pair, ca: &str, accepts: &[LinkRole]) -> Side {
    let files = Files::new(pair, ca);
    let certificates = certificates::unchecked(files.paths());
    let (taken, (serving, is_serving)) = (Arc::new(Taken::default()), watch::channel(true));
    let shared = Shared {
        own,
        accepts: accepts.to_vec(),
        certificates,
        hand: Arc::clone(&taken) as Arc<dyn Hand>,
        serving: is_serving,
        good: Mutex::default(),
        random: || 0,
        times: TIMES,
    };
    Side { shared: Arc::new(shared), taken, serving, _files: files }
}

/// A recorder that accepts what recorders accept.
fn recorder(signer: &Signer) -> Side {
    let own = identity(LinkRole::Recorder);
    let accepts = [LinkRole::Gateway, LinkRole::Runner, LinkRole::Courier];
    side(own.clone(), &signer.sign(&own), &signer.pair.certificate, &accepts)
}

/// Accepts links of a side. Returns its address; links that are up run on.
async fn listen(side: &Side) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let (accepted, mut incoming) = mpsc::unbounded_channel::<Link>();
    tokio::spawn(accept::all(listener, Arc::clone(&side.shared), accepted));
    tokio::spawn(async move {
        while let Some(link) = incoming.recv().await {
            tokio::spawn(link);
        }
    });
    address
}

/// The code of the outcome of a link to the recorder at an address; `None` if it is made.
async fn code(side: &Side, address: &str) -> Option<LinkCode> {
    match connect::open(&side.shared, LinkRole::Recorder, address).await {
        Ok(_made) => None,
        Err(Failed::Refused(refused)) => Some(refused.code),
        Err(Failed::Unreached(error)) => panic!("{error}"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_link_carries_bytes_and_is_named_after_the_certificate() {
    let signer = Signer::new();
    let recorder = recorder(&signer);
    let address = listen(&recorder).await;
    let own = identity(LinkRole::Runner);
    let runner = side(own.clone(), &signer.sign(&own), &signer.pair.certificate, &[]);
    let linked = Linked { process: Some(7), peer: LinkRole::Recorder };
    let (gone, is_gone) = watch::channel(());
    let keeping = tokio::spawn(connect::keep(
        Arc::clone(&runner.shared),
        linked.clone(),
        // The first address accepts nothing.
        vec!["127.0.0.1:1".to_owned(), address],
        is_gone,
    ));
    for round in 0..2 {
        let (of, mut ours) = runner.taken.next().await;
        let (from, mut theirs) = recorder.taken.next().await;
        assert_eq!(of, linked);
        assert_eq!(from, Linked { process: None, peer: LinkRole::Runner });
        ours.write_all(b"ask").unwrap();
        let mut three = [0; 3];
        theirs.read_exact(&mut three).unwrap();
        theirs.write_all(b"yes").unwrap();
        ours.read_exact(&mut three).unwrap();
        assert_eq!(&three, b"yes");
        if round == 1 {
            drop(gone);
            break;
        }
        // A lost link is made again: here the recorder's process ends.
        drop(theirs);
        assert_eq!(ours.read(&mut three).unwrap(), 0);
    }
    tokio::time::timeout(SOON, keeping).await.unwrap().unwrap();
}

#[tokio::test]
async fn each_wrong_certificate_is_refused_with_its_code() {
    let signer = Signer::new();
    let recorder = recorder(&signer);
    let address = listen(&recorder).await;
    let ca = &signer.pair.certificate;
    let as_it_is = |own: Identity| side(own.clone(), &signer.sign(&own), ca, &[]);
    let of = identity;
    // The honest ones.
    for role in [LinkRole::Gateway, LinkRole::Runner, LinkRole::Courier] {
        assert_eq!(code(&as_it_is(of(role)), &address).await, None, "{role}");
    }
    // Roles that a recorder does not serve.
    for role in [LinkRole::Viewer, LinkRole::Reaper, LinkRole::Recorder] {
        assert_eq!(code(&as_it_is(of(role)), &address).await, Some(LinkCode::LinkRole), "{role}");
    }
    // Another environment and another trust domain, signed by the same authority.
    let elsewhere = Identity { environment: "other".to_owned(), ..of(LinkRole::Runner) };
    let stolen = side(of(LinkRole::Runner), &signer.sign(&elsewhere), ca, &[]);
    assert_eq!(code(&stolen, &address).await, Some(LinkCode::LinkEnvironment));
    let domain = Identity { trust_domain: "corp".to_owned(), ..of(LinkRole::Runner) };
    let other = side(of(LinkRole::Runner), &signer.sign(&domain), ca, &[]);
    assert_eq!(code(&other, &address).await, Some(LinkCode::LinkCertificate));
    // A runner that says it is the gateway.
    let liar = side(of(LinkRole::Gateway), &signer.sign(&of(LinkRole::Runner)), ca, &[]);
    assert_eq!(code(&liar, &address).await, Some(LinkCode::LinkRole));
    // A certificate of another authority, which this end trusts.
    let strange = Signer::new();
    let pair = strange.sign(&of(LinkRole::Runner));
    let stranger = side(of(LinkRole::Runner), &pair, ca, &[]);
    assert_eq!(code(&stranger, &address).await, Some(LinkCode::LinkCertificate));
    // One that has expired.
    let then = Timestamp::now() - SignedDuration::from_hours(72);
    let (authority, old) = Authority::make(ENVIRONMENT, 30, then).unwrap();
    let name = of(LinkRole::Runner).to_string();
    let expired = authority.sign(&name, LinkRole::Runner, 1, then).unwrap();
    let server = authority.sign(&of(LinkRole::Recorder).to_string(), LinkRole::Recorder, 30, then);
    let old_recorder =
        side(of(LinkRole::Recorder), &server.unwrap(), &old.certificate, &[LinkRole::Runner]);
    let old_address = listen(&old_recorder).await;
    let late = side(of(LinkRole::Runner), &expired, &old.certificate, &[]);
    assert_eq!(code(&late, &old_address).await, Some(LinkCode::LinkCertificate));
    let valid = authority.sign(&name, LinkRole::Runner, 30, then).unwrap();
    let fresh = side(of(LinkRole::Runner), &valid, &old.certificate, &[]);
    assert_eq!(code(&fresh, &old_address).await, None);
    let mut taken = Vec::new();
    for _ in 0..3 {
        taken.push(recorder.taken.next().await.0.peer);
    }
    taken.sort();
    assert_eq!(taken, [LinkRole::Gateway, LinkRole::Courier, LinkRole::Runner]);
    assert!(recorder.taken.0.lock().unwrap().is_empty(), "each socket is of an honest link");
}

#[tokio::test]
async fn a_peer_at_a_recorders_address_is_a_recorder_of_this_installation() {
    let signer = Signer::new();
    let own = identity(LinkRole::Gateway);
    let gateway = side(own.clone(), &signer.sign(&own), &signer.pair.certificate, &[]);
    let accepts = [LinkRole::Gateway];
    let at = |role: LinkRole, by: &Signer| {
        side(identity(role), &by.sign(&identity(role)), &signer.pair.certificate, &accepts)
    };
    let honest = at(LinkRole::Recorder, &signer);
    assert_eq!(code(&gateway, &listen(&honest).await).await, None);
    // A stolen certificate of a viewer does not make a recorder.
    let viewer = at(LinkRole::Viewer, &signer);
    assert_eq!(code(&gateway, &listen(&viewer).await).await, Some(LinkCode::LinkRole));
    let strange = at(LinkRole::Recorder, &Signer::new());
    assert_eq!(code(&gateway, &listen(&strange).await).await, Some(LinkCode::LinkCertificate));
}

#[tokio::test]
async fn a_role_that_does_not_serve_refuses_until_it_does() {
    let signer = Signer::new();
    let recorder = recorder(&signer);
    let address = listen(&recorder).await;
    let own = identity(LinkRole::Gateway);
    let gateway = side(own.clone(), &signer.sign(&own), &signer.pair.certificate, &[]);
    recorder.serving.send_replace(false);
    assert_eq!(code(&gateway, &address).await, Some(LinkCode::LinkStandby));
    assert!(recorder.taken.0.lock().unwrap().is_empty(), "a standby gets no socket");
    recorder.serving.send_replace(true);
    assert_eq!(code(&gateway, &address).await, None);
}

#[tokio::test]
async fn a_client_without_a_certificate_or_without_a_word_gets_nothing() {
    use rustls::pki_types::pem::PemObject as _;
    let signer = Signer::new();
    let mut recorder = recorder(&signer);
    Arc::get_mut(&mut recorder.shared).unwrap().times.handshake = Duration::from_millis(200);
    let address = listen(&recorder).await;
    // A silent one is cut off.
    let mut silent = std::net::TcpStream::connect(&address).unwrap();
    silent.set_read_timeout(Some(SOON)).unwrap();
    let ended = tokio::task::spawn_blocking(move || silent.read(&mut [0]).unwrap_or(0));
    assert_eq!(ended.await.unwrap(), 0);
    // TLS without a certificate.
    let mut roots = rustls::RootCertStore::empty();
    let ca = signer.pair.certificate.as_bytes();
    roots.add(rustls::pki_types::CertificateDer::from_pem_slice(ca).unwrap()).unwrap();
    let material = recorder.shared.certificates.now();
    let mut bare = (*material.client).clone();
    bare.client_auth_cert_resolver = Arc::new(NoCertificate);
    let stream = tokio::net::TcpStream::connect(&address).await.unwrap();
    let name = rustls::pki_types::ServerName::try_from("recorder.cofferdam").unwrap();
    let connector = tokio_rustls::TlsConnector::from(Arc::new(bare));
    let refused = match connector.connect(name, stream).await {
        Err(error) => error,
        // With TLS 1.3 a client hears of it with its first read.
        Ok(mut stream) => tokio::io::AsyncReadExt::read(&mut stream, &mut [0]).await.unwrap_err(),
    };
    assert_eq!(super::hello::of_error(&refused).code, LinkCode::LinkCertificate, "{refused}");
    assert!(recorder.taken.0.lock().unwrap().is_empty());
}

#[derive(Debug)]
struct NoCertificate;

impl rustls::client::ResolvesClientCert for NoCertificate {
    fn resolve(
        &self,
        _hints: &[&[u8]],
        _schemes: &[rustls::SignatureScheme],
    ) -> Option<Arc<rustls::sign::CertifiedKey>> {
        None
    }

    fn has_certs(&self) -> bool {
        false
    }
}

/// A connection from this address of the loopback.
async fn from(source: &str, address: &str) -> tokio::net::TcpStream {
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.bind(format!("{source}:0").parse().unwrap()).unwrap();
    socket.connect(address.parse().unwrap()).await.unwrap()
}

/// The number of connections that the other end closed.
fn closed(silent: &[tokio::net::TcpStream]) -> usize {
    silent.iter().filter(|stream| matches!(stream.try_read(&mut [0]), Ok(0))).count()
}

async fn until_closed(silent: &[tokio::net::TcpStream], expect: usize) {
    let enough = async {
        while closed(silent) < expect {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(SOON, enough).await.expect("those beyond the bound are closed");
}

#[tokio::test]
async fn addresses_that_say_nothing_take_no_place_from_another_one() {
    let signer = Signer::new();
    let recorder = recorder(&signer);
    let address = listen(&recorder).await;
    let own = identity(LinkRole::Gateway);
    let gateway = side(own.clone(), &signer.sign(&own), &signer.pair.certificate, &[]);
    let mut silent = Vec::new();
    // One address that takes more than it may have, and keeps them.
    for _ in 0..30 {
        silent.push(from("127.0.0.1", &address).await);
    }
    until_closed(&silent, 30 - 24).await;
    let link = from("127.0.0.9", &address).await;
    let made = connect::over(&gateway.shared, LinkRole::Recorder, link).await;
    assert!(made.is_ok(), "{:?}", made.err());
    // Eight addresses that take every place, and keep them.
    for source in 2..9 {
        for _ in 0..24 {
            silent.push(from(&format!("127.0.0.{source}"), &address).await);
        }
    }
    until_closed(&silent, silent.len() - 128).await;
    let link = from("127.0.0.9", &address).await;
    let made = connect::over(&gateway.shared, LinkRole::Recorder, link).await;
    assert!(made.is_ok(), "{:?}", made.err());
    let kept = silent.len() - closed(&silent);
    assert!(kept >= 127, "one gave its place: {kept}");
}

#[tokio::test]
async fn the_next_process_begins_with_the_address_that_was_good_for_another_one() {
    let signer = Signer::new();
    let recorder = recorder(&signer);
    let good = listen(&recorder).await;
    // An address that ends each connection, and counts them.
    let dead = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let dead_address = dead.local_addr().unwrap().to_string();
    let tried = Arc::new(Mutex::new(0));
    let count = Arc::clone(&tried);
    tokio::spawn(async move {
        while dead.accept().await.is_ok() {
            *count.lock().unwrap() += 1;
        }
    });
    let own = identity(LinkRole::Runner);
    let runner = side(own.clone(), &signer.sign(&own), &signer.pair.certificate, &[]);
    let (_gone, is_gone) = watch::channel(());
    for process in 0..3 {
        let linked = Linked { process: Some(process), peer: LinkRole::Recorder };
        let addresses = vec![dead_address.clone(), good.clone()];
        let shared = Arc::clone(&runner.shared);
        tokio::spawn(connect::keep(shared, linked.clone(), addresses, is_gone.clone()));
        assert_eq!(runner.taken.next().await.0, linked);
    }
    assert_eq!(*tried.lock().unwrap(), 1, "the first process alone tried the dead address");
}

#[test]
fn the_certificate_of_another_role_starts_no_link() {
    let signer = Signer::new();
    let ca = &signer.pair.certificate;
    let open = |own: Identity, pair: &Pair, ca: &str| {
        let files = Files::new(pair, ca);
        match certificates::open(files.paths(), own) {
            Ok(_) => None,
            Err(CertificateError::Own { refusal, .. }) => Some(refusal.code),
            Err(other) => panic!("{other}"),
        }
    };
    let runner = identity(LinkRole::Runner);
    let pair = signer.sign(&runner);
    assert_eq!(open(runner.clone(), &pair, ca), None);
    assert_eq!(open(identity(LinkRole::Recorder), &pair, ca), Some(LinkCode::LinkRole));
    let other = Signer::new().pair.certificate;
    assert_eq!(open(runner, &pair, &other), Some(LinkCode::LinkCertificate));
}

#[test]
fn a_file_that_other_users_can_change_or_read_starts_no_link() {
    let signer = Signer::new();
    let own = identity(LinkRole::Recorder);
    let files = Files::new(&signer.sign(&own), &signer.pair.certificate);
    for (name, mode, fits) in [
        ("certificate.pem", 0o644, true),
        ("certificate.pem", 0o664, false),
        ("ca.pem", 0o644, true),
        ("ca.pem", 0o646, false),
        ("key.pem", 0o640, true),
        ("key.pem", 0o644, false),
        ("key.pem", 0o660, false),
    ] {
        let path = files.0.path().join(name);
        std::fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
        match certificates::open(files.paths(), own.clone()) {
            Ok(_) => assert!(fits, "{name} {mode:o}"),
            Err(CertificateError::Open { .. }) => assert!(!fits, "{name} {mode:o}"),
            Err(other) => panic!("{name} {mode:o}: {other}"),
        }
        std::fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
    }
}

#[tokio::test]
async fn new_files_are_used_and_an_authority_that_is_gone_ends_its_links() {
    let (first, second) = (Signer::new(), Signer::new());
    let own = identity(LinkRole::Recorder);
    let files = Files::new(&first.sign(&own), &first.pair.certificate);
    let certificates = certificates::open(files.paths(), own.clone()).unwrap();
    tokio::spawn(Arc::clone(&certificates).follow(TIMES.look));
    let mut recorder = recorder(&first);
    Arc::get_mut(&mut recorder.shared).unwrap().certificates = certificates;
    let address = listen(&recorder).await;
    let gateway = |signer: &Signer| {
        let own = identity(LinkRole::Gateway);
        let both = format!("{}{}", first.pair.certificate, second.pair.certificate);
        side(own.clone(), &signer.sign(&own), &both, &[])
    };
    let old = gateway(&first);
    let up = connect::open(&old.shared, LinkRole::Recorder, &address).await.unwrap();
    let (_, mut theirs) = recorder.taken.next().await;
    assert_eq!(code(&gateway(&second), &address).await, Some(LinkCode::LinkCertificate));
    files.put("ca.pem", &second.pair.certificate);
    files.renew(&second.sign(&own));
    let new = gateway(&second);
    tokio::time::timeout(SOON, async {
        while code(&new, &address).await.is_some() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await
    .expect("the new files are used");
    theirs.set_read_timeout(Some(SOON)).unwrap();
    let ended = tokio::task::spawn_blocking(move || theirs.read(&mut [0]).unwrap_or(0));
    assert_eq!(ended.await.unwrap(), 0, "the link of the old authority ended");
    drop(up);
    assert_eq!(code(&old, &address).await, Some(LinkCode::LinkCertificate));
}
