//! The listener, its connections and the stop. Every connection is limited in number, handshake,
//! request head, time and idle time. A server that drains accepts connections, refuses new calls, and closes each
//! connection after its response. After the stop, idle connections close, and the others may finish
//! until the drain time is over.

use crate::calls::Calls;
use crate::edge::Edge;
use crate::head;
use crate::heads::{Heads, Verdicts};
use crate::host_origin::HostOrigin;
use crate::listed::Listed;
use crate::mcp::request_state::RequestStates;
use crate::metrics::Metrics;
use crate::peers::Peers;
use crate::people::{Files, STREAMS};
use crate::proxies::Proxies;
use crate::seats::{SeatGuard, Seats};
use crate::settings::{EdgeSettings, HEAD_BYTES, HEADERS, REFUSED_SHARE};
use crate::shares::Shares;
use crate::tls::{ClientCertificate, Tls};
use crate::write_timeout::WriteTimeout;
use cofferdam_core::journey::ports::Front;
use hyper::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use std::convert::Infallible;
use std::future::Future;
use std::net::IpAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, mpsc, watch};
use tokio::task::JoinSet;
use tokio_rustls::server::TlsStream;

/// The pause after a failed accept. The usual cause is that no descriptor is free, and an immediate
/// retry would only spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// The time in which an open connection may still begin a request after the stop: a request on its
/// way is answered, not cut off.
const LAST_WORD: Duration = Duration::from_millis(500);

/// The result of the stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub struct Drained {
    /// True if every connection and every call ended by itself.
    pub clean: bool,
    /// Connections that were cut off. Their calls go on and are in the ledger.
    pub cut: usize,
}

/// Serves `front` on `listener` until `stop`, then lets connections end. `calls` may drain before.
/// Never fails: an error of one connection ends that connection.
pub async fn serve<F: Front>(
    listener: TcpListener,
    front: Arc<F>,
    settings: EdgeSettings,
    calls: Calls,
    stop: impl Future<Output = ()>,
) -> Drained {
    let (open, mut closed) = mpsc::channel::<Infallible>(1);
    let (stopping, stopped) = watch::channel(());
    let seats = Seats::new(settings.connections);
    let shares = Arc::new(Shares::new(settings.each, settings.role_limits.clone()));
    let drain_time = settings.drain_time;
    let mut following = JoinSet::new();
    if let Some(tls) = &settings.tls {
        following.spawn(Arc::clone(tls).follow(settings.tls_look));
    }
    let host_origin = HostOrigin::new(&settings.hosts, &settings.origins);
    let metrics = Metrics::default();
    let states = Arc::new(RequestStates::new((front.random(), front.random())));
    let peers = Peers::new(settings.without_token);
    let probes = Peers::new(settings.without_token);
    let proxies = Proxies::new(settings.trusted_proxies.clone());
    let waits = Arc::new(Semaphore::new(settings.waits));
    let streams = Arc::new(Semaphore::new(STREAMS));
    let refused = Semaphore::new((settings.connections / REFUSED_SHARE).max(1));
    let edge = Arc::new(Edge {
        front,
        states,
        host_origin,
        settings,
        calls,
        waits,
        streams,
        files: Files::default(),
        refused,
        peers,
        probes,
        readiness: tokio::sync::Mutex::default(),
        proxies,
        shares,
        open,
        metrics,
        listed: Listed::default(),
    });
    let mut connections = JoinSet::new();
    let mut stop = pin!(stop);
    loop {
        tokio::select! {
            () = &mut stop => break,
            Some(_) = connections.join_next() => {}
            (stream, client) = accept(&listener) => {
                // Without a seat the socket is closed at once.
                if let Some(seat) = seats.take(client) {
                    connections.spawn(connection(Arc::clone(&edge), stream, seat, stopped.clone()));
                }
            }
        }
    }
    // Clients that connected before the listener closes are answered. The kernel refuses later
    // ones.
    edge.calls.drain();
    for (stream, client) in waiting(listener) {
        if let Some(seat) = seats.take(client) {
            connections.spawn(connection(Arc::clone(&edge), stream, seat, stopped.clone()));
        }
    }
    drop((stopped, edge));
    drop(stopping);
    let drained = tokio::time::timeout(drain_time, async {
        while connections.join_next().await.is_some() {}
        // Calls of clients that are gone: `recv` ends when the last call has dropped its sender.
        let _none = closed.recv().await;
    });
    let clean = drained.await.is_ok();
    let cut = connections.len();
    connections.shutdown().await;
    Drained { clean, cut }
}

/// Returns the next connection.
async fn accept(listener: &TcpListener) -> (TcpStream, IpAddr) {
    loop {
        match listener.accept().await {
            Ok((stream, client)) => return (stream, client.ip()),
            Err(error) => {
                tracing::warn!(what = "connection", %error, "a connection could not be accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// Returns the connections that the kernel has accepted and this process has not. Closes the
/// listener.
fn waiting(listener: TcpListener) -> Vec<(TcpStream, IpAddr)> {
    let mut taken = Vec::new();
    let Ok(listener) = listener.into_std() else { return taken };
    while let Ok((stream, client)) = listener.accept() {
        if stream.set_nonblocking(true).is_ok()
            && let Ok(stream) = TcpStream::from_std(stream)
        {
            taken.push((stream, client.ip()));
        }
    }
    taken
}

/// Serves a connection: after a handshake, if TLS is configured.
async fn connection<F: Front>(
    edge: Arc<Edge<F>>,
    stream: TcpStream,
    seat: SeatGuard,
    mut stopped: watch::Receiver<()>,
) {
    if edge.proxies.trusts(seat.client) {
        seat.trust();
    }
    // Responses are small and single: waiting for a full packet only costs time.
    let _best_effort = stream.set_nodelay(true);
    let verdicts = Verdicts::default();
    let time = edge.settings.head_time;
    let Some(tls) = edge.settings.tls.clone() else {
        let heads = Heads::new(stream, time, verdicts.clone());
        return requests(edge, heads, verdicts, None, seat, stopped).await;
    };
    let opened = tokio::select! {
        opened = tokio::time::timeout(time, open(&tls, stream)) => opened,
        // Others need the seat, and a connection without a request is unproven.
        _ = seat.asked_to_leave() => return,
        () = async {
            let _stop = stopped.changed().await;
            tokio::time::sleep(LAST_WORD).await;
        } => return,
    };
    match opened {
        Ok(Ok(Opened::Secure(stream))) => {
            let certificate = ClientCertificate::of(stream.get_ref().1);
            let heads = Heads::new(stream, time, verdicts.clone());
            requests(edge, heads, verdicts, certificate, seat, stopped).await;
        }
        Ok(Ok(Opened::Plain(stream))) => {
            let heads = Heads::new(stream, time, verdicts.clone()).refusing_plain_http();
            requests(edge, heads, verdicts, None, seat, stopped).await;
        }
        Ok(Err(error)) => tracing::debug!(%error, "a handshake failed"),
        Err(_late) => tracing::debug!("a handshake did not end in time"),
    }
}

/// An opened connection at a port that speaks TLS.
enum Opened {
    Secure(Box<TlsStream<TcpStream>>),
    /// The client speaks plain HTTP. It gets an answer that it can read.
    Plain(TcpStream),
}

async fn open(tls: &Tls, stream: TcpStream) -> std::io::Result<Opened> {
    let mut first = [0];
    let count = stream.peek(&mut first).await?;
    if count > 0 && first != [head::TLS] {
        return Ok(Opened::Plain(stream));
    }
    Ok(Opened::Secure(Box::new(tls.acceptor().accept(stream).await?)))
}

async fn requests<F: Front, S: AsyncRead + AsyncWrite + Unpin + Send>(
    edge: Arc<Edge<F>>,
    heads: Heads<S>,
    verdicts: Verdicts,
    certificate: Option<ClientCertificate>,
    seat: SeatGuard,
    mut stopped: watch::Receiver<()>,
) {
    let io = WriteTimeout::new(TokioIo::new(heads), edge.settings.write_time);
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new())
        .header_read_timeout(edge.settings.idle_time)
        .max_headers(HEADERS)
        .max_header_size(HEAD_BYTES);
    let service = service_fn(|mut request: Request<Incoming>| {
        let (edge, seat, verdict) = (Arc::clone(&edge), Arc::clone(&seat), verdicts.next());
        if let Some(certificate) = certificate {
            request.extensions_mut().insert(certificate);
        }
        async move { Ok::<_, Infallible>(edge.handle(request, &seat, verdict).await) }
    });
    let mut serving = pin!(http.serve_connection(io, service));
    let ended = tokio::select! {
        ended = serving.as_mut() => ended,
        // The sender sends nothing; it is dropped at the stop.
        _ = stopped.changed() => match tokio::time::timeout(LAST_WORD, serving.as_mut()).await {
            Ok(ended) => ended,
            Err(_) => {
                serving.as_mut().graceful_shutdown();
                serving.await
            }
        },
        // Others need the seat. An unproven connection is cut off.
        unproven = seat.asked_to_leave() => {
            if unproven {
                return;
            }
            serving.as_mut().graceful_shutdown();
            serving.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection ended early");
    }
    drop(seat);
}
