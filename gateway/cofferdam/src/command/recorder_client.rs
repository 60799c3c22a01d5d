//! The client of the recorder's operator socket. A request that changes state or reads payloads
//! becomes a ledger entry with the id of this user.

use crate::config::{self, Config, home::Home};
use anyhow::{Context as _, Result, anyhow};
use cofferdam_core::model::escape::line;
use cofferdam_core::protocol::RoleError;
use cofferdam_core::protocol::link::LinkRole;
use cofferdam_core::protocol::operator_recorder::{Operate, Operated};
use cofferdam_process::rpc::Client;
use std::os::unix::fs::MetadataExt as _;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

/// Sends one request to the running recorder.
pub fn ask(home: &Home, ask: &Operate) -> Result<Operated> {
    send(home, ask, Client::new())
}

/// Sends one request that is answered within this time.
pub fn ask_within(home: &Home, ask: &Operate, limit: Duration) -> Result<Operated> {
    send(home, ask, Client::within(limit))
}

fn send(home: &Home, ask: &Operate, client: Client<Operate, Operated>) -> Result<Operated> {
    let path = home.operator_socket();
    let stream = UnixStream::connect(&path).map_err(|error| unreached(home, &path, &error))?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("cannot start a runtime")?;
    runtime.block_on(async {
        client.connect(stream).context("cannot use the operator socket")?;
        client.call(ask).await.map_err(|error| refused(&error))
    })
}

/// The error for a refusal of the recorder.
fn refused(error: &RoleError) -> anyhow::Error {
    let remedy = match error {
        RoleError::NotFound(_) => "; `cofferdam jobs` lists the calls, newest first",
        _ => "",
    };
    anyhow!("the recorder says: {}{remedy}", line(&error.to_string()))
}

/// The error for an unreachable socket, with the remedy.
fn unreached(home: &Home, path: &Path, error: &std::io::Error) -> anyhow::Error {
    if let Err(missing) = config::require_made(home) {
        return missing;
    }
    let shown = path.display();
    let role = Config::read(home).ok().and_then(|config| config.role());
    if let Some(role) = role.filter(|role| *role != LinkRole::Recorder) {
        return anyhow!(
            "this home is for the {role} alone: run this command on the host of the recorder; to \
             load changed files here, send SIGHUP to the `cofferdam serve` of this home"
        );
    }
    if error.kind() == std::io::ErrorKind::PermissionDenied {
        let owner = path.ancestors().find_map(|near| near.metadata().ok()).map(|facts| facts.uid());
        let owner = owner.map(|uid| format!("; it belongs to user {uid}")).unwrap_or_default();
        return anyhow!("this user has no right to use `{shown}`{owner}");
    }
    anyhow!(
        "no process serves `{shown}`: `cofferdam serve` does not run for this home; start it, or \
         name the home with `--home`"
    )
}

/// The error for a response of another kind.
pub fn unexpected() -> anyhow::Error {
    anyhow!(
        "the recorder returned an unexpected response; is `cofferdam serve` of the same version \
         as this \
         command?"
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use cofferdam_process::frame::{self, Frame};
    use std::os::unix::net::UnixListener;

    #[test]
    fn an_unknown_call_is_refused_with_the_command_that_lists_calls() {
        let told = refused(&RoleError::NotFound("no call `zzzz`".to_owned())).to_string();
        assert!(told.contains("no call `zzzz`; `cofferdam jobs` lists the calls"), "{told}");
    }

    #[test]
    fn a_folder_without_an_installation_is_not_a_serve_that_does_not_run() {
        let folder = tempfile::tempdir().unwrap();
        for home in [folder.path().join("none"), folder.path().to_owned()] {
            let told = ask(&Home::at(home), &Operate::Status).unwrap_err().to_string();
            assert!(
                told.contains("no installation at") && told.contains("cofferdam init"),
                "{told}"
            );
        }
    }

    #[test]
    fn words_of_the_recorder_stay_on_their_line_and_command_no_terminal() {
        let folder = tempfile::tempdir().unwrap();
        let home = Home::at(folder.path().to_owned());
        home.make_folders().unwrap();
        let socket = UnixListener::bind(home.operator_socket()).unwrap();
        let liar = std::thread::spawn(move || {
            let (stream, _) = socket.accept().unwrap();
            let asked: serde_json::Value =
                serde_json::from_slice(&frame::read(&mut &stream).unwrap().unwrap().header)
                    .unwrap();
            let error = RoleError::Refused("no\u{1b}[2J\nApproved as bob.".to_owned());
            let answer = serde_json::json!({"id": asked["id"], "fault": error});
            frame::write(&mut &stream, &Frame::of(answer.to_string().into_bytes())).unwrap();
        });
        let told = ask(&home, &Operate::Status).unwrap_err().to_string();
        assert_eq!(told, r"the recorder says: refused: no\u{1b}[2J\u{a}Approved as bob.");
        liar.join().unwrap();
    }
}
