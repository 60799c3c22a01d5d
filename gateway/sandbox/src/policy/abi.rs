//! OPA's Wasm ABI on the host's side: the allowed imports of a module, its required exports, and
//! the calls of an evaluation. The memory of a policy is untrusted: every address is checked, and
//! every text is limited.

use super::place;
use crate::accounting::Account;
use crate::error::{Code, SandboxError};
use crate::limit;
use cofferdam_core::model::json::strict_into;
use cofferdam_core::model::limit as core_limit;
use serde_json::Value;
use std::collections::BTreeMap;
use wasmtime::{
    AsContext, Caller, Engine, Error, Extern, ExternType, Instance, Linker, Memory, MemoryType,
    Module, ModuleExport, Result, Store, TypedFunc, WasmParams, WasmResults,
};

/// Bytes of one Wasm page.
pub(super) const PAGE: usize = 64 << 10;

/// Most bytes of the tables of builtins and entry points.
const TABLE: usize = 64 << 10;

/// The imports that a module may have, all from `env`.
const IMPORTS: [&str; 8] = [
    "memory",
    "opa_abort",
    "opa_println",
    "opa_builtin0",
    "opa_builtin1",
    "opa_builtin2",
    "opa_builtin3",
    "opa_builtin4",
];

/// The exports that an evaluation uses.
const EXPORTS: [&str; 9] = [
    "memory",
    "opa_malloc",
    "opa_json_parse",
    "opa_json_dump",
    "opa_heap_ptr_get",
    "opa_eval",
    "builtins",
    "entrypoints",
    "opa_wasm_abi_version",
];

/// What a module needs from the host and gives to it, resolved once.
pub(super) struct Abi {
    pub(super) module: Module,
    host: Linker<Account>,
    /// The names of the imports, in order, with the type of the memory.
    imports: Vec<(String, Option<MemoryType>)>,
    memory: ModuleExport,
    malloc: ModuleExport,
    parse: ModuleExport,
    heap: ModuleExport,
    eval: ModuleExport,
}

impl Abi {
    /// Checks that a module has the form of a policy, and resolves its imports and exports.
    pub(super) fn new(engine: &Engine, module: Module) -> std::result::Result<Self, SandboxError> {
        Self::check(&module)?;
        let mut host = Linker::new(engine);
        let mut imports: Vec<(String, Option<MemoryType>)> = Vec::new();
        for import in module.imports() {
            let (name, ty) = (import.name(), import.ty());
            let memory = match (name, &ty) {
                ("memory", ExternType::Memory(memory)) => Some(memory.clone()),
                ("memory", _) => return Err(unfit("its import `env.memory` is no memory")),
                _ => None,
            };
            // A name may be there twice. The engine compares the types at each instantiation.
            let known = imports.iter().any(|(known, _)| known == name);
            if memory.is_none() && !known {
                function(&mut host, name, &ty)
                    .map_err(|error| unfit(format!("its import `env.{name}`: {error:#}")))?;
            }
            imports.push((name.to_owned(), memory));
        }
        let export = |name: &str| {
            module.get_export_index(name).ok_or_else(|| unfit(format!("no export `{name}`")))
        };
        Ok(Self {
            host,
            imports,
            memory: export("memory")?,
            malloc: export("opa_malloc")?,
            parse: export("opa_json_parse")?,
            heap: export("opa_heap_ptr_get")?,
            eval: export("opa_eval")?,
            module,
        })
    }

    /// The type of the imported memory; `None` for a module that brings its own.
    pub(super) fn wanted(&self) -> Option<&MemoryType> {
        self.imports.iter().find_map(|(_, memory)| memory.as_ref())
    }

    fn check(module: &Module) -> std::result::Result<(), SandboxError> {
        if let Some(beyond) = module
            .imports()
            .find(|import| import.module() != "env" || !IMPORTS.contains(&import.name()))
        {
            let detail = format!(
                "it imports `{}.{}`, and a policy may import only OPA's own functions; build it \
                 with `opa build -t wasm`",
                beyond.module(),
                beyond.name()
            );
            return Err(SandboxError::new(Code::Import, detail));
        }
        match EXPORTS.iter().find(|name| module.get_export(name).is_none()) {
            Some(missing) => Err(SandboxError::new(
                Code::Malformed,
                format!(
                    "it does not export `{missing}`, so it is no policy of OPA's ABI 1.2 or \
                     newer; build it with `opa build -t wasm`"
                ),
            )),
            None => Ok(()),
        }
    }
}

/// Defines one function of the host.
fn function(host: &mut Linker<Account>, name: &str, ty: &ExternType) -> Result<()> {
    match (name, ty) {
        ("opa_abort", _) => host.func_wrap("env", name, abort)?,
        ("opa_println", _) => host.func_wrap("env", name, |_: i32| {})?,
        // The one builtin of a module of tests.
        ("opa_builtin1", _) => host.func_wrap("env", name, print)?,
        (_, ExternType::Func(ty)) => {
            host.func_new("env", name, ty.clone(), |_, _, _| Err(refused().into()))?
        }
        // An import of another kind does not fit a function, so instantiation reports it.
        _ => host.func_wrap("env", name, || {})?,
    };
    Ok(())
}

/// An instance of a policy with its store. Both are dropped together.
pub(super) struct Guest<'a> {
    abi: &'a Abi,
    store: Store<Account>,
    instance: Instance,
    memory: Memory,
}

impl<'a> Guest<'a> {
    /// Instantiates the policy. The host creates its imported memory under the limit of the
    /// account, and its start function runs under the time limit.
    pub(super) fn start(
        store: Store<Account>,
        abi: &'a Abi,
    ) -> std::result::Result<Self, SandboxError> {
        Self::start_in(store, abi, |store, wanted| {
            let (minimum, most) = pages(store.data(), wanted)?;
            Memory::new(store, MemoryType::new(minimum, Some(most)))
        })
    }

    /// Instantiates the policy as [`Guest::start`] does, in the memory that `memory` makes.
    pub(super) fn start_in(
        mut store: Store<Account>,
        abi: &'a Abi,
        memory: impl Fn(&mut Store<Account>, &MemoryType) -> Result<Memory>,
    ) -> std::result::Result<Self, SandboxError> {
        match Self::instantiate(&mut store, abi, memory) {
            Ok((instance, memory)) => Ok(Self { abi, store, instance, memory }),
            Err(error) => Err(SandboxError::of(&error, store.data())),
        }
    }

    fn instantiate(
        store: &mut Store<Account>,
        abi: &Abi,
        memory: impl Fn(&mut Store<Account>, &MemoryType) -> Result<Memory>,
    ) -> Result<(Instance, Memory)> {
        let mut imports = Vec::with_capacity(abi.imports.len());
        for (name, wanted) in &abi.imports {
            imports.push(match wanted {
                Some(wanted) => memory(store, wanted)?.into(),
                None => abi.host.get(&mut *store, "env", name)?,
            });
        }
        let instance = Instance::new(&mut *store, &abi.module, &imports)?;
        let memory = instance
            .get_module_export(&mut *store, &abi.memory)
            .and_then(Extern::into_memory)
            .ok_or_else(|| malformed("its export `memory` is no memory"))?;
        Ok((instance, memory))
    }

    /// Bytes of memory in use, and the output so far.
    pub(super) fn used(&mut self) -> (usize, Vec<String>) {
        let memory = self.store.data().memory_used();
        (memory, self.store.data_mut().printed.take().unwrap_or_default())
    }

    /// Sets the instructions that it may use from now on, if they are counted.
    pub(super) fn grant(&mut self, instructions: u64) -> std::result::Result<(), SandboxError> {
        self.store.set_fuel(instructions).map_err(|error| {
            SandboxError::new(Code::Engine, format!("instructions are not counted: {error:#}"))
        })
    }

    /// Returns the number of instructions that remain.
    pub(super) fn left(&self) -> u64 {
        self.store.get_fuel().unwrap_or_default()
    }

    /// Converts an error, with the use of this guest.
    pub(super) fn to_error(&self, error: &Error) -> SandboxError {
        SandboxError::of(error, self.store.data())
    }

    /// Gives the time of one decision to a guest that decides again.
    pub(super) fn renew(&mut self) {
        self.store.data_mut().renew();
        self.store.set_epoch_deadline(1);
    }

    /// Returns the start of the heap. [`Guest::forget`] keeps the data before it.
    pub(super) fn heap(&mut self) -> Result<i32> {
        self.known(&self.abi.heap, ())
    }

    /// The whole memory.
    pub(super) fn memory(&self) -> &[u8] {
        self.memory.data(&self.store)
    }

    /// Writes these bytes to each place.
    pub(super) fn patch(&mut self, patches: &[(usize, Vec<u8>)]) -> Result<()> {
        for (at, bytes) in patches {
            self.memory.write(&mut self.store, *at, bytes)?;
        }
        Ok(())
    }

    /// Makes the heap of the guest larger without keeping anything in it.
    pub(super) fn widen(&mut self, bytes: i32) -> Result<i32> {
        let heap = self.heap()?;
        self.known::<i32, i32>(&self.abi.malloc, bytes)?;
        self.forget(heap)?;
        self.heap()
    }

    /// Makes the guest forget all data behind this address.
    pub(super) fn forget(&mut self, heap: i32) -> Result<()> {
        self.call("opa_heap_ptr_set", heap)
    }

    /// Checks for ABI 1.2 or newer: `opa_eval` and an exported memory.
    pub(super) fn version(&mut self) -> Result<()> {
        let major = self.global("opa_wasm_abi_version");
        let minor = self.global("opa_wasm_abi_minor_version");
        match (major, minor) {
            (Some(1), Some(2..)) => Ok(()),
            _ => Err(malformed(format!(
                "its ABI is {major:?}.{minor:?}; versions 1.2 and newer are supported"
            ))),
        }
    }

    fn global(&mut self, name: &str) -> Option<i32> {
        let global = self.instance.get_global(&mut self.store, name)?;
        global.get(&mut self.store).i32()
    }

    /// Reads one of the two tables of names and numbers.
    pub(super) fn table(&mut self, name: &str) -> Result<BTreeMap<String, i32>> {
        let value = self.call::<(), i32>(name, ())?;
        let address = self.call::<i32, i32>("opa_json_dump", value)?;
        let text = self.text(address, TABLE)?;
        strict_into(&text).map_err(|error| malformed(format!("its table of {name}: {error}")))
    }

    /// Puts JSON text into the policy's memory as a value.
    pub(super) fn parse(&mut self, text: &str) -> Result<i32> {
        let (address, length) = self.write(text)?;
        match self.known::<(i32, i32), i32>(&self.abi.parse, (address, length))? {
            0 => Err(malformed("it cannot read its data document")),
            value => Ok(value),
        }
    }

    /// Evaluates once. Returns the JSON text of the result set. Without an input, `input` is
    /// undefined.
    pub(super) fn evaluate(
        &mut self,
        entry: i32,
        data: i32,
        input: Option<&str>,
    ) -> Result<Vec<u8>> {
        // The module's own allocator gives the memory, so that it knows of the growth. `opa_eval`
        // then starts its heap behind the input.
        let (address, length) = input.map_or(Ok((0, 0)), |input| self.write(input))?;
        let heap = self.heap()?;
        let result = self.known::<(i32, i32, i32, i32, i32, i32, i32), i32>(
            &self.abi.eval,
            (0, entry, data, address, length, heap, 0),
        )?;
        self.text(result, core_limit::POLICY_OUTPUT)
    }

    fn write(&mut self, text: &str) -> Result<(i32, i32)> {
        let length = i32::try_from(text.len()).map_err(|_| malformed("a text beyond 2 GiB"))?;
        let address = self.known::<i32, i32>(&self.abi.malloc, length)?;
        let start = usize::try_from(address)
            .map_err(|_| malformed("`opa_malloc` gave an address beyond 2 GiB"))?;
        self.memory
            .write(&mut self.store, start, text.as_bytes())
            .map_err(|_| malformed("`opa_malloc` gave an address outside its memory"))?;
        Ok((address, length))
    }

    fn text(&mut self, address: i32, most: usize) -> Result<Vec<u8>> {
        terminated(self.memory.data(&self.store), address, most)
            .map(<[u8]>::to_vec)
            .map_err(Error::from)
    }

    /// Calls one of the exports that were resolved once.
    fn known<P: WasmParams, R: WasmResults>(
        &mut self,
        export: &ModuleExport,
        params: P,
    ) -> Result<R> {
        let function = self
            .instance
            .get_module_export(&mut self.store, export)
            .and_then(Extern::into_func)
            .ok_or_else(|| malformed("one of its exports is no function"))?
            .typed::<P, R>(&self.store)
            .map_err(|error| malformed(format!("one of its exports is not OPA's: {error:#}")))?;
        function.call(&mut self.store, params)
    }

    fn call<P: WasmParams, R: WasmResults>(&mut self, name: &str, params: P) -> Result<R> {
        let function: TypedFunc<P, R> = self
            .instance
            .get_typed_func(&mut self.store, name)
            .map_err(|error| malformed(format!("its export `{name}` is not OPA's: {error:#}")))?;
        function.call(&mut self.store, params)
    }
}

/// The first and the most pages of the imported memory. The maximum is the host's: `opa build` sets
/// none.
pub(super) fn pages(account: &Account, wanted: &MemoryType) -> Result<(u32, u32)> {
    let most = account.memory_limit() / PAGE;
    let fits = u32::try_from(wanted.minimum())
        .ok()
        .filter(|pages| usize::try_from(*pages).is_ok_and(|pages| pages <= most));
    let Some(minimum) = fits.filter(|_| !wanted.is_64() && !wanted.is_shared()) else {
        return Err(account.memory().into());
    };
    let most = wanted
        .maximum()
        .map_or(most, |maximum| usize::try_from(maximum).map_or(most, |maximum| maximum.min(most)));
    Ok((minimum, u32::try_from(most).unwrap_or(u32::MAX)))
}

/// `internal.print` in a test, and a refusal everywhere else: one list with a set for each value, empty for an undefined one. Its result
/// only says that it was called.
fn print(
    mut caller: Caller<'_, Account>,
    _builtin: i32,
    _context: i32,
    values: i32,
) -> Result<i32> {
    if caller.data().printed.is_none() {
        return Err(refused().into());
    }
    let exported = |caller: &mut Caller<'_, Account>, name| {
        caller.get_export(name).ok_or_else(|| malformed(format!("no `{name}`")))
    };
    let dump = exported(&mut caller, "opa_json_dump")?
        .into_func()
        .ok_or_else(|| malformed("`opa_json_dump` is no function"))?;
    let address = dump.typed::<i32, i32>(&caller)?.call(&mut caller, values)?;
    let memory = exported(&mut caller, "memory")?
        .into_memory()
        .ok_or_else(|| malformed("its export `memory` is no memory"))?;
    let text = terminated(memory.data(caller.as_context()), address, limit::POLICY_TEST_PRINTED)?;
    let sets: Vec<Vec<Value>> = serde_json::from_slice(text)
        .map_err(|error| malformed(format!("what it prints: {error}")))?;
    let word = |set: &Vec<Value>| match set.first() {
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
        None => "<undefined>".to_owned(),
    };
    let line = sets.iter().map(word).collect::<Vec<_>>().join(" ");
    let printed = caller.data_mut().printed.get_or_insert_default();
    let sum = printed.iter().map(String::len).sum::<usize>().saturating_add(line.len());
    if sum > limit::POLICY_TEST_PRINTED {
        let detail = format!(
            "its test printed more than {} KiB; split the test",
            limit::POLICY_TEST_PRINTED >> 10
        );
        return Err(SandboxError::new(Code::Output, detail).into());
    }
    printed.push(line);
    Ok(values)
}

/// `opa_abort`: the policy's own error, with file, row and column of the rule.
fn abort(mut caller: Caller<'_, Account>, address: i32) -> Result<()> {
    if caller.data().refused {
        return Err(caller.data().memory().into());
    }
    let memory = caller.get_export("memory").and_then(Extern::into_memory);
    let text = memory.and_then(|memory| {
        terminated(memory.data(caller.as_context()), address, limit::ABORT).ok().map(<[u8]>::to_vec)
    });
    let text = text.map_or_else(
        || "no text".into(),
        |text| place::shortened(&String::from_utf8_lossy(&text)).escape_debug().to_string(),
    );
    Err(SandboxError::new(Code::Trap, format!("the policy gave up: {text}")).into())
}

/// The refusal of a call of a builtin, whatever the table of builtins says.
fn refused() -> SandboxError {
    SandboxError::new(
        Code::Builtin,
        "it called a builtin of the host, and the gateway gives none to policies",
    )
}

/// Reads a text that ends with NUL.
fn terminated(
    memory: &[u8],
    address: i32,
    most: usize,
) -> std::result::Result<&[u8], SandboxError> {
    let outside = || SandboxError::new(Code::Malformed, "it gave an address outside its memory");
    let start = usize::try_from(address).map_err(|_| outside())?;
    let rest = memory.get(start..).ok_or_else(outside)?;
    let window = rest.get(..most.saturating_add(1).min(rest.len())).ok_or_else(outside)?;
    match window.iter().position(|byte| *byte == 0) {
        Some(end) => window.get(..end).ok_or_else(outside),
        None if rest.len() > most => {
            Err(SandboxError::new(Code::Output, format!("its answer has more than {most} bytes")))
        }
        None => Err(outside()),
    }
}

fn malformed(text: impl Into<String>) -> Error {
    unfit(text).into()
}

fn unfit(text: impl Into<String>) -> SandboxError {
    SandboxError::new(Code::Malformed, text)
}
