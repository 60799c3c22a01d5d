//! A server on a port of this machine, and requests to it that are written byte by byte.

use crate::front::{FakeFront, TOKEN};
use cofferdam_edge::{Calls, Drained, EdgeSettings, serve};
pub use cofferdam_testkit::http::{Request, Response};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

/// A server that runs until it is dropped or stopped.
pub struct Server {
    pub address: SocketAddr,
    pub front: Arc<FakeFront>,
    pub calls: Calls,
    stop: Option<oneshot::Sender<()>>,
    served: JoinHandle<Drained>,
}

impl Server {
    pub async fn start(front: FakeFront) -> Self {
        Self::with(front, |_| {}).await
    }

    pub async fn with(front: FakeFront, change: impl FnOnce(&mut EdgeSettings)) -> Self {
        // Without a subscriber, the first test that reaches a span would disable it for the whole
        // process.
        static HEARD: std::sync::Once = std::sync::Once::new();
        HEARD.call_once(|| {
            tracing::subscriber::set_global_default(tracing_subscriber::registry()).unwrap()
        });
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let front = Arc::new(front);
        let mut settings = EdgeSettings::local();
        change(&mut settings);
        let (stop, stopped) = oneshot::channel::<()>();
        let stopped = async move {
            let _either = stopped.await;
        };
        let calls = Calls::new(settings.calls);
        let served =
            tokio::spawn(serve(listener, Arc::clone(&front), settings, calls.clone(), stopped));
        Self { address, front, calls, stop: Some(stop), served }
    }

    /// Waits until the front has a slow call.
    pub async fn until_called(&self) {
        while self.front.started.load(Ordering::SeqCst) == 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// Stops the server. Returns whether all calls ended in time.
    pub async fn stop(mut self) -> Drained {
        drop(self.stop.take());
        self.served.await.unwrap()
    }

    /// Begins to stop the server, and does not wait.
    pub fn begin_stop(&mut self) {
        drop(self.stop.take());
    }

    pub async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }

    pub async fn send(&self, request: &Request) -> Response {
        self.raw(&request.bytes()).await
    }

    pub async fn raw(&self, bytes: &[u8]) -> Response {
        let mut stream = self.connect().await;
        stream.write_all(bytes).await.unwrap();
        read(&mut stream).await
    }
}

/// The requests of an agent.
pub trait FromAgent {
    /// The same with the agent's token.
    fn with_token(self) -> Self;
}

impl FromAgent for Request {
    fn with_token(self) -> Self {
        self.bearer(TOKEN)
    }
}

/// Reads until the server closes the connection.
pub async fn read(stream: &mut TcpStream) -> Response {
    let mut bytes = Vec::new();
    // A server that does not read the body of a request resets the connection after the response.
    while let Ok(count) = stream.read_buf(&mut bytes).await {
        if count == 0 {
            break;
        }
    }
    Response::parse(&bytes)
}

/// Sends each named request to one server. Returns one line for each response, in order.
pub async fn send_all(server: &Server, rows: Vec<(&str, Request)>) -> String {
    let mut text = String::new();
    for (name, request) in rows {
        text.push_str(&format!("{name}: {}\n", server.send(&request).await.line()));
    }
    text
}
