//! Listing: one evaluation for all tools, never more than the catalog has, and nothing at all when policy does not answer as it should.

use super::World;
use crate::answer::ToolListing;
use crate::caller::Principal;
use crate::decide::{LIST_ENTRYPOINT, Resource, list_question};
use crate::discover::Visible;
use crate::exchange::Fault;
use crate::ports::{GuestFault, Host, Judge};

/// The tools this caller may see, sorted by name. A fault is an operator's matter: the caller sees nothing then.
pub async fn list<H: Host>(host: &H, world: &World, principal: &Principal) -> Result<Vec<ToolListing>, Fault> {
    let visible = visible(host, world, principal, world.catalog.resources()).await;
    let visible = visible.map_err(|fault| Fault::Unavailable(fault.to_string()))?;
    let environment = &world.trust.environment;
    Ok(world.catalog.tools().filter(|tool| visible.contains(tool.name())).map(|tool| tool.listing(environment)).collect())
}

/// Asks which of these tools a caller may see.
pub(super) async fn visible<H: Host>(host: &H, world: &World, principal: &Principal, tools: Vec<Resource>) -> Result<Visible, GuestFault> {
    let question = list_question(principal.subject(), tools, &world.trust.environment, world.policy, host.now())
        .map_err(|denial| GuestFault { code: denial.rule, detail: denial.why })?;
    let output = host.judge().evaluate(LIST_ENTRYPOINT, &question).await?;
    Visible::read(&output).map_err(|fault| GuestFault { code: "output".to_owned(), detail: fault.to_string() })
}
