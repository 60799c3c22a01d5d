//! The machine code of the tools, which each installation would compile at its start. A real
//! gateway and a real runner compile it once for this process. Each installation gets it with the
//! keys that seal it.

use super::TestInstallation;
use serde_json::json;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

/// The files for an installation, below its home.
const PARTS: [&str; 4] =
    ["artefacts/gateway", "artefacts/runner", "keys/gateway-artefacts", "keys/runner-artefacts"];

/// A file below the home of an installation.
struct Part {
    path: PathBuf,
    mode: u32,
    bytes: Vec<u8>,
}

/// Copies the files into an installation that was not started yet.
pub fn give(home: &Path) {
    static MADE: OnceLock<Vec<Part>> = OnceLock::new();
    for Part { path, mode, bytes } in MADE.get_or_init(make) {
        let path = home.join(path);
        fs::write(&path, bytes).unwrap();
        fs::set_permissions(&path, Permissions::from_mode(*mode)).unwrap();
    }
}

fn make() -> Vec<Part> {
    let mut installation = TestInstallation::cold("example");
    let token = installation.agent("release", "operator");
    installation.serve(&[]);
    let answer = installation.call(
        &token,
        "deployment_scale",
        &json!({"namespace": "storefront", "name": "web", "replicas": 5}),
    );
    assert_eq!(answer.status, 200, "{:#}\n{}", answer.body, installation.log());
    installation.stop();
    let mut parts = Vec::new();
    PARTS.iter().for_each(|part| {
        collect(&installation.home(), &installation.home().join(part), &mut parts)
    });
    assert!(parts.len() > PARTS.len(), "nothing was compiled");
    parts
}

fn collect(home: &Path, path: &Path, parts: &mut Vec<Part>) {
    if path.is_dir() {
        fs::read_dir(path).unwrap().for_each(|entry| collect(home, &entry.unwrap().path(), parts));
    } else {
        let mode = fs::metadata(path).unwrap().permissions().mode();
        parts.push(Part {
            path: path.strip_prefix(home).unwrap().to_owned(),
            mode,
            bytes: fs::read(path).unwrap(),
        });
    }
}
