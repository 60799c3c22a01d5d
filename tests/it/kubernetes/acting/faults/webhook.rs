//! An admission webhook of another owner: a real HTTPS server that the API server calls for every
//! write of a Deployment in one namespace. The test decides its replies. It never sends a request.

use super::proxy::{request, serving};
use crate::cluster::{Cluster, until};
use rustls::{ServerConnection, StreamOwned};
use serde_json::{Value, json};
use std::io::Write as _;
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Returns a JSON Patch or nothing for a request, an `AdmissionRequest` of `admission.k8s.io/v1`.
/// It may take its time.
type Answer = dyn Fn(&Value) -> Option<Value> + Send + Sync;

/// A webhook that is removed with the value.
pub struct Webhook {
    plane: &'static Cluster,
    at: String,
}

impl Webhook {
    /// A webhook for Deployments in this namespace. When it returns, the API server calls it.
    pub fn about(
        plane: &'static Cluster,
        namespace: &str,
        answer: impl Fn(&Value) -> Option<Value> + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("https://{}/", listener.local_addr().unwrap());
        let asked = Arc::new(AtomicUsize::new(0));
        let (answer, tls, count): (Arc<Answer>, _, _) =
            (Arc::new(answer), serving(plane), Arc::clone(&asked));
        // The thread ends with the process of the test.
        std::thread::spawn(move || {
            for near in listener.incoming().map_while(Result::ok) {
                let (answer, tls) = (Arc::clone(&answer), Arc::clone(&tls));
                count.fetch_add(1, Ordering::SeqCst);
                // The API server notices a broken connection.
                std::thread::spawn(move || {
                    drop(serve(
                        StreamOwned::new(ServerConnection::new(tls).unwrap(), near),
                        &*answer,
                    ))
                });
            }
        });
        let authority = std::fs::read(plane.admin().with_file_name("pki").join("ca.crt")).unwrap();
        let collection = "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations";
        let object = json!({"apiVersion": "admissionregistration.k8s.io/v1",
            "kind": "MutatingWebhookConfiguration", "metadata": {"name": namespace}, "webhooks": [{
            "name": "webhook.cofferdam.test", "admissionReviewVersions": ["v1"],
            "sideEffects": "None", "failurePolicy": "Fail", "timeoutSeconds": 30,
            "clientConfig": {"url": url, "caBundle": base64(&authority)},
            "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": namespace}},
            "rules": [{"apiGroups": ["apps"], "apiVersions": ["v1"],
                "operations": ["CREATE", "UPDATE"], "resources": ["deployments"]}],
        }]});
        let made = plane.request("POST", collection, Some(&object));
        assert_eq!(made.status, 201, "{}", made.body);
        let tried = format!("/apis/apps/v1/namespaces/{namespace}/deployments?dryRun=All");
        let labels = json!({"app": "tried"});
        let trial = json!({"apiVersion": "apps/v1", "kind": "Deployment",
            "metadata": {"name": "tried"}, "spec": {"selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels},
                "spec": {"containers": [{"name": "a", "image": "b"}]}}}});
        until("the API server to ask the webhook", || {
            let answer = plane.request("POST", &tried, Some(&trial));
            (answer.status == 201 && asked.load(Ordering::SeqCst) > 0).then_some(())
        });
        Self { plane, at: format!("{collection}/{namespace}") }
    }
}

impl Drop for Webhook {
    fn drop(&mut self) {
        self.plane.request("DELETE", &self.at, None);
    }
}

/// Answers one review after the other.
fn serve(
    mut near: StreamOwned<ServerConnection, TcpStream>,
    answer: &Answer,
) -> std::io::Result<()> {
    loop {
        let (_, body) = request(&mut near)?;
        let review: Value = serde_json::from_slice(&body).unwrap();
        let mut response = json!({"uid": review["request"]["uid"], "allowed": true});
        if let Some(patch) = answer(&review["request"]) {
            response["patchType"] = json!("JSONPatch");
            response["patch"] = json!(base64(patch.to_string().as_bytes()));
        }
        let body = json!({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview",
            "response": response})
        .to_string();
        let head = format!(
            "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
            body.len()
        );
        near.write_all((head + &body).as_bytes())?;
        near.flush()?;
    }
}

/// Base64 of RFC 4648, section 4.
fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let group = |group: &[u8]| {
        let bits = (0..3)
            .fold(0, |bits, at| bits << 8 | u32::from(group.get(at).copied().unwrap_or_default()));
        (0..4)
            .map(|at| {
                if at <= group.len() {
                    char::from(DIGITS[(bits >> (18 - 6 * at) & 63) as usize])
                } else {
                    '='
                }
            })
            .collect::<String>()
    };
    bytes.chunks(3).map(group).collect()
}

#[test]
fn base64_is_as_its_standard_has_it() {
    for (plain, expect) in
        [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foob", "Zm9vYg==")]
    {
        assert_eq!(base64(plain.as_bytes()), expect);
    }
}
