//! The calibration of a run: a bare hyper server, on the same machine at the same time. All results
//! are ratios against it.

use crate::installation::binaries;
use std::io::{BufRead as _, BufReader};
use std::net::{SocketAddr, TcpListener};
use std::process::{Child, Command, Stdio};

/// The echo of the edge's examples, in a process of its own. Ended when dropped.
pub struct Echo {
    child: Child,
    pub address: SocketAddr,
}

impl Echo {
    pub fn start() -> Self {
        let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let program = binaries().join("examples/echo");
        let mut child = Command::new(&program)
            .arg(address.to_string())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("`{}` does not start: {error}", program.display()));
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        Self { child, address }
    }

    pub fn id(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Echo {
    fn drop(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}
