//! The set in use, as the console shows it. Reads what is loaded already; decides nothing.

use super::set::Set;
use cofferdam_core::model::ceiling::Ceiling;
use cofferdam_core::model::served::{Served, ServedChange, ServedPolicy, ServedTool};
use cofferdam_core::model::trust::{Trust, TrustedTool};
use cofferdam_core::tool::compare::compare;
use cofferdam_core::tool::load::LoadedTool;

/// The accepted tools, the policy and the rules of the trust file.
pub fn served(set: &Set) -> Served {
    let trust = &set.known.trust;
    let mut approvers: Vec<String> =
        trust.approvers.iter().map(|approver| approver.name.clone()).collect();
    approvers.dedup();
    Served {
        environment: trust.environment.clone(),
        trust: set.digest,
        tools: set.known.catalog.tools().map(|tool| of_tool(tool, trust)).collect(),
        executors: trust.executors.clone(),
        commands: trust.commands.clone(),
        policy: ServedPolicy {
            digest: set.known.policy,
            rules: set.policy_rules.clone(),
            data: set.policy_data.clone(),
            floor: trust.floor.clone(),
            self_approval: trust.self_approval,
            approvers,
        },
    }
}

fn of_tool(tool: &LoadedTool, trust: &Trust) -> ServedTool {
    let (definition, trusted) = (tool.definition(), tool.trusted());
    ServedTool {
        name: trusted.name.clone(),
        version: trusted.version.clone(),
        digest: trusted.digest,
        title: definition.title.clone(),
        description: definition.description.clone(),
        input_schema: definition.input_schema.clone(),
        output_schema: definition.output_schema.clone(),
        ceiling: trusted.ceiling.clone(),
        narrowed: beyond(&trusted.ceiling, &definition.ceiling),
        change: change(trusted, trust),
        examples: definition.examples.clone(),
    }
}

/// The difference to the entry that this one replaced.
fn change(trusted: &TrustedTool, trust: &Trust) -> Option<ServedChange> {
    let before = trust.replaced.iter().find(|before| before.name == trusted.name)?;
    Some(ServedChange {
        version: before.version.clone(),
        digest: before.digest,
        added: beyond(&before.ceiling, &trusted.ceiling),
        removed: beyond(&trusted.ceiling, &before.ceiling),
    })
}

/// The lines that the second ceiling has and the first one has not. Both were parsed at the load.
fn beyond(accepted: &Ceiling, declared: &Ceiling) -> Vec<String> {
    compare(accepted, declared).map(|comparison| comparison.added).unwrap_or_default()
}
