//! One write to one object, over the version that was just read and found as approved. The server
//! writes exactly over that version or not at all, so that a retry cannot do it twice. Reads the
//! object before each retry.

use super::{PAUSE, look, refused, unknown};
use crate::api::{ApiError, Cluster, Manager, Mode, Only};
use crate::namespace::RIGHTS_WAIT;
use crate::poll::Poll;
use crate::{json_patch, object};
use cofferdam_backend::effect_error::EffectError;
use cofferdam_core::model::operation::Target;
use cofferdam_core::model::path::FieldPath;
use serde_json::Value;

/// How often a change is asked for without a clear answer.
const UNCLEAR: u32 = 3;

/// The number of times that the object may have another version when the write arrives, and still
/// be as approved: another client wrote its status, or a time in it. With ten such writes a second
/// and a fifth of a second from read to write, one job in a thousand meets this many in a row.
const STALE: u32 = 50;

/// After this many a pause comes before the next read, so that a server that refuses for another
/// reason is not asked without end.
const AT_ONCE: u32 = 10;

/// The API server's text for a JSON Patch whose `test` failed; the text is used for no other known
/// cause (`apiserver/pkg/endpoints/handlers/patch.go`).
const FAILED_TEST: &str = "the server rejected our request due to an error in our request";

/// A write to one object, with the state it is pinned to.
pub(super) struct Change<'a> {
    pub job: &'a Cluster,
    pub at: &'a str,
    pub target: &'a Target,
    pub write: Write<'a>,
}

/// The request of a write.
pub(super) enum Write<'a> {
    /// These fields, as this field manager.
    Patch(&'a str, &'a [(FieldPath, Option<Value>)]),
    /// An object, as this field manager. If there is no object yet, the write is by name alone.
    Apply(&'a str, &'a Value),
    /// The deletion of the object.
    Delete,
}

impl Change<'_> {
    /// Sends the write over a state that fulfils `is_before`. After an unclear response, `is_after`
    /// decides whether it happened. Returns the object after the write.
    pub async fn make(
        &self,
        is_before: impl Fn(Option<&Value>) -> bool + Send,
        is_after: impl Fn(Option<&Value>) -> bool + Send,
    ) -> Result<Option<Value>, EffectError> {
        let mut unclear: Option<ApiError> = None;
        let (mut unclears, mut stales) = (0, 0);
        // True while the only unclear responses are about a webhook without a response.
        let mut only_unasked = true;
        // Another API server may see a right later than the first one. A refusal for that reason
        // did nothing.
        let mut poll: Option<Poll> = None;
        loop {
            let live = look(self.job, self.at, self.target, unclear.as_ref()).await?;
            match &unclear {
                Some(_) if is_after(live.as_ref()) => return Ok(live),
                _ if is_before(live.as_ref()) => {}
                // The object is neither in the earlier nor in the intended state: another client
                // changed it, before this write or after it.
                Some(error) => {
                    return Err(unknown(
                        self.target,
                        "it was changed outside Cofferdam meanwhile",
                        error,
                    ));
                }
                None => return Err(EffectError::Conflict(self.target.clone())),
            }
            if unclears == UNCLEAR || stales == STALE {
                return Err(match &unclear {
                    // The server refused before it stored anything, and the object is unchanged.
                    Some(error) if only_unasked => refused(self.target, error),
                    unclear => self.given_up(unclear.as_ref()),
                });
            }
            let body = self.body(live.as_ref())?;
            match self.ask(live.as_ref(), &body).await {
                Ok(object) => return Ok(object),
                Err(error)
                    if error.is_about_rights()
                        && poll.get_or_insert_with(|| Poll::within(RIGHTS_WAIT)).again().await => {}
                Err(error) if error.is_unclear() => {
                    unclears += 1;
                    only_unasked &= error.is_unasked_webhook();
                    unclear = Some(error);
                    tokio::time::sleep(PAUSE).await;
                }
                // The next read shows the present version.
                Err(error) if self.is_stale(&error) => {
                    stales += 1;
                    if stales > AT_ONCE {
                        tokio::time::sleep(PAUSE / 10).await;
                    }
                }
                Err(error) => {
                    return Err(match unclear {
                        Some(unclear) => {
                            unknown(self.target, "the next attempt was refused", &unclear)
                        }
                        None => refused(self.target, &error),
                    });
                }
            }
        }
    }

    /// The body of the request, over this state.
    fn body(&self, live: Option<&Value>) -> Result<Value, EffectError> {
        match (&self.write, live) {
            (Write::Patch(_, changes), Some(live)) => json_patch::render_over(live, changes)
                .map_err(|error| EffectError::Refused(error.to_string())),
            (Write::Apply(_, object), Some(live)) => Ok(pinned(object, live)),
            (Write::Apply(_, object), None) => Ok((*object).clone()),
            (Write::Patch(..) | Write::Delete, _) => Ok(Value::Null),
        }
    }

    /// Asks for it once.
    async fn ask(&self, live: Option<&Value>, body: &Value) -> Result<Option<Value>, ApiError> {
        match (&self.write, live) {
            (Write::Apply(manager, _), _) => {
                let manager = Manager { name: manager, force: false };
                self.job.apply(self.at, body, manager, Mode::Real).await.map(Some)
            }
            (Write::Patch(manager, _), Some(_)) if !json_patch::is_idle(body) => {
                self.job.patch(self.at, body, manager, Mode::Real).await.map(Some)
            }
            (Write::Delete, Some(live)) => {
                let (uid, version) = (
                    object::uid(live).unwrap_or_default(),
                    object::version(live).unwrap_or_default(),
                );
                self.job.delete(self.at, Only::State(uid, version), Mode::Real).await.map(|()| None)
            }
            // The object is as intended already.
            (Write::Patch(..) | Write::Delete, live) => Ok(live.cloned()),
        }
    }

    /// Returns whether the server refused because the object is another one, or has another
    /// version, than the one that was read.
    fn is_stale(&self, error: &ApiError) -> bool {
        match (&self.write, error) {
            // Over ownership, which asking again does not end.
            (Write::Apply(..), ApiError::Refused { status: 409, message, .. }) => {
                !message.starts_with("Apply failed with ")
            }
            (_, ApiError::Refused { status: 409, .. }) => true,
            // A failed `test` has status 422, as has an invalid object; the text of the latter
            // gives the reason.
            (Write::Patch(..), ApiError::Refused { status: 422, message, .. }) => {
                message.starts_with(FAILED_TEST)
            }
            _ => false,
        }
    }

    fn given_up(&self, unclear: Option<&ApiError>) -> EffectError {
        match unclear {
            Some(error) => unknown(self.target, "no attempt got a clear answer", error),
            None => EffectError::Refused(format!(
                "{} was not changed: it was written by others between each of {STALE} looks and \
                 the change",
                self.target
            )),
        }
    }
}

/// The object to apply over the one that was read: with this UID and this version.
fn pinned(sent: &Value, live: &Value) -> Value {
    let mut body = sent.clone();
    if let Some(metadata) = body.get_mut("metadata").and_then(Value::as_object_mut) {
        for (key, value) in [("uid", object::uid(live)), ("resourceVersion", object::version(live))]
        {
            metadata.insert(key.to_owned(), value.unwrap_or_default().into());
        }
    }
    body
}
