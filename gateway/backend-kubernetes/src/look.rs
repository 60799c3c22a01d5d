//! The viewer's answers about a cluster: previews, named fields and the ends of logs, within the
//! ceiling in its own trust file, and never a Secret. Changes nothing: each write is a dry run.

mod log;

use super::api::{ApiError, Cluster};
use super::error_text;
use super::look_error::LookError;
use super::near;
use super::path;
use super::preview::preview;
use super::remarks;
use super::webhook;
use cofferdam_backend::ceiling_check::check_ceiling;
use cofferdam_backend::refusal::Refusal;
use cofferdam_backend::result_size::ResultSize;
use cofferdam_core::model::escape;
use cofferdam_core::model::left_out::LeftOut;
use cofferdam_core::model::operation::{Operation, Step, Target};
use cofferdam_core::model::path::FieldPath;
use cofferdam_core::model::trust::Trust;
use cofferdam_core::model::{kind, limit};
use cofferdam_core::protocol::RoleError;
use cofferdam_core::protocol::gateway_viewer::{ReadRequest, ReadResponse};
use http::Method;
use serde_json::{Map, Value, json};
use std::time::Duration;
use tokio::sync::Semaphore;

/// Requests at the same time. Each may have a page of a list, and all of them fit in memory. The
/// API server counts each as a seat (API priority and fairness gives a workload of low priority a
/// few dozen).
const LOOKS: usize = 8;

/// The time limit of one request, waiting included. The agent gets an error before its own client
/// gives up.
const LONGEST: Duration = Duration::from_secs(30);

/// Objects of one page: at a few KiB each a page is small, and only its named fields are kept.
const PAGE: u32 = 100;

/// Looks at one cluster, as one identity.
#[derive(Debug)]
pub struct Looker {
    cluster: Cluster,
    looks: Semaphore,
}

impl Looker {
    /// As the identity of this connection.
    pub fn new(cluster: Cluster) -> Self {
        Self { cluster, looks: Semaphore::new(LOOKS) }
    }

    /// Answers one request of the gateway. An error is for the operator: the cluster cannot be
    /// read.
    pub async fn look(&self, look: &ReadRequest, trust: &Trust) -> Result<ReadResponse, RoleError> {
        let (ReadRequest::Preview { tool, digest, operations }
        | ReadRequest::Read { tool, digest, operations }) = look;
        if let Err(refusal) = check_ceiling(trust, tool, *digest, operations) {
            return Ok(refusal.into());
        }
        let work = async {
            let _seat = self.looks.acquire().await.map_err(|_| {
                LookError::Unavailable(ApiError::Unreachable("the viewer is closing".to_owned()))
            })?;
            match look {
                ReadRequest::Preview { .. } => {
                    let mut preview = preview(&self.cluster, tool, operations).await?;
                    remarks::of_autoscalers(&self.cluster, &mut preview).await;
                    Ok(ReadResponse::Preview { preview })
                }
                ReadRequest::Read { .. } => {
                    results(&self.cluster, operations).await.map(|results| ReadResponse::Results {
                        results,
                        left_out: LeftOut::default(),
                        given: Vec::new(),
                    })
                }
            }
        };
        let work = async {
            match work.await {
                Ok(ReadResponse::Results { results, left_out, given }) => {
                    match near::unknown_namespace(&self.cluster, operations, &results).await {
                        Some(refusal) => Ok(refusal.into()),
                        None => Ok(ReadResponse::Results { results, left_out, given }),
                    }
                }
                Err(LookError::Refused(refusal)) => {
                    Ok(near::explained(&self.cluster, refusal, operations).await.into())
                }
                other => other,
            }
        };
        match tokio::time::timeout(LONGEST, work).await {
            Ok(Ok(looked)) => Ok(looked),
            Ok(Err(LookError::Refused(refusal))) => Ok(refusal.into()),
            Ok(Err(LookError::Unavailable(error))) => match error.webhook() {
                Some(webhook) => Ok(unasked(&self.cluster, webhook, &error).await.into()),
                None => {
                    tracing::warn!(
                        tool,
                        error = escape::line(&error.to_string()),
                        "the cluster cannot be read"
                    );
                    Err(RoleError::Unavailable(error.to_string()))
                }
            },
            Err(_) => Err(RoleError::Unavailable(format!(
                "the cluster gave no answer within {} s",
                LONGEST.as_secs()
            ))),
        }
    }
}

/// The refusal of a change that the cluster cannot check at present.
async fn unasked(cluster: &Cluster, webhook: &str, error: &ApiError) -> Refusal {
    let (stands, look) = webhook::told(&webhook::configurations(cluster, webhook).await);
    let (webhook, said) =
        (escape::line(webhook), format!("{}{stands}", error_text::unasked(error)));
    tracing::warn!(
        name = webhook,
        error = said,
        "an admission webhook of the cluster cannot be asked"
    );
    Refusal::new(
        "admission-webhook",
        format!(
            "the cluster cannot check this change, because its admission webhook `{webhook}` \
             gives no answer: {said}"
        ),
        &format!("looks; changes there once an operator has repaired `{webhook}`: {look}"),
    )
}

/// Reads one result per operation: see [`ReadResponse::Results`].
async fn results(cluster: &Cluster, steps: &[Step]) -> Result<Vec<Value>, LookError> {
    let mut results = Vec::with_capacity(steps.len());
    let mut sum = ResultSize::default();
    for step in steps {
        let result = match &step.operation {
            Operation::Read { target, fields } => read(cluster, target, &parsed(fields)?).await?,
            Operation::List { .. } => list(cluster, &step.operation).await?,
            Operation::Logs { target, container, lines } => {
                log::read(cluster, target, container.as_deref(), *lines, log::share(steps.len()))
                    .await?
            }
            other => {
                let reason = format!("`{}` is not a read", other.action());
                return Err(
                    Refusal::new("unsupported", reason, "ask for a preview of a change").into()
                );
            }
        };
        let result = bounded(result)?;
        sum.result(&result)?;
        results.push(result);
    }
    Ok(results)
}

fn bounded(result: Value) -> Result<Value, Refusal> {
    let size = result.to_string().len();
    if size <= limit::RESULT {
        return Ok(result);
    }
    let reason = format!("the result of {size} bytes exceeds {}", limit::RESULT);
    Err(Refusal::new("unsupported", reason, "name fewer fields, or a smaller limit"))
}

fn parsed(fields: &[String]) -> Result<Vec<FieldPath>, Refusal> {
    let paths: Result<Vec<_>, _> = fields.iter().map(|field| FieldPath::parse(field)).collect();
    paths.map_err(|error| Refusal::new("conflict", error.to_string(), "name fields as they are"))
}

/// The path of an object. Sealing has refused kinds that no plan may name.
pub(super) fn place(target: &Target) -> Result<String, Refusal> {
    path::object(target).map_err(|error| {
        Refusal::new("unsupported", error.to_string(), "name a kind that plans may name")
    })
}

async fn read(
    cluster: &Cluster,
    target: &Target,
    fields: &[FieldPath],
) -> Result<Value, LookError> {
    let object = cluster
        .get(&place(target)?)
        .await
        .map_err(|error| LookError::of(error, &format!("read {target}")))?;
    let object = object.ok_or_else(|| absent(target))?;
    Ok(json!({"fields": shown(&object, fields)?}))
}

/// There is no such object.
pub(super) fn absent(target: &Target) -> Refusal {
    Refusal::new(
        "not-found",
        format!("there is no {target}"),
        "list what is there and name one of those",
    )
}

/// The named fields of an object; `null` where it has none.
fn shown(object: &Value, fields: &[FieldPath]) -> Result<Map<String, Value>, Refusal> {
    let mut values = Map::new();
    for field in fields {
        let value = field.get(object).map_err(|error| {
            Refusal::new("conflict", error.to_string(), "name fields as they are")
        })?;
        values.insert(field.to_string(), value.unwrap_or_default());
    }
    Ok(values)
}

async fn list(cluster: &Cluster, operation: &Operation) -> Result<Value, LookError> {
    let Operation::List { group, version, kind, namespace, fields, limit: most } = operation else {
        return Ok(Value::Null);
    };
    let unnamed = |error: kind::KindError| {
        Refusal::new("unsupported", error.to_string(), "name a kind that plans may name")
    };
    let known = kind::find(group, version, kind).map_err(unnamed)?;
    kind::check_namespace(namespace).map_err(unnamed)?;
    let collection = path::collection(group, version, namespace, known.resource);
    let mut fields = fields.clone();
    if !fields.iter().any(|field| field == "metadata.name") {
        fields.push("metadata.name".to_owned());
    }
    let fields = parsed(&fields)?;
    let what = format!("list {kind} in namespace {namespace}");
    let mut items = Vec::new();
    let mut next = String::new();
    let mut size = 0;
    loop {
        let missing = most.saturating_sub(u32::try_from(items.len()).unwrap_or(u32::MAX));
        let mut query = format!("limit={}", missing.min(PAGE));
        if !next.is_empty() {
            query.push_str(&format!("&continue={next}"));
        }
        let mut page = cluster
            .ask(&Method::GET, &collection, &query, None)
            .await
            .map_err(|error| LookError::of(error, &what))?;
        next = token(&page)?;
        let Some(Value::Array(found)) = page.get_mut("items").map(Value::take) else {
            return Err(LookError::Unavailable(ApiError::Unclear(
                "a list without items".to_owned(),
            )));
        };
        let room = usize::try_from(missing).unwrap_or(usize::MAX);
        let more = found.len() > room || !next.is_empty();
        for object in found.iter().take(room) {
            let item = Value::Object(shown(object, &fields)?);
            size += item.to_string().len();
            items.push(item);
        }
        if size > limit::RESULT {
            let reason = format!("the result of `{what}` exceeds {} bytes", limit::RESULT);
            return Err(Refusal::new(
                "unsupported",
                reason,
                "name fewer fields, or a smaller limit",
            )
            .into());
        }
        // An empty page would never end.
        if !more || found.is_empty() || items.len() >= usize::try_from(*most).unwrap_or(usize::MAX)
        {
            return Ok(json!({"items": items, "truncated": more}));
        }
    }
}

/// The token of the next page; empty on the last page. Tokens of the API server are URL-safe base64
/// (`pkg/storage/continue.go`), so a query has them unchanged. Any other text is rejected.
fn token(page: &Value) -> Result<String, LookError> {
    let token = page.pointer("/metadata/continue").and_then(Value::as_str).unwrap_or_default();
    if token
        .bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'~'))
    {
        Ok(token.to_owned())
    } else {
        Err(LookError::Unavailable(ApiError::Unclear(
            "a list with an invalid token for its next page".to_owned(),
        )))
    }
}

#[cfg(test)]
mod tests;
