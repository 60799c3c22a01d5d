//! The baseline of a comparison: the accepted component of the same name, or a file.

use super::difference::{self, Changed};
use super::plugin::{Bench, Kind, Plugin};
use crate::config::home::Home;
use anyhow::Result;
use cofferdam_core::model::ceiling::{Ceiling, Definition};
use cofferdam_core::model::id::ComponentDigest;
use cofferdam_core::model::trust::Trust;
use cofferdam_core::tool::compare;
use cofferdam_core::tool::compare::{Comparison, Width};
use serde_json::{Value, json};

/// The most lines of a ceiling in the text; `--json` has all.
const LINES: usize = 20;

/// An earlier version of a tool.
pub struct Baseline {
    /// Its description for people.
    pub named: String,
    digest: ComponentDigest,
    /// The accepted ceiling; for a file, the declared one.
    pub ceiling: Ceiling,
    /// `None` if the accepted component is missing or does not load.
    definition: Option<Definition>,
}

/// The comparison of a tool with an earlier version.
pub struct Compared {
    /// The earlier version.
    pub before: Baseline,
    /// True if both are the same component.
    pub same: bool,
    /// The comparison of the two ceilings.
    pub ceiling: Comparison,
    /// All other differences; `None` if the earlier definition is not available.
    pub changed: Option<Vec<Changed>>,
}

impl Baseline {
    /// The accepted tool of this name, or `None`.
    pub fn accepted(
        bench: &Bench,
        home: &Home,
        trust: &Trust,
        plugin: &Plugin,
        now: &Definition,
    ) -> Option<Self> {
        let trusted = trust.tool(&now.name)?;
        // The same component is not read twice.
        let definition = if trusted.digest == plugin.digest {
            Some(now.clone())
        } else {
            let kept = bench.read(&home.tools().join(format!("{}.wasm", now.name))).ok();
            kept.filter(|kept| kept.digest == trusted.digest).and_then(|kept| match kept.kind {
                Kind::Tool(definition) => Some(*definition),
                Kind::Executor(_) | Kind::Command(_) => None,
            })
        };
        let named = "what was accepted".to_owned();
        Some(Self { named, digest: trusted.digest, ceiling: trusted.ceiling.clone(), definition })
    }

    /// A tool in a file, as a baseline.
    pub fn file(named: String, plugin: &Plugin, definition: &Definition) -> Self {
        let (ceiling, definition) = (definition.ceiling.clone(), Some(definition.clone()));
        Self { named, digest: plugin.digest, ceiling, definition }
    }

    /// Compares a tool with this baseline. `ceiling` is its declared ceiling, or the narrower one
    /// of the operator.
    pub fn compare(self, plugin: &Plugin, now: &Definition, ceiling: &Ceiling) -> Result<Compared> {
        let ceiling = compare::compare(&self.ceiling, ceiling)?;
        let changed = self.definition.as_ref().map(|before| difference::between(before, now));
        Ok(Compared { same: self.digest == plugin.digest, before: self, ceiling, changed })
    }
}

impl Compared {
    /// The text for people: added and removed lines of the ceiling, then texts, schemas and
    /// examples.
    pub fn lines(&self) -> Vec<String> {
        let mut lines = few("+", &self.ceiling.added);
        lines.extend(few("-", &self.ceiling.removed));
        match &self.changed {
            Some(changed) => lines.extend(difference::lines(changed)),
            None => lines.push(
                "the accepted component is not in the home; only its ceiling was compared"
                    .to_owned(),
            ),
        }
        lines
    }

    /// The same comparison for programs.
    pub fn json(&self) -> Value {
        json!({
            "width": width(self.ceiling.width), "added": self.ceiling.added,
            "removed": self.ceiling.removed,
            "changed": self.changed, "same": self.same,
        })
    }
}

/// The first lines with a mark, and the number of further ones.
pub fn few(mark: &str, lines: &[String]) -> Vec<String> {
    let mut told: Vec<String> =
        lines.iter().take(LINES).map(|line| format!("{mark} {line}")).collect();
    if lines.len() > LINES {
        told.push(format!(
            "{mark} … and {} more; `cofferdam inspect --json` has all",
            lines.len() - LINES
        ));
    }
    told
}

/// The width of a ceiling in one word.
pub fn width(width: Width) -> &'static str {
    match width {
        Width::Narrower => "narrower",
        Width::Same => "same",
        Width::Wider => "wider",
    }
}
