//! `tools/list`: the tools of the Front and the built-in tools, by name, in pages. A cursor is the
//! last name of the page before, so that no page is kept, and a removed tool breaks no cursor.

use crate::builtin_tools;
use crate::deny::Deny;
use crate::edge::Edge;
use crate::render::Form;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use cofferdam_core::journey::ports::Front;
use cofferdam_core::model::answer::{ToolListing, ToolListings};
use cofferdam_core::model::caller::Principal;
use serde_json::{Map, Value};
use std::sync::Arc;

/// Tools of a page: more schemas crowd out the context of a model.
pub const PAGE: usize = 50;

/// The words before the name in a cursor.
const AFTER: &str = "after:";

/// A page of tools.
pub struct Page {
    /// A JSON array.
    pub tools: String,
    /// The cursor of the next page, if there is one.
    pub next: Option<String>,
}

impl<F: Front> Edge<F> {
    /// Returns every tool that this caller may see, by name, without the built-in ones.
    pub async fn tools(&self, principal: &Principal) -> Result<ToolListings, Deny> {
        let _used = self.shares.list(principal).await?;
        self.front.list(principal).await.map_err(|error| {
            tracing::error!(agent = principal.name, %error, "the tools could not be listed");
            Deny::Unavailable("the tools cannot be listed now".into())
        })
    }

    /// Returns the page of `tools/list` for these parameters.
    pub async fn list(
        &self,
        principal: &Principal,
        params: &Map<String, Value>,
        form: Form,
    ) -> Result<Page, Deny> {
        let after = match params.get("cursor") {
            None => None,
            Some(Value::String(cursor)) => Some(read(cursor)?),
            Some(_) => return Err(Deny::Params("`cursor` must be a string".into())),
        };
        let tools = self.tools(principal).await?;
        let builtin = self.listed.builtin(&self.front.environment());
        let own = tools.iter().filter(|tool| !builtin_tools::is_builtin_tool(&tool.name));
        let mut rest: Vec<&Arc<ToolListing>> = own
            .chain(builtin)
            .filter(|tool| after.as_ref().is_none_or(|after| tool.name > *after))
            .collect();
        rest.sort_by(|a, b| a.name.cmp(&b.name));
        let more = rest.len() > PAGE;
        rest.truncate(PAGE);
        let last = rest.last().filter(|_| more);
        let next = last.map(|last| written(&last.name));
        Ok(Page { tools: self.listed.array(rest.into_iter(), form), next })
    }
}

fn written(last: &str) -> String {
    URL_SAFE_NO_PAD.encode(format!("{AFTER}{last}"))
}

fn read(cursor: &str) -> Result<String, Deny> {
    let bytes = URL_SAFE_NO_PAD.decode(cursor).ok();
    let text = bytes.and_then(|bytes| String::from_utf8(bytes).ok());
    let after = text.as_deref().and_then(|text| text.strip_prefix(AFTER)).map(str::to_owned);
    after.ok_or_else(|| {
        Deny::Params("`cursor` is not one that this server gave; list from the beginning".into())
    })
}
