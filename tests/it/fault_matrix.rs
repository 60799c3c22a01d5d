//! The fault matrix: each row a fault, each column a promise. The tests below run each fault on real
//! processes and check each promise; the table in `table.rs` says which test that is, and makes
//! `docs/fault-matrix.md`. Never marks a promise as held that the test of its row did not check.
//! | file | content |
//! |---|---|
//! | `table.rs` | the rows and the columns, and the page |
//! | `judge.rs` | the check of each promise |
//! | `shim.rs`, `shim.c` | system calls that fail, processes that stop at a call, clocks that jump |
//! | `agent.rs` | an agent that repeats its request until it knows the outcome |
//! | `killed.rs` | roles that are killed at each step of a job |
//! | `paused.rs` | roles that are stopped past the lease and go on |
//! | `storage.rs` | full, read-only and failing disks |
//! | `clocks.rs` | clocks that jump |
//! | `twice.rs` | a second supervisor of the same home |

pub mod agent;
mod clocks;
pub mod judge;
mod killed;
mod paused;
mod shim;
mod storage;
pub mod table;
mod twice;
