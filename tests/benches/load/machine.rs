//! The calibration of a run: a bare hyper server and the disk of the store, on the same machine at
//! the same time. All results are ratios against these.

use crate::installation::binaries;
use std::fs::File;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Instant;

/// The writes whose median is the time of the disk.
const WRITES: usize = 300;

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

/// The median time of a write of 4 KiB with `fdatasync` in this folder, in milliseconds.
pub fn sync_ms(folder: &Path) -> f64 {
    let path = folder.join("fdatasync.bench");
    let mut file = File::create(&path).unwrap();
    let mut times: Vec<f64> = (0..WRITES)
        .map(|_| {
            let began = Instant::now();
            file.write_all(&[7; 4096]).unwrap();
            file.sync_data().unwrap();
            began.elapsed().as_secs_f64() * 1000.0
        })
        .collect();
    std::fs::remove_file(path).unwrap();
    times.sort_by(f64::total_cmp);
    times[WRITES / 2]
}
