//! The options of a TCP connection between hosts: small messages leave at once, and a host that is
//! gone is noticed. Sends nothing itself.

use rustix::net::sockopt::{
    set_socket_keepalive, set_tcp_keepcnt, set_tcp_keepidle, set_tcp_keepintvl, set_tcp_nodelay,
    set_tcp_user_timeout,
};
use std::io;
use std::os::fd::AsFd;
use std::time::Duration;

/// The silence after which the kernel asks whether the other host is there.
const IDLE: Duration = Duration::from_secs(3);

/// The time between two such questions.
const INTERVAL: Duration = Duration::from_secs(1);

/// The number of unanswered questions after which the connection is lost.
const COUNT: u32 = 4;

/// The longest time that sent bytes may stay unacknowledged, in milliseconds. The kernel counts the
/// time for which a slow receiver takes nothing too, so it is longer than the stall of a busy role.
const UNACKNOWLEDGED: u32 = 60_000;

/// Sets the options. With them a dead host is noticed after 7 to 8 seconds of silence, or after a
/// minute if bytes are under way to it.
/// # Errors
/// The descriptor is no TCP socket.
pub fn between_hosts(socket: &impl AsFd) -> io::Result<()> {
    set_tcp_nodelay(socket, true)?;
    set_socket_keepalive(socket, true)?;
    set_tcp_keepidle(socket, IDLE)?;
    set_tcp_keepintvl(socket, INTERVAL)?;
    set_tcp_keepcnt(socket, COUNT)?;
    set_tcp_user_timeout(socket, UNACKNOWLEDGED)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::net::sockopt::{socket_keepalive, tcp_nodelay, tcp_user_timeout};

    #[test]
    fn a_connection_between_hosts_is_watched_by_the_kernel() {
        let server = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let client = std::net::TcpStream::connect(server.local_addr().unwrap()).unwrap();
        between_hosts(&client).unwrap();
        assert!(socket_keepalive(&client).unwrap() && tcp_nodelay(&client).unwrap());
        assert_eq!(tcp_user_timeout(&client).unwrap(), UNACKNOWLEDGED);
        let pair = std::os::unix::net::UnixStream::pair().unwrap();
        assert!(between_hosts(&pair.0).is_err());
    }
}
