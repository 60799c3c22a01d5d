//! The pages in a real browser with a virtual authenticator, at the size of a phone: from the
//! invitation to the job that ran. Chromium is driven over WebDriver; its authenticator makes real
//! signatures, and the test never makes one itself.

mod access;
mod axe;
mod console;
mod keyboard;
mod paths;
mod tree;

use crate::cluster::until;
use crate::installation::{TIME_LIMIT, TestInstallation, text};
use crate::notify::Receiver;
use crate::passkeys::exported::{people, verify};
use crate::passkeys::{asked, origin, single, two_sign};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use cofferdam_testkit::http::{Connection, Request};
use serde_json::{Value, json};
use std::cell::Cell;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::SocketAddr;
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Runs the driver until its own input ends, which it does also when the test is killed. Then the
/// driver ends, Chromium ends with the driver's pipe, and the profile goes.
const GUARD: &str = "chromedriver --port=0 </dev/null & read -r _; kill -KILL $!; wait $!
    for _ in 1 2 3 4 5 6 7 8 9 10; do rm -rf \"$1\"; sleep 0.1; done 2>/dev/null";

/// Chromium with an empty profile and one authenticator, until it is dropped.
pub struct Browser {
    guard: Child,
    address: SocketAddr,
    session: String,
    authenticator: String,
    profile: PathBuf,
    /// Taps of the person so far.
    taps: Cell<u32>,
}

impl Browser {
    /// A browser of this size, in CSS pixels.
    pub fn start(width: u32, height: u32, dark: bool) -> Self {
        let built_in = json!({"protocol": "ctap2", "transport": "internal"});
        Self::with(width, height, dark, built_in)
    }

    /// The same with an authenticator of this kind.
    fn with(width: u32, height: u32, dark: bool, mut authenticator: Value) -> Self {
        let profile = tempfile::tempdir().unwrap().keep();
        let mut guard = Command::new("sh")
            .args(["-c", GUARD, "sh"])
            .arg(&profile)
            // A signal to the group of the test does not end what has to clean up after it.
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let out = BufReader::new(guard.stdout.take().unwrap());
        let line = out.lines().map_while(Result::ok).find(|line| line.contains("success"));
        let line = line.expect("`chromedriver` of Debian's package chromium-driver");
        let port = line.trim_end_matches('.').rsplit(' ').next().unwrap().parse().unwrap();
        let mut browser = Self {
            guard,
            address: SocketAddr::from(([127, 0, 0, 1], port)),
            session: String::new(),
            authenticator: String::new(),
            profile,
            taps: Cell::new(0),
        };
        let arguments = [
            "--headless=new".to_owned(),
            "--no-sandbox".to_owned(),
            "--disable-gpu".to_owned(),
            "--remote-debugging-pipe".to_owned(),
            "--disable-background-networking".to_owned(),
            "--disable-dev-shm-usage".to_owned(),
            format!("--user-data-dir={}", browser.profile.display()),
        ];
        let metrics = json!({"width": width, "height": height, "pixelRatio": 2.0});
        let options = json!({"args": arguments, "mobileEmulation": {"deviceMetrics": metrics}});
        let capabilities = json!({"alwaysMatch": {"goog:chromeOptions": options}});
        let started = browser.ask("POST", "/session", &json!({"capabilities": capabilities}));
        browser.session = started["sessionId"].as_str().unwrap().to_owned();
        for has in ["hasResidentKey", "hasUserVerification", "isUserVerified", "isUserConsenting"] {
            authenticator[has] = json!(true);
        }
        let made = browser.command("POST", "/webauthn/authenticator", &authenticator);
        browser.authenticator = made.as_str().unwrap().to_owned();
        if dark {
            let scheme = json!([{"name": "prefers-color-scheme", "value": "dark"}]);
            browser.cdp("Emulation.setEmulatedMedia", &json!({"features": scheme}));
        }
        browser
    }

    fn ask(&self, method: &str, path: &str, body: &Value) -> Value {
        let mut request = Request::new(method, path).with("Host", &self.address.to_string());
        if method == "POST" {
            request = request.json(body);
        }
        let mut connection = Connection::open(self.address, TIME_LIMIT).unwrap();
        let response = connection.send(&request.bytes()).unwrap();
        assert_eq!(response.status, 200, "{method} {path}: {}", response.text());
        response.json()["value"].clone()
    }

    fn command(&self, method: &str, path: &str, body: &Value) -> Value {
        self.ask(method, &format!("/session/{}{path}", self.session), body)
    }

    /// A command of Chromium's own protocol.
    fn cdp(&self, command: &str, parameters: &Value) -> Value {
        let asked = json!({"cmd": command, "params": parameters});
        self.command("POST", "/goog/cdp/execute", &asked)
    }

    pub fn open(&self, url: &str) {
        self.command("POST", "/url", &json!({"url": url}));
    }

    /// The result of a script in the page.
    pub fn run(&self, script: &str) -> Value {
        self.command("POST", "/execute/sync", &json!({"script": script, "args": []}))
    }

    /// Waits until a script gives true.
    pub fn until(&self, script: &str) {
        let began = Instant::now();
        while self.run(&format!("return {script}")) != json!(true) {
            assert!(began.elapsed() < TIME_LIMIT, "never `{script}`:\n{}", self.text());
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// The text that a person sees.
    pub fn text(&self) -> String {
        self.run("return document.body.innerText").as_str().unwrap_or_default().to_owned()
    }

    /// Waits until a person sees these words.
    pub fn until_seen(&self, words: &str) {
        self.until(&format!("document.body?.innerText.includes({}) === true", json!(words)));
    }

    /// One tap of a person.
    pub fn tap(&self, selector: &str) {
        self.until(&format!("document.querySelector({})?.disabled === false", json!(selector)));
        let found = json!({"using": "css selector", "value": selector});
        let element = self.command("POST", "/element", &found);
        let id = element.as_object().unwrap().values().next().unwrap().as_str().unwrap().to_owned();
        self.command("POST", &format!("/element/{id}/click"), &json!({}));
        self.taps.set(self.taps.get() + 1);
    }

    /// One tap on a link that another program shows.
    fn tap_link(&self, url: &str) {
        self.open(url);
        self.taps.set(self.taps.get() + 1);
    }

    /// The authenticator verifies its owner from now on, or does not.
    fn verifies(&self, verifies: bool) {
        let path = format!("/webauthn/authenticator/{}/uv", self.authenticator);
        self.command("POST", &path, &json!({"isUserVerified": verifies}));
    }

    /// Keeps a picture for people, if a folder is named, and checks that nothing is cut off.
    pub fn picture(&self, name: &str) {
        let wide = self.run("return document.documentElement.scrollWidth > innerWidth");
        assert_eq!(wide, json!(false), "{name} is wider than the screen");
        if let Some(folder) = std::env::var_os("COFFERDAM_PICTURES") {
            let taken = self.command("GET", "/screenshot", &Value::Null);
            let bytes = STANDARD.decode(taken.as_str().unwrap()).unwrap();
            std::fs::write(std::path::Path::new(&folder).join(format!("{name}.png")), bytes)
                .unwrap();
        }
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        if !self.session.is_empty() {
            self.command("DELETE", "", &Value::Null);
        }
        drop(self.guard.stdin.take());
        let _ended = self.guard.wait();
    }
}

/// Carl makes a passkey in this browser, and an operator confirms it.
fn enrol(installation: &TestInstallation, browser: &Browser) {
    let link = installation.json(&["approver", "invite", "carl@example.com"])["link"].clone();
    browser.open(link.as_str().unwrap());
    browser.until_seen("You were invited as carl@example.com");
    browser.picture("enrol");
    assert_eq!(browser.run("return location.hash"), json!(""), "the secret is not in the history");
    browser.tap("#enrol");
    browser.until_seen("Your passkey is made.");
    browser.picture("enrolled");
    let print = browser.run("return document.querySelector('#print').textContent");
    let print = print.as_str().unwrap();
    installation.run(&["approver", "confirm", "carl@example.com", "--fingerprint", print]);
}

#[test]
#[cfg_attr(without_browser, ignore = "no browser: COFFERDAM_BROWSER is not 1")]
fn a_person_approves_on_a_phone_in_three_taps_and_the_job_runs() {
    let receiver = Receiver::start();
    let mut installation = TestInstallation::bare("single");
    receiver.join(&installation);
    installation.serve(&[]);
    let browser = Browser::start(360, 740, false);
    enrol(&installation, &browser);
    browser.taps.set(0);
    let token = installation.agent("release", "operator");
    let call = asked(&installation, &token, 17);
    let told = until("the notification", || receiver.seen("approval_needed").pop());
    browser.tap_link(told.1["link"].as_str().unwrap());
    browser.until_seen("Signing in approves nothing.");
    browser.picture("sign-in");
    browser.tap("#sign-in");
    browser.until_seen("What it would do");
    let seen = browser.text();
    for words in [
        "release (operator) for alice@example.com wants a change in shop",
        "patch Deployment web in namespace storefront",
        "spec.replicas: 3 → 17",
        "nothing of it changed",
        "none yet; 1 more needed",
    ] {
        assert!(seen.contains(words), "not `{words}`:\n{seen}");
    }
    browser.picture("approve");
    browser.run("document.querySelector('#approve').scrollIntoView()");
    browser.picture("approve-buttons");
    browser.tap("#approve");
    let told = json!(["All signatures are there.", "State:"]);
    browser.until(&format!("{told}.some((words) => document.body.innerText.includes(words))"));
    assert_eq!(browser.taps.get(), 3, "the link, the sign-in, and the approval");
    let story = installation.closed(&call);
    assert_eq!(story["view"]["outcome"], "succeeded", "{story:#}");
    let web = &installation.files()[std::path::Path::new("storefront/web.yaml")];
    assert!(web.contains("replicas: 17"), "{web}");
    browser.open(&format!("{}/approve/{call}", origin(&installation)));
    browser.until_seen("succeeded");
    browser.picture("over");
    installation.verify_ledger();
    // The same from a command line, and a machine that never met the gateway accepts both.
    let other = asked(&installation, &token, 18);
    installation.run(&["approve", &other, "--key", text(&installation.key("bob")), "--yes"]);
    assert_eq!(installation.closed(&other)["view"]["outcome"], "succeeded");
    let away = tempfile::tempdir().unwrap();
    let folder = away.path().join("ledger");
    let exported = installation.json(&["ledger", "export", text(&folder)]);
    let known = people(&installation);
    let key = exported["key"].as_str().unwrap();
    let (sound, report) = verify(&folder, key, &known.iter().collect::<Vec<_>>());
    assert!(sound, "{report:#}");
    for (call, kind) in [(&call, "passkey"), (&other, "ssh")] {
        let calls = report["approvals"].as_array().unwrap();
        let told = calls.iter().find(|told| told["call"] == call.as_str()).unwrap();
        assert_eq!(told["approved"][0]["key"], kind, "{told:#}");
    }
}

#[test]
#[cfg_attr(without_browser, ignore = "no browser: COFFERDAM_BROWSER is not 1")]
fn no_page_is_shown_in_the_page_of_another_site() {
    let installation = single();
    let browser = Browser::start(1280, 800, false);
    enrol(&installation, &browser);
    let token = installation.agent("release", "operator");
    let call = asked(&installation, &token, 17);
    let page = format!("{}/approve/{call}", origin(&installation));
    browser.open(&page);
    browser.tap("#sign-in");
    browser.until_seen("What it would do");
    let evil = page_of(&format!(
        "<p>You won.</p><iframe src=\"{page}\" onload=\"loaded = true\"></iframe>"
    ));
    browser.open(&evil);
    browser.until("window.loaded === true");
    let frame = json!({"id": 0});
    browser.command("POST", "/frame", &frame);
    let shown = browser.text();
    assert!(!shown.contains("What it would do") && !shown.contains("Sign in"), "{shown}");
    assert_eq!(browser.run("return document.querySelectorAll('#approve, #sign-in').length"), 0);
    assert_eq!(installation.json(&["show", &call])["view"]["phase"], "awaiting_approval");
}

/// The address of a site on this machine that has one page.
fn page_of(content: &str) -> String {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let answer = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: {}\r\nConnection: \
         close\r\n\r\n{content}",
        content.len()
    );
    std::thread::spawn(move || {
        for mut stream in listener.incoming().map_while(Result::ok) {
            let mut head = [0; 4096];
            // A browser that went away is no error of the test.
            let _gone = stream.read(&mut head).and_then(|_| stream.write_all(answer.as_bytes()));
        }
    });
    url
}

#[test]
#[cfg_attr(without_browser, ignore = "no browser: COFFERDAM_BROWSER is not 1")]
fn no_word_of_an_agent_or_a_tool_runs_in_the_page() {
    let installation = single();
    let browser = Browser::start(360, 740, false);
    enrol(&installation, &browser);
    let token = installation.agent("release", "operator");
    let run = "<img src=x onerror=\"window.ran=1\"><svg/onload=window.ran=1>\
               </blockquote></pre><script>window.ran=1</script>";
    let change = json!({"namespace": "storefront", "name": "web", "key": "app.conf",
        "value": format!("{run}\n{run}\n"), "purpose": run});
    let path = "/v1/tools/config_set?wait=0";
    let answer = installation.http("POST", path, &token, Some(&change));
    let call = answer.body["call"].as_str().unwrap_or_else(|| panic!("{:#}", answer.body));
    browser.open(&format!("{}/approve/{call}", origin(&installation)));
    browser.tap("#sign-in");
    browser.until_seen("What it would do");
    browser.run("document.querySelectorAll('details').forEach((one) => (one.open = true))");
    assert!(browser.text().contains("<script>window.ran=1</script>"), "{}", browser.text());
    let made = "return document.querySelectorAll('main img, main svg, main script').length";
    assert_eq!(browser.run(made), 0);
    assert_eq!(browser.run("return typeof window.ran"), "undefined");
    // The content policy stops a script also if a template let one through.
    let inserted = "const one = document.createElement('div');
        try { one.innerHTML = '<img src=x onerror=\"window.ran=1\">'; document.body.append(one) }
        catch (error) { return String(error) } return 'made'";
    let told = browser.run(inserted);
    assert!(told.as_str().unwrap().contains("TrustedHTML"), "{told}");
    browser.run("document.querySelector('#reason').value = 'no'");
    browser.tap("#deny");
    browser.until_seen("Signed as carl@example.com");
    assert_eq!(installation.closed(call)["view"]["outcome"], "rejected");
}

/// The number of processes that have this text in their command line.
fn processes(text: &str) -> usize {
    let all = std::fs::read_dir("/proc").unwrap().map_while(Result::ok);
    let lines = all.filter_map(|entry| std::fs::read(entry.path().join("cmdline")).ok());
    lines.filter(|line| String::from_utf8_lossy(line).contains(text)).count()
}

#[test]
#[cfg_attr(without_browser, ignore = "no browser: COFFERDAM_BROWSER is not 1")]
fn a_browser_ends_with_its_test_also_if_the_test_is_killed() {
    let mut browser = Browser::start(360, 740, false);
    let profile = browser.profile.clone();
    let argument = format!("--user-data-dir={}", profile.display());
    assert!(processes(&argument) > 0);
    // The kernel closes the files of a killed process; no code of the test runs.
    drop(browser.guard.stdin.take());
    browser.guard.wait().unwrap();
    browser.session.clear();
    let began = Instant::now();
    while processes(&argument) > 0 {
        assert!(began.elapsed() < TIME_LIMIT, "Chromium goes on");
        std::thread::sleep(Duration::from_millis(50));
    }
    assert!(!profile.exists(), "{} is left", profile.display());
}

#[test]
#[cfg_attr(without_browser, ignore = "no browser: COFFERDAM_BROWSER is not 1")]
fn a_security_key_that_answers_with_an_extension_is_enrolled() {
    let installation = single();
    // The virtual key knows no `credProtect`, for which Chromium asks by itself; the answer to
    // `credBlob` has the same form.
    let key = json!({"protocol": "ctap2_1", "transport": "usb", "extensions": ["credBlob"]});
    let browser = Browser::with(1280, 800, false, key);
    let link = installation.json(&["approver", "invite", "carl@example.com"])["link"].clone();
    browser.open(link.as_str().unwrap());
    browser.until_seen("You were invited as carl@example.com");
    browser.run(
        "const create = navigator.credentials.create.bind(navigator.credentials);
         navigator.credentials.create = async (options) => {
           options.publicKey.extensions = { credBlob: new Uint8Array(8) };
           const made = await create(options);
           window.flags = new Uint8Array(made.response.getAuthenticatorData())[32];
           return made;
         };",
    );
    browser.tap("#enrol");
    browser.until_seen("Your passkey is made.");
    let flags = browser.run("return window.flags").as_u64().unwrap();
    assert_eq!(flags & 0x80, 0x80, "the key answers with extensions: {flags:#x}");
}

#[test]
#[cfg_attr(without_browser, ignore = "no browser: COFFERDAM_BROWSER is not 1")]
fn a_denial_is_signed_and_a_passkey_that_does_not_verify_its_owner_signs_nothing() {
    let installation = single();
    let browser = Browser::start(1280, 800, true);
    enrol(&installation, &browser);
    let token = installation.agent("release", "operator");
    let call = asked(&installation, &token, 19);
    browser.open(&format!("{}/approve/{call}", origin(&installation)));
    browser.tap("#sign-in");
    browser.until_seen("What it would do");
    browser.picture("approve-wide-dark");
    browser.verifies(false);
    browser.tap("#approve");
    browser.until("document.querySelector('[role=status]').classList.contains('bad')");
    let view = || installation.json(&["show", &call])["view"]["phase"].clone();
    assert_eq!(view(), "awaiting_approval");
    browser.verifies(true);
    browser.run("document.querySelectorAll('details').forEach((one) => (one.open = true))");
    browser.tap("#deny");
    browser.until_seen("give a reason of 1 to 300 visible characters");
    browser.run("document.querySelector('#reason').value = 'not before the release'");
    browser.tap("#deny");
    browser.until_seen("Signed as carl@example.com");
    let story = installation.closed(&call);
    assert_eq!(story["view"]["outcome"], "rejected", "{story:#}");
    assert_eq!(story["view"]["detail"], "not before the release", "{story:#}");
}

#[test]
#[cfg_attr(without_browser, ignore = "no browser: COFFERDAM_BROWSER is not 1")]
fn a_signature_of_another_person_appears_without_a_reload_and_the_time_left_counts_down() {
    let installation = single();
    let browser = Browser::start(360, 740, false);
    enrol(&installation, &browser);
    two_sign(&installation, 600);
    let token = installation.agent("release", "operator");
    let call = asked(&installation, &token, 21);
    browser.open(&format!("{}/approve/{call}", origin(&installation)));
    browser.tap("#sign-in");
    browser.until_seen("none yet; 2 more needed");
    // The page is the same until the end.
    browser.run("window.same = true");
    browser.until_seen("9 minutes left, until");
    let bob = installation.key("bob");
    installation.run(&["approve", &call, "--key", bob.to_str().unwrap(), "--yes"]);
    browser.until_seen("bob@example.com; 1 more needed");
    browser.picture("approve-second");
    assert_eq!(browser.run("return window.same"), json!(true), "the page was loaded again");
    browser.tap("#approve");
    let told = json!(["All signatures are there.", "State:"]);
    browser.until(&format!("{told}.some((words) => document.body.innerText.includes(words))"));
    assert_eq!(installation.closed(&call)["view"]["outcome"], "succeeded");
}
