//! The code generated from the WIT, and nothing else. Curated re-exports are in `tool` and
//! `executor`; use those.

/// The world a tool is built for.
#[expect(missing_docs, reason = "generated: lifts and lowers values over linear memory")]
pub mod tool_world {
    wit_bindgen::generate!({
        path: "wit/tool.wit",
        world: "tool-world",
        additional_derives: [PartialEq],
        runtime_path: "::cofferdam_sdk::wit_bindgen::rt",
        pub_export_macro: true,
        export_macro_name: "export_tool",
        default_bindings_module: "::cofferdam_sdk::bindings::tool_world",
    });
}

/// The world an executor is built for.
#[expect(
    missing_docs,
    reason = "generated: lifts and lowers values over linear memory, calls the imports"
)]
pub mod executor_world {
    wit_bindgen::generate!({
        path: "wit/executor.wit",
        world: "executor-world",
        runtime_path: "::cofferdam_sdk::wit_bindgen::rt",
        pub_export_macro: true,
        export_macro_name: "export_executor",
        default_bindings_module: "::cofferdam_sdk::bindings::executor_world",
    });
}
