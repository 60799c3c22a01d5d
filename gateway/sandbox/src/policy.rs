//! One policy, one decision: OPA's Wasm ABI 1.x in a fresh instance each time, without a builtin
//! function of the host. Never decides: it returns the one result as JSON text, or an error, which
//! is a denial.
//! Specification: <https://www.openpolicyagent.org/docs/latest/wasm/#wasm-module-abi>. The code is
//! our own, because the crate for the ABI offers `opa.runtime`, which gives the environment of the
//! process to the policy, and cannot refuse a builtin by name.

mod abi;
mod place;
mod prepared;
mod trial;

use crate::accounting::{Account, store};
use crate::error::{Code, SandboxError};
use crate::limit;
use crate::load::{self, Artefact};
use abi::{Abi, Guest};
use cofferdam_core::model::json::{canonical, strict};
use cofferdam_core::model::limit as core_limit;
use prepared::Prepared;
use serde_json::Value;
use std::collections::BTreeMap;
use wasmtime::{Engine, Module};

/// Builtin functions that the host gives to policies: none. Functions that OPA compiles into the
/// module need none. The others have effects (`http.send`, `opa.runtime`, `rand.intn`), break
/// replay (`time.now_ns`; time comes with the input), or are not worth a way into the host.
pub const BUILTINS: &[&str] = &[];

/// The purpose of a loaded policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// Decisions of the gateway or a runner.
    Decide,
    /// Trials: instructions are counted, tests may print, and nothing is decided.
    Try,
}

impl Purpose {
    fn builtins(self) -> &'static [&'static str] {
        match self {
            Self::Decide => BUILTINS,
            Self::Try => &["internal.print"],
        }
    }
}

/// The first part of the package names of library and policy: `data.cofferdam`. No data document
/// may have it.
pub const LIBRARY: &str = "cofferdam";

/// A loaded policy with its data document.
pub struct Policy {
    engine: Engine,
    abi: Box<Abi>,
    entrypoints: BTreeMap<String, i32>,
    data: String,
    purpose: Purpose,
    prepared: Option<Box<Prepared>>,
}

impl Policy {
    /// Loads a policy, and tries its imports, its ABI, its builtins and its data document before
    /// the first decision. `data` is one JSON object. The engine must have a
    /// [`crate::engine::Ticker`].
    pub fn load(engine: &Engine, artefact: &Artefact, data: &str) -> Result<Self, SandboxError> {
        let mut policy = Self::of(engine, load::module(engine, artefact)?, data, Purpose::Decide)?;
        policy.prepared = Prepared::new(engine, &policy.abi, data).map(Box::new);
        Ok(policy)
    }

    /// Tries a loaded module. It runs the module, so in a guest process it follows the confinement.
    pub(crate) fn of(
        engine: &Engine,
        module: Module,
        data: &str,
        purpose: Purpose,
    ) -> Result<Self, SandboxError> {
        let document = strict(data.as_bytes()).map_err(|error| {
            SandboxError::new(Code::Malformed, format!("the data document: {error}"))
        })?;
        let Some(document) = document.as_object() else {
            return Err(SandboxError::new(
                Code::Malformed,
                "the data document is not a JSON object",
            ));
        };
        if document.contains_key(LIBRARY) {
            let detail = format!(
                "data.json: its key `{LIBRARY}` is the name of the policy library's packages, so \
                 rules could read data in place of a rule; give these data another name"
            );
            return Err(SandboxError::new(Code::Malformed, detail));
        }
        let mut policy = Self {
            engine: engine.clone(),
            abi: Box::new(Abi::new(engine, module)?),
            entrypoints: BTreeMap::new(),
            data: data.to_owned(),
            purpose,
            prepared: None,
        };
        policy.entrypoints = policy.run(|guest| policy.inspect(guest))?;
        Ok(policy)
    }

    /// The entry points, such as `cofferdam/call/decision`.
    pub fn entrypoints(&self) -> impl Iterator<Item = &str> {
        self.entrypoints.keys().map(String::as_str)
    }

    /// Evaluates one entry point. Returns the one result of the result set as canonical JSON text.
    pub fn evaluate(&self, entrypoint: &str, input: &str) -> Result<String, SandboxError> {
        self.evaluate_within(limit::POLICY_TICKS, entrypoint, input)
    }

    /// Evaluates as [`Policy::evaluate`] does, within this many ticks.
    pub(crate) fn evaluate_within(
        &self,
        ticks: u32,
        entrypoint: &str,
        input: &str,
    ) -> Result<String, SandboxError> {
        input_fits(input)?;
        let entry = self.entry(entrypoint)?;
        let account = Account::new(limit::POLICY_MEMORY, ticks);
        let Some(prepared) = &self.prepared else {
            return self.plainly(account, entrypoint, input);
        };
        let mut guest = prepared.start(store(&self.engine, account, 0), &self.abi)?;
        let asked = guest.evaluate(entry, prepared.data, Some(input));
        let text = asked.map_err(|error| guest.to_error(&error))?;
        single(entrypoint, &text)
    }

    /// Evaluates as [`Policy::evaluate`] does, in an instance that reads the data document itself.
    #[cfg(test)]
    pub(crate) fn evaluate_plainly(
        &self,
        entrypoint: &str,
        input: &str,
    ) -> Result<String, SandboxError> {
        input_fits(input)?;
        let account = Account::new(limit::POLICY_MEMORY, limit::POLICY_TICKS);
        self.plainly(account, entrypoint, input)
    }

    fn plainly(
        &self,
        account: Account,
        entrypoint: &str,
        input: &str,
    ) -> Result<String, SandboxError> {
        let entry = self.entry(entrypoint)?;
        let mut guest = self.guest_of(account)?;
        let asked =
            guest.parse(&self.data).and_then(|data| guest.evaluate(entry, data, Some(input)));
        let text = asked.map_err(|error| guest.to_error(&error))?;
        single(entrypoint, &text)
    }

    /// A fresh copy of the memory that decisions begin with; `None` where each reads the document.
    #[cfg(test)]
    pub(crate) fn first_memory(&self) -> Option<Vec<u8>> {
        let prepared = self.prepared.as_ref()?;
        let account = Account::new(limit::POLICY_MEMORY, limit::POLICY_TICKS);
        let guest = prepared.start(store(&self.engine, account, 0), &self.abi).unwrap();
        Some(guest.memory().to_vec())
    }

    fn entry(&self, entrypoint: &str) -> Result<i32, SandboxError> {
        self.entrypoints.get(entrypoint).copied().ok_or_else(|| {
            let known = self.entrypoints().collect::<Vec<_>>().join("`, `");
            SandboxError::new(
                Code::Undefined,
                format!("the policy has no entry point `{entrypoint}`; it has `{known}`"),
            )
        })
    }

    /// The named exception to "a fresh instance for each decision": one instance for many. Only the
    /// benchmark uses it, because one decision could read the memory that another left.
    pub fn warm(&self) -> Result<Warm<'_>, SandboxError> {
        let mut guest = self.guest(limit::POLICY_MEMORY, limit::POLICY_TICKS)?;
        let ready = guest.parse(&self.data).and_then(|data| Ok((data, guest.heap()?)));
        match ready {
            Ok((data, heap)) => Ok(Warm { policy: self, guest, data, heap }),
            Err(error) => Err(guest.to_error(&error)),
        }
    }

    /// Reads the needs and the entry points of the policy.
    fn inspect(&self, guest: &mut Guest<'_>) -> wasmtime::Result<BTreeMap<String, i32>> {
        guest.version()?;
        // The data document must fit now, and not only at the first decision.
        guest.parse(&self.data)?;
        let builtins = guest.table("builtins")?;
        let beyond: Vec<&str> = builtins
            .keys()
            .map(String::as_str)
            .filter(|name| !self.purpose.builtins().contains(name))
            .collect();
        if beyond.is_empty() {
            return guest.table("entrypoints");
        }
        let detail = format!(
            "it needs the builtin `{}`, which the gateway does not give to policies; compile it \
             with the capabilities file in `policies/`, which names it with file and line",
            beyond.join("`, `")
        );
        Err(SandboxError::new(Code::Builtin, detail).into())
    }

    /// Uses a fresh instance once and drops it, whatever the result.
    fn run<R>(
        &self,
        work: impl FnOnce(&mut Guest<'_>) -> wasmtime::Result<R>,
    ) -> Result<R, SandboxError> {
        let mut guest = self.guest(limit::POLICY_MEMORY, limit::POLICY_TICKS)?;
        work(&mut guest).map_err(|error| guest.to_error(&error))
    }

    fn guest(&self, memory: usize, ticks: u32) -> Result<Guest<'_>, SandboxError> {
        self.guest_of(Account::new(memory, ticks))
    }

    fn guest_of(&self, account: Account) -> Result<Guest<'_>, SandboxError> {
        let mut store = store(&self.engine, account, 0);
        if self.purpose == Purpose::Try {
            store.set_fuel(u64::MAX).map_err(|error| {
                SandboxError::new(Code::Engine, format!("instructions are not counted: {error:#}"))
            })?;
        }
        Guest::start(store, &self.abi)
    }
}

/// A policy that keeps its instance between decisions. An error ends it: an evaluation takes the
/// instance, and only a result gives it back.
pub struct Warm<'p> {
    policy: &'p Policy,
    guest: Guest<'p>,
    data: i32,
    heap: i32,
}

impl Warm<'_> {
    /// Evaluates one entry point, as [`Policy::evaluate`] does.
    pub fn evaluate(
        mut self,
        entrypoint: &str,
        input: &str,
    ) -> Result<(String, Self), SandboxError> {
        input_fits(input)?;
        let entry = self.policy.entry(entrypoint)?;
        self.guest.renew();
        let asked = self
            .guest
            .forget(self.heap)
            .and_then(|()| self.guest.evaluate(entry, self.data, Some(input)));
        let text = asked.map_err(|error| self.guest.to_error(&error))?;
        Ok((single(entrypoint, &text)?, self))
    }
}

fn input_fits(input: &str) -> Result<(), SandboxError> {
    if input.len() <= core_limit::POLICY_INPUT {
        return Ok(());
    }
    let detail = format!(
        "the input has {} bytes, at most {} are given to a policy",
        input.len(),
        core_limit::POLICY_INPUT
    );
    Err(SandboxError::new(Code::Input, detail))
}

/// Checks that a module is a policy that can be loaded, for the process that compiles it. The data
/// document comes later.
pub(crate) fn accept(
    engine: &Engine,
    module: &Module,
    purpose: Purpose,
    confine: impl FnOnce() -> Result<(), SandboxError>,
) -> Result<(), SandboxError> {
    Abi::new(engine, module.clone())?;
    // Its start function runs below, so its time must be counted.
    let ticker = crate::engine::Ticker::start()?;
    ticker.add(engine);
    confine()?;
    Policy::of(engine, module.clone(), "{}", purpose).map(drop)
}

/// The one result of `[{"result": …}]`. An empty set is "undefined", and more than one result is
/// not a decision.
fn single(entrypoint: &str, text: &[u8]) -> Result<String, SandboxError> {
    let set = strict(text).map_err(|error| {
        SandboxError::new(Code::Malformed, format!("the policy's result: {error}"))
    })?;
    let results = set.as_array().map_or(&[][..], Vec::as_slice);
    let (Some(result), 1) = (
        results.first().and_then(Value::as_object).and_then(|entry| entry.get("result")),
        results.len(),
    ) else {
        let detail = format!(
            "`{entrypoint}` gave {} results instead of one; a rule without a default value is \
             undefined",
            results.len()
        );
        return Err(SandboxError::new(Code::Undefined, detail));
    };
    canonical(result).map_err(|error| {
        SandboxError::new(Code::Malformed, format!("the policy's result: {error}"))
    })
}
