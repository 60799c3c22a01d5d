//! Authenticates agents by `agents.toml`. The file is checked again for each request, so that an
//! added or removed agent is in effect at once: a request with a token looks at the time of the file,
//! and a changed file is read by one task for all waiting requests, on a thread of its own. Holds
//! digests of tokens, never a token.

use crate::config::{Agent, Agents};
use anyhow::{Context as _, Result};
use cofferdam_core::journey::ports::Unauthenticated;
use cofferdam_core::model::caller::{Principal, Standing};
use jiff::Timestamp;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use tokio::sync::{mpsc, oneshot, watch};

/// The most requests that wait for one check: more than the edge has connections.
const WAITING: usize = 2_048;

/// The time limit of a check on a slow disk; after it, the last good file is used.
const LOOK: Duration = Duration::from_secs(1);

/// The agents file with its last good content.
pub struct AgentsFile {
    path: PathBuf,
    looks: mpsc::Sender<oneshot::Sender<()>>,
    known: watch::Receiver<Known>,
    clock: fn() -> Timestamp,
}

#[derive(Clone)]
struct Known {
    agents: Arc<Agents>,
    /// The file that was read last.
    seen: Option<Changed>,
    /// True if callers without a token are served. Never true again after an agent was configured:
    /// a removed agent must not get in without its token.
    anonymous: bool,
}

impl AgentsFile {
    /// Reads the file; an unreadable file stops the start. `anonymous`: callers without a token are
    /// served while no agent is configured. `closed` is called when that ends. Must be called
    /// within the runtime.
    ///
    /// # Errors
    /// The file is missing or cannot be read.
    pub fn open(
        path: PathBuf,
        anonymous: bool,
        closed: impl Fn() + Send + 'static,
    ) -> Result<Self> {
        let changed = changed(&path);
        let agents = Agents::read(&path)
            .map_err(|error| anyhow::anyhow!("{error}"))
            .context("the agents file is not readable")?;
        let open = anonymous && agents.list().is_empty() && !is_marked(&path);
        if !open {
            closed();
        }
        let (teller, known) =
            watch::channel(Known { agents: Arc::new(agents), seen: changed, anonymous: open });
        let (looks, asked) = mpsc::channel(WAITING);
        tokio::spawn(look(asked, path.clone(), changed, teller, closed));
        Ok(Self { path, looks, known, clock: Timestamp::now })
    }

    /// Returns the principal of a bearer token, and the content that has it. If `serve` started
    /// without an agent, on loopback, a caller without a token is anonymous.
    pub async fn authenticate(
        &self,
        token: Option<&str>,
    ) -> Result<(Principal, Arc<Agents>), Unauthenticated> {
        let unchanged = token.and_then(|_| self.unchanged());
        let Known { agents, anonymous: open, .. } = match unchanged {
            Some(known) => known,
            None => self.newest().await.ok_or(Unauthenticated::Unknown)?,
        };
        match token {
            None if open => Ok((anonymous(), agents)),
            None => Err(Unauthenticated::Missing),
            Some(token) => match agents.find(token) {
                None => Err(Unauthenticated::Unknown),
                Some(agent) if agent.has_expired((self.clock)()) => Err(Unauthenticated::Expired),
                Some(agent) => {
                    let principal = agent.principal();
                    Ok((principal, agents))
                }
            },
        }
    }

    /// The content after a check that begins now. `None` if the checking task has ended.
    pub async fn content(&self) -> Option<Arc<Agents>> {
        self.newest().await.map(|known| known.agents)
    }

    /// The path of the file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The present standing of a caller that was served before.
    pub async fn standing(&self, principal: &Principal) -> Standing {
        let Some(Known { agents, anonymous: open, .. }) = self.newest().await else {
            return Standing::Removed;
        };
        let known = if principal.anonymous {
            open.then(anonymous)
        } else {
            agents.list().iter().find(|agent| agent.name == principal.name).map(Agent::principal)
        };
        match known {
            None => Standing::Removed,
            Some(now) if now == *principal => Standing::Same,
            Some(_) => Standing::Changed,
        }
    }

    /// The content that was read last, if the file is still the same now.
    fn unchanged(&self) -> Option<Known> {
        let known = self.known.borrow().clone();
        // A look at one inode takes about a microsecond; a hand-over to another thread takes more
        // than ten.
        (known.seen.is_some() && known.seen == changed(&self.path)).then_some(known)
    }

    /// The content after a check that begins now. `None` if the checking task has ended.
    async fn newest(&self) -> Option<Known> {
        let (told, looked) = oneshot::channel();
        self.looks.send(told).await.ok()?;
        let _late = tokio::time::timeout(LOOK, looked).await;
        Some(self.known.borrow().clone())
    }
}

/// Checks the file for all waiting requests, until the edge ends.
async fn look(
    mut asked: mpsc::Receiver<oneshot::Sender<()>>,
    path: PathBuf,
    mut last: Option<Changed>,
    known: watch::Sender<Known>,
    closed: impl Fn(),
) {
    let mut waiting = Vec::new();
    while asked.recv_many(&mut waiting, WAITING).await > 0 {
        let file = path.clone();
        let before = last;
        let looked = tokio::task::spawn_blocking(move || {
            let now = changed(&file);
            // The last good content is used while the file is missing or unreadable: an error while
            // editing must not admit or refuse every caller.
            let read = (now.is_some() && now != before).then(|| Agents::read(&file));
            (now.or(before), read, is_marked(&file))
        });
        let Ok((now, read, marked)) = looked.await else { return };
        last = now;
        let agents = match read {
            Some(Ok(agents)) => Some(Arc::new(agents)),
            Some(Err(error)) => {
                // Logged once for each such file, and not for each request.
                tracing::error!(path = %path.display(), %error,
                "the agents file cannot be read; the last good one holds");
                None
            }
            None => None,
        };
        let mut closes = false;
        known.send_if_modified(|known| {
            closes = known.anonymous
                && (marked || agents.as_ref().is_some_and(|agents| !agents.list().is_empty()));
            known.anonymous &= !closes;
            known.seen = last;
            let read = agents.is_some();
            if let Some(agents) = agents {
                known.agents = agents;
            }
            closes || read
        });
        if closes {
            closed();
        }
        for asker in waiting.drain(..) {
            let _gone = asker.send(());
        }
    }
}

/// The modification time, the size and the inode of the file: a renamed file has another inode.
type Changed = (SystemTime, u64, u64);

fn changed(path: &Path) -> Option<Changed> {
    let facts = std::fs::metadata(path).ok()?;
    Some((facts.modified().ok()?, facts.len(), facts.ino()))
}

/// Returns whether a command added an agent since `cofferdam serve` started; the agent may be
/// removed by now.
fn is_marked(path: &Path) -> bool {
    crate::config::home::agents_mark(path).exists()
}

fn anonymous() -> Principal {
    Principal {
        name: "anonymous".to_owned(),
        anonymous: true,
        roles: Vec::new(),
        person: None,
        act: Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};

    fn agent(name: &str) -> String {
        format!(
            "[[agent]]\nname = \"{name}\"\nroles = [\"viewer\"]\nfor = \"p\"\ntoken = \
             \"sha256:{}\"\n",
            "0".repeat(64)
        )
    }

    #[tokio::test]
    async fn neither_a_missing_file_nor_the_last_removal_lets_a_caller_in() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("agents.toml");
        assert!(AgentsFile::open(path.clone(), true, || ()).is_err());
        std::fs::write(&path, "# ours\n").unwrap();
        let closed = Arc::new(AtomicUsize::new(0));
        let counts = Arc::clone(&closed);
        let count = move || {
            counts.fetch_add(1, Ordering::SeqCst);
        };
        let fresh = AgentsFile::open(path.clone(), true, count).unwrap();
        assert!(fresh.authenticate(None).await.is_ok_and(|(principal, _)| principal.anonymous));
        assert!(
            AgentsFile::open(path.clone(), false, || ()).unwrap().authenticate(None).await.is_err()
        );
        assert_eq!(closed.load(Ordering::SeqCst), 0);
        std::fs::write(&path, agent("a")).unwrap();
        for _ in 0..3 {
            assert_eq!(fresh.authenticate(None).await, Err(Unauthenticated::Missing));
            assert_eq!(closed.load(Ordering::SeqCst), 1, "the supervisor is told once");
        }
        std::fs::write(&path, "").unwrap();
        assert_eq!(fresh.authenticate(None).await, Err(Unauthenticated::Missing));
        std::fs::remove_file(&path).unwrap();
        assert_eq!(fresh.authenticate(None).await, Err(Unauthenticated::Missing));
    }

    #[tokio::test]
    async fn an_agent_that_came_and_went_between_two_requests_closed_the_door() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("agents.toml");
        std::fs::write(&path, "").unwrap();
        let fresh = AgentsFile::open(path.clone(), true, || ()).unwrap();
        assert!(fresh.authenticate(None).await.is_ok());
        std::fs::write(crate::config::home::agents_mark(&path), "").unwrap();
        assert_eq!(fresh.authenticate(None).await, Err(Unauthenticated::Missing));
        let again = AgentsFile::open(path, true, || ()).unwrap();
        assert_eq!(
            again.authenticate(None).await,
            Err(Unauthenticated::Missing),
            "a gateway that starts again knows it too"
        );
    }

    #[tokio::test]
    async fn a_caller_stands_as_the_file_says_now() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("agents.toml");
        std::fs::write(&path, "# ours\n").unwrap();
        let file = AgentsFile::open(path.clone(), true, || ()).unwrap();
        assert_eq!(file.standing(&anonymous()).await, Standing::Same);
        std::fs::write(&path, agent("a")).unwrap();
        let asked = Agents::read(&path).unwrap().list()[0].principal();
        assert_eq!(file.standing(&anonymous()).await, Standing::Removed);
        assert_eq!(file.standing(&asked).await, Standing::Same);
        for (old, new) in [
            ("[\"viewer\"]", "[\"viewer\", \"admin\"]"),
            ("[\"viewer\"]", "[]"),
            ("\"p\"", "\"other\""),
        ] {
            std::fs::write(&path, agent("a").replace(old, new)).unwrap();
            assert_eq!(file.standing(&asked).await, Standing::Changed, "{new}");
        }
        std::fs::write(&path, "# ours, and empty\n").unwrap();
        assert_eq!(file.standing(&asked).await, Standing::Removed);
    }

    #[tokio::test]
    async fn an_unchanged_file_needs_no_check_by_another_task() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("agents.toml");
        let token = "cfd_one";
        let named = |name: &str| {
            let digest = cofferdam_core::model::id::TokenDigest::of(token.as_bytes());
            agent(name).replace(&format!("sha256:{}", "0".repeat(64)), &digest.to_string())
        };
        std::fs::write(&path, named("a")).unwrap();
        let mut file = AgentsFile::open(path.clone(), true, || ()).unwrap();
        // Nothing checks any more.
        file.looks = mpsc::channel(1).0;
        let served = |name: &str, served: Result<(Principal, Arc<Agents>), Unauthenticated>| {
            assert_eq!(served.unwrap().0.name, name);
        };
        served("a", file.authenticate(Some(token)).await);
        assert_eq!(file.authenticate(Some("cfd_two")).await, Err(Unauthenticated::Unknown));
        // A file of the same size and time is another one.
        let time = std::fs::metadata(&path).unwrap().modified().unwrap();
        let other = folder.path().join("other");
        std::fs::write(&other, named("b")).unwrap();
        std::fs::File::options().write(true).open(&other).unwrap().set_modified(time).unwrap();
        std::fs::rename(&other, &path).unwrap();
        assert_eq!(
            file.authenticate(Some(token)).await,
            Err(Unauthenticated::Unknown),
            "a changed file that was not read admits no caller"
        );
        let file = AgentsFile::open(path.clone(), true, || ()).unwrap();
        served("b", file.authenticate(Some(token)).await);
        std::fs::write(&other, named("c")).unwrap();
        std::fs::rename(&other, &path).unwrap();
        served("c", file.authenticate(Some(token)).await);
    }

    #[tokio::test]
    async fn a_token_ends_at_its_time_and_a_renewed_one_is_served() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("agents.toml");
        let digest = cofferdam_core::model::id::TokenDigest::of(b"cfd_one");
        let ends = |end: &str| {
            agent("a").replace(&format!("sha256:{}", "0".repeat(64)), &digest.to_string())
                + &format!("expires = \"{end}\"\n")
        };
        std::fs::write(&path, ends("2026-12-01T10:00:00Z")).unwrap();
        let mut file = AgentsFile::open(path.clone(), true, || ()).unwrap();
        file.clock = || "2026-12-01T09:59:59Z".parse().unwrap();
        assert!(file.authenticate(Some("cfd_one")).await.is_ok());
        file.clock = || "2026-12-01T10:00:00Z".parse().unwrap();
        let refused = Err(Unauthenticated::Expired);
        assert_eq!(file.authenticate(Some("cfd_one")).await, refused);
        assert_eq!(file.authenticate(Some("cfd_two")).await, Err(Unauthenticated::Unknown));
        std::fs::write(&path, ends("2027-12-01T10:00:00Z")).unwrap();
        assert!(file.authenticate(Some("cfd_one")).await.is_ok());
    }

    #[tokio::test]
    async fn many_requests_at_once_each_see_the_file_as_it_was_after_they_came() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("agents.toml");
        std::fs::write(&path, agent("a")).unwrap();
        let file = Arc::new(AgentsFile::open(path, true, || ()).unwrap());
        let asked: Vec<_> = (0..200)
            .map(|_| {
                let file = Arc::clone(&file);
                tokio::spawn(async move { file.authenticate(None).await })
            })
            .collect();
        for asked in asked {
            assert_eq!(asked.await.unwrap(), Err(Unauthenticated::Missing));
        }
    }
}
