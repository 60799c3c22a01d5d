//! A set: tools, policy and trust as they were loaded together. Each call takes one set at its
//! beginning and keeps it. A new set is loaded whole beside the one in use, is recorded, and then
//! replaces it. A set that cannot be loaded changes nothing.

use super::callers::Callers;
use super::host::{GatewayHost, Roles};
use super::instrument::Observed;
use super::load::{self, Parts};
use anyhow::{Context as _, Result, anyhow, bail};
use cofferdam_core::journey;
use cofferdam_core::model::artefact::ArtefactKey;
use cofferdam_core::model::id::TrustDigest;
use cofferdam_core::model::permit::verifying_key_text;
use cofferdam_core::model::role_limits::RoleLimits;
use cofferdam_core::model::served::Served;
use cofferdam_core::model::trust::Trust;
use cofferdam_core::protocol::role_settings::GatewaySettings;
use cofferdam_core::tool::catalog::Catalog;
use cofferdam_core::tool::load::LoadedTool;
use cofferdam_sandbox::policy_pool::Policies;
use cofferdam_sandbox::tool_pool::Tools;
use cofferdam_telemetry::Outlet;
use ed25519_dalek::SigningKey;
use std::path::Path;
use std::sync::{Arc, OnceLock};

/// The number of threads that run tools, and of threads that decide: one of each for each of two
/// processors.
const THREADS: usize = 2;

/// The keys of the gateway.
pub struct Keys {
    /// The key that signs permits.
    pub permits: SigningKey,
    /// The MAC key of its compiled artefacts.
    pub artefacts: ArtefactKey,
}

/// The trust file of a set, and the digest of its text.
pub struct Accepted {
    pub trust: Trust,
    pub digest: TrustDigest,
}

/// The parts of every set that stay the same.
pub struct Shared {
    pub roles: Arc<Observed<Arc<Roles>>>,
    pub callers: Arc<Callers<Arc<Roles>>>,
    pub outlet: Outlet,
}

/// Tools, policy and trust that were loaded together.
pub struct Set {
    /// The sandboxes of this set, and the sockets.
    pub world: GatewayHost,
    /// The catalog and the trust of this set.
    pub known: journey::World,
    /// The digest of its trust file.
    pub digest: TrustDigest,
    /// The limits of roles in the policy's data.
    pub limits: Arc<RoleLimits>,
    /// The policy's data, for people to read.
    pub policy_data: serde_json::Value,
    /// The policy's rules, for people to read.
    pub policy_rules: Option<String>,
    /// This set as the console shows it, once it was asked for.
    pub served: OnceLock<Arc<Served>>,
}

/// Reads a trust file, and checks that it names this gateway's key.
pub fn accepted(settings: &GatewaySettings, keys: &Keys) -> Result<Accepted> {
    let text = read(&settings.trust_file)?;
    let trust = Trust::parse(&text)?;
    if trust.keys.gateway != verifying_key_text(&keys.permits.verifying_key()) {
        bail!(
            "the permit key `{}` is not the one the trust file names; restore the key, or the \
             trust file",
            settings.permit_key.display()
        );
    }
    Ok(Accepted { trust, digest: Trust::digest(&text) })
}

fn read(path: &Path) -> Result<String> {
    std::fs::read_to_string(path)
        .with_context(|| format!("cannot read the trust file `{}`", path.display()))
}

impl Set {
    /// Starts the sandboxes and reads the definition of every tool.
    pub async fn start(
        settings: &GatewaySettings,
        Accepted { trust, digest }: Accepted,
        keys: &Keys,
        parts: Parts,
        shared: &Shared,
    ) -> Result<Self> {
        let Parts { tools, policy, data, rules, limits, policy_digest } = parts;
        let policy_data = serde_json::from_str(&data).context("the policy's data is not JSON")?;
        let tools = Tools::start(THREADS, tools)
            .map_err(|error| anyhow!("the tools do not load: {error}"))?;
        let policies = Policies::start(THREADS, policy, data)
            .map_err(|error| anyhow!("the policy does not load: {error}"))?;
        let mut loaded = Vec::with_capacity(trust.tools.len());
        for accepted in &trust.tools {
            let definition = tools
                .define(accepted.digest)
                .await
                .map_err(|error| anyhow!("{error}"))
                .with_context(|| format!("the tool `{}` does not say what it is", accepted.name))?;
            loaded.push(LoadedTool::load(definition, accepted.digest, accepted)?);
        }
        let known = journey::World {
            catalog: Catalog::new(loaded, &trust)?,
            trust,
            policy: policy_digest,
            key: keys.permits.clone(),
            lists: journey::Lists::default(),
        };
        let world = GatewayHost {
            tools: Observed::new(tools, shared.outlet.clone()),
            policies: Observed::new(policies, shared.outlet.clone()),
            roles: Arc::clone(&shared.roles),
            callers: Arc::clone(&shared.callers),
            trust_file: settings.trust_file.clone(),
        };
        let limits = Arc::new(limits);
        Ok(Self {
            world,
            known,
            digest,
            limits,
            policy_data,
            policy_rules: rules,
            served: OnceLock::new(),
        })
    }

    /// Loads another set in the confined gateway: from artefacts that are compiled already. Blocks
    /// the thread.
    pub fn load(
        settings: &GatewaySettings,
        keys: &Keys,
        shared: &Shared,
        runtime: &tokio::runtime::Handle,
    ) -> Result<Self> {
        let accepted = accepted(settings, keys)?;
        let parts = load::compiled(settings, &accepted.trust, &keys.artefacts)?;
        runtime.block_on(Self::start(settings, accepted, keys, parts, shared))
    }
}
