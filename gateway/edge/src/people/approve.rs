//! `/approve/ID`: the question of a call, for a signed-in approver whose signature could count. For
//! all others, known and unknown calls look the same. A signature is over the statement's digest;
//! the recorder and the runner check it themselves.

use super::question;
use super::request::{value, wants_json};
use crate::approvers::{in_shares, known_signatures};
use crate::deny::Deny;
use crate::edge::Edge;
use crate::header::excerpt;
use crate::respond::{self, Answer};
use cofferdam_core::journey::ports::Front;
use cofferdam_core::model::escape::{legible, unseen};
use cofferdam_core::model::id::CallId;
use cofferdam_core::model::job::StoredJob;
use cofferdam_core::model::limit::{LOOK_MS, PURPOSE};
use cofferdam_core::model::statement::{STATEMENT_SCHEMA, SignedStatement, Statement, Verdict};
use cofferdam_core::policy::asked::check_asked;
use cofferdam_core::policy::passkey::challenge_of;
use cofferdam_core::protocol::RoleError;
use cofferdam_core::protocol::approver::{ApproverAnswer, ApproverAsk, Question};
use cofferdam_core::protocol::operator_recorder::FreshPreview;
use cofferdam_core::stage::drift;
use cofferdam_core::text::{QuestionPage, shown_digest, signatures};
use data_encoding::BASE64URL_NOPAD;
use hyper::http::request::Parts;
use hyper::{Method, StatusCode};
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::json;

/// The verdict of a person, before it is signed.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Answered {
    verdict: Verdict,
    reason: String,
    /// The absent approver in whose place the person was shown to sign.
    #[serde(default)]
    stands_for: Option<String>,
}

impl<F: Front> Edge<F> {
    /// The page of a question, or its JSON.
    pub(super) async fn approve_page(
        &self,
        parts: &Parts,
        id: &str,
        session: Option<String>,
    ) -> Result<Answer, Deny> {
        let Some(party) = self.party(parts) else {
            return Ok(self.elsewhere(&format!("/approve/{}", call(id)?)));
        };
        let json = wants_json(parts);
        let Some(approver) = session else {
            let deny = || Deny::SignIn("sign in with a passkey first".to_owned());
            return if json { Err(deny()) } else { self.sign_in_page(party) };
        };
        let call = call(id)?;
        match self.question_for(&approver, &call).await {
            Ok(found) => {
                let since = self.since(&approver, &found.job).await;
                let now = self.front.now();
                let page = QuestionPage::of(&found.job, &found.signers, since, now)
                    .map_err(|error| Deny::Refused(error.to_string()))?;
                let place = found.stands_for.as_deref();
                Ok(if json {
                    question::json(&page, place)
                } else {
                    self.question_page((&approver, place), &page)
                })
            }
            Err(Deny::Refused(why)) if !json => {
                let state = self.state(&approver, &call).await;
                Ok(self.over_page(&call, &why, state.as_deref()))
            }
            Err(Deny::NoQuestion(why)) if !json => {
                Ok(self.over_page_with(StatusCode::NOT_FOUND, &call, &why, None))
            }
            Err(deny) => Err(deny),
        }
    }

    /// Writes the statement that the person is about to sign, with its challenge.
    pub(super) async fn approve_statement(
        &self,
        sent: &[u8],
        id: &str,
        session: Option<String>,
    ) -> Result<Answer, Deny> {
        let answered: Answered = value(sent)?;
        let approver = required(session)?;
        let found = self.question_for(&approver, &call(id)?).await?;
        let statement = statement(&found, answered, (&approver, self.front.now()))?;
        let challenge = BASE64URL_NOPAD.encode(&challenge_of(&statement));
        Ok(respond::json(StatusCode::OK, &json!({"statement": statement, "challenge": challenge})))
    }

    /// Hands in a signature. Who signed is the recorder's word, by its own trust file.
    pub(super) async fn approve(
        &self,
        sent: &[u8],
        id: &str,
        session: Option<String>,
    ) -> Result<Answer, Deny> {
        let signed: SignedStatement = value(sent)?;
        let approver = required(session)?;
        let ask = ApproverAsk::Sign { call: call(id)?, signed };
        match self.front.ask_for_approver(&approver, ask).await.map_err(refused)? {
            ApproverAnswer::Signed { approver, missing } => {
                let name = legible(&approver);
                let text = match missing {
                    0 => format!("Signed as {name}. All signatures are there."),
                    1 => format!("Signed as {name}. 1 more person has to sign."),
                    more => format!("Signed as {name}. {more} more people have to sign."),
                };
                let told = json!({"approver": approver, "missing": missing, "text": text,
                    "follow": true});
                Ok(respond::json(StatusCode::OK, &told))
            }
            _ => Err(Deny::Broken),
        }
    }

    /// The answer for a signed-in person who is no approver: the same as for an unknown call.
    pub(super) fn no_question(&self, parts: &Parts, id: &str) -> Result<Answer, Deny> {
        let Deny::NoQuestion(why) = refused(RoleError::NotFound(String::new())) else {
            return Err(Deny::Broken);
        };
        if parts.method == Method::POST || wants_json(parts) {
            return Err(Deny::NoQuestion(why));
        }
        Ok(self.over_page_with(StatusCode::NOT_FOUND, &call(id)?, &why, None))
    }

    /// The signatures of a question: answered as soon as there are other ones than the page shows,
    /// the question waits no more, or after [`LOOK_MS`].
    pub(super) async fn signatures_as_they_come(
        &self,
        parts: &Parts,
        id: &str,
        session: Option<String>,
    ) -> Result<Answer, Deny> {
        let (known, call) = (known_signatures(parts)?, call(id)?);
        let approver = required(session)?;
        let ask = ApproverAsk::Watch { call, known, wait_ms: LOOK_MS };
        let _places = self.places_of_approver(&in_shares(&approver), &ask)?;
        match self.front.ask_for_approver(&approver, ask).await.map_err(refused)? {
            ApproverAnswer::Signatures(now) => {
                let text = signatures(&now.signers, now.missing);
                let told = json!({"signed": now.signers, "missing": now.missing,
                    "waits": now.waits, "text": text});
                Ok(respond::json(StatusCode::OK, &told))
            }
            _ => Err(Deny::Broken),
        }
    }

    async fn question_for(&self, approver: &str, call: &CallId) -> Result<Question, Deny> {
        let ask = ApproverAsk::Question { call: call.clone() };
        match self.front.ask_for_approver(approver, ask).await.map_err(refused)? {
            ApproverAnswer::Question(found) => {
                let (environment, policy) = self.front.trusted();
                check_asked(&found.job, Some((&environment, policy)), self.front.now())
                    .map_err(|error| Deny::Refused(error.to_string()))?;
                Ok(*found)
            }
            _ => Err(Deny::Broken),
        }
    }

    /// The changes in the objects of a call since the question, in a sentence.
    async fn since(&self, approver: &str, job: &StoredJob) -> String {
        let ask = ApproverAsk::Preview { call: job.call.clone() };
        match self.front.ask_for_approver(approver, ask).await {
            Ok(ApproverAnswer::Previewed(FreshPreview::Now { preview })) => {
                drift::since_asked(&job.preview, job.preview_digest, &preview)
            }
            Ok(ApproverAnswer::Previewed(FreshPreview::Not { why })) => {
                format!("not known: {}", legible(&why))
            }
            _ => "not known".to_owned(),
        }
    }

    /// The state of a call that waits no more, in a sentence.
    async fn state(&self, approver: &str, call: &CallId) -> Option<String> {
        let ask = ApproverAsk::Follow { call: call.clone(), wait_ms: 0 };
        match self.front.ask_for_approver(approver, ask).await {
            Ok(ApproverAnswer::Followed { phase, outcome, detail, .. }) => {
                let state =
                    outcome.map_or_else(|| phase.to_string(), |outcome| outcome.to_string());
                let detail = if detail.is_empty() {
                    String::new()
                } else {
                    format!(": {}", legible(&detail))
                };
                Some(format!("{state}{detail}"))
            }
            _ => None,
        }
    }
}

fn required(session: Option<String>) -> Result<String, Deny> {
    session.ok_or_else(|| Deny::SignIn("your sign-in is over; load the page again".to_owned()))
}

fn call(id: &str) -> Result<CallId, Deny> {
    CallId::parse(id).map_err(|_| Deny::Call(excerpt(id)))
}

fn refused(error: RoleError) -> Deny {
    match error {
        RoleError::NotFound(_) => {
            Deny::NoQuestion("there is no call of this id for your signature".to_owned())
        }
        other => Deny::of_role(other),
    }
}

/// The canonical text of the statement.
fn statement(
    question: &Question,
    answered: Answered,
    (approver, now): (&str, Timestamp),
) -> Result<String, Deny> {
    let Answered { verdict, reason, stands_for } = answered;
    let (reason, job) = (reason.trim(), &question.job);
    if stands_for != question.stands_for {
        return Err(Deny::Refused(
            "your signature would count in another place than the page says; load the page again"
                .to_owned(),
        ));
    }
    let visible = reason.chars().count() <= PURPOSE && unseen(reason).is_none();
    if !visible || (verdict == Verdict::Reject && reason.is_empty()) {
        return Err(Deny::Refused(format!(
            "give a reason of 1 to {PURPOSE} visible characters; the agent reads it"
        )));
    }
    let shown = shown_digest(job)
        .ok_or_else(|| Deny::Refused("the call cannot be shown truthfully".to_owned()))?;
    let place = question.stands_for.as_deref();
    let statement = Statement {
        schema: STATEMENT_SCHEMA.to_owned(),
        call: job.call.clone(),
        verdict,
        reason: reason.to_owned(),
        plan: job.plan_digest,
        preview: job.preview_digest,
        shown,
        subject: job.principal.subject(),
        environment: job.environment.clone(),
        policy: job.policy,
        nonce: job.nonce.clone(),
        issued: Some(job.created),
        escalated: job
            .approval
            .as_ref()
            .and_then(|rule| rule.escalated(Some(place.unwrap_or(approver)), job.created, now)),
        stands_for: question.stands_for.clone(),
        expires: job.expires,
    };
    statement.canonical().map(|(text, _)| text).map_err(|_| Deny::Broken)
}
