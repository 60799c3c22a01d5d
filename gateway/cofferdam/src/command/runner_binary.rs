//! Runs `cofferdam-runner` to identify the cluster of a kubeconfig, and to check the rights of an
//! identity. The binary runs like a role, without an environment. This process reads no kubeconfig.

use anyhow::{Context as _, Result, bail};
use cofferdam_core::model::left_out::LeftOut;
use cofferdam_core::protocol::role_settings::JobIdentity;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::time::Duration;

/// The time limit of the runner. Its own limit for an API server is much shorter.
const LONGEST: Duration = Duration::from_secs(120);

/// The prefix of errors of `cofferdam-runner`, which is removed here.
const PREFIX: &str = "cofferdam-runner: ";

/// The cluster behind a kubeconfig.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Identified {
    /// The UID of `kube-system`.
    pub environment_id: String,
    /// The address of the API server.
    pub server: String,
    /// The version that the server reports: `v1.36.3`.
    pub version: String,
}

/// The result of checking an identity.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Checked {
    /// True if no check failed.
    pub ok: bool,
    /// The checks, in their order.
    pub findings: Vec<Looked>,
}

/// The result of one check.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Looked {
    /// The name of the check, in a few words.
    pub check: String,
    /// True if the check passed.
    pub ok: bool,
    /// The observation, one sentence; may be empty.
    #[serde(default)]
    pub says: String,
    /// The remedy; may be empty.
    #[serde(default)]
    pub remedy: String,
}

/// Identifies the cluster of a kubeconfig.
pub fn identify(kubeconfig: &Path) -> Result<Identified> {
    let output = run(&runner()?, &["identify", "--json", "--kubeconfig"], kubeconfig)?;
    answer(&output, output.status.success())
}

/// Checks the rights of an identity, and the job identity of the runners.
pub fn check(identity: &str, jobs: JobIdentity, kubeconfig: &Path) -> Result<Checked> {
    checked(&run(
        &runner()?,
        &["check", "--json", "--identity", identity, "--job-identity", jobs.word(), "--kubeconfig"],
        kubeconfig,
    )?)
}

/// Lists the manifests of a tree that Cofferdam does not read or use.
pub fn survey(tree: &Path) -> Result<LeftOut> {
    let output = run(&runner()?, &["survey", "--json", "--tree"], tree)?;
    answer(&output, output.status.success())
}

/// Exit code and findings repeat `ok`. If they disagree, the output is invalid.
fn checked(output: &Output) -> Result<Checked> {
    let checked: Checked = answer(output, !output.stdout.is_empty())?;
    let all = checked.findings.iter().all(|looked| looked.ok);
    if checked.ok != output.status.success() || checked.ok != all {
        bail!(
            "`cofferdam-runner check` contradicts itself; is it of the same version as this \
             binary?"
        );
    }
    Ok(checked)
}

/// The path of the runner binary, beside this one as for `serve`.
fn runner() -> Result<PathBuf> {
    let this = std::env::current_exe().context("cannot find this binary")?;
    Ok(this.parent().context("this binary lies in no folder")?.join("cofferdam-runner"))
}

fn run(program: &Path, arguments: &[&str], kubeconfig: &Path) -> Result<Output> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("cannot start a runtime")?;
    let mut command = tokio::process::Command::new(program);
    command
        .args(arguments)
        .arg(kubeconfig)
        .env_clear()
        .current_dir("/")
        .stdin(Stdio::null())
        .kill_on_drop(true);
    runtime
        .block_on(async { tokio::time::timeout(LONGEST, command.output()).await })
        .with_context(|| format!("`cofferdam-runner` did not end within {} s", LONGEST.as_secs()))?
        .with_context(|| {
            format!("cannot start `{}`; build it with `scripts/setup`", program.display())
        })
}

/// The JSON on standard output, or the error on standard error.
fn answer<T: DeserializeOwned>(output: &Output, answered: bool) -> Result<T> {
    if !answered {
        let said = String::from_utf8_lossy(&output.stderr);
        let said = said.trim().strip_prefix(PREFIX).unwrap_or(said.trim());
        bail!("{}", if said.is_empty() { "`cofferdam-runner` ended without a word" } else { said });
    }
    serde_json::from_slice(&output.stdout).context(
        "`cofferdam-runner` answers something else; is it of the same version as this binary?",
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::process::ExitStatusExt as _;
    use std::process::ExitStatus;

    fn output(code: i32, stdout: &str, stderr: &str) -> Output {
        Output {
            status: ExitStatus::from_raw(code << 8),
            stdout: stdout.into(),
            stderr: stderr.into(),
        }
    }

    #[test]
    fn what_the_runner_says_is_the_fault() {
        let check = |output: Output, expect: &str| {
            let told = answer::<Identified>(&output, output.status.success())
                .map_or_else(|error| error.to_string(), |id| format!("{id:?}"));
            assert_eq!(told, expect);
        };
        check(
            output(0, r#"{"environment_id": "u", "server": "https://s", "version": "v1"}"#, ""),
            r#"Identified { environment_id: "u", server: "https://s", version: "v1" }"#,
        );
        check(
            output(1, "", "cofferdam-runner: the API server is away\n"),
            "the API server is away",
        );
        check(output(1, "", ""), "`cofferdam-runner` ended without a word");
        check(
            output(0, "{}", ""),
            "`cofferdam-runner` answers something else; is it of the same version as this binary?",
        );
    }

    #[test]
    fn a_check_is_believed_only_when_it_agrees_with_itself() {
        let findings = |ok: bool| {
            format!(
                r#"{{"ok": {ok}, "findings": [{{"check": "fences", "ok": false, "says": "it could write"}}]}}"#
            )
        };
        let said = Looked {
            check: "fences".to_owned(),
            ok: false,
            says: "it could write".to_owned(),
            remedy: String::new(),
        };
        assert_eq!(
            checked(&output(1, &findings(false), "")).unwrap(),
            Checked { ok: false, findings: vec![said] }
        );
        for wrong in [
            output(0, &findings(false), ""),
            output(0, &findings(true), ""),
            output(1, r#"{"ok": true, "findings": []}"#, ""),
        ] {
            assert!(checked(&wrong).unwrap_err().to_string().contains("contradicts itself"));
        }
        assert_eq!(
            checked(&output(1, "", "cofferdam-runner: no such file")).unwrap_err().to_string(),
            "no such file"
        );
    }

    #[test]
    fn a_program_that_is_not_there_is_named() {
        let error = run(Path::new("/nowhere/cofferdam-runner"), &["identify"], Path::new("/k"))
            .unwrap_err()
            .to_string();
        assert_eq!(
            error,
            "cannot start `/nowhere/cofferdam-runner`; build it with `scripts/setup`"
        );
    }
}
