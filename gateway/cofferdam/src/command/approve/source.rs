//! The place where questions wait: the installation of this home, or a gateway on another machine.
//! Both give the same values, and neither is trusted for what is signed.

use super::server::Server;
use crate::command::recorder_client;
use crate::config::home::Home;
use crate::config::trust_file::TrustFile;
use crate::serve::copies;
use anyhow::{Result, bail};
use cofferdam_core::model::escape::line;
use cofferdam_core::model::id::CallId;
use cofferdam_core::model::job::StoredJob;
use cofferdam_core::model::run::Phase;
use cofferdam_core::model::statement::SignedStatement;
use cofferdam_core::model::trust::Trust;
use cofferdam_core::protocol::approver::{
    ApproverAnswer, ApproverAsk, QUESTIONS, Question, WaitingQuestion,
};
use cofferdam_core::protocol::operator_recorder::{FreshPreview, Operate, Operated, OwnedJob};

/// The place where questions wait.
pub enum Source<'a> {
    /// The installation of this home, by the operators' socket.
    Home(&'a Home),
    /// A gateway, by its address.
    Server(Server),
}

/// A job that waits, with the facts that this place has about it.
pub struct Found {
    /// The stored job.
    pub job: StoredJob,
    /// The trust file of the installation; `None` on another machine.
    pub trust: Option<Trust>,
    /// The people who approved so far, in the words of the server; empty with a trust file.
    pub signers: Vec<String>,
    /// The absent approver in whose place the person signs, in the words of the server; with a trust
    /// file, the command finds them.
    pub stands_for: Option<String>,
}

impl Source<'_> {
    /// The option of a command that names this place, with a space before it; empty for a home.
    pub fn option(&self) -> String {
        match self {
            Self::Home(_) => String::new(),
            Self::Server(server) => format!(" --server {}", server.url()),
        }
    }

    /// The questions that wait, newest first, and whether there may be more.
    ///
    /// # Errors
    /// The place cannot be reached, or refuses the request.
    pub fn waiting(&self) -> Result<(Vec<WaitingQuestion>, bool)> {
        match self {
            Self::Home(home) => {
                let limit = u32::try_from(QUESTIONS + 1).unwrap_or(u32::MAX);
                let ask = Operate::Jobs { waiting: true, limit, before: None };
                let Operated::Jobs { jobs } = recorder_client::ask(home, &ask)? else {
                    return Err(recorder_client::unexpected());
                };
                let more = jobs.len() > QUESTIONS;
                Ok((jobs.into_iter().take(QUESTIONS).map(listed).collect(), more))
            }
            Self::Server(server) => match server.ask(&ApproverAsk::Waiting)? {
                ApproverAnswer::Waiting { waiting, more } => Ok((waiting, more)),
                _ => Err(unexpected()),
            },
        }
    }

    /// The waiting call with this id, or with this unique beginning of an id.
    ///
    /// # Errors
    /// There is none, or it does not wait.
    pub fn find(&self, id: &str) -> Result<Found> {
        match self {
            Self::Home(home) => find_at_home(home, id),
            Self::Server(server) => {
                let call = match CallId::parse(id) {
                    Ok(call) => call,
                    Err(_) => self.begun(id)?,
                };
                let ask = ApproverAsk::Question { call: call.clone() };
                let ApproverAnswer::Question(question) = server.ask(&ask)? else {
                    return Err(unexpected());
                };
                let Question { job, signers, stands_for } = *question;
                // A server that returns another call would choose the signed text.
                if job.call != call {
                    bail!("the server answered with another call than `{call}`; nothing was signed")
                }
                Ok(Found { job, trust: None, signers, stands_for })
            }
        }
    }

    /// The waiting call whose id begins with this.
    fn begun(&self, id: &str) -> Result<CallId> {
        let (waiting, more) = self.waiting()?;
        let mut begun =
            waiting.into_iter().filter(|question| question.call.as_str().starts_with(id));
        match (begun.next(), begun.next()) {
            (Some(one), None) => Ok(one.call),
            (None, _) if more => bail!(
                "no call `{}` is among the newest that wait for you, and more wait; give its whole \
                 id",
                line(id)
            ),
            (Some(_), Some(_)) => bail!("`{}` begins several ids; give more of it", line(id)),
            (None, _) => bail!(
                "no call `{}` waits for you; `cofferdam approve --server URL` lists those that do",
                line(id)
            ),
        }
    }

    /// The changes that the call would make now.
    ///
    /// # Errors
    /// The place cannot be reached, or refuses the request.
    pub fn preview(&self, call: &CallId) -> Result<FreshPreview> {
        match self {
            Self::Home(home) => {
                match recorder_client::ask(home, &Operate::Preview { call: call.clone() })? {
                    Operated::Previewed(seen) => Ok(seen),
                    _ => Err(recorder_client::unexpected()),
                }
            }
            Self::Server(server) => {
                match server.ask(&ApproverAsk::Preview { call: call.clone() })? {
                    ApproverAnswer::Previewed(seen) => Ok(seen),
                    _ => Err(unexpected()),
                }
            }
        }
    }

    /// Hands in a signature. Returns the signer's name, and the number of missing signatures.
    ///
    /// # Errors
    /// The signature does not count.
    pub fn sign(&self, call: &CallId, signed: &SignedStatement) -> Result<(String, u32)> {
        let (call, signed) = (call.clone(), signed.clone());
        match self {
            Self::Home(home) => {
                match recorder_client::ask(home, &Operate::Sign { call, signed })? {
                    Operated::Signed { approver, missing } => Ok((approver, missing)),
                    _ => Err(recorder_client::unexpected()),
                }
            }
            Self::Server(server) => match server.ask(&ApproverAsk::Sign { call, signed })? {
                ApproverAnswer::Signed { missing, .. } => Ok((server.approver(), missing)),
                _ => Err(unexpected()),
            },
        }
    }

    /// The state of a call, after at most this wait.
    ///
    /// # Errors
    /// The place cannot be reached, or refuses the request.
    pub fn follow(&self, call: &CallId, wait_ms: u64) -> Result<ApproverAnswer> {
        let call = call.clone();
        match self {
            Self::Home(home) => {
                match recorder_client::ask(home, &Operate::Follow { call, wait_ms })? {
                    Operated::Followed { phase, outcome, detail, meanwhile } => {
                        Ok(ApproverAnswer::Followed { phase, outcome, detail, meanwhile })
                    }
                    _ => Err(recorder_client::unexpected()),
                }
            }
            Self::Server(server) => server.ask(&ApproverAsk::Follow { call, wait_ms }),
        }
    }
}

/// The error for an answer of another kind.
pub fn unexpected() -> anyhow::Error {
    anyhow::anyhow!(
        "the server gave an unexpected answer; is it of the same version as this command?"
    )
}

fn listed(owned: OwnedJob) -> WaitingQuestion {
    WaitingQuestion {
        call: owned.job.call,
        tool: owned.job.tool,
        summary: owned.summary,
        agent: owned.principal,
        person: owned.person,
        asked: owned.created,
        expires: owned.job.expires,
        approval: owned.job.approval,
    }
}

fn find_at_home(home: &Home, id: &str) -> Result<Found> {
    // The trust file of the running `serve`: the one in the home may be newer.
    let trust = TrustFile::open(&copies::in_use(home))?.trust()?;
    let Operated::Story { job, view, call, .. } =
        recorder_client::ask(home, &Operate::Show { call: id.to_owned() })?
    else {
        return Err(recorder_client::unexpected());
    };
    // A recorder that returns another call would choose the signed text.
    if !call.as_str().starts_with(id) || job.as_ref().is_some_and(|job| job.call != call) {
        bail!(
            "the recorder answered with another call than `{id}`; nothing was signed, and the \
             recorder has to be looked at"
        );
    }
    let (Some(job), Some(view)) = (job, view) else {
        bail!(
            "the call {call} ended without a job: nothing waits for a person; `cofferdam show \
             {call}` tells it"
        );
    };
    if view.phase != Phase::AwaitingApproval {
        let outcome = view.outcome.map(|outcome| format!(", {outcome}")).unwrap_or_default();
        let why = if view.detail.is_empty() {
            String::new()
        } else {
            format!(" ({})", line(&view.detail))
        };
        bail!(
            "the call {call} does not wait for a person: it is {}{outcome}{why}; `cofferdam \
             jobs --waiting` lists those that do",
            view.phase
        );
    }
    Ok(Found { job: *job, trust: Some(trust), signers: Vec::new(), stands_for: None })
}
