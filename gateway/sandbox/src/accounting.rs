//! One guest's account: what it may use and what it used. A store is made for one call and dropped
//! after it, whatever happened.

use crate::error::{Code, SandboxError};
use crate::limit;
use crate::ticker::Alive;
use wasmtime::{Engine, ResourceLimiter, Store, Trap, UpdateDeadline};

/// What one guest may use, and what it has used. Totals, not per memory: twelve memories are no way
/// around a limit of one.
#[derive(Debug)]
pub(crate) struct Account {
    memory: usize,
    memory_limit: usize,
    elements: usize,
    /// A growth was refused; what the guest made of it decides whether the call fails.
    pub(crate) refused: bool,
    /// Ticks it may spend.
    pub(crate) ticks: u32,
    spent: u32,
    /// What a policy printed, where its test asks for it; `None` throws it away.
    pub(crate) printed: Option<Vec<String>>,
    /// Its time is counted as long as this is there.
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

    /// The same; what it prints is kept where `keep` says so.
    pub(crate) fn printing(memory_limit: usize, ticks: u32, keep: bool) -> Self {
        let mut account = Self::new(memory_limit, ticks);
        account.printed = keep.then(Vec::new);
        account
    }

    /// Bytes of memory it may have.
    pub(crate) fn memory_limit(&self) -> usize {
        self.memory_limit
    }

    /// Bytes of memory it has.
    pub(crate) fn memory_used(&self) -> usize {
        self.memory
    }

    /// The time of another call; memory stays counted.
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
        // A growth beyond the memory's own maximum fails without us; counting it would let a guest
        // spend its account on nothing.
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

/// What holds an account.
pub(crate) trait Accounted: Send + 'static {
    fn account(&mut self) -> &mut Account;
}

impl Accounted for Account {
    fn account(&mut self) -> &mut Account {
        self
    }
}

/// A fresh store with every limit set. The time runs from here, so that it covers instantiation and
/// a module's start function.
///
/// A guest runs on a thread of its own, so it need not yield at a tick; it is only asked whether
/// its ticks are spent. What a thread did not notice it did not spend: time in the host, or waiting
/// for the processor, counts one tick at most.
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
