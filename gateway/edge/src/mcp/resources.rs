//! Resources: `resources/list`, `resources/templates/list` and `resources/read`, of the caller's own
//! calls. One page each: a list has a bounded number of calls. Decides nothing.

use super::message::{self, Message};
use super::revision::{self, Era};
use super::{DISCOVER_TTL_MS, cacheable};
use crate::deny::Deny;
use crate::edge::Edge;
use crate::header::excerpt;
use cofferdam_core::journey::ports::Front;
use cofferdam_core::model::caller::Principal;
use cofferdam_core::model::resource::{Content, Resource};
use cofferdam_core::protocol::RoleError;
use hyper::HeaderMap;
use serde_json::{Map, Value, json};

/// Time for which a client may keep a resource or their list, in milliseconds: a job moves on.
const TTL_MS: u64 = 1_000;

/// Longest address that is looked up, in bytes; longer than any address of a resource.
const URI_LONGEST: usize = 256;

impl<F: Front> Edge<F> {
    /// The caller's own resources.
    pub async fn resources(
        &self,
        era: Era,
        principal: &Principal,
        params: &Map<String, Value>,
    ) -> Result<Map<String, Value>, Deny> {
        one_page(params)?;
        let _used = self.shares.call(principal)?;
        let _place = self.calls.enter(false)?;
        let resources = self.front.resources(principal).await.map_err(|error| unread(&error))?;
        let listed: Vec<Value> = resources.iter().map(|one| listed(one, "uri")).collect();
        Ok(cached(era, "resources", json!(listed), TTL_MS))
    }

    /// The templates of all addresses.
    pub fn resource_templates(
        &self,
        era: Era,
        params: &Map<String, Value>,
    ) -> Result<Map<String, Value>, Deny> {
        one_page(params)?;
        let templates = self.front.resource_templates();
        let listed: Vec<Value> = templates.iter().map(|one| listed(one, "uriTemplate")).collect();
        Ok(cached(era, "resourceTemplates", json!(listed), DISCOVER_TTL_MS))
    }

    /// The content at an address.
    pub async fn resource(
        &self,
        headers: &HeaderMap,
        era: Era,
        principal: &Principal,
        message: &Message,
    ) -> Result<Map<String, Value>, Deny> {
        let uri = message::text(&message.params, "uri")?;
        revision::name_matches(headers, uri, era)?;
        let absent = || Deny::UnknownResource { uri: excerpt(uri), legacy: era == Era::Legacy };
        if uri.len() > URI_LONGEST {
            return Err(absent());
        }
        let _used = self.shares.call(principal)?;
        let _place = self.calls.enter(false)?;
        let found = self.front.resource(principal, uri).await.map_err(|error| unread(&error))?;
        let content = found.ok_or_else(absent)?;
        Ok(cached(era, "contents", json!([contents(&content)]), TTL_MS))
    }
}

/// The content in the form of MCP.
pub fn contents(content: &Content) -> Value {
    json!({"uri": content.uri, "mimeType": content.media, "text": content.text})
}

/// A result with one member and, in the modern revision, its time to live.
pub fn cached(era: Era, name: &str, value: Value, ttl_ms: u64) -> Map<String, Value> {
    let mut result = Map::new();
    result.insert(name.into(), value);
    if era == Era::Modern {
        cacheable(&mut result, ttl_ms);
    }
    result
}

/// Refuses a cursor: these lists have one page, so this server gave none.
pub fn one_page(params: &Map<String, Value>) -> Result<(), Deny> {
    match params.get("cursor") {
        None => Ok(()),
        Some(_) => Err(Deny::Params(
            "`cursor` is not one that this server gave; list from the beginning".into(),
        )),
    }
}

fn listed(resource: &Resource, address: &str) -> Value {
    let Resource { uri, name, title, description, media } = resource;
    json!({address: uri, "name": name, "title": title, "description": description,
    "mimeType": media})
}

fn unread(error: &RoleError) -> Deny {
    tracing::error!(what = "resources", %error, "a resource could not be read");
    Deny::Unavailable("calls cannot be read now; try again later".into())
}
