//! Notifications to real servers on loopback: each format, the signature, retries with one id, a
//! dead server that holds up no other, and a recorder that gives no answer.

use crate::mail_server::MailServer;
use crate::process;
use crate::server::{LONG, Server, answer, closed, ok, web};
use cofferdam_core::model::id::CallId;
use cofferdam_core::model::notification::{Notification, NotifiedCall, NotifyEvent};
use cofferdam_core::protocol::RoleError;
use cofferdam_core::protocol::courier_recorder::{Collect, Collected, Delivery, Unwritable};
use cofferdam_core::protocol::role_settings::{
    CourierSettings, MailServer as At, ReceiverKind, ReceiverSettings,
};
use cofferdam_courier::courier::Times;
use cofferdam_courier::notify::{Outbox, Pauses, Receiver, Teller};
use cofferdam_process::control::Report;
use cofferdam_process::rpc;
use cofferdam_testkit::tls::{CA, ELSEWHERE, OTHER_CA, Pair, SERVER};
use jiff::Timestamp;
use serde_json::Value;
use std::collections::BTreeMap;
use std::os::unix::fs::OpenOptionsExt as _;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::time::sleep;

/// A secret of a webhook, 24 bytes.
const KEY: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

/// Short pauses, so that retries come soon.
const SOON: Pauses = Pauses {
    wait: Duration::from_millis(50),
    first: Duration::from_millis(5),
    longest: Duration::from_millis(20),
    silence: Duration::from_millis(100),
    first_silence: Duration::from_millis(100),
};

fn clock() -> Timestamp {
    Timestamp::from_second(1_800_000_000).unwrap()
}

pub fn file(folder: &Path, name: &str, text: &str) -> PathBuf {
    let path = folder.join(name);
    let mut options = std::fs::OpenOptions::new();
    let mut opened = options.write(true).create(true).truncate(true).mode(0o600).open(&path);
    std::io::Write::write_all(opened.as_mut().unwrap(), text.as_bytes()).unwrap();
    path
}

pub fn settings(folder: &Path, name: &str, kind: ReceiverKind, secret: &str) -> ReceiverSettings {
    let secret_file = (!secret.is_empty()).then(|| file(folder, &format!("{name}.key"), secret));
    let ca_file = Some(file(folder, "ca.pem", CA));
    ReceiverSettings { name: name.into(), unwritable: true, kind, secret_file, ca_file }
}

fn receiver(folder: &Path, name: &str, kind: ReceiverKind, secret: &str) -> Receiver {
    let times = Times { connect: LONG, whole: LONG };
    let words = ("shop", "https://gate.example.com");
    Receiver::read(settings(folder, name, kind, secret), words, times).unwrap()
}

fn notification(number: u128) -> Notification {
    let call = CallId::from_random(number);
    let told = NotifiedCall {
        call: call.clone(),
        agent: "deployer".into(),
        person: Some("ann@example.com".into()),
        tool: "scale".into(),
        summary: "Scale web to 3".into(),
        quorum: Some(1),
        expires: clock(),
    };
    let event = NotifyEvent::ApprovalNeeded;
    let (id, call, detail) = (format!("{call}.{event}"), Some(told), String::new());
    Notification { id, event, time: clock(), call, detail }
}

/// A recorder of a test: it gives each receiver its notifications until they are delivered.
#[derive(Clone, Default)]
struct Recorder(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    waiting: BTreeMap<String, Vec<Delivery>>,
    reports: Vec<Collect>,
    unwritable: Option<Unwritable>,
}

impl Recorder {
    fn give(&self, name: &str, numbers: &[u128]) {
        let delivery = |number: &u128| Delivery {
            number: u64::try_from(*number).unwrap(),
            notification: notification(*number),
        };
        let all = numbers.iter().map(delivery).collect();
        self.0.lock().unwrap().waiting.insert(name.to_owned(), all);
    }

    fn waiting(&self, name: &str) -> usize {
        self.0.lock().unwrap().waiting.get(name).map_or(0, Vec::len)
    }

    fn errors(&self) -> Vec<String> {
        let state = self.0.lock().unwrap();
        let error = |report: &Collect| match report {
            Collect::Failed { error, .. } => Some(error.clone()),
            _ => None,
        };
        state.reports.iter().filter_map(error).collect()
    }

    /// The pauses that were reported, in milliseconds.
    fn pauses(&self) -> Vec<u64> {
        let state = self.0.lock().unwrap();
        let pause = |report: &Collect| match report {
            Collect::Failed { retry_after_ms, .. } => Some(*retry_after_ms),
            _ => None,
        };
        state.reports.iter().filter_map(pause).collect()
    }

    fn answer(&self, ask: Collect) -> Collected {
        let mut state = self.0.lock().unwrap();
        match &ask {
            Collect::Next { receiver, .. } => {
                let waiting = state.waiting.get(receiver).and_then(|all| all.first().cloned());
                let unwritable = state.unwritable.clone();
                return Collected::Next { delivery: waiting.map(Box::new), unwritable };
            }
            Collect::Delivered { receiver, delivery } => {
                if let Some(all) = state.waiting.get_mut(receiver) {
                    all.retain(|one| one.number != *delivery);
                }
            }
            Collect::Failed { .. } => {}
        }
        state.reports.push(ask);
        Collected::Noted
    }

    /// Serves a new socket, and gives its other end to an outbox.
    fn connect(&self, outbox: &Outbox) -> tokio::task::JoinHandle<std::io::Result<()>> {
        let (ours, theirs) = UnixStream::pair().unwrap();
        outbox.connect(theirs).unwrap();
        self.serve(ours)
    }

    fn serve(&self, ours: UnixStream) -> tokio::task::JoinHandle<std::io::Result<()>> {
        let recorder = self.clone();
        tokio::spawn(rpc::serve(ours, move |ask| {
            let recorder = recorder.clone();
            async move {
                // A receiver without a notification waits for a moment.
                sleep(Duration::from_millis(2)).await;
                Ok::<_, RoleError>(recorder.answer(ask))
            }
        }))
    }
}

async fn until(what: &str, done: impl Fn() -> bool) {
    for _ in 0..6_000 {
        if done() {
            return;
        }
        sleep(Duration::from_millis(10)).await;
    }
    panic!("not in time: {what}");
}

/// Sends one notification with this format; returns the request of the server.
async fn sent(kind: impl Fn(&Server) -> (ReceiverKind, String), status: u16) -> (String, Value) {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::secure(SERVER, move |_| answer(status, "", "taken"));
    let (kind, secret) = kind(&server);
    let receiver = receiver(folder.path(), "ops", kind, &secret);
    receiver.send(&notification(1), clock()).await.unwrap();
    let request = server.seen().remove(0);
    assert!(request.line.starts_with("POST "), "{}", request.line);
    (format!("{}\n{}", request.line, request.head), serde_json::from_str(&request.body).unwrap())
}

#[tokio::test]
async fn each_format_reaches_its_server_with_its_secret_where_it_belongs() {
    let id = notification(1).id;
    let (head, body) = sent(
        |server| (ReceiverKind::Webhook { url: web(&server.url("/hook")) }, format!("{KEY}\n")),
        204,
    )
    .await;
    assert!(head.contains(&format!("webhook-id: {id}")), "{head}");
    assert!(head.contains("webhook-timestamp: 1800000000"), "{head}");
    assert!(head.contains("webhook-signature: v1,"), "{head}");
    assert_eq!((&body["type"], &body["id"]), (&"approval_needed".into(), &id.clone().into()));
    let call = CallId::from_random(1);
    assert_eq!(body["link"], format!("https://gate.example.com/approve/{call}"));
    let slack = |server: &Server| (ReceiverKind::Slack, server.url("/services/T/B/x"));
    let (head, body) = sent(slack, 200).await;
    assert!(head.starts_with("POST /services/T/B/x "), "{head}");
    assert_eq!(body["text"], "A call needs your approval in shop");
    let teams = |server: &Server| (ReceiverKind::Teams, server.url("/workflows/x?sig=y"));
    let (head, body) = sent(teams, 202).await;
    assert!(head.starts_with("POST /workflows/x?sig=y "), "{head}");
    assert_eq!(body["type"], "message");
    let ntfy =
        |server: &Server| (ReceiverKind::Ntfy { url: web(&server.url("/ops")) }, "tk_1".to_owned());
    let (head, body) = sent(ntfy, 200).await;
    assert!(head.starts_with("POST / ") && head.contains("authorization: Bearer tk_1"), "{head}");
    assert_eq!((&body["topic"], &body["priority"]), (&"ops".into(), &3.into()));
    let pager = |server: &Server| {
        (ReceiverKind::Pagerduty { url: web(&server.url("/v2/enqueue")) }, "R0".to_owned())
    };
    let (_, body) = sent(pager, 202).await;
    assert_eq!((&body["routing_key"], &body["dedup_key"]), (&"R0".into(), &id.into()));
}

fn mail(server: &MailServer, implicit_tls: bool) -> ReceiverKind {
    ReceiverKind::Mail {
        server: At { host: "127.0.0.1".into(), port: server.address.port(), implicit_tls },
        user: Some("ops".into()),
        from: "Cofferdam <gate@example.com>".into(),
        to: vec!["ann@example.com".into(), "Bob <bob@example.com>".into()],
    }
}

#[tokio::test]
async fn mail_is_sent_with_tls_in_both_ways_and_a_sign_in() {
    let folder = tempfile::tempdir().unwrap();
    for implicit in [true, false] {
        let server = MailServer::start(SERVER, implicit);
        let receiver = receiver(folder.path(), "mail", mail(&server, implicit), "s3cret");
        receiver.send(&notification(1), clock()).await.unwrap();
        let taken = server.taken();
        let [message] = taken.as_slice() else { panic!("{taken:?}") };
        assert_eq!(message.to, ["ann@example.com", "bob@example.com"]);
        assert!(message.text.contains("Subject: A call needs your approval in shop"));
        assert!(message.text.contains("Summary by the tool: Scale web to 3"), "{}", message.text);
    }
}

/// The kinds of receivers on the web at a server, with their secrets.
fn web_kinds(server: &Server) -> [(&'static str, ReceiverKind, String); 5] {
    let url = |path: &str| server.url(path);
    [
        ("webhook", ReceiverKind::Webhook { url: web(&url("/hook")) }, KEY.to_owned()),
        ("slack", ReceiverKind::Slack, url("/services/s3cret")),
        ("teams", ReceiverKind::Teams, url("/workflows/s3cret")),
        ("ntfy", ReceiverKind::Ntfy { url: web(&url("/ops")) }, "s3cret".to_owned()),
        ("pager", ReceiverKind::Pagerduty { url: web(&url("/v2")) }, "s3cret".to_owned()),
    ]
}

#[tokio::test]
async fn a_web_server_that_is_not_trusted_gets_no_byte_of_a_message() {
    let folder = tempfile::tempdir().unwrap();
    let check = async |what: &str, pair: Pair, ca: &str, taken: bool| {
        let server = Server::secure(pair, |_| ok(""));
        for (name, kind, secret) in web_kinds(&server) {
            let settings = ReceiverSettings {
                ca_file: Some(file(folder.path(), "trusted.pem", ca)),
                ..settings(folder.path(), name, kind, &secret)
            };
            let times = Times { connect: LONG, whole: LONG };
            let words = ("shop", "https://gate.example.com");
            let receiver = Receiver::read(settings, words, times).unwrap();
            let before = server.seen().len();
            let sent = receiver.send(&notification(1), clock()).await;
            assert_eq!(sent.is_ok(), taken, "{what}, {name}: {sent:?}");
            assert_eq!(server.seen().len() - before, usize::from(taken), "{what}, {name}");
            if let Err(error) = sent {
                let error = error.to_string();
                assert!(error.contains("no TLS with https://127.0.0.1"), "{what}, {name}: {error}");
                assert!(!error.contains(&secret), "{what}, {name}: {error}");
            }
        }
    };
    check("a trusted server", SERVER, CA, true).await;
    check("the certificate of another name", ELSEWHERE, CA, false).await;
    check("an unknown issuer", SERVER, OTHER_CA, false).await;
}

#[tokio::test]
async fn a_pause_that_a_server_asks_for_is_reported_with_its_bound() {
    let folder = tempfile::tempdir().unwrap();
    let now = clock().as_second();
    let date = |seconds: i64| {
        let time = Timestamp::from_second(now + seconds).unwrap();
        time.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string()
    };
    for (status, header, pause) in [
        (429, "Retry-After: 7\r\n".to_owned(), 7_000),
        (503, format!("Retry-After: {}\r\n", date(90)), 90_000),
        (503, "retry-after: 999999\r\n".to_owned(), 3_600_000),
        (429, format!("Retry-After: {}\r\n", date(999_999)), 3_600_000),
        (429, format!("Retry-After: {}\r\n", date(-5)), 0),
        (429, "Retry-After: soon\r\n".to_owned(), 0),
        (500, String::new(), 0),
    ] {
        let told = header.clone();
        let server = Server::plain(move |_| answer(status, &header, "secret words"));
        let kind = ReceiverKind::Webhook { url: web(&server.url("/hook")) };
        let recorder = Recorder::default();
        recorder.give("ops", &[7]);
        let outbox = Arc::new(Outbox::new());
        let _served = recorder.connect(&outbox);
        let tasks = Teller::new(vec![receiver(folder.path(), "ops", kind, KEY)], SOON, clock);
        let _tasks = tasks.start(&outbox);
        until("a report", || !recorder.pauses().is_empty()).await;
        assert_eq!(recorder.pauses()[0], pause, "{told}");
        let asks = recorder.errors()[0].contains("asks for a pause of");
        assert_eq!(asks, pause > 0, "{:?}", recorder.errors());
    }
}

#[tokio::test]
async fn news_past_the_outbox_keep_the_pause_too() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::plain(|_| answer(429, "Retry-After: 3600\r\n", ""));
    let kind = ReceiverKind::Webhook { url: web(&server.url("/")) };
    let recorder = Recorder::default();
    let why = "the disk is full".to_owned();
    recorder.0.lock().unwrap().unwritable = Some(Unwritable { since: clock(), why });
    let outbox = Arc::new(Outbox::new());
    let _served = recorder.connect(&outbox);
    let receivers = vec![receiver(folder.path(), "ops", kind, KEY)];
    let _tasks = Teller::new(receivers, SOON, clock).start(&outbox);
    until("the news", || !server.seen().is_empty()).await;
    sleep(Duration::from_millis(200)).await;
    assert_eq!(server.seen().len(), 1, "a second try in the pause");
}

#[tokio::test]
async fn a_mail_server_that_is_not_trusted_or_refuses_gets_no_message() {
    let folder = tempfile::tempdir().unwrap();
    let check = async |pair, implicit, secret: &str, part: &str| {
        let ca = if secret == "s3cret-of-other" { OTHER_CA } else { CA };
        let server = MailServer::start(pair, implicit);
        let settings = ReceiverSettings {
            ca_file: Some(file(folder.path(), "trusted.pem", ca)),
            ..settings(folder.path(), "mail", mail(&server, implicit), secret)
        };
        let times = Times { connect: LONG, whole: LONG };
        let words = ("shop", "https://gate.example.com");
        let receiver = Receiver::read(settings, words, times).unwrap();
        let error = receiver.send(&notification(1), clock()).await.unwrap_err().to_string();
        assert!(error.contains(part) && !error.contains(secret), "{error}");
        assert!(server.taken().is_empty());
    };
    check(SERVER, true, "wr0ng", "wrong user or password").await;
    check(ELSEWHERE, true, "s3cret", "certificate").await;
    check(ELSEWHERE, false, "s3cret", "certificate").await;
    check(SERVER, true, "s3cret-of-other", "certificate").await;
    check(SERVER, false, "s3cret-of-other", "certificate").await;
}

#[tokio::test]
async fn a_failed_try_comes_again_with_the_same_id_until_it_is_taken() {
    let folder = tempfile::tempdir().unwrap();
    let tries = Arc::new(Mutex::new(0));
    let counted = Arc::clone(&tries);
    let server = Server::plain(move |_| {
        let mut tries = counted.lock().unwrap();
        *tries += 1;
        if *tries <= 3 { answer(503, "", "secret words") } else { ok("") }
    });
    let kind = ReceiverKind::Webhook { url: web(&server.url("/hook?token=hidden")) };
    let recorder = Recorder::default();
    recorder.give("ops", &[7]);
    let outbox = Arc::new(Outbox::new());
    let _served = recorder.connect(&outbox);
    let tasks = Teller::new(vec![receiver(folder.path(), "ops", kind, KEY)], SOON, clock);
    let _tasks = tasks.start(&outbox);
    until("the delivery", || recorder.waiting("ops") == 0).await;
    let ids: Vec<String> = server
        .seen()
        .iter()
        .filter_map(|request| {
            let line = request.head.lines().find(|line| line.starts_with("webhook-id"))?;
            Some(line.to_owned())
        })
        .collect();
    assert_eq!(ids, vec![format!("webhook-id: {}", notification(7).id); 4]);
    let errors = recorder.errors();
    assert_eq!(errors, vec!["the server answered with the HTTP status 503".to_owned(); 3]);
}

#[tokio::test]
async fn a_dead_server_holds_up_no_other_receiver() {
    let folder = tempfile::tempdir().unwrap();
    // One never answers, one refuses connections, one works.
    let silent = Server::plain(|_| None);
    let works = Server::plain(|_| ok(""));
    let hook = |url: String| ReceiverKind::Webhook { url: web(&url) };
    let recorder = Recorder::default();
    let receivers = [
        ("silent", hook(silent.url("/"))),
        ("closed", hook(format!("http://{}", closed()))),
        ("works", hook(works.url("/"))),
    ];
    let mut all = Vec::new();
    for (name, kind) in receivers {
        recorder.give(name, &[1, 2, 3]);
        all.push(receiver(folder.path(), name, kind, KEY));
    }
    let outbox = Arc::new(Outbox::new());
    let _served = recorder.connect(&outbox);
    let _tasks = Teller::new(all, SOON, clock).start(&outbox);
    until("the deliveries", || recorder.waiting("works") == 0).await;
    assert_eq!((recorder.waiting("silent"), recorder.waiting("closed")), (3, 3));
    assert_eq!(works.seen().len(), 3);
}

#[tokio::test]
async fn a_ledger_that_cannot_be_written_is_told_once() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::plain(|_| ok(""));
    let kind = ReceiverKind::Webhook { url: web(&server.url("/")) };
    let recorder = Recorder::default();
    let why = "the disk of `/store` has 1 KiB free".to_owned();
    recorder.0.lock().unwrap().unwritable = Some(Unwritable { since: clock(), why });
    let outbox = Arc::new(Outbox::new());
    let _served = recorder.connect(&outbox);
    let receivers = vec![receiver(folder.path(), "ops", kind, KEY)];
    let _tasks = Teller::new(receivers, SOON, clock).start(&outbox);
    until("the news", || !server.seen().is_empty()).await;
    sleep(Duration::from_millis(200)).await;
    let seen = server.seen();
    let [news] = seen.as_slice() else { panic!("{seen:?}") };
    let body: Value = serde_json::from_str(&news.body).unwrap();
    assert_eq!(body["type"], "ledger_unwritable");
    assert_eq!(body["detail"], "the disk of `/store` has 1 KiB free");
}

#[tokio::test]
async fn a_recorder_without_an_answer_is_told_as_a_ledger_that_cannot_be_written() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::plain(|_| ok(""));
    let kind = ReceiverKind::Webhook { url: web(&server.url("/")) };
    let recorder = Recorder::default();
    let outbox = Arc::new(Outbox::within(Duration::from_millis(200)));
    let served = recorder.connect(&outbox);
    let receivers = vec![receiver(folder.path(), "ops", kind, KEY)];
    let _tasks = Teller::new(receivers, SOON, clock).start(&outbox);
    sleep(Duration::from_millis(200)).await;
    assert!(server.seen().is_empty(), "it answers");
    served.abort();
    until("the news", || !server.seen().is_empty()).await;
    let body: Value = serde_json::from_str(&server.seen()[0].body).unwrap();
    assert_eq!(body["type"], "ledger_unwritable");
    assert!(body["detail"].as_str().unwrap().contains("the recorder gives no answer"), "{body}");
    // Another recorder has what waits.
    recorder.give("ops", &[9]);
    let _served = recorder.connect(&outbox);
    until("the delivery", || recorder.waiting("ops") == 0).await;
}

/// The process with its confinement, as its supervisor starts it.
#[tokio::test]
async fn the_confined_process_sends_webhooks_and_mail_by_address_and_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let (server, first, second) = (
        Server::secure(SERVER, |_| ok("")),
        MailServer::start(SERVER, true),
        MailServer::start(SERVER, false),
    );
    let by_name = |kind: ReceiverKind| match kind {
        ReceiverKind::Mail { server, user, from, to } => {
            let server = At { host: "localhost".into(), ..server };
            ReceiverKind::Mail { server, user, from, to }
        }
        other => other,
    };
    let hook = ReceiverKind::Webhook { url: web(&server.url_by_name("/hook")) };
    let of = |name: &str, kind, secret| settings(folder.path(), name, kind, secret);
    let receivers = vec![
        of("hook", hook, KEY),
        of("first", mail(&first, true), "s3cret"),
        of("second", by_name(mail(&second, false)), "s3cret"),
    ];
    let names = ["hook", "first", "second"];
    let started = CourierSettings { receivers, ..process::settings(folder.path(), Vec::new()) };
    let (control, mut child, report) = process::start(&started);
    assert!(matches!(report, Report::Ready { .. }), "{report:?}");
    let recorder = Recorder::default();
    names.iter().for_each(|name| recorder.give(name, &[1, 2]));
    let (ours, theirs) = UnixStream::pair().unwrap();
    control.give("recorder", &theirs).unwrap();
    let _served = recorder.serve(ours);
    until("all deliveries", || names.iter().all(|name| recorder.waiting(name) == 0)).await;
    assert_eq!(recorder.errors(), Vec::<String>::new());
    assert_eq!((first.taken().len(), second.taken().len(), server.seen().len()), (2, 2, 2));
    drop(control);
    assert!(child.wait().unwrap().success());
}

#[test]
fn a_receiver_without_its_secret_is_an_error_that_shows_no_secret() {
    let folder = tempfile::tempdir().unwrap();
    let check = |kind: ReceiverKind, secret: &str, part: &str| {
        let times = Times { connect: LONG, whole: LONG };
        let settings = settings(folder.path(), "ops", kind, secret);
        let read = Receiver::read(settings, ("shop", "https://gate.example.com"), times);
        let error = format!("{:#}", read.err().unwrap());
        assert!(error.contains("the receiver `ops` of notifications"), "{error}");
        assert!(error.contains(part), "{error}");
        assert!(secret.is_empty() || !error.contains(secret), "{error}");
    };
    let hook = || ReceiverKind::Webhook { url: web("https://a.example/hook") };
    check(hook(), "", "`secret_file` with the secret");
    check(hook(), "s3cret-word", "openssl rand");
    check(ReceiverKind::Slack, "http://hooks.example.com/T/s3cret", "URL of Slack in the file");
    check(ReceiverKind::Teams, "s3cret-word", "URL of Teams in the file");
    check(ReceiverKind::Ntfy { url: web("https://ntfy.sh/") }, "", "names no topic");
}
