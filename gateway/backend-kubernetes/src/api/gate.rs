//! The requests that one identity may send, on this side of the API server. RBAC and admission
//! decide again on the other side.

use http::Method;
use std::collections::BTreeSet;

/// The requests that one identity may send: exact methods and paths. A path that ends in `/` allows
/// everything below it.
#[derive(Debug, Clone, Default)]
pub struct Gate(BTreeSet<(String, String)>);

impl Gate {
    /// Adds one request to the gate.
    #[must_use]
    pub fn allow(mut self, method: &Method, path: impl Into<String>) -> Self {
        self.0.insert((method.to_string(), path.into()));
        self
    }

    /// Returns whether the gate has this request.
    pub fn permits(&self, method: &Method, path: &str) -> bool {
        self.0.iter().any(|(verb, allowed)| {
            verb == method.as_str()
                && (allowed == path
                    || (allowed.ends_with('/') && path.starts_with(allowed.as_str())))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gate_is_exact() {
        let gate = Gate::default()
            .allow(&Method::GET, "/api/v1/namespaces/a/pods/x")
            .allow(&Method::PATCH, "/apis/");
        for (method, path, expect) in [
            (Method::GET, "/api/v1/namespaces/a/pods/x", true),
            (Method::GET, "/api/v1/namespaces/a/pods/xy", false),
            (Method::GET, "/api/v1/namespaces/a/pods/x/log", false),
            (Method::DELETE, "/api/v1/namespaces/a/pods/x", false),
            (Method::PATCH, "/apis/apps/v1", true),
        ] {
            assert_eq!(gate.permits(&method, path), expect, "{method} {path}");
        }
    }
}
