//! Messages of an event stream (`text/event-stream`), read from a body. Ignores comments, names
//! and ids of events: a message is in the data alone.

use crate::command::http::LONGEST;
use std::io::{self, BufRead, Read as _};

/// The messages of an event stream.
pub struct Events<R> {
    body: R,
}

impl<R: BufRead> Events<R> {
    /// Reads messages from this body.
    pub fn new(body: R) -> Self {
        Self { body }
    }

    /// The data of the next event, or `None` at the end of the stream.
    ///
    /// # Errors
    /// The body cannot be read, or an event is longer than 16 MiB.
    pub fn next(&mut self) -> io::Result<Option<String>> {
        let mut data: Option<String> = None;
        loop {
            let mut line = String::new();
            let left = LONGEST.saturating_sub(data.as_ref().map_or(0, String::len) as u64);
            if (&mut self.body).take(left).read_line(&mut line)? == 0 {
                return match left {
                    0 => Err(io::ErrorKind::InvalidData.into()),
                    // An event without the blank line after it is not complete.
                    _ => Ok(None),
                };
            }
            let line = line.trim_end_matches(['\r', '\n']);
            if line.is_empty() {
                if data.is_some() {
                    return Ok(data);
                }
            } else if let Some(part) = line.strip_prefix("data:") {
                let part = part.strip_prefix(' ').unwrap_or(part);
                match &mut data {
                    Some(data) => {
                        data.push('\n');
                        data.push_str(part);
                    }
                    None => data = Some(part.to_owned()),
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_data_of_each_whole_event_is_a_message() {
        let stream = ": the call goes on\n\nevent: message\ndata: {\"a\":\ndata:1}\n\nid: 7\r\n\
                      data: {}\r\n\r\ndata: {\"cut\":";
        let mut events = Events::new(stream.as_bytes());
        let mut heard = Vec::new();
        while let Some(data) = events.next().unwrap() {
            heard.push(data);
        }
        assert_eq!(heard, ["{\"a\":\n1}", "{}"]);
    }
}
