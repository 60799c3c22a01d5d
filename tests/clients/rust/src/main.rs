//! A client of `rmcp` 0.12.0, whose newest revision is 2025-03-26 and which sends no version
//! header, against a gateway: connects, lists, and makes three calls. Prints one JSON object a
//! line; the test reads them.
//!
//!     test-client URL TOKEN

use rmcp::ServiceExt;
use rmcp::model::{CallToolRequestParam, ClientInfo};
use rmcp::transport::StreamableHttpClientTransport;
use rmcp::transport::streamable_http_client::StreamableHttpClientTransportConfig;
use serde_json::{Value, json};
use std::error::Error;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let words: Vec<String> = std::env::args().collect();
    let [_, url, token] = words.as_slice() else { return Err("test-client URL TOKEN".into()) };
    let config =
        StreamableHttpClientTransportConfig::with_uri(url.as_str()).auth_header(token.as_str());
    let transport = StreamableHttpClientTransport::from_config(config);
    let client = ClientInfo::default().serve(transport).await?;
    let revision = client.peer_info().map(|info| info.protocol_version.to_string());
    println!("{}", json!({"step": "connected", "revision": revision}));
    let tools: Vec<String> =
        client.list_all_tools().await?.into_iter().map(|tool| tool.name.into_owned()).collect();
    println!("{}", json!({"step": "listed", "tools": tools}));
    for (step, name, replicas) in
        [("allowed", "web", 5), ("denied", "web", 40), ("waited", "api", 0)]
    {
        if step == "waited" {
            println!("{}", json!({"step": "waiting"}));
        }
        let arguments = json!({"namespace": "storefront", "name": name, "replicas": replicas});
        let arguments = arguments.as_object().cloned();
        let result = client
            .call_tool(CallToolRequestParam { name: "deployment_scale".into(), arguments })
            .await?;
        let result: Value = serde_json::to_value(result)?;
        let error = result["isError"] == Value::Bool(true);
        println!("{}", json!({"step": step, "error": error, "text": result["content"][0]["text"]}));
    }
    Ok(())
}
