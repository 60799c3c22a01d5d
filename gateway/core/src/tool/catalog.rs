//! The catalog: every loaded tool by name. Never asks policy who may see one.

use super::able;
use super::load::{LoadError, LoadedTool};
use crate::model::trust::Trust;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Every loaded tool, by name.
#[derive(Debug, Default)]
pub struct Catalog(BTreeMap<String, Arc<LoadedTool>>);

impl Catalog {
    /// A catalog of those of these tools that the environment can carry out; the others are as if
    /// they were not there. Two of one name are refused.
    pub fn new(tools: Vec<LoadedTool>, trust: &Trust) -> Result<Self, LoadError> {
        let mut catalog = BTreeMap::new();
        for tool in tools.into_iter().filter(|tool| able::able(&tool.trusted().ceiling, trust)) {
            if let Some(twice) = catalog.insert(tool.name().to_owned(), Arc::new(tool)) {
                return Err(LoadError::Twice(twice.name().to_owned()));
            }
        }
        Ok(Self(catalog))
    }

    /// The tool of this name.
    pub fn get(&self, name: &str) -> Option<&Arc<LoadedTool>> {
        self.0.get(name)
    }

    /// All tools, sorted by name.
    pub fn tools(&self) -> impl Iterator<Item = &Arc<LoadedTool>> {
        self.0.values()
    }
}
