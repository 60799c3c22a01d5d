//! The generated types of both worlds. Private: every value that leaves this crate has a type of
//! the core (`convert/`).

pub(crate) mod tool {
    wasmtime::component::bindgen!({ path: "../../wit/tool.wit", world: "tool-world" });
    pub(crate) use exports::cofferdam::tool::tool as types;
}

pub(crate) mod executor {
    wasmtime::component::bindgen!({
        path: "../../wit/executor.wit",
        world: "executor-world",
        imports: { default: trappable },
        with: {
            "cofferdam:executor/operations.operation": crate::execute::Ticket,
            "cofferdam:executor/observation.observation": crate::execute::Sight,
        },
    });
    pub(crate) use cofferdam::executor::{observation, operations, progress};
}
