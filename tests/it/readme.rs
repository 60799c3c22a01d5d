//! The first minute of README, run as it is printed: the commands of "Try it" make an installation,
//! start it and change one line. Only the build is left out, and the port differs.

use crate::installation::{TIME_LIMIT, assets, binaries, repository, text};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// The `sh` blocks of "Try it".
fn blocks() -> Vec<String> {
    let page = std::fs::read_to_string(repository().join("README.md")).unwrap();
    let section = page
        .split("\n## ")
        .find(|section| section.starts_with("Try it\n"))
        .expect("README.md has a section `Try it`");
    let blocks =
        section.split("```sh\n").skip(1).map(|rest| rest.split("```").next().unwrap().to_owned());
    blocks.collect()
}

/// A shell with a home of its own, which finds the built programs.
fn shell(home: &Path) -> Command {
    let mut command = Command::new("sh");
    let path = std::env::join_paths(
        std::iter::once(binaries())
            .chain(std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default())),
    );
    command
        .env("PATH", path.unwrap())
        .env("HOME", home)
        .env("COFFERDAM_ASSETS", assets())
        .current_dir(repository());
    for name in ["COFFERDAM_HOME", "COFFERDAM_TOKEN", "XDG_DATA_HOME"] {
        command.env_remove(name);
    }
    command
}

fn run(home: &Path, script: &str) -> String {
    let done = shell(home).args(["-euc", script]).output().unwrap();
    let said = String::from_utf8_lossy(&done.stdout).into_owned();
    assert!(done.status.success(), "{script}\n{said}{}", String::from_utf8_lossy(&done.stderr));
    said
}

/// Stops the gateway, also if the test fails.
struct Served(Child);

impl Drop for Served {
    fn drop(&mut self) {
        let _ended = Command::new("kill").args(["-TERM", &self.0.id().to_string()]).status();
        let _status = self.0.wait();
    }
}

#[test]
fn the_commands_of_readme_change_one_line() {
    let folder = tempfile::tempdir().unwrap();
    let home = folder.path();
    // A bound socket that does not listen reserves the port until the gateway listens.
    let held = tokio::net::TcpSocket::new_v4().unwrap();
    held.set_reuseaddr(true).unwrap();
    held.bind(SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
    let address = held.local_addr().unwrap();
    let blocks = blocks();
    let [first, second] = &blocks[..] else {
        panic!("README.md has {} blocks in `Try it`", blocks.len())
    };

    let serve = "cofferdam serve &";
    assert!(
        first.starts_with("scripts/setup\nexport PATH=") && first.trim_end().ends_with(serve),
        "{first}"
    );
    let init = "cofferdam init ~/shop";
    assert!(first.contains(init), "{first}");
    let made: String = first
        .lines()
        .skip(2)
        .filter(|line| *line != serve)
        .map(|line| line.replace(init, &format!("{init} --listen {address}")) + "\n")
        .collect();
    run(home, &made);

    let log = std::fs::File::create(home.join("serve.log")).unwrap();
    let mut serves = shell(home);
    serves
        .args(["-euc", "exec cofferdam serve"])
        .stdin(Stdio::null())
        .stdout(log.try_clone().unwrap())
        .stderr(log);
    let _served = Served(serves.spawn().unwrap());
    let began = Instant::now();
    let said = || std::fs::read_to_string(home.join("serve.log")).unwrap();
    while !said().contains("Cofferdam serves the environment `shop`") {
        assert!(began.elapsed() < TIME_LIMIT, "it was not ready:\n{}", said());
        std::thread::sleep(Duration::from_millis(50));
    }

    let add = "cofferdam agents add my-agent --role deployer --for colleague@example.com";
    let token = "export COFFERDAM_TOKEN=…";
    assert!(second.contains(add) && second.contains(token), "{second}");
    let file = text(home).to_owned() + "/added";
    let calls = second.replace(add, &format!("{add} > {file}")).replace(
        token,
        &format!("export COFFERDAM_TOKEN=$(grep -o 'cfd_[A-Za-z0-9_-]*' {file} | head -1)"),
    );
    let said = run(home, &calls);
    for words in [
        "PREVIEW ",
        "DONE ",
        "\n  spec.replicas: 3 → 5\n",
        "\n-  replicas: 3 ",
        "\n+  replicas: 5 ",
    ] {
        assert!(said.contains(words), "not `{words}`:\n{said}");
    }
    assert_eq!(said.matches("\n+  ").count(), 1, "{said}");
}
