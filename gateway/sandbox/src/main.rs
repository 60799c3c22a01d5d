//! `cofferdam-guest`: computes one thing for the role that started it and ends. It is started with
//! one socket on standard input, an empty environment and no arguments; it opens nothing, and holds
//! nothing that foreign code could reach.

use std::io;
use std::os::fd::AsFd as _;
use std::os::unix::net::UnixStream;
use std::sync::Arc;

fn main() {
    // A signal to every process at once is none of a guest's business: the role that started it
    // ends it.
    cofferdam_process::signal::ignore();
    let socket =
        io::stdin().as_fd().try_clone_to_owned().map(|socket| Arc::new(UnixStream::from(socket)));
    let code = match socket
        .as_ref()
        .map_err(|fault| io::Error::from(fault.kind()))
        .and_then(cofferdam_sandbox::guest::serve)
    {
        Ok(()) => 0,
        Err(fault) => {
            eprintln!(
                "cofferdam-guest: {fault}; it is started by a role, over a socket on standard \
                 input"
            );
            1
        }
    };
    // Not by returning: see `serve`.
    std::process::exit(code)
}
