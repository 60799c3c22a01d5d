//! The items for executors: handles of approved operations, observations of their objects, and
//! progress notes. None of them can name an object. An executor that never calls [`observe`] does
//! not import it.

pub use crate::bindings::executor_world::cofferdam::executor::observation::{
    Observation, Readiness, observe,
};
pub use crate::bindings::executor_world::cofferdam::executor::operations::{
    Failure, Operation, Outcome,
};
pub use crate::bindings::executor_world::cofferdam::executor::progress::report;
pub use crate::bindings::executor_world::exports::cofferdam::executor::executor::Stop;

/// Exports the function of an executor as a component.
///
/// ```ignore
/// cofferdam_sdk::executor!(run);
///
/// fn run(operations: Vec<Operation>) -> Result<(), Stop> { … }
/// ```
#[macro_export]
macro_rules! executor {
    ($run:path) => {
        const _: fn(
            ::std::vec::Vec<$crate::executor::Operation>,
        ) -> ::std::result::Result<(), $crate::executor::Stop> = $run;

        #[cfg(target_arch = "wasm32")]
        const _: () = {
            struct Component;

            impl $crate::bindings::executor_world::exports::cofferdam::executor::executor::Guest
                for Component
            {
                fn run(
                    operations: ::std::vec::Vec<$crate::executor::Operation>,
                ) -> ::std::result::Result<(), $crate::executor::Stop> {
                    $run(operations)
                }
            }

    $crate::bindings::executor_world::export_executor!(
                Component with_types_in $crate::bindings::executor_world);
        };
    };
}
