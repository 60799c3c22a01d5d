//! One policy, one decision: OPA's Wasm ABI 1.x in a fresh instance each time, with no builtin
//! function from the host. Never decides: it hands back the one result as JSON text, or a fault,
//! which is a denial.
//!
//! Specification: <https://www.openpolicyagent.org/docs/latest/wasm/#wasm-module-abi>. The glue is our own, because the crate for it offers
//! `opa.runtime`, which hands the process environment to the policy, and gives no way to refuse a
//! builtin by name.

mod abi;
mod place;
mod trial;

use crate::accounting::{Account, store};
use crate::error::{Code, SandboxError};
use crate::limit;
use crate::load::{self, Artefact};
use abi::{Guest, Shape};
use cofferdam_core::model::json::{canonical, strict};
use cofferdam_core::model::limit as core_limit;
use serde_json::Value;
use std::collections::BTreeMap;
use wasmtime::{Engine, Module};

/// Builtin functions that the host gives to policies: none. What OPA compiles into the module needs
/// none; the others either have effects (`http.send`, `opa.runtime`, `rand.intn`), break replay
/// (`time.now_ns`; time comes with the input), or are not worth a way in.
pub const BUILTINS: &[&str] = &[];

/// What a loaded policy is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// Decisions.
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

/// The first part of the library's and the policy's package names: `data.cofferdam`. No data
/// document may have it.
pub const LIBRARY: &str = "cofferdam";

/// A loaded policy with its data document.
pub struct Policy {
    engine: Engine,
    module: Module,
    entrypoints: BTreeMap<String, i32>,
    data: String,
    purpose: Purpose,
}

impl Policy {
    /// Loads a policy: its imports, its ABI, its builtins and its data document are tried before it
    /// is ever asked. `data` is one JSON object. The engine must be one of a
    /// [`crate::engine::Ticker`].
    pub fn load(engine: &Engine, artefact: &Artefact, data: &str) -> Result<Self, SandboxError> {
        Self::of(engine, load::module(engine, artefact)?, data, Purpose::Decide)
    }

    /// Tries a module that is loaded already: runs it, so in a guest process it comes behind the
    /// confinement.
    pub(crate) fn of(
        engine: &Engine,
        module: Module,
        data: &str,
        purpose: Purpose,
    ) -> Result<Self, SandboxError> {
        let document = strict(data.as_bytes()).map_err(|fault| {
            SandboxError::new(Code::Malformed, format!("the data document: {fault}"))
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
            module,
            entrypoints: BTreeMap::new(),
            data: data.to_owned(),
            purpose,
        };
        policy.entrypoints = policy.inspect()?;
        Ok(policy)
    }

    /// Its entry points, such as `cofferdam/call/decision`.
    pub fn entrypoints(&self) -> impl Iterator<Item = &str> {
        self.entrypoints.keys().map(String::as_str)
    }

    /// Asks one entry point; answers the result set's one result as canonical JSON text.
    pub fn evaluate(&self, entrypoint: &str, input: &str) -> Result<String, SandboxError> {
        input_fits(input)?;
        let entry = self.entry(entrypoint)?;
        let text = self.run(|guest| {
            let data = guest.parse(&self.data)?;
            guest.evaluate(entry, data, Some(input))
        })?;
        single(entrypoint, &text)
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

    /// The named exception to "fresh for each decision": one instance that is asked again and
    /// again. Nothing in the gateway uses it; a deployment that wants it says so in its
    /// configuration, and the ledger with it, because what one decision leaves in memory the next
    /// can read.
    pub fn warm(&self) -> Result<Warm<'_>, SandboxError> {
        let mut guest = self.guest(limit::POLICY_MEMORY, limit::POLICY_TICKS)?;
        let ready = guest.parse(&self.data).and_then(|data| Ok((data, guest.heap()?)));
        match ready {
            Ok((data, heap)) => Ok(Warm { policy: self, guest, data, heap }),
            Err(error) => Err(guest.fault(&error)),
        }
    }

    /// In a throw-away instance: what it needs, and what it can be asked.
    fn inspect(&self) -> Result<BTreeMap<String, i32>, SandboxError> {
        let (builtins, entrypoints) = self.run(|guest| {
            guest.version()?;
            // The data document must fit, now and not at the first decision.
            guest.parse(&self.data)?;
            Ok((guest.table("builtins")?, guest.table("entrypoints")?))
        })?;
        let beyond: Vec<&str> = builtins
            .keys()
            .map(String::as_str)
            .filter(|name| !self.purpose.builtins().contains(name))
            .collect();
        if beyond.is_empty() {
            return Ok(entrypoints);
        }
        let detail = format!(
            "it needs the builtin `{}`, which the gateway does not give to policies; compile it \
             with the capabilities file in `policies/`, which names it with file and line",
            beyond.join("`, `")
        );
        Err(SandboxError::new(Code::Builtin, detail))
    }

    /// A fresh instance, one use, and it is gone, whatever came of it.
    fn run<R>(
        &self,
        work: impl FnOnce(&mut Guest) -> wasmtime::Result<R>,
    ) -> Result<R, SandboxError> {
        let mut guest = self.guest(limit::POLICY_MEMORY, limit::POLICY_TICKS)?;
        work(&mut guest).map_err(|error| guest.fault(&error))
    }

    fn guest(&self, memory: usize, ticks: u32) -> Result<Guest, SandboxError> {
        self.guest_of(Account::new(memory, ticks))
    }

    fn guest_of(&self, account: Account) -> Result<Guest, SandboxError> {
        let mut store = store(&self.engine, account, 0);
        if self.purpose == Purpose::Try {
            store.set_fuel(u64::MAX).map_err(|fault| {
                SandboxError::new(Code::Engine, format!("instructions are not counted: {fault:#}"))
            })?;
        }
        Guest::start(store, &self.module)
    }
}

/// A policy that keeps its instance between decisions. A fault ends it: asking takes it, and only
/// an answer gives it back.
pub struct Warm<'p> {
    policy: &'p Policy,
    guest: Guest,
    data: i32,
    heap: i32,
}

impl Warm<'_> {
    /// Asks one entry point, like [`Policy::evaluate`].
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
        let text = asked.map_err(|error| self.guest.fault(&error))?;
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

/// Whether a module is a policy that could be loaded: for the process that compiles it. Its data
/// document comes later.
pub(crate) fn accept(
    engine: &Engine,
    module: &Module,
    purpose: Purpose,
    confine: impl FnOnce() -> Result<(), SandboxError>,
) -> Result<(), SandboxError> {
    Shape::check(module)?;
    // Its start function runs below, so its time must be counted.
    let ticker = crate::engine::Ticker::start()?;
    ticker.add(engine);
    confine()?;
    Policy::of(engine, module.clone(), "{}", purpose).map(drop)
}

/// The one result of `[{"result": …}]`. An empty set is "undefined", more than one is no decision.
fn single(entrypoint: &str, text: &[u8]) -> Result<String, SandboxError> {
    let set = strict(text).map_err(|fault| {
        SandboxError::new(Code::Malformed, format!("the policy's result: {fault}"))
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
    canonical(result).map_err(|fault| {
        SandboxError::new(Code::Malformed, format!("the policy's result: {fault}"))
    })
}
