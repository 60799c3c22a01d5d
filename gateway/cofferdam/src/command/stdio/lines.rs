//! Lines of standard input with a bound. A line that is longer is skipped, not stored.

use std::io::{self, BufRead as _, BufReader, Read};

/// The most bytes of a line: many times the largest message that a gateway takes, so that the
/// answer to a message that is too large has its id.
const LONGEST: u64 = 4 << 20;

/// A line, or the place of a line that was too long.
#[derive(Debug, PartialEq, Eq)]
pub enum Input {
    /// A line with at least one character, without its line break.
    Line(Vec<u8>),
    /// A line of more than 4 MiB.
    TooLong,
}

/// A reader of lines.
pub struct Lines<R> {
    input: BufReader<R>,
}

impl<R: Read> Lines<R> {
    /// Reads lines from this input.
    pub fn new(input: R) -> Self {
        Self { input: BufReader::new(input) }
    }

    /// The next line that is not blank, or `None` at the end of the input.
    ///
    /// # Errors
    /// The input cannot be read.
    pub fn next(&mut self) -> io::Result<Option<Input>> {
        loop {
            let mut line = Vec::new();
            (&mut self.input).take(LONGEST + 1).read_until(b'\n', &mut line)?;
            if line.is_empty() {
                return Ok(None);
            }
            if line.len() as u64 > LONGEST && !line.ends_with(b"\n") {
                self.skip()?;
                return Ok(Some(Input::TooLong));
            }
            let text = line.trim_ascii();
            if !text.is_empty() {
                return Ok(Some(Input::Line(text.to_vec())));
            }
        }
    }

    /// Reads to the end of the line.
    fn skip(&mut self) -> io::Result<()> {
        loop {
            let ahead = self.input.fill_buf()?;
            let (read, done) = match ahead.iter().position(|byte| *byte == b'\n') {
                Some(at) => (at + 1, true),
                None => (ahead.len(), ahead.is_empty()),
            };
            self.input.consume(read);
            if done {
                return Ok(());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_bounded_and_blank_ones_are_ignored() {
        let long = "x".repeat(usize::try_from(LONGEST).unwrap());
        let text = format!("{{}}\r\n\n \n{long}\n{long}y\nlast");
        let mut lines = Lines::new(text.as_bytes());
        let mut heard = Vec::new();
        while let Some(input) = lines.next().unwrap() {
            heard.push(input);
        }
        let line = |text: &str| Input::Line(text.as_bytes().to_vec());
        assert!(heard == [line("{}"), line(&long), Input::TooLong, line("last")]);
    }
}
