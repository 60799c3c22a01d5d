//! Requests and responses over frames. The client sends many requests at once; each response has
//! the id of its request. A request or response that is too large or cannot be read fails its own
//! id, and the socket remains. A message without an id breaks the socket: the socket is closed and
//! the role has to end, so that the supervisor connects it again. A lost connection fails the
//! requests in progress, and a new socket may replace it. A request is repeated only if its caller
//! says that this is safe.

use crate::frame::{self, Frame, TooLarge};
use cofferdam_core::protocol::{RoleError, UNREADABLE};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use std::collections::HashMap;
use std::future::Future;
use std::io;
use std::marker::PhantomData;
use std::os::unix::net::UnixStream as StdStream;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::io::BufReader;
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot, watch};
use tokio::task::JoinSet;

/// The most requests of one peer that are handled at once. Others wait on the socket.
const MAX_CONCURRENT: usize = 1024;

/// The most messages in one write. More wait for the next one.
const TOGETHER: usize = 64;

/// The bytes that one read takes: many messages of a busy peer.
const READ: usize = 64 * 1024;

/// The longest wait for a peer that restarts. Then the request fails.
const CONNECT_WAIT: Duration = Duration::from_secs(3);

/// The time limit of a response: the longest long poll of 60 s, and half as much for a peer under
/// load. A peer that hangs must not hold its caller for ever.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(90);

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

/// The id of a message whose other content cannot be read.
#[derive(Deserialize)]
struct Addressed {
    id: u64,
}

#[derive(Serialize, Deserialize)]
struct Answer<A> {
    id: u64,
    #[serde(default = "none", skip_serializing_if = "Option::is_none")]
    ok: Option<A>,
    #[serde(rename = "fault", default, skip_serializing_if = "Option::is_none")]
    error: Option<RoleError>,
}

fn none<A>() -> Option<A> {
    None
}

type Waiting<A> = Arc<Mutex<HashMap<u64, oneshot::Sender<Result<A, RoleError>>>>>;

struct Connection<A> {
    /// The number of the connection among all of this client, from 1 on.
    number: u64,
    sink: mpsc::Sender<Frame>,
    waiting: Waiting<A>,
}

/// The end of a request without an answer of the other side.
enum Unanswered {
    /// The connection was lost, or there was none: the request may or may not have been carried
    /// out.
    Lost,
    /// The answer is an error, or the request could not be sent.
    Error(RoleError),
}

impl From<Unanswered> for RoleError {
    fn from(unanswered: Unanswered) -> Self {
        match unanswered {
            Unanswered::Lost => {
                Self::Unavailable("the other role is not there; it is being restarted".to_owned())
            }
            Unanswered::Error(error) => error,
        }
    }
}

impl<A> Clone for Connection<A> {
    fn clone(&self) -> Self {
        let Self { number, sink, waiting } = self;
        Self { number: *number, sink: sink.clone(), waiting: Arc::clone(waiting) }
    }
}

/// The side that sends requests.
pub struct Client<Q, A> {
    connection: watch::Sender<Option<Connection<A>>>,
    broken: watch::Sender<Option<String>>,
    next: AtomicU64,
    connections: AtomicU64,
    limit: Duration,
    asks: PhantomData<fn(Q)>,
}

impl<Q, A> Default for Client<Q, A> {
    fn default() -> Self {
        Self {
            connection: watch::channel(None).0,
            broken: watch::channel(None).0,
            next: AtomicU64::new(1),
            connections: AtomicU64::new(0),
            limit: ANSWER_TIMEOUT,
            asks: PhantomData,
        }
    }
}

impl<Q: Serialize + Send + Sync, A: DeserializeOwned + Send + 'static> Client<Q, A> {
    /// Creates a client without a connection.
    pub fn new() -> Self {
        Self::default()
    }

    /// Creates a client without a connection, with this time limit of a response.
    pub fn within(limit: Duration) -> Self {
        Self { limit, ..Self::default() }
    }

    /// Takes a socket, in place of an earlier one. Call it within the runtime.
    pub fn connect(&self, stream: StdStream) -> io::Result<()> {
        stream.set_nonblocking(true)?;
        let (source, sink) = UnixStream::from_std(stream)?.into_split();
        let mut source = BufReader::with_capacity(READ, source);
        let (frames, outgoing) = mpsc::channel(MAX_CONCURRENT);
        let waiting: Waiting<A> = Waiting::default();
        let (answers, broken) = (Arc::clone(&waiting), self.broken.clone());
        let reader = tokio::spawn(async move {
            if let Err(error) = receive(&mut source, &answers).await {
                broken.send_replace(Some(error.to_string()));
            }
        });
        let under_way = Arc::clone(&waiting);
        tokio::spawn(async move {
            tokio::select! {
                () = pump(sink, outgoing) => {}
                _ = reader => {}
            }
            // The channel is closed now, so no entry can be added. Dropping the senders fails every
            // request in progress.
            under_way.lock().unwrap_or_else(PoisonError::into_inner).clear();
        });
        let number = 1 + self.connections.fetch_add(1, Ordering::Relaxed);
        self.connection.send_replace(Some(Connection { number, sink: frames, waiting }));
        Ok(())
    }

    /// The number of the present connection; `None` without one. A later connection has a greater
    /// number.
    pub fn connection(&self) -> Option<u64> {
        let connection = self.connection.borrow();
        connection.as_ref().filter(|open| is_open(open)).map(|open| open.number)
    }

    /// Returns whether the client has a connection now.
    pub fn connected(&self) -> bool {
        self.connection().is_some()
    }

    /// Waits for a connection; returns its number.
    pub async fn next_connection(&self) -> u64 {
        let mut current = self.connection.subscribe();
        let ready = current.wait_for(|connection| connection.as_ref().is_some_and(is_open)).await;
        match ready.ok().and_then(|connection| connection.as_ref().map(|open| open.number)) {
            Some(number) => number,
            // The client holds the sender, so this case does not occur.
            None => std::future::pending().await,
        }
    }

    /// Waits until a socket breaks, because the other side sent a message that answers no request.
    /// Returns the cause, once for each socket; the socket is closed. A socket that closes by itself
    /// is not broken.
    pub async fn broken(&self) -> String {
        let mut broken = self.broken.subscribe();
        match broken.wait_for(Option::is_some).await {
            Ok(why) => drop(why),
            // The client holds the sender, so this case does not occur.
            Err(_) => std::future::pending().await,
        }
        self.broken.send_replace(None).unwrap_or_default()
    }

    /// Sends a request and waits for its response. A lost connection or a late response is
    /// [`RoleError::Unavailable`]: the request may or may not have been carried out.
    /// # Errors
    /// The error of the other side, or [`RoleError::TooLarge`] if request or response exceeds the
    /// limit.
    pub async fn call(&self, ask: &Q) -> Result<A, RoleError> {
        Ok(self.send(ask, self.open(CONNECT_WAIT).await?).await?)
    }

    /// Sends a request over this connection and no other. `None` if it is lost: the request may or
    /// may not have been carried out.
    /// # Errors
    /// The same as of [`Client::call`], but for a lost connection.
    pub async fn call_on(&self, number: u64, ask: &Q) -> Result<Option<A>, RoleError> {
        let open = self.connection.borrow().clone();
        let Some(open) = open.filter(|open| open.number == number) else { return Ok(None) };
        match self.send(ask, open).await {
            Ok(answer) => Ok(Some(answer)),
            Err(Unanswered::Lost) => Ok(None),
            Err(Unanswered::Error(error)) => Err(error),
        }
    }

    /// Sends a request that is safe to repeat. After a lost connection, `again` is sent over the
    /// next one, until the time is over.
    /// # Errors
    /// The same as of [`Client::call`].
    pub async fn call_again(&self, ask: &Q, again: &Q, within: Duration) -> Result<A, RoleError> {
        let until = Instant::now() + within;
        let mut ask = ask;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            let sent = match self.open(left.max(CONNECT_WAIT)).await {
                Ok(open) => self.send(ask, open).await,
                Err(lost) => return Err(lost.into()),
            };
            match sent {
                Err(Unanswered::Lost) if Instant::now() < until => ask = again,
                sent => return Ok(sent?),
            }
        }
    }

    /// The present connection, as soon as there is one, at most after this wait.
    async fn open(&self, wait: Duration) -> Result<Connection<A>, Unanswered> {
        let mut current = self.connection.subscribe();
        let ready = current.wait_for(|connection| connection.as_ref().is_some_and(is_open));
        match tokio::time::timeout(wait, ready).await {
            Ok(Ok(connection)) => connection.clone().ok_or(Unanswered::Lost),
            _ => Err(Unanswered::Lost),
        }
    }

    async fn send(&self, ask: &Q, connection: Connection<A>) -> Result<A, Unanswered> {
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        let unsent = |error: serde_json::Error| RoleError::Unavailable(error.to_string());
        let header = serde_json::to_vec(&Ask { id, ask })
            .map_err(|error| Unanswered::Error(unsent(error)))?;
        let frame = Frame::of(header);
        let large = |large| Unanswered::Error(too_large("the request", large));
        frame.check().map_err(large)?;
        let (asker, answer) = oneshot::channel();
        connection.waiting.lock().unwrap_or_else(PoisonError::into_inner).insert(id, asker);
        // Removes the id whenever the wait ends, also when the caller gives up.
        let _entry = Entry { waiting: &connection.waiting, id };
        let answered = async {
            if connection.sink.send(frame).await.is_err() {
                return Err(Unanswered::Lost);
            }
            answer.await.map_err(|_| Unanswered::Lost)?.map_err(Unanswered::Error)
        };
        let late = |_| {
            Err(Unanswered::Error(RoleError::Unavailable(format!(
                "the other role gave no answer within {} s",
                self.limit.as_secs()
            ))))
        };
        tokio::time::timeout(self.limit, answered).await.unwrap_or_else(late)
    }
}

fn is_open<A>(connection: &Connection<A>) -> bool {
    !connection.sink.is_closed()
}

/// One request in progress. Dropping it forgets the id.
struct Entry<'a, A> {
    waiting: &'a Waiting<A>,
    id: u64,
}

impl<A> Drop for Entry<'_, A> {
    fn drop(&mut self) {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.id);
    }
}

/// Passes each response to its caller, until the other side is gone.
/// # Errors
/// The socket is broken.
async fn receive<A: DeserializeOwned>(
    source: &mut BufReader<OwnedReadHalf>,
    waiting: &Waiting<A>,
) -> io::Result<()> {
    while let Some(frame) = next(source).await? {
        let (id, result) = match serde_json::from_slice::<Answer<A>>(&frame.header) {
            Ok(Answer { id, ok: Some(ok), error: None }) => (id, Ok(ok)),
            Ok(Answer { id, error: Some(error), .. }) => (id, Err(error)),
            Ok(Answer { id, ok: None, error: None }) => {
                (id, Err(RoleError::Unavailable("an empty answer".to_owned())))
            }
            Err(error) => (
                request_id(&frame, &error)?,
                Err(RoleError::Unavailable(format!("the answer cannot be read: {error}"))),
            ),
        };
        let asker = waiting.lock().unwrap_or_else(PoisonError::into_inner).remove(&id);
        if let Some(asker) = asker {
            let _gone = asker.send(result);
        }
    }
    Ok(())
}

/// Returns the next message, or `None` if the other side is gone, even in the middle of a message.
async fn next(source: &mut BufReader<OwnedReadHalf>) -> io::Result<Option<Frame>> {
    match frame::read_async(source).await {
        Err(error) if error.kind() != io::ErrorKind::InvalidData => Ok(None),
        read => read,
    }
}

/// Returns the id of a message whose other content cannot be read.
fn request_id(frame: &Frame, error: &serde_json::Error) -> io::Result<u64> {
    let addressed: Result<Addressed, _> = serde_json::from_slice(&frame.header);
    let unclear = |_| {
        io::Error::new(
            io::ErrorKind::InvalidData,
            format!("a message that names no request: {error}"),
        )
    };
    addressed.map(|addressed| addressed.id).map_err(unclear)
}

fn too_large(what: &str, large: TooLarge) -> RoleError {
    RoleError::TooLarge(format!("{what}: {large}; ask for less at once"))
}

/// Writes the messages that wait together, up to [`TOGETHER`] in one write.
async fn pump(mut sink: OwnedWriteHalf, mut outgoing: mpsc::Receiver<Frame>) {
    let mut frames = Vec::with_capacity(TOGETHER);
    while outgoing.recv_many(&mut frames, TOGETHER).await > 0 {
        if frame::write_all_async(&mut sink, &frames).await.is_err() {
            break;
        }
        frames.clear();
    }
}

/// Encodes a response, or an error in its place if the response cannot be sent.
fn encode_answer<A: Serialize>(id: u64, result: Result<A, RoleError>) -> Option<Frame> {
    let (ok, error) = match result {
        Ok(ok) => (Some(ok), None),
        Err(error) => (None, Some(error)),
    };
    let error = match serde_json::to_vec(&Answer { id, ok, error }).map(Frame::of) {
        Ok(frame) => match frame.check() {
            Ok(()) => return Some(frame),
            Err(large) => too_large("the answer", large),
        },
        Err(error) => RoleError::Unavailable(format!("the answer cannot be written: {error}")),
    };
    serde_json::to_vec(&Answer { id, ok: None::<()>, error: Some(error) }).ok().map(Frame::of)
}

/// Handles the requests of the other side until it is gone, each in a task of its own. Requests in
/// progress are dropped then. Call it within the runtime.
/// # Errors
/// The socket is broken: the other side sent a message that is not a request.
pub async fn serve<Q, A, H, F>(stream: StdStream, handler: H) -> io::Result<()>
where
    Q: DeserializeOwned + Send + 'static,
    A: Serialize + Send + 'static,
    H: Fn(Q) -> F,
    F: Future<Output = Result<A, RoleError>> + Send + 'static,
{
    stream.set_nonblocking(true)?;
    serve_stream(UnixStream::from_std(stream)?, handler).await
}

/// Serves as [`serve`] does, over an accepted socket.
/// # Errors
/// The same as of [`serve`].
pub async fn serve_stream<Q, A, H, F>(stream: UnixStream, handler: H) -> io::Result<()>
where
    Q: DeserializeOwned + Send + 'static,
    A: Serialize + Send + 'static,
    H: Fn(Q) -> F,
    F: Future<Output = Result<A, RoleError>> + Send + 'static,
{
    let (source, sink) = stream.into_split();
    let mut source = BufReader::with_capacity(READ, source);
    let (frames, outgoing) = mpsc::channel(MAX_CONCURRENT);
    tokio::spawn(pump(sink, outgoing));
    let places = Arc::new(Semaphore::new(MAX_CONCURRENT));
    let mut under_way = JoinSet::new();
    loop {
        let Some(frame) = next(&mut source).await? else { return Ok(()) };
        let Ok(place) = Arc::clone(&places).acquire_owned().await else { return Ok(()) };
        while under_way.try_join_next().is_some() {}
        let frames = frames.clone();
        match serde_json::from_slice::<Asked<Q>>(&frame.header) {
            Ok(Asked { id, ask }) => {
                let work = handler(ask);
                under_way.spawn(async move {
                    send(&frames, encode_answer(id, work.await), place).await
                });
            }
            Err(error) => {
                let id = request_id(&frame, &error)?;
                let refused = RoleError::Refused(format!("{UNREADABLE}{error}"));
                under_way.spawn(async move {
                    send(&frames, encode_answer::<()>(id, Err(refused)), place).await
                });
            }
        }
    }
}

/// Queues a response, then frees the place for the next request.
async fn send(frames: &mpsc::Sender<Frame>, answer: Option<Frame>, place: OwnedSemaphorePermit) {
    if let Some(answer) = answer {
        let _gone = frames.send(answer).await;
    }
    drop(place);
}

#[cfg(test)]
mod tests;
