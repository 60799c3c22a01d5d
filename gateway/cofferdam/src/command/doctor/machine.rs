//! Checks this machine: the other binaries, Landlock, and the programs of authors and approvers.
//! Installs nothing.

use crate::command::policy::opa;
use crate::config::home::Home;
use crate::serve::health::Findings;
use cofferdam_process::confine::{Confined, Files, files};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Checks the binaries of the other roles, of the courier only if it is started.
pub(super) fn binaries(courier: bool, found: &mut Findings) {
    let beside = std::env::current_exe()
        .ok()
        .and_then(|binary| binary.parent().map(Path::to_owned))
        .unwrap_or_default();
    let names = ["cofferdam-runner", "cofferdam-guest"].into_iter();
    for name in names.chain(courier.then_some("cofferdam-courier")) {
        let path = beside.join(name);
        let runs = std::fs::metadata(&path)
            .is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0);
        if runs {
            found.good("binaries", path.display().to_string());
        } else {
            found.bad(
                "binaries",
                format!("`{}` is missing", path.display()),
                "build it with `scripts/setup`, or name its folder with `cofferdam serve \
                 --binaries DIR`",
            );
        }
    }
}

/// Checks Landlock with a rule set on a thread of its own.
pub(super) fn landlock(home: &Home, found: &mut Findings) {
    let root = home.root().to_owned();
    let tried = std::thread::spawn(move || {
        let paths: Vec<&Path> = if root.is_dir() { vec![root.as_path()] } else { Vec::new() };
        files(Files { read: &paths, ..Files::default() })
    })
    .join();
    match tried {
        Ok(Ok(Confined::Fully)) => found.good("landlock", "roles are confined to their files"),
        Ok(Ok(Confined::Partly)) => found.less(
            "landlock",
            "this kernel has an older Landlock, so roles are only partly confined",
            "use Linux 6.12 or newer",
        ),
        Ok(Ok(Confined::Not)) => {
            found.less(
                "landlock",
                "this kernel has no Landlock: a role that is taken over can read what this user \
                 can",
                "boot with `lsm=landlock,…`, Linux 5.13 or newer",
            );
        }
        Ok(Err(error)) => {
            found.less("landlock", format!("cannot be checked: {error}"), "see above")
        }
        Err(_) => found.less("landlock", "cannot be checked", "report this defect"),
    }
}

/// Checks the programs that authors and approvers use.
pub(super) fn tools(found: &mut Findings) {
    let on_path = |name: &str| -> Option<PathBuf> {
        std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default())
            .map(|folder| folder.join(name))
            .find(|path| path.is_file())
    };
    match on_path("ssh-keygen") {
        Some(path) => found.good("ssh-keygen", path.display().to_string()),
        None => found.less(
            "ssh-keygen",
            "missing: approvals cannot be checked with it",
            "install the OpenSSH client (Debian: openssh-client)",
        ),
    }
    match opa() {
        Some(path) => found.good("opa", path.display().to_string()),
        None => {
            found.less("opa", "missing: policies cannot be built or tested", "scripts/setup tools")
        }
    }
    let target = Command::new("rustc")
        .args(["--print", "target-libdir", "--target", "wasm32-unknown-unknown"])
        .stderr(Stdio::null())
        .output();
    let there = target.is_ok_and(|output| {
        output.status.success()
            && Path::new(String::from_utf8_lossy(&output.stdout).trim()).is_dir()
    });
    if there {
        found.good("wasm target", "wasm32-unknown-unknown");
    } else {
        found.less(
            "wasm target",
            "missing: tools cannot be built",
            "rustup target add wasm32-unknown-unknown",
        );
    }
}
