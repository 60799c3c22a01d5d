//! The trust file of tests of reads and previews: one tool `t`, which may use the executor
//! `sequential`.

use cofferdam_core::model::ceiling::{Ceiling, Grant};
use cofferdam_core::model::id::{ComponentDigest, PolicyDigest};
use cofferdam_core::model::trust::{
    Environment, Floor, RoleKeys, Trust, TrustedExecutor, TrustedTool,
};

/// It, with these lines as the tool's ceiling.
pub fn trust(grants: Vec<Grant>) -> Trust {
    Trust {
        environment: Environment { name: "test".into(), id: "1".into() },
        keys: RoleKeys { gateway: String::new(), recorder: String::new() },
        policy: PolicyDigest::of(b""),
        floor: Floor { actions: vec![], namespaces: vec![] },
        self_approval: false,
        tools: vec![TrustedTool {
            name: "t".into(),
            version: "1.0.0".into(),
            digest: ComponentDigest::of(b"t"),
            ceiling: Ceiling { grants, executors: vec!["sequential".into()] },
        }],
        executors: vec![TrustedExecutor {
            name: "sequential".into(),
            digest: ComponentDigest::of(b"e"),
        }],
        commands: vec![],
        approvers: vec![],
        delegations: vec![],
        console: vec![],
        replaced: vec![],
    }
}
