//! `subscriptions/listen` of revision 2026-07-28: one long response with the news that its client
//! asked for. The caller is authenticated again before each look, and gets no more than it could
//! ask for. Stores nothing: a client that comes back subscribes again.

use super::message::Message;
use super::progress::{ALIVE, COMMENT, event};
use super::{Responder, accepts, task};
use crate::auth::caller_of_stream;
use crate::deny::Deny;
use crate::edge::Edge;
use crate::proxies::Client;
use crate::respond::{self, Answer};
use crate::seats::Seat;
use crate::shares::{Shares, Used};
use cofferdam_core::journey::call_of;
use cofferdam_core::journey::ports::Front;
use cofferdam_core::model::answer::ToolListings;
use cofferdam_core::model::caller::Principal;
use cofferdam_core::model::id::CallId;
use hyper::HeaderMap;
use hyper::body::Bytes;
use hyper::header::AUTHORIZATION;
use serde_json::{Map, Value, json};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

/// Most calls that one subscription follows. Further ones are left out of the acknowledgement.
pub const FOLLOWED: usize = 16;

/// Most events that wait for the connection.
const EVENTS: usize = 4;

/// The key of `_meta` with the id of the subscription, in every message of the stream.
const ID_META: &str = "io.modelcontextprotocol/subscriptionId";

/// The news that a client asked for.
#[derive(Debug, Default, PartialEq)]
struct Filter {
    tools: bool,
    /// Ids of tasks, if the client asked for tasks.
    tasks: Option<Vec<String>>,
    /// Addresses of resources, if the client asked for resources.
    resources: Option<Vec<String>>,
}

/// A call whose news are told.
struct Followed {
    call: CallId,
    /// The name under which the client asked for the call.
    named: Named,
    /// The version that was told last.
    version: u64,
}

#[derive(PartialEq)]
enum Named {
    Task,
    Resource(String),
}

/// One subscription.
struct Subscription<F> {
    front: Arc<F>,
    caller: Arc<Subscriber>,
    responder: Responder,
    /// The list that the client can know, if it asked for the news of it.
    tools: Option<ToolListings>,
    followed: Vec<Followed>,
    pause: Duration,
    draining: watch::Receiver<bool>,
    shares: Arc<Shares>,
    _used: Used,
}

/// The proof of the caller, which is checked again before each look.
struct Subscriber {
    /// The `Authorization` header alone.
    headers: HeaderMap,
    client: Client,
    name: String,
}

impl<F: Front> Edge<F> {
    /// Opens the stream of a subscription.
    pub async fn listen(
        &self,
        headers: &HeaderMap,
        seat: &Seat,
        principal: &Principal,
        message: &Message,
        responder: Responder,
    ) -> Result<Answer, Deny> {
        if !accepts(headers, "text/event-stream") {
            return Err(Deny::AcceptEvents);
        }
        let filter = Filter::read(&message.params)?;
        if filter.tasks.is_some() && !task::declared(&message.meta) {
            return Err(Deny::NoTasks);
        }
        if self.calls.is_draining() {
            return Err(Deny::Stopping);
        }
        let used = self.shares.stream(principal)?;
        let tools = if filter.tools { Some(self.tools(principal).await?) } else { None };
        let followed = self.followed(principal, &filter).await?;
        let acknowledged = acknowledged(&filter, &followed);
        let mut own = HeaderMap::new();
        own.extend(
            headers.get_all(AUTHORIZATION).iter().map(|value| (AUTHORIZATION, value.clone())),
        );
        let caller = Subscriber {
            headers: own,
            client: self.client(headers, seat),
            name: principal.name.clone(),
        };
        let subscription = Subscription {
            front: Arc::clone(&self.front),
            caller: Arc::new(caller),
            responder,
            tools,
            followed,
            pause: self.settings.listen_pause,
            draining: self.calls.draining(),
            shares: Arc::clone(&self.shares),
            _used: used,
        };
        let (events, body) = mpsc::channel(EVENTS);
        tokio::spawn(subscription.run(acknowledged, events));
        Ok(respond::events(body))
    }

    /// The calls of the caller among those that it asked for.
    async fn followed(
        &self,
        principal: &Principal,
        filter: &Filter,
    ) -> Result<Vec<Followed>, Deny> {
        let tasks = filter
            .tasks
            .iter()
            .flatten()
            .filter_map(|id| CallId::parse(id).ok().map(|call| (call, Named::Task)));
        let resources = filter
            .resources
            .iter()
            .flatten()
            .filter_map(|uri| call_of(uri).map(|call| (call, Named::Resource(uri.clone()))));
        let mut followed: Vec<Followed> = Vec::new();
        // Each name costs a look at the store, also one that this caller cannot see.
        for (call, named) in tasks.chain(resources).take(FOLLOWED) {
            if followed.iter().any(|one| one.call == call && one.named == named) {
                continue;
            }
            match self.task(principal, &call).await {
                // A task is told once at the start: it may have moved since the client's last look.
                Ok(task) => {
                    let version = if named == Named::Task { 0 } else { task.version };
                    followed.push(Followed { call, named, version });
                }
                Err(Deny::UnknownTask(_)) => {}
                Err(deny) => return Err(deny),
            }
        }
        Ok(followed)
    }
}

impl Filter {
    fn read(params: &Map<String, Value>) -> Result<Self, Deny> {
        let Some(Value::Object(asked)) = params.get("notifications") else {
            return Err(Deny::Params("`notifications` must be an object".into()));
        };
        let tools = match asked.get("toolsListChanged") {
            None | Some(Value::Null) => false,
            Some(Value::Bool(wanted)) => *wanted,
            Some(_) => {
                return Err(Deny::Params("`toolsListChanged` must be true or false".into()));
            }
        };
        Ok(Self {
            tools,
            tasks: names(asked, "taskIds")?,
            resources: names(asked, "resourceSubscriptions")?,
        })
    }
}

fn names(asked: &Map<String, Value>, member: &str) -> Result<Option<Vec<String>>, Deny> {
    let wrong = || Deny::Params(format!("`{member}` must be a list of strings"));
    let text = |value: &Value| value.as_str().map(str::to_owned).ok_or_else(wrong);
    match asked.get(member) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::Array(names)) => names.iter().map(text).collect::<Result<_, _>>().map(Some),
        Some(_) => Err(wrong()),
    }
}

/// The part of the filter that is served.
fn acknowledged(filter: &Filter, followed: &[Followed]) -> Value {
    let mut told = Map::new();
    if filter.tools {
        told.insert("toolsListChanged".into(), Value::Bool(true));
    }
    if filter.tasks.is_some() {
        let tasks = followed.iter().filter(|one| one.named == Named::Task);
        told.insert("taskIds".into(), tasks.map(|one| json!(one.call)).collect());
    }
    if filter.resources.is_some() {
        let uris = followed.iter().filter_map(|one| match &one.named {
            Named::Resource(uri) => Some(json!(uri)),
            Named::Task => None,
        });
        told.insert("resourceSubscriptions".into(), uris.collect());
    }
    json!({ "notifications": told })
}

impl<F: Front> Subscription<F> {
    /// Tells the news until the client closes the stream, its token is no longer valid, or the
    /// server drains.
    async fn run(mut self, acknowledged: Value, events: mpsc::Sender<Bytes>) {
        let mut draining = self.draining.clone();
        let first = self.message("notifications/subscriptions/acknowledged", acknowledged);
        let (mut news, mut told) = (vec![first], Instant::now());
        loop {
            for message in news {
                told = Instant::now();
                if events.send(event(&message)).await.is_err() {
                    return;
                }
            }
            news = match self.news().await {
                Some(news) => news,
                None => break,
            };
            if !news.is_empty() {
                continue;
            }
            if told.elapsed() >= ALIVE {
                told = Instant::now();
                if events.send(Bytes::from_static(COMMENT)).await.is_err() {
                    return;
                }
            }
            tokio::select! {
                biased;
                () = events.closed() => return,
                // The sender exists until the server ends.
                _ = draining.wait_for(|draining| *draining) => break,
                () = tokio::time::sleep(self.pause) => {}
            }
        }
        let end = json!({"jsonrpc": "2.0", "id": self.responder.id,
        "result": self.responder.modern(self.meta())});
        let _reader_gone = events.send(event(&end)).await;
    }

    /// The news since the last look. `None` ends the subscription: the caller is no longer valid.
    async fn news(&mut self) -> Option<Vec<Value>> {
        let Subscriber { headers, client, name } = &*self.caller;
        let principal = caller_of_stream(&*self.front, headers, *client).await.ok()?;
        if principal.name != *name {
            return None;
        }
        // Each look is a request of the caller. Over its limit, the next look comes later.
        if self.shares.request(&principal, Instant::now().into_std()).is_err() {
            return Some(Vec::new());
        }
        let mut news = Vec::new();
        if let Some(known) = &mut self.tools
            // Without a list there is no news. The next look tries again.
            && let Ok(now) = self.front.list(&principal).await
            && !Arc::ptr_eq(known, &now)
        {
            let differs = *known != now;
            *known = now;
            if differs {
                news.push(self.message("notifications/tools/list_changed", json!({})));
            }
        }
        for mut one in std::mem::take(&mut self.followed) {
            match self.front.task(&principal, &one.call).await {
                Ok(Some(task)) => {
                    if task.version > one.version {
                        one.version = task.version;
                        news.push(match &one.named {
                            Named::Task => {
                                let detailed = Value::Object(self.responder.detailed(&task));
                                self.message("notifications/tasks", detailed)
                            }
                            Named::Resource(uri) => {
                                self.message("notifications/resources/updated", json!({"uri": uri}))
                            }
                        });
                    }
                    // A final state never changes; its job may still be cleaned up.
                    if !(task.is_over() && one.named == Named::Task) {
                        self.followed.push(one);
                    }
                }
                Ok(None) => {}
                Err(_) => self.followed.push(one),
            }
        }
        Some(news)
    }

    fn message(&self, method: &str, params: Value) -> Value {
        let mut params = params;
        if let Some(params) = params.as_object_mut() {
            params.extend(self.meta());
        }
        json!({"jsonrpc": "2.0", "method": method, "params": params})
    }

    fn meta(&self) -> Map<String, Value> {
        let mut members = Map::new();
        members.insert("_meta".into(), json!({ID_META: self.responder.id}));
        members
    }
}
