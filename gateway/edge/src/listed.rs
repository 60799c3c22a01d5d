//! Tools as lists show them, as JSON text. Each is written once, not for each request: agents ask for
//! lists often, and the schemas are long. Decides nothing about who may see a tool.

use crate::builtin_tools;
use crate::render::{self, Form};
use cofferdam_core::model::answer::ToolListing;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

/// The written tools.
#[derive(Debug, Default)]
pub struct Listed {
    written: Mutex<HashMap<(String, Form), Written>>,
    builtin: OnceLock<[Arc<ToolListing>; 4]>,
}

/// A written tool. Another listing of the same name is written again.
#[derive(Debug)]
struct Written {
    of: Arc<ToolListing>,
    text: Arc<str>,
}

impl Listed {
    /// The built-in tools.
    pub fn builtin(&self, environment: &str) -> &[Arc<ToolListing>; 4] {
        self.builtin.get_or_init(|| builtin_tools::listings(environment).map(Arc::new))
    }

    /// A JSON array of these tools.
    pub fn array<'a>(
        &self,
        tools: impl Iterator<Item = &'a Arc<ToolListing>>,
        form: Form,
    ) -> String {
        let mut written = self.written.lock().unwrap_or_else(PoisonError::into_inner);
        let mut array = String::from("[");
        for tool in tools {
            if array.len() > 1 {
                array.push(',');
            }
            let one = written
                .entry((tool.name.clone(), form))
                .and_modify(|one| {
                    if !Arc::ptr_eq(&one.of, tool) {
                        *one = Written::new(tool, form);
                    }
                })
                .or_insert_with(|| Written::new(tool, form));
            array.push_str(&one.text);
        }
        array.push(']');
        array
    }
}

impl Written {
    fn new(tool: &Arc<ToolListing>, form: Form) -> Self {
        Self { of: Arc::clone(tool), text: render::listing(tool, form).to_string().into() }
    }
}
