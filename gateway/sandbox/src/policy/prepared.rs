//! The memory of a policy right after it read its data document. Each decision begins in a fresh
//! copy of these bytes, so that it does not read the document again. Never holds anything of a
//! decision.
//! The memory comes from a module of our own that has nothing but these bytes, so that the engine
//! maps them without a copy. The policy's module stays as its author built it. Its instantiation
//! writes its constants into the memory once more; the bytes that it changes are written back.

use super::abi::{Abi, Guest, PAGE, pages};
use crate::accounting::{Account, store};
use crate::error::{Code, SandboxError};
use crate::limit;
use wasmtime::{Engine, InstancePre, Linker, Module, Store};

/// A gap of equal bytes up to which two changes are written as one.
const GAP: usize = 64;

/// The memory with its data document.
pub(super) struct Prepared {
    memory: InstancePre<Account>,
    /// The address of the data document.
    pub(super) data: i32,
    patches: Vec<(usize, Vec<u8>)>,
}

impl Prepared {
    /// Reads the data document in an instance of its own, and keeps the memory. `None` if the module
    /// has no way to do that, fails, or if a fresh copy differs in one byte: then each decision reads
    /// the document itself, and ends as it would have.
    pub(super) fn new(engine: &Engine, abi: &Abi, data: &str) -> Option<Self> {
        Self::made(engine, abi, data).ok().flatten()
    }

    fn made(engine: &Engine, abi: &Abi, data: &str) -> Result<Option<Self>, SandboxError> {
        let Some(wanted) = abi.wanted() else { return Ok(None) };
        if abi.module.get_export("opa_heap_ptr_set").is_none() {
            return Ok(None);
        }
        let account = || Account::new(limit::POLICY_MEMORY, limit::POLICY_TICKS);
        let mut guest = Guest::start(store(engine, account(), 0), abi)?;
        let read = guest.parse(data).and_then(|data| Ok((data, guest.widen(limit::POLICY_HEAP)?)));
        let (data, heap) = read.map_err(|error| guest.to_error(&error))?;
        let mut image = guest.memory().to_vec();
        drop(guest);
        // Nothing is read there before it is written; zeros make the image small.
        let Some(rest) = usize::try_from(heap).ok().and_then(|heap| image.get_mut(heap..)) else {
            return Ok(None);
        };
        rest.fill(0);

        let (_, most) =
            pages(&account(), wanted).map_err(|error| SandboxError::of(&error, &account()))?;
        let made = |error: wasmtime::Error| {
            SandboxError::new(Code::Engine, format!("no memory for the data document: {error:#}"))
        };
        let own = Module::from_binary(engine, &holder(&image, most)).map_err(made)?;
        own.initialize_copy_on_write_image().map_err(made)?;
        let memory = Linker::new(engine).instantiate_pre(&own).map_err(made)?;
        let mut prepared = Self { memory, data, patches: Vec::new() };
        let first = prepared.start(store(engine, account(), 0), abi)?;
        if first.memory().len() != image.len() {
            return Ok(None);
        }
        prepared.patches = differences(first.memory(), &image);
        drop(first);
        let second = prepared.start(store(engine, account(), 0), abi)?;
        Ok((second.memory() == image).then_some(prepared))
    }

    /// Instantiates the policy in a fresh copy of the memory.
    pub(super) fn start<'a>(
        &self,
        store: Store<Account>,
        abi: &'a Abi,
    ) -> Result<Guest<'a>, SandboxError> {
        let mut guest = Guest::start_in(store, abi, |store, _| {
            let holder = self.memory.instantiate(&mut *store)?;
            holder
                .get_memory(store, "memory")
                .ok_or_else(|| wasmtime::Error::msg("the memory is not exported"))
        })?;
        match guest.patch(&self.patches) {
            Ok(()) => Ok(guest),
            Err(error) => Err(guest.to_error(&error)),
        }
    }
}

/// The places where `now` differs from `wanted`, with the wanted bytes. Both have one length.
fn differences(now: &[u8], wanted: &[u8]) -> Vec<(usize, Vec<u8>)> {
    let mut patches: Vec<(usize, Vec<u8>)> = Vec::new();
    let pairs = now.iter().zip(wanted).enumerate();
    for (at, (_, byte)) in pairs.filter(|(_, (now, wanted))| now != wanted) {
        match patches.last_mut() {
            Some((start, bytes)) if at - *start < bytes.len() + GAP => {
                let from = *start + bytes.len();
                bytes.extend(wanted.get(from..=at).unwrap_or_default());
            }
            _ => patches.push((at, vec![*byte])),
        }
    }
    patches
}

/// A module with one memory that begins as `image`, up to `most` pages, and nothing else.
fn holder(image: &[u8], most: u32) -> Vec<u8> {
    let start = image.iter().position(|byte| *byte != 0).unwrap_or_default();
    let end = image.iter().rposition(|byte| *byte != 0).map_or(start, |last| last + 1);
    let bytes = image.get(start..end).unwrap_or_default();
    let mut memory = vec![1, 1];
    number(&mut memory, image.len() / PAGE);
    number(&mut memory, usize::try_from(most).unwrap_or(usize::MAX));
    let export = *b"\x01\x06memory\x02\x00";
    // One active segment at `i32.const start`.
    let mut data = vec![1, 0, 0x41];
    signed(&mut data, start);
    data.push(0x0b);
    number(&mut data, bytes.len());
    data.extend(bytes);
    let mut module = b"\0asm\x01\0\0\0".to_vec();
    for (id, section) in [(5, memory.as_slice()), (7, &export), (11, &data)] {
        module.push(id);
        number(&mut module, section.len());
        module.extend(section);
    }
    module
}

/// Writes an unsigned LEB128 number.
fn number(to: &mut Vec<u8>, mut value: usize) {
    loop {
        let low = u8::try_from(value & 0x7f).unwrap_or_default();
        value >>= 7;
        to.push(if value == 0 { low } else { low | 0x80 });
        if value == 0 {
            return;
        }
    }
}

/// Writes a signed LEB128 number of a value that is not negative.
fn signed(to: &mut Vec<u8>, mut value: usize) {
    loop {
        let low = u8::try_from(value & 0x7f).unwrap_or_default();
        value >>= 7;
        let last = value == 0 && low & 0x40 == 0;
        to.push(if last { low } else { low | 0x80 });
        if last {
            return;
        }
    }
}
