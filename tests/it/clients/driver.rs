//! The test's side of the contract in `tests/clients/README.md`: starts a client, gives it steps,
//! and reads its answers. Ends with the test, also if the client hangs.

use crate::installation::TIME_LIMIT;
use serde_json::{Value, json};
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};

/// The command that starts a client.
pub struct Client {
    /// Its name for readers, with the version.
    pub title: String,
    /// The name of its golden file.
    pub file: &'static str,
    /// The program and its first arguments.
    pub command: Command,
    /// The arguments after the address and the file of the token.
    pub more: Vec<String>,
    /// True if it follows a task until its end, and so shows no call that waits.
    pub follows_tasks: bool,
    /// The host that the client is, if it is one.
    pub host: Option<Host>,
}

/// A host: an agent's program, which gets its configuration from `cofferdam connect`.
#[derive(Clone, Copy)]
pub struct Host {
    /// Its name in that command.
    pub name: &'static str,
    /// Its file, beneath its home.
    pub file: &'static str,
    /// A file that was there before, and its text: the choices of a person at the first start.
    pub before: (&'static str, &'static str),
}

/// A running client.
pub struct Driver {
    child: Child,
    input: Option<ChildStdin>,
    lines: Receiver<Value>,
}

impl Driver {
    /// Starts a client with this token, or with none if the text is empty.
    pub fn start(client: &Client, url: &str, token: &str, folder: &Path) -> Self {
        let file = folder.join("token");
        std::fs::write(&file, token).unwrap();
        let mut again = Command::new(client.command.get_program());
        again.args(client.command.get_args()).args([Path::new(url), &file]).args(&client.more);
        for (name, value) in client.command.get_envs() {
            again.env(name, value.unwrap());
        }
        let mut child = again
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("{}: {error}", client.file));
        let (send, lines) = channel();
        let output = BufReader::new(child.stdout.take().unwrap());
        std::thread::spawn(move || {
            for line in output.lines().map_while(Result::ok) {
                let heard = serde_json::from_str(&line).unwrap_or_else(|_| json!({"noise": line}));
                if send.send(heard).is_err() {
                    return;
                }
            }
        });
        Self { input: child.stdin.take(), child, lines }
    }

    /// The next line. Fails if the client has ended or says nothing for too long.
    pub fn next(&mut self) -> Value {
        match self.lines.recv_timeout(TIME_LIMIT) {
            Ok(line) => line,
            Err(error) => {
                let _ended = self.child.kill();
                let mut words = String::new();
                let _closed = self.child.stderr.take().unwrap().read_to_string(&mut words);
                panic!("the client gave no answer ({error}): {words}");
            }
        }
    }

    /// Gives a step to the client, without its answer.
    pub fn give(&mut self, step: &Value) {
        writeln!(self.input.as_mut().unwrap(), "{step}").unwrap();
    }

    /// Gives a step to the client. Returns its answer.
    pub fn ask(&mut self, step: &Value) -> Value {
        self.give(step);
        self.next()
    }

    /// Ends the client by the end of its input.
    pub fn end(mut self) {
        self.input.take();
        let rest: Vec<Value> = self.lines.iter().collect();
        assert!(rest.is_empty(), "the client said more than it was asked: {rest:?}");
        assert!(self.child.wait().unwrap().success());
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        // It has ended by itself where `end` was called.
        let _ended = self.child.kill();
        let _status = self.child.wait();
    }
}
