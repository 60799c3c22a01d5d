//! The arithmetic of the benchmarks: percentiles, processes, edited files. Cargo runs no unit test of
//! a benchmark, so this module includes its files and their tests.

#[expect(dead_code, reason = "only the tests of these files run here")]
#[path = "../benches/load/client.rs"]
mod client;
#[expect(dead_code, reason = "only the tests of these files run here")]
#[path = "../benches/load/disk.rs"]
mod disk;
#[path = "../benches/load/figures.rs"]
mod figures;
#[expect(dead_code, reason = "only the tests of these files run here")]
#[path = "../benches/growth/fill.rs"]
mod fill;
#[expect(dead_code, reason = "only the tests of these files run here")]
#[path = "../benches/load/parts.rs"]
mod parts;
#[expect(dead_code, reason = "only the tests of these files run here")]
#[path = "../benches/load/processes.rs"]
mod processes;
#[expect(dead_code, reason = "only the tests of these files run here")]
#[path = "../benches/load/run.rs"]
mod run;
#[expect(dead_code, reason = "only the tests of these files run here")]
#[path = "../benches/load/table.rs"]
mod table;
