//! Listing: one evaluation a tool, so that a long catalog needs no longer budget; never more than the catalog has, and nothing at all when policy does
//! not answer as it should.

use super::World;
use crate::answer::ToolListing;
use crate::caller::Principal;
use crate::decide::{LIST_ENTRYPOINT, Resource, list_question};
use crate::discover::Visible;
use crate::exchange::Fault;
use crate::ports::{GuestFault, Host, Judge};

/// The tools this caller may see, sorted by name. A fault is an operator's matter: the caller sees nothing then.
pub async fn list<H: Host>(host: &H, world: &World, principal: &Principal) -> Result<Vec<ToolListing>, Fault> {
    let environment = &world.trust.environment;
    let mut listings = Vec::new();
    for tool in world.catalog.tools() {
        let visible = visible(host, world, principal, vec![tool.resource()]).await;
        if visible.map_err(|fault| Fault::Unavailable(fault.to_string()))?.contains(tool.name()) {
            listings.push(tool.listing(environment));
        }
    }
    Ok(listings)
}

/// Asks which of these tools a caller may see.
pub(super) async fn visible<H: Host>(host: &H, world: &World, principal: &Principal, tools: Vec<Resource>) -> Result<Visible, GuestFault> {
    let question = list_question(principal.subject(), tools, &world.trust.environment, world.policy, host.now())
        .map_err(|denial| GuestFault { code: denial.rule, detail: denial.why })?;
    let output = host.judge().evaluate(LIST_ENTRYPOINT, &question).await?;
    Visible::read(&output).map_err(|fault| GuestFault { code: "output".to_owned(), detail: fault.to_string() })
}
