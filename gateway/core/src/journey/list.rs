//! Listing: one evaluation a tool, so that a long catalog needs no longer budget; never more than
//! the catalog has, and nothing at all when policy does not answer as it should.

use super::World;
use crate::journey::ports::{GuestError, Host, Judge};
use crate::model::answer::ToolListing;
use crate::model::caller::Principal;
use crate::model::facts::Resource;
use crate::policy::digest::LIST_ENTRYPOINT;
use crate::protocol::RoleError;
use crate::stage::discover::Visible;
use crate::stage::question::list_question;

/// The tools this caller may see, sorted by name. With an error the caller sees
/// nothing then.
pub async fn list<H: Host>(
    host: &H,
    world: &World,
    principal: &Principal,
) -> Result<Vec<ToolListing>, RoleError> {
    let environment = &world.trust.environment;
    let mut listings = Vec::new();
    for tool in world.catalog.tools() {
        let visible = visible(host, world, principal, vec![tool.resource()]).await;
        if visible.map_err(|error| RoleError::Unavailable(error.to_string()))?.contains(tool.name())
        {
            listings.push(tool.listing(environment));
        }
    }
    Ok(listings)
}

/// Asks policy for the tools among these that the caller may see.
pub(super) async fn visible<H: Host>(
    host: &H,
    world: &World,
    principal: &Principal,
    tools: Vec<Resource>,
) -> Result<Visible, GuestError> {
    let question = list_question(
        principal.subject(),
        tools,
        &world.trust.environment,
        world.policy,
        host.now(),
    )
    .map_err(|denial| GuestError { code: denial.rule, detail: denial.why })?;
    let output = host.judge().evaluate(LIST_ENTRYPOINT, &question).await?;
    Visible::read(&output)
        .map_err(|error| GuestError { code: "output".to_owned(), detail: error.to_string() })
}
