//! The bytes of one link: from the connection to the role's socket, and back, with the pace of the
//! slower side. Ends the link when a side ends, or when the peer's certificate is valid no more.
//! Never reads a message.

use cofferdam_core::protocol::link::LinkRefusal;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _, copy, split};
use tokio::net::UnixStream;
use tokio::time::{Instant, interval_at, timeout};

/// How long a link passes the rest of one direction after the other has ended. Roles close both
/// directions at once.
const REST: Duration = Duration::from_secs(5);

/// Passes bytes until a side ends. `check` is asked each time that `every` has passed.
///
/// # Errors
/// The peer's certificate is valid no more.
pub(super) async fn relay<S: AsyncRead + AsyncWrite>(
    remote: S,
    local: UnixStream,
    every: Duration,
    check: impl Fn() -> Result<(), LinkRefusal>,
) -> Result<(), LinkRefusal> {
    let (mut from_remote, mut to_remote) = split(remote);
    let (mut from_local, mut to_local) = local.into_split();
    let outgoing = async {
        // The error of a broken connection is its end.
        let _broken = copy(&mut from_local, &mut to_remote).await;
        let _broken = to_remote.shutdown().await;
    };
    let incoming = async {
        let _broken = copy(&mut from_remote, &mut to_local).await;
        let _broken = to_local.shutdown().await;
    };
    let checks = async {
        let mut ticks = interval_at(Instant::now() + every, every);
        loop {
            ticks.tick().await;
            if let Err(refused) = check() {
                break refused;
            }
        }
    };
    tokio::pin!(outgoing, incoming);
    tokio::select! {
        () = &mut outgoing => {
            let _late = timeout(REST, incoming).await;
        }
        () = &mut incoming => {
            let _late = timeout(REST, outgoing).await;
        }
        refused = checks => return Err(refused),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::serve::link::identity::refusal;
    use cofferdam_core::protocol::link::LinkCode;
    use tokio::io::AsyncReadExt as _;

    const NEVER: Duration = Duration::from_secs(3600);

    #[tokio::test]
    async fn bytes_pass_both_ways_and_the_last_ones_after_a_side_has_ended() {
        let (mut peer, remote) = tokio::io::duplex(16);
        let (mut role, local) = UnixStream::pair().unwrap();
        let link = tokio::spawn(relay(remote, local, NEVER, || Ok(())));
        // More than every buffer between: the other side has to read.
        let large = vec![7; 1 << 20];
        let sent = large.clone();
        let writing = tokio::spawn(async move {
            role.write_all(&sent).await.unwrap();
            let mut four = [0; 4];
            role.read_exact(&mut four).await.unwrap();
            (four, role)
        });
        let mut got = vec![0; large.len()];
        peer.read_exact(&mut got).await.unwrap();
        assert!(got == large);
        peer.write_all(b"done").await.unwrap();
        let (four, role) = writing.await.unwrap();
        assert_eq!(&four, b"done");
        drop(role);
        assert_eq!(peer.read(&mut [0]).await.unwrap(), 0, "the end of the role is told");
        drop(peer);
        assert_eq!(link.await.unwrap(), Ok(()));
    }

    #[tokio::test]
    async fn a_side_that_reads_nothing_stops_the_other() {
        let (peer, remote) = tokio::io::duplex(16);
        let (mut role, local) = UnixStream::pair().unwrap();
        let _link = tokio::spawn(relay(remote, local, NEVER, || Ok(())));
        let endless = async { while role.write_all(&[0; 4096]).await.is_ok() {} };
        assert!(timeout(Duration::from_millis(100), endless).await.is_err(), "it waits");
        drop(peer);
    }

    #[tokio::test]
    async fn a_link_ends_when_the_certificate_of_its_peer_is_valid_no_more() {
        let (mut peer, remote) = tokio::io::duplex(16);
        let (_role, local) = UnixStream::pair().unwrap();
        let expired = || Err(refusal(LinkCode::LinkCertificate, "it has expired"));
        let ended = relay(remote, local, Duration::from_millis(5), expired).await;
        assert_eq!(ended.unwrap_err().code, LinkCode::LinkCertificate);
        assert_eq!(peer.read(&mut [0]).await.unwrap(), 0);
    }
}
