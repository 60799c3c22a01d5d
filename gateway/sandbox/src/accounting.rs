//! The account of one guest: its limits and its use. A store is made for one call and dropped after
//! it, whatever happens.

use crate::error::{Code, SandboxError};
use crate::limit;
use crate::ticker::Alive;
use wasmtime::{Engine, ResourceLimiter, Store, Trap, UpdateDeadline};

/// The limits of one guest, and its use. The limits are totals: twelve memories together get no
/// more than one.
#[derive(Debug)]
pub(crate) struct Account {
    memory: usize,
    memory_limit: usize,
    elements: usize,
    /// True if a growth was refused. The reaction of the guest decides whether the call fails.
    pub(crate) refused: bool,
    /// Most ticks of guest time.
    pub(crate) ticks: u32,
    spent: u32,
    /// The output of a policy, if its test asks for it. `None` discards it.
    pub(crate) printed: Option<Vec<String>>,
    /// The ticker counts guest time while this exists.
    _alive: Alive,
}

impl Account {
    pub(crate) fn new(memory_limit: usize, ticks: u32) -> Self {
        Self {
            memory: 0,
            memory_limit,
            elements: 0,
            refused: false,
            ticks,
            spent: 0,
            printed: None,
            _alive: Alive::new(),
        }
    }

    /// Creates an account that keeps the printed output if `keep` is true.
    pub(crate) fn printing(memory_limit: usize, ticks: u32, keep: bool) -> Self {
        let mut account = Self::new(memory_limit, ticks);
        account.printed = keep.then(Vec::new);
        account
    }

    /// Most bytes of memory.
    pub(crate) fn memory_limit(&self) -> usize {
        self.memory_limit
    }

    /// Bytes of memory in use.
    pub(crate) fn memory_used(&self) -> usize {
        self.memory
    }

    /// Gives the time of another call. Memory in use stays counted.
    pub(crate) fn renew(&mut self) {
        self.spent = 0;
        self.refused = false;
    }

    pub(crate) fn memory(&self) -> SandboxError {
        let detail = format!(
            "it wanted more than {} KiB of memory or {} table elements; it must need less",
            self.memory_limit >> 10,
            limit::TABLE_ELEMENTS
        );
        SandboxError::new(Code::Memory, detail)
    }

    fn grow(total: &mut usize, limit: usize, current: usize, desired: usize) -> bool {
        let next = total.saturating_add(desired.saturating_sub(current));
        let granted = next <= limit;
        if granted {
            *total = next;
        }
        granted
    }
}

impl ResourceLimiter for Account {
    fn memory_growing(
        &mut self,
        current: usize,
        desired: usize,
        maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        // A growth beyond the memory's own maximum fails anyway. Counting it would let a guest use
        // up its account for nothing.
        if maximum.is_some_and(|maximum| desired > maximum) {
            self.refused |= maximum.is_some_and(|maximum| maximum >= self.memory_limit);
            return Ok(false);
        }
        let granted = Self::grow(&mut self.memory, self.memory_limit, current, desired);
        self.refused |= !granted;
        Ok(granted)
    }

    fn table_growing(
        &mut self,
        current: usize,
        desired: usize,
        maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        if maximum.is_some_and(|maximum| desired > maximum) {
            self.refused |= maximum.is_some_and(|maximum| maximum >= limit::TABLE_ELEMENTS);
            return Ok(false);
        }
        let granted = Self::grow(&mut self.elements, limit::TABLE_ELEMENTS, current, desired);
        self.refused |= !granted;
        Ok(granted)
    }

    fn instances(&self) -> usize {
        limit::INSTANCES
    }

    fn memories(&self) -> usize {
        limit::MEMORIES
    }

    fn tables(&self) -> usize {
        limit::TABLES
    }
}

/// A value that has an account.
pub(crate) trait Accounted: Send + 'static {
    fn account(&mut self) -> &mut Account;
}

impl Accounted for Account {
    fn account(&mut self) -> &mut Account {
        self
    }
}

/// Creates a store with every limit. The time starts here, so that it includes instantiation and
/// the start function of a module.
/// A guest runs on a thread of its own, so it need not yield at a tick; each tick only checks the
/// account. A thread is not charged for ticks that it did not see: time in the host, or time
/// without a processor, costs one tick at most.
pub(crate) fn store<T: Accounted>(engine: &Engine, data: T, handles: usize) -> Store<T> {
    let mut store = Store::new(engine, data);
    store.limiter(|data| data.account());
    store.set_hostcall_fuel(limit::HOSTCALL);
    store.set_max_component_handles(handles);
    store.set_epoch_deadline(1);
    store.epoch_deadline_callback(|mut context| {
        let account = context.data_mut().account();
        account.spent = account.spent.saturating_add(1);
        if account.spent > account.ticks {
            Err(Trap::Interrupt.into())
        } else {
            Ok(UpdateDeadline::Continue(1))
        }
    });
    store
}
