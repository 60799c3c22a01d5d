//! The edge as a resource server of OAuth 2.1: its metadata (RFC 9728), the scope of each request,
//! and the challenges. Checks no token, and issues none.

use crate::builtin_tools::READING;
use crate::deny::Deny;
use crate::edge::Edge;
use crate::mcp::message::Message;
use crate::path::require_method;
use crate::respond::{self, Answer};
use cofferdam_core::journey::ports::Front;
use cofferdam_core::model::access::{Access, TokenRefusal};
use cofferdam_core::protocol::role_settings::OauthSettings;
use hyper::header::{CACHE_CONTROL, WWW_AUTHENTICATE};
use hyper::http::request::Parts;
use hyper::{Method, StatusCode};
use serde_json::{Value, json};

/// The place of the metadata, without the path of the resource.
const METADATA: &str = "/.well-known/oauth-protected-resource";

/// The path of the MCP endpoint at this server. A proxy may serve it at another path.
const ENDPOINT: &str = "/mcp";

/// Time for which a client may keep the metadata. It changes with a restart.
const METADATA_TIME: &str = "max-age=300";

/// The text for a client that tries to sign in at a server without issuers.
const NO_OAUTH: &str = "Cofferdam has no sign-in by OAuth. Send `Authorization: Bearer TOKEN`; \
                        `cofferdam agents add NAME` makes a token, `cofferdam agents list` lists \
                        the agents that have one";

/// The methods that only read. Every other method needs the scope for calls, so that a new one is
/// never open by mistake.
const READS: [&str; 12] = [
    "server/discover",
    "initialize",
    "ping",
    "tools/list",
    "tasks/get",
    "resources/list",
    "resources/templates/list",
    "resources/read",
    "prompts/list",
    "prompts/get",
    "completion/complete",
    "subscriptions/listen",
];

/// The access that a request needs.
pub fn needed(message: &Message) -> Access {
    let tool = message.params.get("name").and_then(Value::as_str);
    let reads = match message.method.as_str() {
        "tools/call" => tool.is_some_and(|tool| READING.contains(&tool)),
        method => READS.contains(&method),
    };
    if reads { Access::Read } else { Access::Call }
}

/// The URL of the metadata of a resource: the well-known path stands before the resource's own
/// (RFC 9728 §3.1).
fn metadata_url(resource: &str) -> String {
    let (origin, path) = split(resource);
    format!("{origin}{METADATA}{path}")
}

/// The origin of a URL, and its path without a slash at the end.
fn split(url: &str) -> (&str, &str) {
    let start = url.find("://").map_or(0, |at| at + 3);
    let rest = url.get(start..).unwrap_or_default();
    let (origin, path) =
        rest.find('/').and_then(|at| url.split_at_checked(start + at)).unwrap_or((url, ""));
    (origin, path.trim_end_matches('/'))
}

/// The scopes for an access, as a client asks for them. A client that asks again gets those it has
/// and those it lacks.
fn scopes(oauth: &OauthSettings, access: Access) -> String {
    let prefix = &oauth.scope_prefix;
    let read = format!("{prefix}{}", oauth.read_scope);
    match access {
        Access::Call => format!("{read} {prefix}{}", oauth.call_scope),
        _ => read,
    }
}

/// The challenge to an approver: a signature, and no token of an agent.
const SIGN_IN: &str = "Cofferdam-Sign-In realm=\"approvers\"";

impl<F: Front> Edge<F> {
    /// Refuses a request whose token does not permit it.
    pub fn require(&self, access: Access, needed: Access) -> Result<(), Deny> {
        if access >= needed {
            return Ok(());
        }
        let scope = self.settings.oauth.as_ref().map(|oauth| match needed {
            Access::Call => oauth.call_scope.clone(),
            _ => oauth.read_scope.clone(),
        });
        Err(Deny::Scope { scope: scope.unwrap_or_default(), needed })
    }

    /// Adds the challenge to a 401 or 403 (RFC 6750 §3, RFC 9449 §7.1, RFC 9728 §5.1).
    pub fn challenged(&self, answer: Answer, deny: &Deny) -> Answer {
        let mut scheme = "Bearer";
        let (error, access) = match deny {
            // A request without a token has no error to name.
            Deny::TokenMissing => ("", Access::Call),
            Deny::TokenForm => ("invalid_request", Access::Call),
            Deny::TokenUnknown | Deny::TokenExpired | Deny::TokenEnded => {
                ("invalid_token", Access::Call)
            }
            Deny::Token(TokenRefusal::Proof) => {
                scheme = "DPoP";
                ("invalid_dpop_proof", Access::Call)
            }
            Deny::Token(_) => ("invalid_token", Access::Call),
            Deny::Scope { needed, .. } => ("insufficient_scope", *needed),
            Deny::SignIn(_) => return respond::add(answer, WWW_AUTHENTICATE, SIGN_IN),
            _ => return answer,
        };
        let mut challenge = format!("{scheme} realm=\"cofferdam\"");
        if !error.is_empty() {
            challenge.push_str(&format!(", error=\"{error}\""));
        }
        challenge.push_str(&format!(", error_description=\"{deny}\""));
        if let Some(oauth) = &self.settings.oauth {
            challenge.push_str(&format!(
                ", resource_metadata=\"{}\", scope=\"{}\"",
                metadata_url(&oauth.resource),
                scopes(oauth, access)
            ));
            if scheme == "DPoP" {
                let algorithms = self.settings.proof_algorithms.join(" ");
                challenge.push_str(&format!(", algs=\"{algorithms}\""));
            }
        }
        respond::add(answer, WWW_AUTHENTICATE, &challenge)
    }

    /// The response at the places where clients look for documents of OAuth.
    pub fn oauth_document(&self, parts: &Parts) -> Result<Answer, Deny> {
        let path = parts.uri.path().trim_end_matches('/');
        let Some(oauth) = &self.settings.oauth else { return Ok(self.no_oauth(true)) };
        let (_, own) = split(&oauth.resource);
        let places = ["", ENDPOINT, own];
        if !path.strip_prefix(METADATA).is_some_and(|rest| places.contains(&rest)) {
            return Ok(self.no_oauth(true));
        }
        require_method(parts, &Method::GET, "GET, HEAD")?;
        let issuers: Vec<&str> = oauth.issuers.iter().map(|it| it.issuer.as_str()).collect();
        let all = scopes(oauth, Access::Call);
        let document = json!({
            "resource": oauth.resource,
            "authorization_servers": issuers,
            "scopes_supported": all.split(' ').collect::<Vec<_>>(),
            "bearer_methods_supported": ["header"],
            "resource_name": format!("Cofferdam ({})", self.front.environment()),
            "dpop_signing_alg_values_supported": self.settings.proof_algorithms,
        });
        let answer = respond::json(StatusCode::OK, &document);
        Ok(respond::add(answer, CACHE_CONTROL, METADATA_TIME))
    }

    /// The response to a client that looks for an authorization server here, registers or signs in:
    /// an error in the form of OAuth (RFC 6749 §5.2), which clients show.
    pub fn no_oauth(&self, document: bool) -> Answer {
        // Without a document, clients try the next place, and at last registration.
        let status = if document { StatusCode::NOT_FOUND } else { StatusCode::BAD_REQUEST };
        let text = match &self.settings.oauth {
            None => NO_OAUTH.to_owned(),
            Some(oauth) => format!(
                "Cofferdam issues no tokens. Sign in at an issuer that its metadata names: {}",
                metadata_url(&oauth.resource)
            ),
        };
        respond::json(status, &json!({"error": "invalid_request", "error_description": text}))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_metadata_stands_before_the_path() {
        let check = |resource: &str, expect: &str| assert_eq!(metadata_url(resource), expect);
        check(
            "https://a.example/mcp",
            "https://a.example/.well-known/oauth-protected-resource/mcp",
        );
        check(
            "https://a.example:8443/x/mcp",
            "https://a.example:8443/.well-known/oauth-protected-resource/x/mcp",
        );
        check("https://a.example", "https://a.example/.well-known/oauth-protected-resource");
        check("https://a.example/", "https://a.example/.well-known/oauth-protected-resource");
    }

    #[test]
    fn what_is_not_known_to_read_needs_the_scope_for_calls() {
        let check = |method: &str, tool: Option<&str>, expect: Access| {
            let mut params = serde_json::Map::new();
            params.extend(tool.map(|tool| ("name".to_owned(), json!(tool))));
            let meta = serde_json::Map::new();
            let message = Message { id: None, method: method.to_owned(), params, meta };
            assert_eq!(needed(&message), expect, "{method} {tool:?}");
        };
        check("tools/list", None, Access::Read);
        check("server/discover", None, Access::Read);
        for tool in ["job_get", "calls_list", "preview"] {
            check("tools/call", Some(tool), Access::Read);
            check("prompts/unknown", Some(tool), Access::Call);
        }
        for tool in [Some("job_cancel"), Some("deployment_scale"), Some("Preview"), None] {
            check("tools/call", tool, Access::Call);
        }
        for method in ["tasks/cancel", "tasks/update", "tools/List", "", "new/method"] {
            check(method, None, Access::Call);
        }
    }
}
