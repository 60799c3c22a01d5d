//! An HTTP/1.1 client that costs little: one kept connection, prepared requests, a response that is
//! read into one buffer. Never retries, and reads only responses with a length.

use cofferdam_testkit::http::Request;
use std::io::{Error, ErrorKind, Result};
use std::net::SocketAddr;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// The most bytes of one response: more than the longest page of tools.
const MOST: usize = 8 << 20;

/// A request as it is sent, on a connection that is kept.
pub fn prepared(request: Request, address: SocketAddr, token: &str) -> Vec<u8> {
    request.without("Connection").with("Host", &address.to_string()).bearer(token).bytes()
}

/// A kept connection.
pub struct Client {
    stream: TcpStream,
    buffer: Vec<u8>,
}

/// A response, until the next request.
pub struct Reply<'a> {
    pub status: u16,
    pub body: &'a [u8],
}

impl Client {
    /// Connects to a server.
    pub async fn connect(address: SocketAddr) -> Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, buffer: Vec::with_capacity(64 << 10) })
    }

    /// Sends a request and reads its response.
    ///
    /// # Errors
    /// The connection failed, or the response has no length.
    pub async fn send(&mut self, request: &[u8]) -> Result<Reply<'_>> {
        self.stream.write_all(request).await?;
        self.buffer.clear();
        let head = loop {
            if let Some(end) = self.buffer.windows(4).position(|window| window == b"\r\n\r\n") {
                break end + 4;
            }
            self.read().await?;
        };
        let (status, length) = read_head(&self.buffer[..head])?;
        while self.buffer.len() < head + length {
            self.read().await?;
        }
        Ok(Reply { status, body: &self.buffer[head..head + length] })
    }

    async fn read(&mut self) -> Result<()> {
        if self.buffer.len() > MOST {
            return Err(Error::new(ErrorKind::InvalidData, "the response is too long"));
        }
        match self.stream.read_buf(&mut self.buffer).await? {
            0 => Err(Error::new(ErrorKind::UnexpectedEof, "the server closed the connection")),
            _ => Ok(()),
        }
    }
}

/// The status and the length of the body.
fn read_head(head: &[u8]) -> Result<(u16, usize)> {
    let invalid = |why| Error::new(ErrorKind::InvalidData, why);
    let text = std::str::from_utf8(head).map_err(|_| invalid("the head is not text"))?;
    let mut lines = text.split("\r\n");
    let status = lines
        .next()
        .and_then(|line| line.split(' ').nth(1))
        .and_then(|status| status.parse().ok())
        .ok_or_else(|| invalid("the response has no status"))?;
    let length = lines
        .filter_map(|line| line.split_once(':'))
        .find(|(name, _)| name.eq_ignore_ascii_case("content-length"))
        .and_then(|(_, value)| value.trim().parse().ok())
        .ok_or_else(|| invalid("the response has no length"))?;
    Ok((status, length))
}
