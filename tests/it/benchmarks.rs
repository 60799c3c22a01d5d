//! The arithmetic of the benchmarks: percentiles, processes, edited files. Cargo runs no unit test of
//! a benchmark, so this module includes its files and their tests.

#[expect(dead_code, reason = "only the tests of these files run here")]
#[path = "../benches/load/client.rs"]
mod client;
#[path = "../benches/load/figures.rs"]
mod figures;
#[expect(dead_code, reason = "only the tests of these files run here")]
#[path = "../benches/growth/fill.rs"]
mod fill;
#[expect(dead_code, reason = "only the tests of these files run here")]
#[path = "../benches/load/processes.rs"]
mod processes;
#[expect(dead_code, reason = "only the tests of these files run here")]
#[path = "../benches/load/run.rs"]
mod run;
