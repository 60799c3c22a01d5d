//! Requests to the API server about an identity: its tokens, its name. Each object is built here
//! alone. Keeps no token.

use super::api::{ApiError, Cluster, Mode};
use super::labels::IDENTITY;
use super::typed::to_json;
use k8s_openapi::api::authentication::v1::{
    BoundObjectReference, SelfSubjectReview, TokenRequest, TokenRequestSpec,
};
use serde_json::Value;

/// Seconds that a token is valid: the least that API servers issue.
pub(crate) const TOKEN_SECONDS: u32 = 600;

/// The Secret that the tokens of a run are bound to; with `uid`, only that one object.
pub(crate) fn identity_secret(uid: Option<&str>) -> BoundObjectReference {
    BoundObjectReference {
        api_version: Some("v1".to_owned()),
        kind: Some("Secret".to_owned()),
        name: Some(IDENTITY.to_owned()),
        uid: uid.map(str::to_owned),
    }
}

/// A request for a token. Without audiences it is for the API server itself.
pub(crate) fn token_request(bound: Option<BoundObjectReference>, audiences: &[&str]) -> Value {
    to_json(&TokenRequest {
        spec: TokenRequestSpec {
            audiences: audiences.iter().map(|audience| (*audience).to_owned()).collect(),
            bound_object_ref: bound,
            expiration_seconds: Some(i64::from(TOKEN_SECONDS)),
        },
        ..TokenRequest::default()
    })
}

/// The name of this connection's identity, in the words of the API server. `None` if the response
/// has no name.
///
/// # Errors
/// The API server refuses the request or does not respond.
pub(crate) async fn own_name(cluster: &Cluster) -> Result<Option<String>, ApiError> {
    let review = to_json(&SelfSubjectReview::default());
    let path = "/apis/authentication.k8s.io/v1/selfsubjectreviews";
    let answer = cluster.create(path, &review, Mode::Real).await?;
    Ok(answer.pointer("/status/userInfo/username").and_then(Value::as_str).map(str::to_owned))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_request_for_a_token_has_its_binding_and_its_audience_and_no_more() {
        assert_eq!(
            token_request(Some(identity_secret(Some("u"))), &["a"]),
            json!({
                "apiVersion": "authentication.k8s.io/v1",
                "kind": "TokenRequest",
                "metadata": {},
                "spec": {
                    "audiences": ["a"],
                    "expirationSeconds": 600,
                    "boundObjectRef":
                        {"apiVersion": "v1", "kind": "Secret", "name": IDENTITY, "uid": "u"},
                },
            })
        );
        assert_eq!(
            token_request(None, &[])["spec"],
            json!({"audiences": [], "expirationSeconds": 600})
        );
    }
}
