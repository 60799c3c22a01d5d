//! Listing: one evaluation a tool, so that a long catalog needs no longer budget; never more than
//! the catalog has, and nothing at all when policy does not answer as it should.

use super::World;
use crate::journey::ports::{GuestError, Host, Judge};
use crate::model::answer::{ToolListing, ToolListings};
use crate::model::caller::Principal;
use crate::model::facts::Resource;
use crate::policy::digest::LIST_ENTRYPOINT;
use crate::protocol::RoleError;
use crate::stage::discover::Visible;
use crate::stage::question::list_question;
use jiff::Timestamp;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

/// The most callers whose lists are kept: more than use one gateway within a minute.
const CALLERS: usize = 4_096;

/// The lists of this minute. A list is a function of the caller, the minute, and values that stay
/// the same as long as the gateway runs: its tools, policy and environment. The key is the question
/// with all of these but the tools. Never keeps an error.
#[derive(Debug, Default)]
pub struct Lists {
    /// Each tool as agents read it, by name; made at the first list.
    listings: OnceLock<BTreeMap<String, Arc<ToolListing>>>,
    kept: Mutex<BTreeMap<String, ToolListings>>,
}

impl Lists {
    fn get(&self, question: &str) -> Option<ToolListings> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner).get(question).cloned()
    }

    fn keep(&self, question: String, listings: &ToolListings) {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() >= CALLERS {
            // Most are of an earlier minute.
            kept.clear();
        }
        kept.insert(question, Arc::clone(listings));
    }

    fn listings(&self, world: &World) -> &BTreeMap<String, Arc<ToolListing>> {
        self.listings.get_or_init(|| {
            let environment = &world.trust.environment;
            let tools = world.catalog.tools();
            tools
                .map(|tool| (tool.name().to_owned(), Arc::new(tool.listing(environment))))
                .collect()
        })
    }
}

/// The tools this caller may see, sorted by name. With an error the caller sees
/// nothing then.
pub async fn list<H: Host>(
    host: &H,
    world: &World,
    principal: &Principal,
) -> Result<ToolListings, RoleError> {
    let now = host.now();
    let environment = &world.trust.environment;
    let question = list_question(principal.subject(), Vec::new(), environment, world.policy, now)
        .map_err(|denial| RoleError::Unavailable(denial.why))?;
    if let Some(listings) = world.lists.get(&question) {
        return Ok(listings);
    }
    let all = world.lists.listings(world);
    let mut listings = Vec::new();
    for tool in world.catalog.tools() {
        let visible = visible(host, world, principal, vec![tool.resource()], now).await;
        let visible = visible.map_err(|error| RoleError::Unavailable(error.to_string()))?;
        if visible.contains(tool.name()) {
            listings.extend(all.get(tool.name()).cloned());
        }
    }
    let listings: ToolListings = listings.into();
    world.lists.keep(question, &listings);
    Ok(listings)
}

/// Asks policy for the tools among these that the caller may see at this time.
pub(super) async fn visible<H: Host>(
    host: &H,
    world: &World,
    principal: &Principal,
    tools: Vec<Resource>,
    now: Timestamp,
) -> Result<Visible, GuestError> {
    let question =
        list_question(principal.subject(), tools, &world.trust.environment, world.policy, now)
            .map_err(|denial| GuestError { code: denial.rule, detail: denial.why })?;
    let output = host.judge().evaluate(LIST_ENTRYPOINT, &question).await?;
    Visible::read(&output)
        .map_err(|error| GuestError { code: "output".to_owned(), detail: error.to_string() })
}
