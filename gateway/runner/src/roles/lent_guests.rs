//! The guests that the supervisor lends to a runner: asked for and given back on the control socket.
//! Never starts a process.

use cofferdam_process::control::{Given, Inherited, LOADED_GUEST, Lent, Report};
use cofferdam_runner::guest_process::{Lender, LentGuest};
use std::os::unix::net::UnixStream;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Mutex, mpsc};

/// How long the supervisor may take: it starts a process. After it the runner starts its own.
const WAIT: Duration = Duration::from_secs(2);

/// The answers of the supervisor, from the thread that reads the control socket.
pub type Answers = mpsc::UnboundedSender<Option<LentGuest>>;

/// The supervisor, which lends guests.
pub struct Supervisor {
    inherited: Arc<Inherited>,
    /// One request at a time, and none after one without an answer: a late answer would be taken
    /// for that of the next request.
    answers: Mutex<Option<mpsc::UnboundedReceiver<Option<LentGuest>>>>,
}

impl Supervisor {
    /// The lender at this control socket, and the end for its answers.
    pub fn new(inherited: Arc<Inherited>) -> (Self, Answers) {
        let (sender, answers) = mpsc::unbounded_channel();
        (Self { inherited, answers: Mutex::new(Some(answers)) }, sender)
    }
}

/// The guest in an answer of the supervisor.
pub fn lent(given: Given) -> LentGuest {
    LentGuest { loaded: given.name == LOADED_GUEST, socket: given.into_stream() }
}

impl Lender for Supervisor {
    fn borrow_guest(
        &self,
        guest: &Lent,
    ) -> Pin<Box<dyn Future<Output = Option<LentGuest>> + Send + '_>> {
        let report = Report::WantsGuest(guest.clone());
        Box::pin(async move {
            let mut answers = self.answers.lock().await;
            let open = answers.as_mut()?;
            let asked = self.inherited.report(&report).is_ok();
            match tokio::time::timeout(WAIT, open.recv()).await {
                Ok(answer) if asked => answer.flatten(),
                _ => {
                    *answers = None;
                    None
                }
            }
        })
    }

    fn return_guest(&self, guest: &Lent, socket: UnixStream) {
        // Without a supervisor no other job needs it.
        let _gone = self.inherited.return_guest(guest, &socket);
    }
}
