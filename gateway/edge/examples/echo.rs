//! A bare hyper server that reads a JSON body and sends it back, as the baseline for a whole denied
//! call. No checks, no limits, no Front. Listens on the address in the first argument,
//! `127.0.0.1:7799` by default.

use http_body_util::{BodyExt as _, Full};
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use std::error::Error;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:7799".to_owned());
    let listener = tokio::net::TcpListener::bind(&address).await?;
    println!("echo on http://{address}/");
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        tokio::spawn(
            http1::Builder::new().serve_connection(TokioIo::new(stream), service_fn(echo)),
        );
    }
}

async fn echo(
    request: Request<Incoming>,
) -> Result<Response<Full<Bytes>>, Box<dyn Error + Send + Sync>> {
    let body = request.into_body().collect().await?.to_bytes();
    let value: serde_json::Value = serde_json::from_slice(&body)?;
    Ok(Response::builder()
        .header("content-type", "application/json")
        .body(Full::new(value.to_string().into()))?)
}
