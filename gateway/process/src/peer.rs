//! Requests and answers over frames: many at once from the asking side, each answered by its id. A lost connection fails what is under way, and a
//! fresh socket may take its place. Never retries: whether a request may be repeated is the asker's business.

use crate::frame::{self, Frame};
use cofferdam_core::exchange::Fault;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use std::collections::HashMap;
use std::future::Future;
use std::io;
use std::marker::PhantomData;
use std::os::unix::net::UnixStream as StdStream;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::net::UnixStream;
use tokio::net::unix::OwnedWriteHalf;
use tokio::sync::{Semaphore, mpsc, oneshot, watch};
use tokio::task::JoinSet;

/// Requests of one peer handled at once; more wait their turn on the socket.
const AT_ONCE: usize = 1024;

/// How long a request waits for a peer that is being restarted before it fails closed.
const PATIENCE: Duration = Duration::from_secs(3);

/// How long an answer may take: the longest long poll is 60 s, and half of it more is for a peer under load. A peer that hangs must not hold its
/// asker for ever.
const LIMIT: Duration = Duration::from_secs(90);

#[derive(Serialize)]
struct Ask<'a, Q> {
    id: u64,
    ask: &'a Q,
}

#[derive(Deserialize)]
struct Asked<Q> {
    id: u64,
    ask: Q,
}

#[derive(Serialize, Deserialize)]
struct Answer<A> {
    id: u64,
    #[serde(default = "none", skip_serializing_if = "Option::is_none")]
    ok: Option<A>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    fault: Option<Fault>,
}

fn none<A>() -> Option<A> {
    None
}

type Waiting<A> = Arc<Mutex<HashMap<u64, oneshot::Sender<Result<A, Fault>>>>>;

struct Connection<A> {
    sink: mpsc::Sender<Frame>,
    waiting: Waiting<A>,
}

impl<A> Clone for Connection<A> {
    fn clone(&self) -> Self {
        Self { sink: self.sink.clone(), waiting: Arc::clone(&self.waiting) }
    }
}

/// The asking side.
pub struct Client<Q, A> {
    connection: watch::Sender<Option<Connection<A>>>,
    next: std::sync::atomic::AtomicU64,
    limit: Duration,
    asks: PhantomData<fn(Q)>,
}

impl<Q, A> Default for Client<Q, A> {
    fn default() -> Self {
        Self { connection: watch::channel(None).0, next: std::sync::atomic::AtomicU64::new(1), limit: LIMIT, asks: PhantomData }
    }
}

impl<Q: Serialize + Send + Sync, A: DeserializeOwned + Send + 'static> Client<Q, A> {
    /// Not connected yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Not connected yet; waits this long for an answer.
    pub fn within(limit: Duration) -> Self {
        Self { limit, ..Self::default() }
    }

    /// Takes a socket, in place of an earlier one. Must be called within the runtime.
    pub fn connect(&self, stream: StdStream) -> io::Result<()> {
        stream.set_nonblocking(true)?;
        let (mut source, sink) = UnixStream::from_std(stream)?.into_split();
        let (frames, outgoing) = mpsc::channel(AT_ONCE);
        let waiting: Waiting<A> = Waiting::default();
        let answers = Arc::clone(&waiting);
        let reader = tokio::spawn(async move {
            while let Ok(Some(frame)) = frame::read_async(&mut source).await {
                let Ok(answer) = serde_json::from_slice::<Answer<A>>(&frame.header) else { break };
                let asker = answers.lock().unwrap_or_else(PoisonError::into_inner).remove(&answer.id);
                let result = match (answer.ok, answer.fault) {
                    (Some(ok), None) => Ok(ok),
                    (_, Some(fault)) => Err(fault),
                    (None, None) => Err(Fault::Unavailable("an empty answer".to_owned())),
                };
                if let Some(asker) = asker {
                    let _gone = asker.send(result);
                }
            }
        });
        let under_way = Arc::clone(&waiting);
        tokio::spawn(async move {
            tokio::select! {
                () = pump(sink, outgoing) => {}
                _ = reader => {}
            }
            // The channel is closed by now, so nothing can be added any more; dropping the senders fails every request under way.
            under_way.lock().unwrap_or_else(PoisonError::into_inner).clear();
        });
        self.connection.send_replace(Some(Connection { sink: frames, waiting }));
        Ok(())
    }

    /// Whether a socket is there right now.
    pub fn connected(&self) -> bool {
        self.connection.borrow().as_ref().is_some_and(|connection| !connection.sink.is_closed())
    }

    /// Asks and waits for the answer. A connection that is lost meanwhile, or an answer that does not come in
    /// time, is [`Fault::Unavailable`]: the request may or may not have been carried out.
    pub async fn call(&self, ask: &Q) -> Result<A, Fault> {
        let lost = || Fault::Unavailable("the other role is not there; it is being restarted".to_owned());
        let mut current = self.connection.subscribe();
        let ready = current.wait_for(|connection| connection.as_ref().is_some_and(|connection| !connection.sink.is_closed()));
        let connection = match tokio::time::timeout(PATIENCE, ready).await {
            Ok(Ok(connection)) => connection.clone().ok_or_else(lost)?,
            _ => return Err(lost()),
        };
        let id = self.next.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let header = serde_json::to_vec(&Ask { id, ask }).map_err(|fault| Fault::Unavailable(fault.to_string()))?;
        let (asker, answer) = oneshot::channel();
        connection.waiting.lock().unwrap_or_else(PoisonError::into_inner).insert(id, asker);
        // However the wait ends, also when it is given up, no caller waits under this id any more.
        let _entry = Entry { waiting: &connection.waiting, id };
        let answered = async {
            if connection.sink.send(Frame::of(header)).await.is_err() {
                return Err(lost());
            }
            answer.await.unwrap_or_else(|_| Err(lost()))
        };
        let late = |_| Err(Fault::Unavailable(format!("the other role gave no answer within {} s", self.limit.as_secs())));
        tokio::time::timeout(self.limit, answered).await.unwrap_or_else(late)
    }
}

/// One request under way; it is forgotten when this is dropped.
struct Entry<'a, A> {
    waiting: &'a Waiting<A>,
    id: u64,
}

impl<A> Drop for Entry<'_, A> {
    fn drop(&mut self) {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.id);
    }
}

async fn pump(mut sink: OwnedWriteHalf, mut outgoing: mpsc::Receiver<Frame>) {
    while let Some(frame) = outgoing.recv().await {
        if frame::write_async(&mut sink, &frame).await.is_err() {
            break;
        }
    }
}

/// The answering side: handles requests until the socket closes, each in a task of its own; what is still under way then is dropped. Must be called
/// within the runtime.
pub async fn serve<Q, A, H, F>(stream: StdStream, handler: H) -> io::Result<()>
where
    Q: DeserializeOwned + Send + 'static,
    A: Serialize + Send + 'static,
    H: Fn(Q) -> F,
    F: Future<Output = Result<A, Fault>> + Send + 'static,
{
    stream.set_nonblocking(true)?;
    serve_stream(UnixStream::from_std(stream)?, handler).await
}

/// As [`serve`], over a socket that was accepted.
pub async fn serve_stream<Q, A, H, F>(stream: UnixStream, handler: H) -> io::Result<()>
where
    Q: DeserializeOwned + Send + 'static,
    A: Serialize + Send + 'static,
    H: Fn(Q) -> F,
    F: Future<Output = Result<A, Fault>> + Send + 'static,
{
    let (mut source, sink) = stream.into_split();
    let (frames, outgoing) = mpsc::channel(AT_ONCE);
    tokio::spawn(pump(sink, outgoing));
    let places = Arc::new(Semaphore::new(AT_ONCE));
    let mut under_way = JoinSet::new();
    loop {
        let Some(frame) = frame::read_async(&mut source).await? else { return Ok(()) };
        let asked: Asked<Q> = serde_json::from_slice(&frame.header).map_err(|fault| io::Error::new(io::ErrorKind::InvalidData, fault))?;
        let Ok(place) = Arc::clone(&places).acquire_owned().await else { return Ok(()) };
        while under_way.try_join_next().is_some() {}
        let work = handler(asked.ask);
        let frames = frames.clone();
        under_way.spawn(async move {
            let (ok, fault) = match work.await {
                Ok(ok) => (Some(ok), None),
                Err(fault) => (None, Some(fault)),
            };
            if let Ok(header) = serde_json::to_vec(&Answer { id: asked.id, ok, fault }) {
                let _gone = frames.send(Frame::of(header)).await;
            }
            drop(place);
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn many_at_once_and_a_lost_socket_fails_them() {
        let (a, b) = StdStream::pair().unwrap();
        let server = tokio::spawn(serve(b, |ask: u32| async move {
            match ask {
                0 => std::future::pending().await,
                1 => Err(Fault::Fenced),
                other => Ok(other * 2),
            }
        }));
        let client = Arc::new(Client::<u32, u32>::new());
        client.connect(a).unwrap();
        assert_eq!(client.call(&21).await, Ok(42));
        assert_eq!(client.call(&1).await, Err(Fault::Fenced));
        let stuck = {
            let client = Arc::clone(&client);
            tokio::spawn(async move { client.call(&0).await })
        };
        tokio::time::sleep(Duration::from_millis(50)).await;
        server.abort();
        assert!(matches!(stuck.await.unwrap(), Err(Fault::Unavailable(_))));
        let (a, b) = StdStream::pair().unwrap();
        tokio::spawn(serve(b, |ask: u32| async move { Ok::<_, Fault>(ask + 1) }));
        client.connect(a).unwrap();
        assert_eq!(client.call(&1).await, Ok(2));
    }

    #[tokio::test]
    async fn an_answer_that_does_not_come_is_given_up_and_forgotten() {
        let (a, b) = StdStream::pair().unwrap();
        tokio::spawn(serve(b, |ask: u64| async move {
            tokio::time::sleep(Duration::from_millis(ask)).await;
            Ok::<_, Fault>(ask)
        }));
        let client = Client::<u64, u64>::within(Duration::from_secs(2));
        client.connect(a).unwrap();
        assert!(matches!(client.call(&60_000).await, Err(Fault::Unavailable(_))));
        assert!(tokio::time::timeout(Duration::from_millis(10), client.call(&60_000)).await.is_err(), "its asker gave up first");
        let connection = client.connection.borrow().clone().unwrap();
        assert_eq!(connection.waiting.lock().unwrap().len(), 0);
        assert_eq!(client.call(&0).await, Ok(0), "the socket is as good as before");
    }
}
