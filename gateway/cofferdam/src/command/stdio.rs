//! `cofferdam stdio`: a bridge for an MCP host that only starts programs. Each line of standard
//! input is sent to the running gateway; each answer is a line of standard output. Standard output
//! has nothing but the protocol. The bridge decides nothing and remembers no call.

mod events;
mod lines;
mod relay;
#[cfg(test)]
mod tests;

use super::agent_token::Token;
use super::gateway_url::GatewayUrl;
use super::report::{Report, Usage};
use crate::config::home::Home;
use anyhow::Result;
use clap::{Args, ValueHint};
use cofferdam_core::model::limit;
use lines::Input;
use relay::{Exchange, Relay, fault};
use serde_json::Value;
use std::collections::HashMap;
use std::io::{Read, Write};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{self, RecvTimeoutError, SyncSender};
use std::time::{Duration, Instant};

/// The most requests that wait for their answers. A host sends few at a time.
const MOST_HELD: usize = 64;
/// The most events that wait for the main thread.
const EVENTS: usize = 64;
/// The time for held requests after the end of standard input. A host that is done ends the bridge
/// itself; a script waits for its answers.
const LAST_ANSWERS: Duration = Duration::from_secs(60);

/// Connects a client that only starts programs to a running `serve`: MCP on standard input and
/// output, one message a line. Words for people go to standard error.
#[derive(Debug, Args)]
#[command(
    after_help = "Example, in the configuration of the client:\n  {\"command\": \"cofferdam\", \
                  \"args\": [\"stdio\", \"--token-file\", \"/home/ada/.config/cofferdam/token\"]}\
                  \n\n`cofferdam connect claude-desktop` writes it."
)]
pub struct Stdio {
    /// The address of the gateway [default: `edge.listen` of the installation]
    #[arg(long, value_name = "URL", value_parser = GatewayUrl::parse)]
    url: Option<GatewayUrl>,
    /// The PEM certificates to trust with an `https` address: the gateway's own, or its authority's
    /// [default: with `--url` those of this system, else `edge.tls.certificate`]
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    ca: Option<PathBuf>,
    #[command(flatten)]
    token: Token,
}

impl Stdio {
    /// Runs the command until the end of standard input.
    pub fn run(self, home: &Home) -> Result<Report> {
        let (url, own) = GatewayUrl::find_near(self.url, home)?;
        if self.ca.is_some() && !url.tls {
            let words = format!("`--ca` is for an address with https://, and `{url}` has none");
            return Err(Usage(words).into());
        }
        let relay = Relay::new(url, self.ca.or(own), self.token);
        Ok(Report::silent().good(serve(relay, std::io::stdin(), std::io::stdout())))
    }
}

/// An event of the bridge.
enum Event {
    /// A line of standard input.
    Line(Vec<u8>),
    /// A line that was too long to read.
    LongLine,
    /// Standard input ended.
    End,
    /// A message for standard output.
    Output(String),
    /// The exchange of this number ended.
    Ended(u64),
}

/// Serves one host. Returns false if the host stopped reading before the end of its input.
fn serve(relay: Relay, input: impl Read + Send + 'static, mut output: impl Write) -> bool {
    let (events, heard) = mpsc::sync_channel(EVENTS);
    let reader = events.clone();
    std::thread::spawn(move || read(input, &reader));
    let mut bridge = Bridge { relay: Arc::new(relay), events, held: HashMap::new(), count: 0 };
    let mut last: Option<Instant> = None;
    loop {
        let event = match last {
            None => heard.recv().map_err(|_| RecvTimeoutError::Disconnected),
            Some(_) if bridge.held.is_empty() => return true,
            Some(last) => heard.recv_timeout(last.saturating_duration_since(Instant::now())),
        };
        let line = match event {
            Ok(Event::Line(line)) => bridge.take(line).map(|answer| answer.to_string()),
            Ok(Event::LongLine) => {
                let words = "a message is longer than 4 MiB and was not read; send less";
                Some(fault(&Value::Null, relay::PARSE_ERROR, words).to_string())
            }
            Ok(Event::End) => {
                last = Some(Instant::now() + LAST_ANSWERS);
                bridge.end();
                None
            }
            Ok(Event::Output(line)) => Some(line),
            Ok(Event::Ended(number)) => {
                bridge.held.remove(&number);
                None
            }
            Err(_) => return true,
        };
        if let Some(line) = line {
            let written = output.write_all(format!("{line}\n").as_bytes());
            if written.and_then(|()| output.flush()).is_err() {
                return false;
            }
        }
    }
}

/// Reads the lines of standard input.
fn read(input: impl Read, events: &SyncSender<Event>) {
    let mut lines = lines::Lines::new(input);
    loop {
        let event = match lines.next() {
            Ok(Some(Input::Line(line))) => Event::Line(line),
            Ok(Some(Input::TooLong)) => Event::LongLine,
            Ok(None) => Event::End,
            Err(error) => {
                eprintln!("cofferdam stdio: standard input cannot be read: {error}");
                Event::End
            }
        };
        let is_last = matches!(event, Event::End);
        if events.send(event).is_err() || is_last {
            return;
        }
    }
}

/// The requests of one host.
struct Bridge {
    relay: Arc<Relay>,
    events: SyncSender<Event>,
    held: HashMap<u64, (Value, Arc<Exchange>)>,
    count: u64,
}

impl Bridge {
    /// Takes a line of the host. Returns the answer of the bridge itself, if the gateway gets no
    /// message.
    fn take(&mut self, line: Vec<u8>) -> Option<Value> {
        let message: Value = match serde_json::from_slice(&line) {
            Ok(message) => message,
            Err(error) => {
                let words = format!("a line is not JSON ({error}); send one message a line");
                return Some(fault(&Value::Null, relay::PARSE_ERROR, &words));
            }
        };
        let id = message.get("id").cloned().unwrap_or_default();
        let invalid = |words: &str| Some(fault(&id, relay::INVALID_REQUEST, words));
        let Some(method) = message.get("method").and_then(Value::as_str) else {
            if message.get("result").or(message.get("error")).is_some() {
                eprintln!("cofferdam stdio: a response was ignored: the gateway asks nothing");
                return None;
            }
            return invalid("each line must be one request or one notification, with a `method`");
        };
        if line.len() > limit::BODY {
            return invalid(&format!(
                "the message has {} bytes; the gateway takes at most {}",
                line.len(),
                limit::BODY
            ));
        }
        let exchange = Arc::new(Exchange::new(method.to_owned(), id.clone()));
        if method == "notifications/cancelled" {
            let cancelled = message.get("params").and_then(|params| params.get("requestId"));
            for (id, exchange) in self.held.values() {
                if Some(id) == cancelled {
                    exchange.cancel();
                }
            }
        }
        if self.held.len() >= MOST_HELD {
            let words = format!("{MOST_HELD} messages are on their way; repeat this one later");
            return (!id.is_null()).then(|| fault(&id, relay::SERVER_ERROR, &words));
        }
        self.count += 1;
        let number = self.count;
        let (relay, events, inner) =
            (Arc::clone(&self.relay), self.events.clone(), Arc::clone(&exchange));
        let started = std::thread::Builder::new().spawn(move || {
            // JSON that was parsed is UTF-8.
            let line = String::from_utf8_lossy(&line);
            relay.carry(&inner, &message, &line, &mut |answer| {
                events.send(Event::Output(answer)).is_ok()
            });
            let _main_ended = events.send(Event::Ended(number));
        });
        if let Err(error) = started {
            let words =
                format!("the bridge cannot start a thread ({error}); repeat the request later");
            return (!id.is_null()).then(|| fault(&id, relay::SERVER_ERROR, &words));
        }
        self.held.insert(number, (id, exchange));
        None
    }

    /// Ends the streams that end only when the host closes them.
    fn end(&self) {
        for (_, exchange) in self.held.values() {
            if exchange.method == "subscriptions/listen" {
                exchange.cancel();
            }
        }
    }
}
