//! A client of `rmcp` 3: see README.md. It always asks for progress.
//!
//!     test-client URL TOKEN-FILE

#[path = "../../contract.rs"]
mod contract;

use contract::{answer, arguments, next_step, say, tell_progress};
use rmcp::model::{
    CallToolRequestParams, ClientRequest, ProgressNotificationParam, ProtocolVersion, Request,
};
use rmcp::service::{
    ClientLifecycleMode, ClientServiceExt as _, NotificationContext, PeerRequestOptions,
    RunningService, ServiceError,
};
use rmcp::transport::StreamableHttpClientTransport;
use rmcp::transport::streamable_http_client::StreamableHttpClientTransportConfig;
use rmcp::{ClientHandler, RoleClient};
use serde_json::{Value, json};
use std::error::Error;
use std::time::Duration;

struct Listener;

impl ClientHandler for Listener {
    async fn on_progress(
        &self,
        told: ProgressNotificationParam,
        _context: NotificationContext<RoleClient>,
    ) {
        tell_progress(told.message.as_deref());
    }
}

type Client = RunningService<RoleClient, Listener>;

async fn follow(client: &Client, step: &Value) -> Result<Value, ServiceError> {
    if step["do"] == "list" {
        let tools = client.list_all_tools().await?;
        let names: Vec<_> = tools.into_iter().map(|tool| tool.name.into_owned()).collect();
        return Ok(json!({ "tools": names }));
    }
    let name = step["tool"].as_str().unwrap_or_default().to_owned();
    let arguments = step["arguments"].as_object().cloned().unwrap_or_default();
    let params = CallToolRequestParams::new(name).with_arguments(arguments);
    let Some(seconds) = step["seconds"].as_u64() else {
        let result = client.call_tool(params).await?;
        return Ok(answer(&serde_json::to_value(result).unwrap_or_default()));
    };
    let request = ClientRequest::CallToolRequest(Request::new(params));
    let options = PeerRequestOptions::with_timeout(Duration::from_secs(seconds));
    let result = client.send_cancellable_request(request, options).await?.await_response().await?;
    Ok(answer(&serde_json::to_value(result).unwrap_or_default()))
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let (url, token) = arguments()?;
    let mut config = StreamableHttpClientTransportConfig::with_uri(url);
    if !token.is_empty() {
        config = config.auth_header(token);
    }
    let transport = StreamableHttpClientTransport::from_config(config);
    let lifecycle = ClientLifecycleMode::Auto {
        preferred_versions: vec![ProtocolVersion::V_2026_07_28],
        legacy_version: None,
    };
    let client = match Listener.serve_with_lifecycle(transport, lifecycle).await {
        Ok(client) => client,
        Err(error) => {
            say(&json!({"thrown": error.to_string()}));
            return Ok(());
        }
    };
    let revision = client.peer_info().map(|info| info.protocol_version.to_string());
    say(&json!({ "connected": revision }));
    while let Some(step) = next_step().await {
        let told = follow(&client, &step).await;
        say(&told.unwrap_or_else(|error| json!({"thrown": error.to_string()})));
    }
    client.cancel().await?;
    Ok(())
}
