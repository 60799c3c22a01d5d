//! The identity of a cluster: the UID of `kube-system`, which lasts as long as the cluster, and
//! which no plan can change. Reads alone.

use super::api::{ApiError, Cluster};
use super::credential::Credential;
use super::{object, path};
use serde::Serialize;
use serde_json::Value;

/// A cluster, as it says itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Identified {
    /// The UID of the namespace `kube-system`.
    #[serde(rename = "environment_id")]
    pub id: String,
    /// Where its API server is.
    pub server: String,
    /// The version of the server: `v1.36.3`.
    pub version: String,
}

/// Reads the identity of a credential's cluster.
pub async fn environment(credential: &Credential) -> Result<Identified, ApiError> {
    let cluster = Cluster::connect(credential)?;
    let system = cluster.get(&path::namespace("kube-system")).await?;
    let id = system.as_ref().and_then(object::uid);
    let id = id
        .ok_or_else(|| {
            ApiError::Unclear("there is no namespace `kube-system` with a UID".to_owned())
        })?
        .to_owned();
    let version = cluster.get("/version").await?.unwrap_or_default();
    let version = version.get("gitVersion").and_then(Value::as_str).unwrap_or("unknown").to_owned();
    Ok(Identified { id, server: credential.server(), version })
}
