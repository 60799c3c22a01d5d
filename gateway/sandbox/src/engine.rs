//! The engines that compile and run guests: one configuration for each kind of guest. Runs nothing
//! itself; `ticker.rs` counts guest time.
//! Tools and policies get an engine with a pool for each thread: a fresh sandbox then costs no
//! system call, and threads share no reference count. Executors and Wasm commands get engines that
//! allocate on demand, because they run rarely, and so do trials of policies.

use crate::error::{Code, SandboxError};
use crate::limit;
pub use crate::ticker::Ticker;
use cofferdam_core::protocol::role_guest::GuestKind;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::num::NonZeroUsize;
use wasmtime::{
    Config, Engine, Inlining, InstanceAllocationStrategy, PoolingAllocationConfig, Strategy,
};

/// The version of Wasmtime, as pinned in the workspace. A test compares it with the lock file.
pub const WASMTIME: &str = "48.0.8";

/// Guests alive at one time in one engine: one call at a time uses it, and drops its guest
/// before the next.
const SLOTS: u32 = 1;

/// Instances of a policy alive at one time in one engine: the one that decides, and a second one for
/// the comparison when it is prepared.
const SPARE: u32 = 2;

/// Creates an engine for one kind of guest.
pub fn engine(kind: GuestKind) -> Result<Engine, SandboxError> {
    shared(kind, SLOTS)
}

/// Creates an engine for `threads` guests alive at one time. The gateway uses one engine for each
/// thread instead; the benchmark of this crate shows why.
pub fn shared(kind: GuestKind, threads: u32) -> Result<Engine, SandboxError> {
    Engine::new(&config(kind, threads)).map_err(|error| {
        SandboxError::new(Code::Engine, format!("the engine cannot be made here: {error:#}"))
    })
}

/// Creates an engine for this many tools, one call at a time. Each tool finds its memory as it left
/// it, so that a mix of tools maps no memory again.
pub fn for_tools(tools: usize) -> Result<Engine, SandboxError> {
    let mut config = config(GuestKind::Tool, SLOTS);
    let memories = tools.saturating_add(limit::MEMORIES).min(limit::TOOL_SLOTS);
    let mut pool = pool(SLOTS);
    pool.total_memories(u32::try_from(memories).unwrap_or(u32::MAX));
    config.allocation_strategy(InstanceAllocationStrategy::Pooling(pool));
    Engine::new(&config).map_err(|error| {
        SandboxError::new(Code::Engine, format!("the engine cannot be made here: {error:#}"))
    })
}

/// Creates an engine for trials of policies. It counts instructions, which are the same on every
/// machine.
pub(crate) fn counting() -> Result<Engine, SandboxError> {
    let mut config = config(GuestKind::Policy, SLOTS);
    config.consume_fuel(true).allocation_strategy(InstanceAllocationStrategy::OnDemand);
    Engine::new(&config).map_err(|error| {
        SandboxError::new(Code::Engine, format!("the engine cannot be made here: {error:#}"))
    })
}

/// Creates an engine that compiles for [`engine`] of the same kind without reserving its pool. The
/// machine code is the same; a test checks this.
pub(crate) fn compiler(kind: GuestKind) -> Result<Engine, SandboxError> {
    let mut config = config(kind, SLOTS);
    config.allocation_strategy(InstanceAllocationStrategy::OnDemand);
    Engine::new(&config).map_err(|error| {
        SandboxError::new(Code::Engine, format!("the engine cannot be made here: {error:#}"))
    })
}

/// The description of the engines that an artefact is valid for: version, kind, and a hash over all
/// that shapes machine code (settings, features, this processor). The MAC of an artefact includes
/// it.
pub fn description(engine: &Engine, kind: GuestKind) -> String {
    // The key is zero, so the hash is the same everywhere. It must only differ when the engine
    // does; the MAC around it prevents forgery.
    let mut hasher = DefaultHasher::new();
    engine.precompile_compatibility_hash().hash(&mut hasher);
    let kind = match kind {
        GuestKind::Tool => "tool",
        GuestKind::Executor => "executor",
        GuestKind::Policy => "policy",
        GuestKind::Command => "command",
    };
    format!("wasmtime {WASMTIME} {kind} {:016x}", hasher.finish())
}

fn config(kind: GuestKind, threads: u32) -> Config {
    let mut config = Config::new();
    config
        .strategy(Strategy::Cranelift)
        // Epochs alone limit time. Fuel would be compiled into every loop, and costs policies 18 %.
        .epoch_interruption(true)
        .consume_fuel(false)
        .max_wasm_stack(limit::STACK)
        // The same bits on every machine: a plan must be the same everywhere.
        .cranelift_nan_canonicalization(true)
        .wasm_relaxed_simd(false)
        .wasm_memory64(false)
        // If one of several components calls another, the engine's own adapter between them uses
        // both memories. Tools such as jco make such components. The number of memories is limited
        // all the same. A policy is one module with one memory.
        .wasm_multi_memory(kind != GuestKind::Policy)
        .wasm_backtrace_max_frames(NonZeroUsize::new(8))
        // Compilation runs in a confined process with few threads, or in tests.
        .compiler_inlining(Inlining::No);
    match kind {
        GuestKind::Tool => {
            config.allocation_strategy(InstanceAllocationStrategy::Pooling(pool(threads)));
        }
        GuestKind::Policy => {
            config.allocation_strategy(InstanceAllocationStrategy::Pooling(policy_pool(threads)));
        }
        GuestKind::Executor | GuestKind::Command => {}
    }
    config
}

/// A decision has two modules: the policy, and the memory that it begins with.
fn policy_pool(slots: u32) -> PoolingAllocationConfig {
    let mut pool = PoolingAllocationConfig::default();
    let modules = slots.saturating_mul(2);
    pool.total_component_instances(0)
        .total_core_instances(modules.saturating_mul(SPARE))
        .total_memories(slots.saturating_mul(SPARE))
        .total_tables(modules.saturating_mul(SPARE))
        .total_stacks(slots)
        .max_memory_size(limit::POLICY_MEMORY)
        .table_elements(limit::TABLE_ELEMENTS)
        .linear_memory_keep_resident(limit::KEEP_MEMORY)
        .table_keep_resident(limit::KEEP_TABLE);
    pool
}

fn pool(slots: u32) -> PoolingAllocationConfig {
    let mut pool = PoolingAllocationConfig::default();
    let core = u32::try_from(limit::INSTANCES).unwrap_or(u32::MAX);
    let memories = u32::try_from(limit::MEMORIES).unwrap_or(u32::MAX);
    let tables = u32::try_from(limit::TABLES).unwrap_or(u32::MAX);
    pool.total_component_instances(slots)
        .total_core_instances(slots.saturating_mul(core))
        .total_memories(slots.saturating_mul(memories))
        .total_tables(slots.saturating_mul(tables))
        .total_stacks(slots)
        .max_core_instances_per_component(core)
        .max_memories_per_component(memories)
        .max_tables_per_component(tables)
        .max_memory_size(limit::TOOL_MEMORY)
        .table_elements(limit::TABLE_ELEMENTS)
        .linear_memory_keep_resident(limit::KEEP_MEMORY)
        .table_keep_resident(limit::KEEP_TABLE)
        .max_component_instance_size(1 << 20);
    // The pagemap scan is off: it saves nothing for memories that stay resident whole, and it
    // misses pages that were swapped out.
    pool
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_engine_names_its_version_and_everything_that_shapes_its_code() {
        let lock =
            std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../../Cargo.lock"))
                .unwrap();
        assert!(
            lock.contains(&format!("name = \"wasmtime\"\nversion = \"{WASMTIME}\"")),
            "change the constant with the lock file"
        );
        let (one, two) = (engine(GuestKind::Tool).unwrap(), engine(GuestKind::Tool).unwrap());
        assert_eq!(description(&one, GuestKind::Tool), description(&two, GuestKind::Tool));
        assert_eq!(
            description(&for_tools(14).unwrap(), GuestKind::Tool),
            description(&one, GuestKind::Tool)
        );
        for kind in [GuestKind::Tool, GuestKind::Policy] {
            assert_eq!(
                description(&engine(kind).unwrap(), kind),
                description(&compiler(kind).unwrap(), kind)
            );
        }
        assert_ne!(description(&one, GuestKind::Tool), description(&one, GuestKind::Policy));
    }
}
