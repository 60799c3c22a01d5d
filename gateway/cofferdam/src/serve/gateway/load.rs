//! Loads the accepted components by digest, before the gateway confines itself, from artefacts of
//! its own. A missing artefact is compiled in a guest process. Never loads a component that is not
//! in the trust file.

use crate::config::home::POLICY_RULES;
use crate::serve::guest_process;
use anyhow::{Context as _, Result, anyhow, bail};
use cofferdam_core::model::approver_groups::ApproverGroups;
use cofferdam_core::model::artefact::ArtefactKey;
use cofferdam_core::model::id::{ComponentDigest, PolicyDigest};
use cofferdam_core::model::role_limits::RoleLimits;
use cofferdam_core::model::served::{RULES_BYTES, rules_heading};
use cofferdam_core::model::trust::Trust;
use cofferdam_core::policy::digest::policy_digest;
use cofferdam_core::protocol::role_guest::{Compute, Computed, GuestKind};
use cofferdam_core::protocol::role_settings::GatewaySettings;
use cofferdam_sandbox::engine::{description, engine};
use cofferdam_sandbox::load::{Artefact, about};
use std::collections::BTreeMap;
use std::fmt::Display;
use std::fs;
use std::io::Read as _;
use std::path::Path;

/// Everything that runs in the gateway's sandboxes.
pub struct Parts {
    /// The accepted tools, by digest.
    pub tools: Vec<(ComponentDigest, Artefact)>,
    /// The artefact of the policy.
    pub policy: Artefact,
    /// The data document of the policy, as JSON text.
    pub data: String,
    /// The rules of the policy, for people to read.
    pub rules: Option<String>,
    /// The limits of roles in that document.
    pub limits: RoleLimits,
    /// The digest of the policy.
    pub policy_digest: PolicyDigest,
}

/// Reads, checks and, if needed, compiles every part in the trust file.
pub fn parts(settings: &GatewaySettings, trust: &Trust, key: &ArtefactKey) -> Result<Parts> {
    load(settings, trust, (key, Some(settings.guest.as_path())))
}

/// Reads and checks every part in the trust file. Each is compiled already: a confined process
/// starts no guest.
pub fn compiled(settings: &GatewaySettings, trust: &Trust, key: &ArtefactKey) -> Result<Parts> {
    load(settings, trust, (key, None))
}

fn load(
    settings: &GatewaySettings,
    trust: &Trust,
    (key, guest): (&ArtefactKey, Option<&Path>),
) -> Result<Parts> {
    let store = Store { key, folder: &settings.artefacts, guest };
    let found = components(&settings.tools)?;
    let mut tools = Vec::with_capacity(trust.tools.len());
    for tool in &trust.tools {
        let wasm = found.get(&tool.digest).with_context(|| {
            format!(
                "no component with the digest of the accepted tool `{}` ({}) lies in `{}`",
                tool.name,
                tool.digest,
                settings.tools.display()
            )
        })?;
        let artefact = store
            .artefact(GuestKind::Tool, &tool.digest, &tool.name, wasm)
            .with_context(|| format!("the tool `{}` does not load", tool.name))?;
        tools.push((tool.digest, artefact));
    }
    let module = read(&settings.policy_module)?;
    let data = String::from_utf8(read(&settings.policy_data)?)
        .context("the policy's data is not UTF-8")?;
    let digest = policy_digest(&module, &data).context("the policy's data is not readable")?;
    if digest != trust.policy {
        bail!(
            "the policy in `{}` is {digest}, accepted is {}; accept it with `cofferdam accept \
             --policy DIR`, or restore the accepted one",
            settings.policy_module.display(),
            trust.policy
        );
    }
    let policy = store
        .artefact(GuestKind::Policy, &digest, "policy", &module)
        .context("the policy does not load")?;
    let limits = RoleLimits::read(&data)?;
    // `accept` refuses it; a policy that was accepted before still decides, and the library denies
    // what names such a group.
    if let Err(error) = ApproverGroups::read(&data) {
        tracing::warn!(what = "policy", "{error}");
    }
    let rules = rules(&settings.policy_data.with_file_name(POLICY_RULES), &digest);
    Ok(Parts { tools, policy, data, rules, limits, policy_digest: digest })
}

/// The rules beside the data, if they are of this policy and not too long. No decision reads them.
fn rules(path: &Path, policy: &PolicyDigest) -> Option<String> {
    let mut text = String::new();
    let file = fs::File::open(path).ok()?;
    file.take(RULES_BYTES.saturating_add(1)).read_to_string(&mut text).ok()?;
    let fits = u64::try_from(text.len()).is_ok_and(|length| length <= RULES_BYTES);
    (fits && text.starts_with(&rules_heading(policy))).then_some(text)
}

fn read(path: &Path) -> Result<Vec<u8>> {
    fs::read(path).with_context(|| format!("cannot read `{}`", path.display()))
}

/// Every component of a folder, by digest; file names do not matter.
fn components(folder: &Path) -> Result<BTreeMap<ComponentDigest, Vec<u8>>> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(folder)
        .with_context(|| format!("cannot read the folder of tools `{}`", folder.display()))?
    {
        let path = entry?.path();
        if path.extension().is_some_and(|ending| ending == "wasm") {
            let wasm = read(&path)?;
            found.insert(ComponentDigest::of(&wasm), wasm);
        }
    }
    Ok(found)
}

/// The store of this role's artefacts.
struct Store<'a> {
    key: &'a ArtefactKey,
    folder: &'a Path,
    /// The guest that compiles; `None` in a process that starts none.
    guest: Option<&'a Path>,
}

impl Store<'_> {
    /// Returns the stored artefact if its MAC and its engine match; else compiles a new one.
    fn artefact(
        &self,
        kind: GuestKind,
        digest: &dyn Display,
        name: &str,
        wasm: &[u8],
    ) -> Result<Artefact> {
        let engine = engine(kind).map_err(|error| anyhow!("{}", error.detail))?;
        let engine = description(&engine, kind);
        let path = self.folder.join(format!("{}.cwasm", digest.to_string().replace(':', "-")));
        if let Some(artefact) = fs::read(&path)
            .ok()
            .and_then(|sealed| Artefact::open(self.key, digest, &engine, &sealed).ok())
        {
            return Ok(artefact);
        }
        let guest = self
            .guest
            .with_context(|| format!("its artefact `{}` is missing; load again", path.display()))?;
        tracing::info!("compiling {name} (once)");
        let (compiled, made_for) = compile(guest, kind, wasm)?;
        if made_for != engine {
            bail!(
                "`{}` is of another build than this binary: it has {made_for}, this has {engine}; \
                 install both together",
                guest.display()
            );
        }
        let sealed = self.key.seal(&about(digest, &engine), &compiled)?;
        crate::config::home::write_private(&path, &sealed)?;
        Artefact::open(self.key, digest, &engine, &sealed)
            .map_err(|error| anyhow!("{}", error.detail))
    }
}

/// Compiles in a guest process, which has only the component, one socket, and limits.
fn compile(guest: &Path, kind: GuestKind, wasm: &[u8]) -> Result<(Vec<u8>, String)> {
    match guest_process::ask(
        guest,
        &Compute::Compile { kind },
        wasm.to_vec(),
        guest_process::COMPILE,
    )? {
        (Computed::Artefact { engine }, artefact) => Ok((artefact, engine)),
        (other, _) => bail!("the compiling guest returned an unexpected response: {other:?}"),
    }
}
