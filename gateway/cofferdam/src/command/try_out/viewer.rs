//! The viewer role, started for one trial with a trust file that accepts the component. It can only
//! read the infrastructure. It ends with the trial, and its trust file is removed.

use crate::config::Installation;
use crate::config::home::write_private;
use crate::serve::role_settings;
use anyhow::{Context as _, Result, bail};
use cofferdam_core::model::id::hex;
use cofferdam_core::protocol::RoleError;
use cofferdam_core::protocol::gateway_viewer::{ReadRequest, ReadResponse};
use cofferdam_core::protocol::role_settings::ActorSettings;
use cofferdam_process::control::{self, Control, Report};
use cofferdam_process::rpc::Client;
use cofferdam_process::spawn::{self, StandardError};
use std::fs;
use std::os::unix::fs::DirBuilderExt as _;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::time::Duration;
use tokio::process::Child;

/// The time limit of the viewer's start: it reads a tree, or checks its rights in a cluster.
const READY: Duration = Duration::from_secs(60);

/// A running viewer.
pub struct TrialViewer {
    client: Client<ReadRequest, ReadResponse>,
    _control: Control,
    _child: Child,
    _folder: Folder,
}

/// A temporary folder, removed when this is dropped.
struct Folder(PathBuf);

impl Drop for Folder {
    fn drop(&mut self) {
        let _gone_already = fs::remove_dir_all(&self.0);
    }
}

impl TrialViewer {
    /// Starts a viewer with this trust file.
    pub async fn open(installation: &Installation, trust: &str) -> Result<Self> {
        let name = format!("try-{}", hex(&crate::command::init::random::<8>()?));
        let folder = installation.home.root().join(name);
        fs::DirBuilder::new()
            .mode(0o700)
            .create(&folder)
            .with_context(|| format!("cannot make `{}`", folder.display()))?;
        let folder = Folder(folder);
        let trust_file = folder.0.join("trust.toml");
        write_private(&trust_file, trust.as_bytes())?;
        let mut settings = role_settings::viewer(installation);
        if let ActorSettings::Viewer(viewer) = &mut settings {
            viewer.trust_file = trust_file;
            // `serve` may never have run here, so that it has made no copies.
            viewer.copies.clone_from(&folder.0);
            // What it has to say comes with its answers.
            viewer.voice.level = "error".to_owned();
        }
        let program = std::env::current_exe()
            .context("cannot find this binary")?
            .with_file_name("cofferdam-runner");
        let (control, theirs) = control::pair().context("cannot make a socket pair")?;
        let child = tokio::process::Command::from(spawn::command(
            &program,
            &[],
            theirs,
            StandardError::Inherited,
        ))
        .kill_on_drop(true)
        .spawn()
        .with_context(|| {
            format!(
                "cannot start `{}`; `cofferdam doctor` says where it should be",
                program.display()
            )
        })?;
        control.settings(&settings).context("the viewer ended before it read its settings")?;
        let control = ready(control).await?;
        let (ours, theirs) = UnixStream::pair().context("cannot make a socket pair")?;
        let client = Client::new();
        client.connect(ours).context("the viewer cannot be asked")?;
        control.give("gateway", &theirs).context("the viewer is gone")?;
        Ok(Self { client, _control: control, _child: child, _folder: folder })
    }

    /// Sends one request to the viewer.
    pub async fn look(&self, look: &ReadRequest) -> Result<ReadResponse, RoleError> {
        self.client.call(look).await
    }
}

/// Waits for the viewer's word that it is ready.
async fn ready(control: Control) -> Result<Control> {
    let waiting = tokio::task::spawn_blocking(move || {
        let report = control.report();
        (control, report)
    });
    let (control, report) = tokio::time::timeout(READY, waiting)
        .await
        .context("the viewer was not ready in time")?
        .context("the viewer is gone")?;
    match report? {
        Some(Report::Ready { .. }) => Ok(control),
        Some(Report::Failed(why)) => bail!("the viewer cannot look: {why}"),
        _ => bail!("the viewer ended before it was ready"),
    }
}
