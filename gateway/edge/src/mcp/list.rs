//! `tools/list`: the tools of the Front and the built-in tools, by name, in pages. A cursor is the
//! last name of the page before, so that no page is kept, and a removed tool breaks no cursor.

use crate::builtin_tools;
use crate::deny::Deny;
use crate::edge::Edge;
use crate::render::{self, Form};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use cofferdam_core::journey::ports::Front;
use cofferdam_core::model::answer::ToolListing;
use cofferdam_core::model::caller::Principal;
use serde_json::{Map, Value};

/// Tools of a page: more schemas crowd out the context of a model.
pub const PAGE: usize = 50;

/// The words before the name in a cursor.
const AFTER: &str = "after:";

impl<F: Front> Edge<F> {
    /// Returns every tool that this caller may see, by name.
    pub async fn tools(&self, principal: &Principal) -> Result<Vec<ToolListing>, Deny> {
        let _used = self.shares.list(principal).await?;
        let tools = self.front.list(principal).await.map_err(|error| {
            tracing::error!(agent = principal.name, %error, "the tools could not be listed");
            Deny::Unavailable("the tools cannot be listed now".into())
        })?;
        Ok(tools.into_iter().filter(|tool| !builtin_tools::is_builtin_tool(&tool.name)).collect())
    }

    /// Returns the result of `tools/list`.
    pub async fn list(
        &self,
        principal: &Principal,
        params: &Map<String, Value>,
        form: Form,
    ) -> Result<Map<String, Value>, Deny> {
        let after = match params.get("cursor") {
            None => None,
            Some(Value::String(cursor)) => Some(read(cursor)?),
            Some(_) => return Err(Deny::Params("`cursor` must be a string".into())),
        };
        let mut tools = self.tools(principal).await?;
        tools.extend(builtin_tools::listings(&self.front.environment()));
        tools.sort_by(|a, b| a.name.cmp(&b.name));
        let mut rest = tools
            .iter()
            .filter(|tool| after.as_ref().is_none_or(|after| tool.name > *after))
            .peekable();
        let mut page = Vec::new();
        let mut last = None;
        while let Some(tool) = rest.next_if(|_| page.len() < PAGE) {
            page.push(render::listing(tool, form));
            last = Some(&tool.name);
        }
        let mut result = Map::new();
        result.insert("tools".into(), Value::Array(page));
        if let (Some(last), Some(_)) = (last, rest.peek()) {
            result.insert("nextCursor".into(), Value::String(written(last)));
        }
        Ok(result)
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
