//! Makes a component of the two functions of a tool, and parses the arguments into their type. The
//! host has checked the arguments against the schema.

use super::{Definition, Draft, Refusal};
use serde::de::DeserializeOwned;

/// Exports the two functions of a tool as a component, and makes a test of its examples.
///
/// ```ignore
/// cofferdam_sdk::tool!(define, plan);
///
/// fn define() -> Definition { … }
/// fn plan(arguments: Arguments) -> Result<Draft, Refusal> { … }
/// ```
#[macro_export]
macro_rules! tool {
    ($define:path, $plan:path) => {
        const _: () = $crate::tool::fits($define, $plan);

        #[cfg(target_arch = "wasm32")]
        const _: () = {
            struct Component;

            impl $crate::bindings::tool_world::exports::cofferdam::tool::tool::Guest for Component {
                fn define() -> $crate::tool::Definition {
                    $define()
                }

                fn plan(
                    arguments: ::std::string::String,
                ) -> ::std::result::Result<$crate::tool::Draft, $crate::tool::Refusal> {
                    $crate::tool::call($plan, &arguments)
                }
            }

    $crate::bindings::tool_world::export_tool!(
                Component with_types_in $crate::bindings::tool_world);
        };

        #[cfg(test)]
        #[test]
        fn definition_holds_and_examples_give_their_drafts() {
            let updates = ::std::env::var_os("UPDATE_EXAMPLES").is_some_and(|value| value != "0");
            let plan = |arguments: &str| $crate::tool::call($plan, arguments);
            let faults = $crate::check::test(&$define(), plan, env!("CARGO_MANIFEST_DIR"), updates);
            assert!(faults.is_empty(), "\n{}", faults.join("\n"));
        }
    };
}

/// Fails the build on every target if one of the two functions has the wrong type.
#[doc(hidden)]
pub const fn fits<A: DeserializeOwned>(
    _define: fn() -> Definition,
    _plan: fn(A) -> Result<Draft, Refusal>,
) {
}

/// Parses the arguments into the type that `plan` takes, and calls it.
#[doc(hidden)]
pub fn call<A: DeserializeOwned>(
    plan: fn(A) -> Result<Draft, Refusal>,
    arguments: &str,
) -> Result<Draft, Refusal> {
    match serde_json::from_str(arguments) {
        Ok(arguments) => plan(arguments),
        Err(fault) => Err(Refusal::new(
            format!("the arguments do not fit the tool: {fault}"),
            "This is an error of the tool: its input schema and its `Arguments` type differ. Tell \
             its author.",
        )),
    }
}
