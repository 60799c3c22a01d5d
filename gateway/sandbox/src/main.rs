//! `cofferdam-guest`: computes for the role at the other end of its socket, and ends: after one
//! result, or after a few over the same tool or policy. It starts with
//! one socket on standard input, an empty environment and no arguments. It opens nothing, and holds
//! nothing that foreign code could reach.

use std::io;
use std::os::fd::AsFd as _;
use std::os::unix::net::UnixStream;
use std::sync::Arc;

fn main() {
    // The role that started a guest ends it. A signal to every process at once does not concern a
    // guest.
    cofferdam_process::signal::ignore();
    let socket =
        io::stdin().as_fd().try_clone_to_owned().map(|socket| Arc::new(UnixStream::from(socket)));
    let code = match socket
        .as_ref()
        .map_err(|error| io::Error::from(error.kind()))
        .and_then(cofferdam_sandbox::guest::serve)
    {
        Ok(()) => 0,
        Err(error) => {
            eprintln!(
                "cofferdam-guest: {error}; it is started by a role, over a socket on standard \
                 input"
            );
            1
        }
    };
    // Exits without a return: see `serve`.
    std::process::exit(code)
}
