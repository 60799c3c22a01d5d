//! The form of a message on a socket: two big-endian 32-bit lengths, a JSON header, then raw bytes.
//! Never reads or writes more than its limits.

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use std::io::{self, Read, Write};
use std::os::fd::AsFd;
use std::time::{Duration, Instant};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

/// Most bytes of a header. The largest is a stored job with plan, preview and arguments.
pub const HEADER: usize = 8 * 1024 * 1024;

/// Most bytes of a body. The largest is a compiled artefact.
pub const BODY: usize = 64 * 1024 * 1024;

/// One message on a socket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// The header, in JSON.
    pub header: Vec<u8>,
    /// The raw bytes; most messages have none.
    pub body: Vec<u8>,
}

/// The message is larger than a socket between roles carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("it has {bytes} bytes, at most {limit} are carried")]
pub struct TooLarge {
    /// The size of the part that is too large.
    pub bytes: usize,
    /// The most bytes of this part.
    pub limit: usize,
}

impl Frame {
    /// Creates a message without raw bytes.
    pub fn of(header: Vec<u8>) -> Self {
        Self { header, body: Vec::new() }
    }

    /// Checks that a socket carries this message. Call it before the message is queued: a message
    /// that is too large must fail its own request, and never the socket.
    /// # Errors
    /// The message exceeds a limit.
    pub fn check(&self) -> Result<(), TooLarge> {
        for (bytes, limit) in [(self.header.len(), HEADER), (self.body.len(), BODY)] {
            if bytes > limit {
                return Err(TooLarge { bytes, limit });
            }
        }
        Ok(())
    }

    fn prefix(&self) -> io::Result<[u8; 8]> {
        let header = length(self.header.len(), HEADER)?.to_be_bytes();
        let body = length(self.body.len(), BODY)?.to_be_bytes();
        let mut prefix = [0; 8];
        for (slot, byte) in prefix.iter_mut().zip(header.into_iter().chain(body)) {
            *slot = byte;
        }
        Ok(prefix)
    }
}

fn length(length: usize, limit: usize) -> io::Result<u32> {
    let checked = if length <= limit { u32::try_from(length).ok() } else { None };
    checked.ok_or_else(|| {
        io::Error::new(io::ErrorKind::InvalidData, TooLarge { bytes: length, limit })
    })
}

fn lengths(prefix: [u8; 8]) -> io::Result<(usize, usize)> {
    let [a, b, c, d, e, f, g, h] = prefix;
    let header = u32::from_be_bytes([a, b, c, d]) as usize;
    let body = u32::from_be_bytes([e, f, g, h]) as usize;
    length(header, HEADER)?;
    length(body, BODY)?;
    Ok((header, body))
}

/// Reads one frame. Returns `None` if the other side closed between two frames.
pub fn read(source: &mut impl Read) -> io::Result<Option<Frame>> {
    let mut prefix = [0; 8];
    let mut filled = 0;
    while let Some(rest) = prefix.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        match source.read(rest) {
            Ok(0) if filled == 0 => return Ok(None),
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(count) => filled += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    let (header, body) = lengths(prefix)?;
    let mut frame = Frame { header: vec![0; header], body: vec![0; body] };
    source.read_exact(&mut frame.header)?;
    source.read_exact(&mut frame.body)?;
    Ok(Some(frame))
}

/// Waits until a frame begins, or the other side closed. Returns false if neither happens within
/// this time.
pub fn readable(socket: &impl AsFd, most: Duration) -> io::Result<bool> {
    let until = Instant::now() + most;
    loop {
        let left = until.saturating_duration_since(Instant::now());
        let left = Timespec::try_from(left).map_err(io::Error::other)?;
        let mut waiting = [PollFd::new(socket, PollFlags::IN)];
        match poll(&mut waiting, Some(&left)) {
            Err(Errno::INTR) => {}
            ready => return Ok(ready? > 0),
        }
    }
}

/// Writes one frame and flushes.
pub fn write(sink: &mut impl Write, frame: &Frame) -> io::Result<()> {
    sink.write_all(&frame.prefix()?)?;
    sink.write_all(&frame.header)?;
    sink.write_all(&frame.body)?;
    sink.flush()
}

/// Reads one frame. Returns `None` if the other side closed between two frames. Cancelling it loses
/// bytes: give it a task of its own.
pub async fn read_async(source: &mut (impl AsyncRead + Unpin)) -> io::Result<Option<Frame>> {
    let mut prefix = [0; 8];
    let mut filled = 0;
    while let Some(rest) = prefix.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        match source.read(rest).await? {
            0 if filled == 0 => return Ok(None),
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            count => filled += count,
        }
    }
    let (header, body) = lengths(prefix)?;
    let mut frame = Frame { header: vec![0; header], body: vec![0; body] };
    source.read_exact(&mut frame.header).await?;
    source.read_exact(&mut frame.body).await?;
    Ok(Some(frame))
}

/// Writes one frame.
pub async fn write_async(sink: &mut (impl AsyncWrite + Unpin), frame: &Frame) -> io::Result<()> {
    write_all_async(sink, std::slice::from_ref(frame)).await
}

/// Writes frames in one write, as far as the other side takes the bytes.
pub async fn write_all_async(
    sink: &mut (impl AsyncWrite + Unpin),
    frames: &[Frame],
) -> io::Result<()> {
    let size = frames.iter().map(|frame| 8 + frame.header.len() + frame.body.len()).sum();
    let mut bytes = Vec::with_capacity(size);
    for frame in frames {
        bytes.extend_from_slice(&frame.prefix()?);
        bytes.extend_from_slice(&frame.header);
        bytes.extend_from_slice(&frame.body);
    }
    sink.write_all(&bytes).await?;
    sink.flush().await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_reads_back_and_a_large_or_broken_one_is_refused() {
        let frame = Frame { header: b"{}".to_vec(), body: vec![1, 2, 3] };
        let mut bytes = Vec::new();
        write(&mut bytes, &frame).unwrap();
        assert_eq!(read(&mut bytes.as_slice()).unwrap(), Some(frame));
        assert_eq!(read(&mut [].as_slice()).unwrap(), None);
        assert!(read(&mut &bytes[..bytes.len() - 1]).is_err());
        assert!(read(&mut [0xff; 8].as_slice()).is_err());
    }
}
