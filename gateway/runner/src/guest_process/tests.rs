//! The executor's process, which is started before its request.

use super::*;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Counts starts. The first process ends at once if `is_short`; another one finishes its executor.
#[derive(Default)]
struct Starts {
    count: AtomicUsize,
    is_short: bool,
}

impl Start for Arc<Starts> {
    fn start(&self, socket: OwnedFd) -> io::Result<Box<dyn Send>> {
        if self.count.fetch_add(1, Ordering::SeqCst) > 0 || !self.is_short {
            std::thread::spawn(move || answer(&mut UnixStream::from(socket)));
        }
        Ok(Box::new(()))
    }
}

fn answer(socket: &mut UnixStream) -> Option<()> {
    use cofferdam_process::frame::{read, write};
    let request = read(socket).ok()??;
    let (computed, body) = match serde_json::from_slice(&request.header).ok()? {
        Compute::Compile { .. } => (Computed::Artefact { engine: "test".into() }, request.body),
        Compute::Execute { .. } => (Computed::Finished { stop: None }, Vec::new()),
        _ => return None,
    };
    write(socket, &Frame { header: serde_json::to_vec(&computed).ok()?, body }).ok()
}

/// Starts ahead twice, then runs two executors. Returns the number of started processes before the
/// first request and in all.
async fn starts(is_short: bool) -> (usize, usize) {
    let folder = tempfile::tempdir().unwrap();
    let starts = Arc::new(Starts { is_short, ..Starts::default() });
    let key = || ArtefactKey::new([7; 32]);
    let guests = Guests::new(Arc::clone(&starts), folder.path().to_owned(), key());
    // Its own process compiles, and the artefact is kept.
    let compiling = Guests::new(Arc::<Starts>::default(), folder.path().to_owned(), key());
    compiling.artefact(GuestKind::Executor, b"executor").await.unwrap();
    guests.start_ahead();
    guests.start_ahead();
    let ahead = starts.count.load(Ordering::SeqCst);
    let execute = Compute::Execute { handles: Vec::new(), guest_ms: 1 };
    for _ in 0..2 {
        let mut session = guests.open(GuestKind::Executor, b"executor", &execute).await.unwrap();
        assert!(matches!(session.next().await.unwrap().0, Computed::Finished { stop: None }));
    }
    (ahead, starts.count.load(Ordering::SeqCst))
}

#[tokio::test]
async fn a_process_started_ahead_serves_one_executor() {
    assert_eq!(starts(false).await, (1, 2));
}

#[tokio::test]
async fn a_process_that_ended_before_its_request_is_replaced() {
    assert_eq!(starts(true).await, (2, 3));
}
