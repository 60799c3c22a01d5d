//! Accepts a policy, and measures the accepted policy with a new tool. A policy that is too slow or
//! too large for the accepted tools is refused, whichever of the two comes later. Never loads a
//! tool.

use crate::command::plugin::{Bench, wasm};
use crate::command::rehearse::{rehearse, rehearse_new};
use crate::command::reload;
use crate::command::report::Report;
use crate::config::home::{Home, write_private};
use crate::config::trust_file::TrustFile;
use anyhow::{Context as _, Result, bail};
use cofferdam_core::model::approver_groups::ApproverGroups;
use cofferdam_core::model::escape::line;
use cofferdam_core::model::role_limits::RoleLimits;
use cofferdam_core::model::trust::{Trust, TrustedTool};
use cofferdam_core::policy::digest::policy_digest;
use cofferdam_core::stage::question;
use jiff::Timestamp;
use serde_json::json;
use std::path::Path;

/// Accepts the policy in a folder and copies it to the home.
pub(super) fn accept(
    home: &Home,
    folder: &Path,
    bench: &Bench,
    mut trust: TrustFile,
    noted: Option<&str>,
) -> Result<Report> {
    let none = |name: &str| {
        format!("`{name}` in `{}`; build it with `scripts/build-policy`", folder.display())
    };
    let module = wasm(&folder.join("policy.wasm")).with_context(|| none("policy.wasm"))?;
    let data = std::fs::read(folder.join("data.json")).with_context(|| none("data.json"))?;
    let text = std::str::from_utf8(&data).context("data.json is not UTF-8")?;
    bench.policy(&module, text).with_context(|| format!("the policy in `{}`", folder.display()))?;
    let digest = policy_digest(&module, text).context("data.json is not readable")?;
    RoleLimits::read(text).with_context(|| format!("the policy in `{}`", folder.display()))?;
    let groups = ApproverGroups::read(text)
        .with_context(|| format!("the policy in `{}`", folder.display()))?;
    let known = trust.trust()?;
    let before = known.policy;
    let context = question::context(&known.environment, digest, None, None, Timestamp::now());
    rehearse(bench, (&module, text), &known.tools, &context)
        .with_context(|| format!("the policy in `{}`", folder.display()))?;
    write_private(&home.policy_module(), &module)?;
    write_private(&home.policy_data(), &data)?;
    home.keep_policy_rules(folder)?;
    trust.set_policy(digest);
    trust.note_policy(noted);
    trust.save()?;
    let (after, loaded) =
        reload::after(home, &format!("the policy {} is accepted", digest.short()))?;
    let text = if before == digest {
        format!("The policy {digest} was accepted already. {after}")
    } else {
        format!(
            "Accepted the policy {digest} in the place of {}. What waits for a person under the \
             old one has to be asked again. {after}",
            before.short()
        )
    };
    let strangers = groups.strangers(&known.approvers);
    let strangers: Vec<String> =
        strangers.iter().map(|(group, member)| stranger(group, member)).collect();
    let text = strangers.iter().fold(text, |text, told| format!("{text}\nNote: {told}."));
    let json = json!({"kind": "policy", "digest": digest, "before": before, "loaded": loaded,
        "notes": strangers});
    Ok(Report::new(text, json))
}

/// The note about a member of a group who is not enrolled, with the remedy.
pub fn stranger(group: &str, member: &str) -> String {
    format!(
        "the group `{0}` of approvers has `{1}`, who is not enrolled under exactly this name and can \
         sign nothing; enrol this person with `cofferdam approver add {1} --key FILE` or `cofferdam \
         approver invite {1}`, or correct the group in the policy's data",
        line(group),
        line(member)
    )
}

/// Measures the accepted policy with the largest inputs that a new tool adds.
///
/// # Errors
/// `time` or `memory`, as for a policy; or the policy in the home differs from the accepted one.
pub(super) fn try_on(home: &Home, bench: &Bench, known: &Trust, tool: &TrustedTool) -> Result<()> {
    let module = wasm(&home.policy_module())
        .context("the accepted policy, which is tried on each new ceiling")?;
    let data =
        std::fs::read_to_string(home.policy_data()).context("cannot read policy/data.json")?;
    let digest = policy_digest(&module, &data).context("policy/data.json is not readable")?;
    if digest != known.policy {
        bail!(
            "the policy in the home is not the accepted one; accept one with `cofferdam accept \
             --policy DIR`, then the tool"
        );
    }
    let context = question::context(&known.environment, digest, None, None, Timestamp::now());
    let mut tools: Vec<_> =
        known.tools.iter().filter(|known| known.name != tool.name).cloned().collect();
    tools.push(tool.clone());
    rehearse_new(bench, (&module, &data), &tools, &[&tool.name], &context).map(drop).with_context(
        || {
            format!(
                "the accepted policy is not fit for the ceiling of the tool `{}`; accept another \
                 policy first, or a tool with a narrower ceiling",
                tool.name
            )
        },
    )
}
