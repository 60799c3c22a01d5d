//! What an executor is written with: handles of approved operations, a look at whether what they
//! did is ready, and a word to callers that wait. Nothing here can name an object. An executor that
//! never calls [`observe`] does not import it.

pub use crate::bindings::executor_world::cofferdam::executor::observation::{
    Observation, Readiness, observe,
};
pub use crate::bindings::executor_world::cofferdam::executor::operations::{
    Failure, Operation, Outcome,
};
pub use crate::bindings::executor_world::cofferdam::executor::progress::report;
pub use crate::bindings::executor_world::exports::cofferdam::executor::executor::Stop;

/// Makes a component of an executor's one function.
///
/// ```ignore
/// cofferdam_sdk::executor!(run);
///
/// fn run(operations: Vec<Operation>) -> Result<(), Stop> { … }
/// ```
#[macro_export]
macro_rules! executor {
    ($run:path) => {
        const _: fn(::std::vec::Vec<$crate::executor::Operation>) -> ::std::result::Result<(), $crate::executor::Stop> = $run;

        #[cfg(target_arch = "wasm32")]
        const _: () = {
            struct Component;

            impl $crate::bindings::executor_world::exports::cofferdam::executor::executor::Guest for Component {
                fn run(operations: ::std::vec::Vec<$crate::executor::Operation>) -> ::std::result::Result<(), $crate::executor::Stop> {
                    $run(operations)
                }
            }

    $crate::bindings::executor_world::export_executor!(Component with_types_in $crate::bindings::executor_world);
        };
    };
}
