//! What a tool is compared with: the component of its name that an operator accepted, or a file.

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

/// Lines of a ceiling that are told one by one; `--json` has all.
const LINES: usize = 20;

/// The earlier one.
pub struct Baseline {
    /// As people are told of it.
    pub named: String,
    digest: ComponentDigest,
    /// As it was accepted; of a file, as it declares it.
    pub ceiling: Ceiling,
    /// None where the accepted component is not in the home any more, or does not load.
    definition: Option<Definition>,
}

/// How a tool stands to an earlier one.
pub struct Compared {
    /// What it is compared with.
    pub before: Baseline,
    /// True if it is the very component.
    pub same: bool,
    /// Its ceiling against the earlier one's.
    pub ceiling: Comparison,
    /// Everything else that differs; none where the earlier definition cannot be had.
    pub changed: Option<Vec<Changed>>,
}

impl Baseline {
    /// The tool of this name that is accepted; none where none is.
    pub fn accepted(
        bench: &Bench,
        home: &Home,
        trust: &Trust,
        plugin: &Plugin,
        now: &Definition,
    ) -> Option<Self> {
        let trusted = trust.tool(&now.name)?;
        // The very component needs no second look.
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

    /// A tool's file.
    pub fn file(named: String, plugin: &Plugin, definition: &Definition) -> Self {
        let (ceiling, definition) = (definition.ceiling.clone(), Some(definition.clone()));
        Self { named, digest: plugin.digest, ceiling, definition }
    }

    /// Compares. `ceiling` is the one that is declared now, or the narrower one that an operator
    /// wants.
    pub fn compare(self, plugin: &Plugin, now: &Definition, ceiling: &Ceiling) -> Result<Compared> {
        let ceiling = compare::compare(&self.ceiling, ceiling)?;
        let changed = self.definition.as_ref().map(|before| difference::between(before, now));
        Ok(Compared { same: self.digest == plugin.digest, before: self, ceiling, changed })
    }
}

impl Compared {
    /// For people: the lines of the ceiling that came and went, then words, schemas and examples.
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

    /// For programs.
    pub fn json(&self) -> Value {
        json!({
            "width": width(self.ceiling.width), "added": self.ceiling.added, "removed": self.ceiling.removed,
            "changed": self.changed, "same": self.same,
        })
    }
}

/// Lines with a mark, and how many more there are where they are many.
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

/// One word.
pub fn width(width: Width) -> &'static str {
    match width {
        Width::Narrower => "narrower",
        Width::Same => "same",
        Width::Wider => "wider",
    }
}
