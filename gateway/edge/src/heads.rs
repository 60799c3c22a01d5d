//! A socket that passes on a request head only when it is complete and can be read in one way.
//! Hyper is liberal: it accepts heads whose lines end with LF alone, and answers other errors
//! without a text. This socket holds such a head back, passes on a harmless one in its place, and
//! its request is answered with the cause. Bodies pass unchanged and unread.

use crate::deny::Deny;
use crate::head::{self, Framing, Judged};
use std::collections::VecDeque;
use std::future::Future as _;
use std::io::{Error, IoSlice, Result};
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Sleep, sleep};

/// Most bytes of one read from the socket.
const CHUNK: usize = 8 * 1024;

/// Most bytes that are read and dropped after the last response. Closing a socket with unread bytes
/// resets it, and the client loses the response; a body of twice the limit passes.
const LINGER_BYTES: usize = 512 * 1024;

/// Longest time for reading and dropping these bytes.
const LINGER_TIME: Duration = Duration::from_millis(1_500);

/// The verdicts on the heads that were passed on, in their order. Hyper serves one request after
/// the other, so each request takes the next verdict.
#[derive(Debug, Clone, Default)]
pub struct Verdicts(Arc<Mutex<VecDeque<Option<Deny>>>>);

impl Verdicts {
    fn add(&self, verdict: Option<Deny>) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push_back(verdict);
    }

    /// Takes the verdict of the next request. A request without a verdict is refused.
    pub fn next(&self) -> Option<Deny> {
        let next = self.0.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
        next.unwrap_or_else(|| {
            Some(Deny::Head(
                "it came where no head was expected; send one request after the other".into(),
            ))
        })
    }
}

/// The place of the next byte in the stream.
#[derive(Debug)]
enum Place {
    /// In a head, of which `seen` bytes passed the check.
    Head { seen: usize },
    /// In a body with `left` further bytes.
    Body { left: u64 },
    /// In chunks. No further head is read: the response closes the connection.
    Chunks,
    /// Behind a refused head: nothing more is read as HTTP.
    End,
}

/// The socket between the network and hyper.
#[derive(Debug)]
pub struct Heads<S> {
    inner: S,
    verdicts: Verdicts,
    time: Duration,
    place: Place,
    /// Bytes from the socket that were not passed on.
    held: Vec<u8>,
    /// The number of bytes of `held` that may be passed on.
    free: usize,
    /// Runs while a head is incomplete, and on a new connection from the start.
    waiting: Option<Pin<Box<Sleep>>>,
    lingering: Option<(Pin<Box<Sleep>>, usize)>,
    /// True for plain HTTP at a port that speaks TLS: the first head is refused.
    plain: bool,
}

impl<S> Heads<S> {
    /// Wraps a socket. A head may take `time` from its first byte; the first head may take `time`
    /// from now.
    pub fn new(inner: S, time: Duration, verdicts: Verdicts) -> Self {
        let waiting = Some(Box::pin(sleep(time)));
        Self {
            inner,
            verdicts,
            time,
            place: Place::Head { seen: 0 },
            held: Vec::new(),
            free: 0,
            waiting,
            lingering: None,
            plain: false,
        }
    }

    /// Refuses the first head, because this port speaks TLS.
    #[must_use]
    pub fn refusing_plain_http(self) -> Self {
        Self { plain: true, ..self }
    }

    /// Passes on the bytes that may pass.
    fn give(&mut self, buffer: &mut ReadBuf<'_>) {
        let count = self.free.min(buffer.remaining()).min(self.held.len());
        buffer.put_slice(self.held.get(..count).unwrap_or_default());
        self.held.drain(..count);
        self.free = self.free.saturating_sub(count);
    }

    /// Checks the held bytes. Returns true if some may be passed on.
    fn judge(&mut self) -> bool {
        match self.place {
            Place::Head { seen } => match head::judge(&self.held, seen) {
                Judged::Incomplete { seen } => {
                    self.place = Place::Head { seen };
                    false
                }
                Judged::Whole { .. } if self.plain => {
                    self.refuse(Deny::Head(
                        "it is plain HTTP, and this server speaks TLS; use `https://`".into(),
                    ));
                    true
                }
                Judged::Whole { length, framing } => {
                    self.verdicts.add(None);
                    self.waiting = None;
                    self.free = length;
                    self.place = match framing {
                        Framing::Length(0) => Place::Head { seen: 0 },
                        Framing::Length(left) => Place::Body { left },
                        Framing::Chunks => Place::Chunks,
                    };
                    true
                }
                Judged::Refused(deny) => {
                    self.refuse(deny);
                    true
                }
            },
            Place::Body { left } => {
                let here = u64::try_from(self.held.len()).unwrap_or(u64::MAX).min(left);
                self.free = usize::try_from(here).unwrap_or(usize::MAX);
                let left = left.saturating_sub(here);
                self.place = if left == 0 { Place::Head { seen: 0 } } else { Place::Body { left } };
                self.free > 0
            }
            Place::Chunks => {
                self.free = self.held.len();
                self.free > 0
            }
            Place::End => false,
        }
    }

    fn refuse(&mut self, deny: Deny) {
        self.held = head::in_place_of(&self.held).to_vec();
        self.free = self.held.len();
        self.place = Place::End;
        self.waiting = None;
        self.verdicts.add(Some(deny));
    }

    /// Returns whether the time of a head is over. Starts the time at the first byte of a head.
    fn is_late(&mut self, cx: &mut Context<'_>) -> bool {
        if !matches!(self.place, Place::Head { .. }) {
            return false;
        }
        if self.waiting.is_none() && !self.held.is_empty() {
            self.waiting = Some(Box::pin(sleep(self.time)));
        }
        self.waiting.as_mut().is_some_and(|waiting| waiting.as_mut().poll(cx).is_ready())
    }
}

impl<S: AsyncRead + Unpin> Heads<S> {
    /// Reads from the socket. Returns `None` at its end.
    fn poll_take(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<()>>> {
        let mut chunk = [MaybeUninit::uninit(); CHUNK];
        let mut read = ReadBuf::uninit(&mut chunk);
        ready!(Pin::new(&mut self.inner).poll_read(cx, &mut read))?;
        self.held.extend_from_slice(read.filled());
        Poll::Ready(Ok(Some(()).filter(|()| !read.filled().is_empty())))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Heads<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<Result<()>> {
        let this = &mut *self;
        loop {
            if this.free > 0 || (!this.held.is_empty() && this.judge()) {
                this.give(buffer);
                return Poll::Ready(Ok(()));
            }
            if matches!(this.place, Place::End) {
                return Poll::Pending;
            }
            match this.poll_take(cx) {
                Poll::Ready(Ok(Some(()))) => {}
                Poll::Ready(ended) => return Poll::Ready(ended.map(drop)),
                Poll::Pending if !this.is_late(cx) => return Poll::Pending,
                // No byte arrived, so there is no request to answer.
                Poll::Pending if this.held.is_empty() => return Poll::Ready(Ok(())),
                Poll::Pending => this.refuse(Deny::SlowHead),
            }
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Heads<S> {
    /// Reads and drops further bytes of the client, so that it can read the last response.
    fn poll_linger(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let (time, left) =
            self.lingering.get_or_insert_with(|| (Box::pin(sleep(LINGER_TIME)), LINGER_BYTES));
        let mut chunk = [0; CHUNK];
        loop {
            let mut read = ReadBuf::new(&mut chunk);
            match Pin::new(&mut self.inner).poll_read(cx, &mut read) {
                Poll::Pending => return time.as_mut().poll(cx),
                Poll::Ready(Err(_)) => return Poll::Ready(()),
                Poll::Ready(Ok(())) => {
                    let count = read.filled().len();
                    *left = left.saturating_sub(count);
                    if count == 0 || *left == 0 {
                        return Poll::Ready(());
                    }
                }
            }
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Heads<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<Result<usize>> {
        Pin::new(&mut self.inner).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<Result<usize>> {
        Pin::new(&mut self.inner).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<std::result::Result<(), Error>> {
        if self.lingering.is_none() {
            ready!(Pin::new(&mut self.inner).poll_shutdown(cx))?;
        }
        // Between two requests there are no unread bytes.
        let between = matches!(self.place, Place::Head { .. }) && self.held.is_empty();
        if between { Poll::Ready(Ok(())) } else { self.poll_linger(cx).map(Ok) }
    }
}
