//! The code that is generated from the WIT, and nothing else. Use the re-exports in `tool` and
//! `executor`.

/// The world of a tool.
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

/// The world of an executor.
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
