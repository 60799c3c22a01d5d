//! The limits of guests, each with its reason. No limit has a default that means "unlimited".

use std::time::Duration;

/// One tick of guest time. The ticker wakes at this interval; a shorter one costs wake-ups, a
/// longer one makes limits coarse.
pub const TICK: Duration = Duration::from_millis(5);

/// Most ticks of one tool call, with instantiation: 100 ms. A call takes some microseconds; a tool
/// that computes longer does not plan.
pub const TOOL_TICKS: u32 = 20;

/// Most ticks of reading a definition. It runs once for each load and may build large schemas.
pub const DEFINE_TICKS: u32 = 40;

/// Most ticks of one decision, with instantiation: 200 ms, a hundred times the need of the shipped
/// policy for one tool. The clock counts guest time, so a machine that gives the guest no core uses
/// it up too.
pub const POLICY_TICKS: u32 = 40;

/// Most ticks of one run on a thread that serves callers: 10 ms of guest time, because the first
/// tick may come at once. A tool or a decision takes some ten microseconds. Others of the same thread
/// wait meanwhile.
pub const SERVING_TICKS: u32 = 1;

/// Most bytes of an input that a decision reads on a thread that serves callers. The time grows with
/// the input; a usual one has 3 KB.
pub const SERVING_INPUT: usize = 16 << 10;

/// The usual longest time of a run on a serving thread. After [`SLOW_RUNS`] longer ones in turn, a
/// guest goes to the worker threads, also if each run ended in time: a hand-over is short against it.
pub const SLOW: Duration = Duration::from_millis(1);

/// So many runs in turn are slow because of the guest, and not because the machine was busy.
pub const SLOW_RUNS: u32 = 4;

/// The time for which a guest runs on worker threads alone, after a run that took too long on a
/// serving thread. A guest that always takes too long holds up a serving thread for a thousandth of
/// the time.
pub const OVERRUN: Duration = Duration::from_secs(10);

/// Instructions of one decision on trial. A policy is accepted with half of them. A core of 2026
/// runs some twenty million instructions of policies in a millisecond, so this is the time of
/// [`POLICY_TICKS`].
pub const POLICY_INSTRUCTIONS: u64 = 4_000_000_000;

/// Most ticks of one test of a policy: 30 s. A test makes many decisions in one instance. It runs
/// where policies are built; a decision never has this time.
pub const POLICY_TEST_TICKS: u32 = 6_000;

/// Most bytes of memory of one test of a policy. Its decisions give no memory back.
pub const POLICY_TEST_MEMORY: usize = 512 << 20;

/// Most bytes that one test of a policy prints: some thousand decisions with their inputs.
pub const POLICY_TEST_PRINTED: usize = 16 << 20;

/// Longest wait of a caller for a worker thread: guest time, queueing and a loaded machine. After
/// it the call is refused.
pub const WALL: Duration = Duration::from_secs(5);

/// Most calls that wait for a worker thread. A full queue answers "busy" at once, so that a flood
/// is refused early.
pub const QUEUE: usize = 256;

/// Most bytes of a component or a policy module. A tool in Rust has 50 KB, a policy 400 KB, and an
/// interpreter in a tool a few MB.
pub const WASM: usize = 8 << 20;

/// Most bytes of a compiled artefact. Machine code has at most about ten times the bytes of its
/// Wasm.
pub const ARTEFACT: usize = 64 << 20;

/// Most bytes of all memories of one tool together. The memory of the SDK has 256 KiB; a tool with
/// an interpreter fits.
pub const TOOL_MEMORY: usize = 16 << 20;

/// Most bytes of all memories of one executor together.
pub const EXECUTOR_MEMORY: usize = 16 << 20;

/// Most bytes of all memories of one Wasm command together. It works on its parsed input, which has
/// at most some hundred KiB.
pub const COMMAND_MEMORY: usize = 64 << 20;

/// Most bytes of a policy's memory. A decision gives no memory back: the largest plan, with
/// thousands of changes, costs the shipped example some 55 MiB. A usual decision needs 1 MiB.
pub const POLICY_MEMORY: usize = 128 << 20;

/// Bytes of heap that a policy has ready behind its data document: a usual decision grows its memory
/// no further, which would cost system calls.
pub const POLICY_HEAP: i32 = 512 << 10;

/// Most elements of all tables of one guest together: function pointers. Each needs eight bytes of
/// the host's memory.
pub const TABLE_ELEMENTS: usize = 20_000;

/// Most core instances of one component: the encoder makes three, and adapters some more. A
/// component of jco with QuickJS, which replaces WASI by a second component, has 20.
pub const INSTANCES: usize = 32;
/// Most memories of one component. Together they get the bytes of one; each reserves four GiB of
/// address space in a pool.
pub const MEMORIES: usize = 4;
/// Most memories in the pool of one thread that runs tools: more than the shipped tools need. Each
/// keeps at most [`KEEP_MEMORY`] bytes, and a memory of the SDK 256 KiB.
pub const TOOL_SLOTS: usize = 32;
/// Most tables of one component.
pub const TABLES: usize = 16;

/// Most bytes of a guest's call stack. Rust guests keep their data elsewhere; this limits recursion
/// alone, within the 2 MiB of a thread.
pub const STACK: usize = 256 << 10;

/// Most bytes that one call moves from guest to host, counted by their size in the host. A draft of
/// [`cofferdam_core::model::limit::DRAFT`] bytes as many small strings fits; the engine's own
/// default is a hundred times more.
pub const HOSTCALL: usize = 2 << 20;

/// Most handles of a guest besides those that it was given: its own resources.
pub const HANDLES: usize = 64;

/// Most calls of one executor into the host: 64 operations take five each and reports take 100; the
/// rest is for repeated questions.
pub const HOST_CALLS: u32 = 1_000;

/// Most reports of one executor.
pub const REPORTS: u32 = 100;

/// Longest report or note of an executor, in characters.
pub const NOTE: usize = 200;

/// Longest error text of a policy that is kept, in characters.
pub const ABORT: usize = 400;

/// Bytes of memory that stay resident in a slot of the pool: four times the fixed memory of the
/// SDK. The rest goes back to the kernel after each call, which costs page faults and, with several
/// threads, interrupts to all of them.
pub const KEEP_MEMORY: usize = 1 << 20;

/// Bytes of a table that stay resident, for the same reason.
pub const KEEP_TABLE: usize = 64 << 10;

/// Most list decisions that a memo keeps. One caller asks once for each tool and minute.
pub const MEMO_ENTRIES: usize = 16_384;

/// Most bytes of all questions and answers of a memo: the lists of a thousand tools for a dozen
/// callers.
pub const MEMO_BYTES: usize = 16 << 20;
