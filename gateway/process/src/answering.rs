//! The loop of a role that only answers the gateway: takes the sockets that the supervisor hands
//! over, and serves requests until the supervisor is gone. Knows no request.

use crate::control::{Handed, Inherited, Report, lost};
use crate::rpc;
use cofferdam_core::protocol::RoleError;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::future::Future;
use std::io;
use std::os::unix::net::UnixStream;
use std::process::ExitCode;
use std::sync::Arc;
use tokio::sync::mpsc;

/// Answers the gateway with this handler until the supervisor closes the control socket, and passes
/// on each other socket with its name. Fails the role if a gateway's socket carries no requests: the
/// supervisor starts the role again and connects it. With `told`, gateways are on other hosts: such a
/// socket is closed alone and told, because one host must not end the role for the others.
///
/// # Errors
/// The report of a broken socket cannot be sent.
pub async fn answer<Q, A, H, F>(
    inherited: Arc<Inherited>,
    told: Option<fn(&io::Error)>,
    mut others: impl FnMut(&str, UnixStream),
    handler: H,
) -> io::Result<ExitCode>
where
    Q: DeserializeOwned + Send + 'static,
    A: Serialize + Send + 'static,
    H: Fn(Q) -> F + Clone + Send + 'static,
    F: Future<Output = Result<A, RoleError>> + Send + 'static,
{
    let mut handed = Arc::clone(&inherited).handed();
    let (breaks, mut broken) = mpsc::channel(1);
    loop {
        let next = tokio::select! {
            handed = handed.recv() => handed,
            // This task keeps a sender, so the channel is open.
            Some(why) = broken.recv() => {
                inherited.report(&Report::Failed(why))?;
                return Ok(ExitCode::FAILURE);
            }
        };
        let Some(handed) = next else { return Ok(ExitCode::SUCCESS) };
        let given = match (handed, told) {
            (Handed::Socket(given), _) => given,
            (Handed::Lost(name), Some(told)) => {
                told(&lost(&name));
                continue;
            }
            (Handed::Lost(name), None) => {
                inherited.report(&Report::Failed(lost(&name).to_string()))?;
                return Ok(ExitCode::FAILURE);
            }
            _ => continue,
        };
        match given.name.as_str() {
            "gateway" => {
                let (handler, breaks) = (handler.clone(), breaks.clone());
                tokio::spawn(async move {
                    let Err(error) = rpc::serve(given.into_stream(), handler).await else { return };
                    if let Some(told) = told {
                        return told(&error);
                    }
                    let why = format!("the socket to the gateway is broken: {error}");
                    let _ending = breaks.send(why).await;
                });
            }
            name => {
                let name = name.to_owned();
                others(&name, given.into_stream());
            }
        }
    }
}
