//! The requests of people at the console, passed on by the gateway. Person and role are checked
//! here, by the recorder's own trust file, and never believed from the gateway. No request here
//! approves. A call that a person may not see gets the same answer as an unknown one.

mod agents;
mod cancel;
mod proofs;
mod right;

use super::Recorder;
use super::calls::{Wanted, checked};
use cofferdam_core::model::call_filter::CallFilter;
use cofferdam_core::model::console_role::{ConsolePerson, ConsoleRole, OF_ISSUER, SignInKind};
use cofferdam_core::model::id::CallId;
use cofferdam_core::model::record::{CONSOLE, Entry, Event};
use cofferdam_core::model::run::Phase;
use cofferdam_core::protocol::RoleError;
use cofferdam_core::protocol::approver::QUESTIONS;
use cofferdam_core::protocol::console::{
    CallStory, ConsoleAnswer, ConsoleAsk, ConsoleRefusal, Overview, WaitingCall,
};
use serde_json::{Value, json};

/// An error of a request.
enum ConsoleError {
    /// It was refused.
    Refused(ConsoleRefusal, String),
    /// It could not be carried out.
    Role(RoleError),
}

impl From<RoleError> for ConsoleError {
    fn from(error: RoleError) -> Self {
        Self::Role(error)
    }
}

impl From<crate::store::ChangeError> for ConsoleError {
    fn from(error: crate::store::ChangeError) -> Self {
        Self::Role(error.into())
    }
}

/// The name of a person for ledger and agents: a person of an issuer never has the name of an
/// enrolled person.
fn name_of(person: &ConsolePerson) -> String {
    match person.by {
        SignInKind::Passkey => person.name.clone(),
        SignInKind::Oidc => format!("{OF_ISSUER}{}", person.name),
    }
}

/// The refusal of a call that does not exist, or that this person may not see.
fn unknown(call: &CallId) -> ConsoleError {
    let why =
        format!("there is no call `{call}` that you may see; look for it in the list of calls");
    ConsoleError::Refused(ConsoleRefusal::UnknownCall, why)
}

fn invalid(why: String) -> ConsoleError {
    ConsoleError::Refused(ConsoleRefusal::Invalid, why)
}

impl Recorder {
    /// Handles a request of a person at the console.
    pub(super) async fn console(
        &self,
        person: &ConsolePerson,
        ask: ConsoleAsk,
    ) -> Result<ConsoleAnswer, RoleError> {
        match self.answer(person, ask).await {
            Ok(answer) => Ok(answer),
            Err(ConsoleError::Refused(code, why)) => Ok(ConsoleAnswer::Refused { code, why }),
            Err(ConsoleError::Role(error)) => Err(error),
        }
    }

    async fn answer(
        &self,
        person: &ConsolePerson,
        ask: ConsoleAsk,
    ) -> Result<ConsoleAnswer, ConsoleError> {
        self.check_entry(person).map_err(|error| match error {
            RoleError::Refused(why) => ConsoleError::Refused(ConsoleRefusal::NotEnrolled, why),
            error => ConsoleError::Role(error),
        })?;
        right::check(person.role, &ask)?;
        let own = (!person.role.sees_all()).then_some(person.name.as_str());
        match ask {
            ConsoleAsk::Calls { filter, before, limit } => {
                checked(&filter).map_err(invalid)?;
                // A person who goes beyond the first page reads or exports the whole list.
                let word = if before.is_some() { "older" } else { "calls" };
                self.note_list(person, word, &filter).await?;
                let wanted = Wanted { filter: &filter, signer: own };
                Ok(ConsoleAnswer::Calls(self.call_page(wanted, before.as_ref(), limit).await?))
            }
            ConsoleAsk::Changes { filter, beyond, wait_ms } => {
                checked(&filter).map_err(invalid)?;
                self.note_list(person, "calls", &filter).await?;
                let wanted = Wanted { filter: &filter, signer: own };
                Ok(ConsoleAnswer::Changes(self.call_changes(wanted, beyond, wait_ms).await?))
            }
            ConsoleAsk::Story { call } => {
                self.visible(person, &call).await?;
                self.note_console(person, "story", Some(&call), &Value::Null).await?;
                let story = self.inner.reader.story(call.as_str()).await?;
                Ok(ConsoleAnswer::Story(Box::new(CallStory {
                    call: story.call,
                    job: story.job,
                    view: story.view,
                    entries: story.entries,
                    removed: story.removed,
                })))
            }
            ConsoleAsk::Proof { call } => {
                self.visible(person, &call).await?;
                let _place = self.place().await?;
                Ok(ConsoleAnswer::Proof(self.proofs(&call).await?))
            }
            ConsoleAsk::Waiting => {
                if person.role.sees_all() {
                    self.note_console(person, "waiting", None, &Value::Null).await?;
                }
                self.waiting_calls(own).await
            }
            ConsoleAsk::Agents => self.agents().await,
            ConsoleAsk::Overview => Ok(ConsoleAnswer::Overview(Box::new(self.overview().await?))),
            ConsoleAsk::Cancel { call, because } => {
                self.visible(person, &call).await?;
                self.cancel_as(person, call, because).await
            }
        }
    }

    /// Checks that a person may see a call. An approver sees the questions that they may sign, and
    /// the calls that they signed.
    async fn visible(&self, person: &ConsolePerson, call: &CallId) -> Result<(), ConsoleError> {
        let reader = &self.inner.reader;
        let is_visible = match person.role {
            ConsoleRole::Auditor | ConsoleRole::Operator => {
                !reader.entry_indexes(call, 1).await?.is_empty()
            }
            ConsoleRole::Approver => {
                let trust = self.trusted()?.trust;
                let asked = reader.job(call).await?.is_some_and(|(job, phase)| {
                    phase == Phase::AwaitingApproval
                        && job.permit.is_none()
                        && super::approver::may_sign(&person.name, &job, (&trust, self.now()))
                });
                asked || reader.has_signed(&person.name, call).await?
            }
        };
        if is_visible { Ok(()) } else { Err(unknown(call)) }
    }

    /// The questions that wait: for an approver, those that this person may sign.
    async fn waiting_calls(&self, own: Option<&str>) -> Result<ConsoleAnswer, ConsoleError> {
        let _place = self.place().await?;
        let (trust, now) = (self.trusted()?.trust, self.now());
        let (calls, more): (Vec<CallId>, bool) = match own {
            Some(approver) => {
                let (questions, more) = self.waiting_for(approver, &trust).await?;
                (questions.into_iter().map(|question| question.call).collect(), more)
            }
            None => {
                let rows = self
                    .inner
                    .reader
                    .waiting(u32::try_from(QUESTIONS + 1).unwrap_or(u32::MAX))
                    .await?;
                let more = rows.len() > QUESTIONS;
                (rows.into_iter().take(QUESTIONS).map(|row| row.call).collect(), more)
            }
        };
        let mut waiting = Vec::with_capacity(calls.len());
        for call in calls {
            // The question may have ended since.
            let Some((job, Phase::AwaitingApproval)) = self.inner.reader.job(&call).await? else {
                continue;
            };
            let signers = super::approver::counting(&job, &trust, now);
            waiting.push(WaitingCall { question: super::approver::listed(job), signers });
        }
        Ok(ConsoleAnswer::Waiting { waiting, more })
    }

    async fn overview(&self) -> Result<Overview, RoleError> {
        use cofferdam_core::protocol::operator_recorder::Operated;
        let Operated::Status {
            phases,
            entries,
            checkpoint,
            disk,
            refuses,
            warns,
            repaired,
            supervisor,
            roles,
            stuck,
            retention,
            receivers,
        } = self.status().await?
        else {
            return Err(super::misplaced_answer());
        };
        let (supervisor, indexed) = (*supervisor, self.indexed().await?);
        Ok(Overview {
            phases,
            entries,
            checkpoint,
            disk,
            refuses,
            warns,
            repaired,
            supervisor,
            roles,
            stuck,
            retention,
            receivers,
            indexed,
        })
    }

    /// Records a list with its filter.
    async fn note_list(
        &self,
        person: &ConsolePerson,
        word: &str,
        filter: &CallFilter,
    ) -> Result<(), RoleError> {
        self.note_console(person, word, None, &json!(filter)).await
    }

    /// Records the first read of this kind by this person in this role, and again after an hour.
    /// Without room for an entry, nothing is read.
    async fn note_console(
        &self,
        person: &ConsolePerson,
        word: &str,
        call: Option<&CallId>,
        filter: &Value,
    ) -> Result<(), RoleError> {
        self.check_room()?;
        let now_ms = self.now().as_millisecond();
        let reads = &self.inner.shared.reads;
        let by = name_of(person);
        let kind = format!("{} {word} {filter}", person.role);
        if crate::waiters::locked(reads).is_known(&by, &kind, call, now_ms) {
            return Ok(());
        }
        let event = Event::Administered { what: format!("{CONSOLE}{word}"), by: by.clone() };
        let request = json!({ "ask": word, "call": call, "filter": filter, "role": person.role,
        "sign_in": person.by });
        let entry = Entry::of(event, None, "").with("request", request.to_string());
        self.submit(crate::store::change::Change::End(entry.into())).await?;
        crate::waiters::locked(reads).add(&by, &kind, call, now_ms);
        Ok(())
    }
}
