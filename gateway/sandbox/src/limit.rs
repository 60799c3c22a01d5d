//! How much of everything a guest may use, each with its reason. Never a default that means
//! "unlimited".

use std::time::Duration;

/// One tick of guest time. The ticker wakes this often; shorter costs wake-ups, longer makes limits
/// coarse.
pub const TICK: Duration = Duration::from_millis(5);

/// Ticks of one tool call, instantiation included: 100 ms. A call takes some microseconds; a tool
/// that computes longer is not planning.
pub const TOOL_TICKS: u32 = 20;

/// Ticks of reading a definition: it runs once per load and may build large schemas.
pub const DEFINE_TICKS: u32 = 40;

/// Ticks of one decision, instantiation included: 200 ms, a hundred times what the shipped policy
/// needs for one tool. The guest's own time is counted by the clock, so a machine that gives it no
/// core uses it up too.
pub const POLICY_TICKS: u32 = 40;

/// Instructions of one decision on trial, of which half are accepted. A core of 2026 does some
/// twenty million in a millisecond of what policies do, so this is the time of [`POLICY_TICKS`].
pub const POLICY_INSTRUCTIONS: u64 = 4_000_000_000;

/// Ticks of one test of a policy: 30 s. A test makes many decisions in one instance. It runs where
/// policies are built, and a decision never has this time.
pub const POLICY_TEST_TICKS: u32 = 6_000;

/// Bytes of memory of one test of a policy: no memory is given back between its decisions.
pub const POLICY_TEST_MEMORY: usize = 512 << 20;

/// Bytes that one test of a policy may print: some thousand decisions with their questions.
pub const POLICY_TEST_PRINTED: usize = 16 << 20;

/// How long a caller waits for a worker thread's answer: guest time, queueing and a loaded machine.
/// Beyond it the call is refused.
pub const WALL: Duration = Duration::from_secs(5);

/// Calls that wait for a worker thread. A full queue answers "busy" at once, so that a flood is
/// refused early instead of late.
pub const QUEUE: usize = 256;

/// Bytes of a component or a policy module. A tool in Rust has 50 KB, a policy 400 KB; interpreters
/// shipped as a tool have a few MB.
pub const WASM: usize = 8 << 20;

/// Bytes of a compiled artefact: machine code is at most some ten times its Wasm.
pub const ARTEFACT: usize = 64 << 20;

/// Bytes of all memories of one tool together: the SDK's are 256 KiB; one that carries an
/// interpreter fits.
pub const TOOL_MEMORY: usize = 16 << 20;

/// Bytes of all memories of one executor together.
pub const EXECUTOR_MEMORY: usize = 16 << 20;

/// Bytes of all memories of one command together: it works on its input, which has at most some
/// hundred KiB, parsed.
pub const COMMAND_MEMORY: usize = 64 << 20;

/// Bytes of a policy's memory. Nothing is given back while it decides: over the largest plan, with
/// thousands of changes, the shipped example needs some 55 MiB. A usual decision needs 1 MiB.
pub const POLICY_MEMORY: usize = 128 << 20;

/// Elements of all tables of one guest together: function pointers. Each is eight bytes of the
/// host's memory.
pub const TABLE_ELEMENTS: usize = 20_000;

/// Core instances, memories and tables of one component: the encoder makes three instances,
/// adapters some more. One of jco's with QuickJS, which stubs WASI away by a second component, has
/// 20 instances and three memories.
pub const INSTANCES: usize = 32;
/// Memories of one component. All of them together get what one would; each reserves four GiB of
/// address space in a pool.
pub const MEMORIES: usize = 4;
/// Tables of one component.
pub const TABLES: usize = 16;

/// Bytes of a guest's stack of calls. Rust guests keep their data elsewhere; this bounds recursion
/// alone, well inside a thread's 2 MiB.
pub const STACK: usize = 256 << 10;

/// Bytes that one call may move from guest to host, counted by their size in the host. A draft of
/// [`cofferdam_core::model::limit::DRAFT`] as many small strings fits; the engine's own default is
/// a hundred times more.
pub const HOSTCALL: usize = 2 << 20;

/// Handles a guest may have besides those it was given: its own resources.
pub const HANDLES: usize = 64;

/// Calls of one executor into the host: 64 operations take five each, reports 100; the rest is for
/// what it wants to know again.
pub const HOST_CALLS: u32 = 1_000;

/// Reports of one executor.
pub const REPORTS: u32 = 100;

/// Characters of a report and of an executor's note.
pub const NOTE: usize = 200;

/// Characters of a policy's own error text that are kept.
pub const ABORT: usize = 400;

/// Memory kept resident in a pool's slot: covers the SDK's fixed memory four times over. What lies
/// beyond is given back to the kernel after each call, which costs page faults and, with several
/// threads, interrupts to all of them.
pub const KEEP_MEMORY: usize = 1 << 20;

/// Bytes of a table kept resident, for the same reason.
pub const KEEP_TABLE: usize = 64 << 10;
