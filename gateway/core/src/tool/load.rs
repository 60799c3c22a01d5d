//! A tool as it is loaded: its definition checked, its schemas compiled, its ceiling checked
//! against the accepted one. Never loads a tool that the trust file does not name by digest.

use crate::model::answer::ToolListing;
use crate::model::ceiling::Definition;
use crate::model::escape;
use crate::model::facts::Resource;
use crate::model::id::ComponentDigest;
use crate::model::operation::Draft;
use crate::model::trust::{Environment, TrustedTool};
use crate::tool::bound::{Bound, BoundTool, CeilingError};
use crate::tool::compare::Width;
use crate::tool::schema::{Schema, SchemaError};
use crate::tool::{compare, facts, schema};

/// Characters of a title, as `tool.wit` says.
const TITLE: usize = 80;
/// Characters of a description, as `tool.wit` says.
const DESCRIPTION: usize = 2_000;
/// Characters of a name, as `tool.wit` says.
const NAME: usize = 64;
/// Examples of a tool: more than a reviewer reads, and each runs at every load.
const EXAMPLES: usize = 32;

/// A tool that is not loaded.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LoadError {
    /// The tool was not accepted.
    #[error(
        "the tool `{0}` is not in the trust file; an operator accepts it with `cofferdam accept \
         FILE`"
    )]
    Unaccepted(String),
    /// The component, version or name is not the accepted one.
    #[error(
        "the tool `{name}` is not the one that was accepted: its {what} differs; look with \
         `cofferdam inspect FILE`, then accept it again"
    )]
    Differs {
        /// The name of the tool.
        name: String,
        /// The part that differs.
        what: &'static str,
    },
    /// The trust file permits more than the tool declares.
    #[error(
        "the accepted ceiling of `{name}` is wider than it declares: {added}; narrow it in the \
         trust file"
    )]
    Wider {
        /// The name of the tool.
        name: String,
        /// The lines that were not accepted.
        added: String,
    },
    /// The name, version, title or description is not valid.
    #[error("the tool's {what} is not {wanted}")]
    Text {
        /// The sort of version.
        what: &'static str,
        /// The version that is needed.
        wanted: String,
    },
    /// The ceiling of the tool is not valid.
    #[error("the tool `{name}`: {error}")]
    Ceiling {
        /// The name of the tool.
        name: String,
        /// The cause, with the line.
        #[source]
        error: CeilingError,
    },
    /// A schema of the tool is not valid.
    #[error("the tool `{name}`, {which} schema: {error}")]
    Schema {
        /// The name of the tool.
        name: String,
        /// The schema: `input` or `output`.
        which: &'static str,
        /// The cause, in one sentence.
        #[source]
        error: SchemaError,
    },
    /// The tool gives another draft than the example has.
    #[error("the tool `{name}`, example `{title}`: {reason}")]
    Example {
        /// The name of the tool.
        name: String,
        /// The title of the example.
        title: String,
        /// The cause, in one sentence.
        reason: String,
    },
    /// Two tools have one name.
    #[error("two tools are called `{0}`; remove one")]
    Twice(String),
}

/// A tool that is ready to be called.
#[derive(Debug)]
pub struct LoadedTool {
    definition: Definition,
    trusted: BoundTool,
    input: Schema,
    output: Schema,
    listed: Schema,
}

impl LoadedTool {
    /// Checks a definition against the component's entry in the trust file.
    pub fn load(
        definition: Definition,
        digest: ComponentDigest,
        trusted: &TrustedTool,
    ) -> Result<Self, LoadError> {
        let name = definition.name.clone();
        for (same, what) in [
            (definition.name == trusted.name, "name"),
            (digest == trusted.digest, "digest"),
            (definition.version == trusted.version, "version"),
        ] {
            if !same {
                return Err(LoadError::Differs { name, what });
            }
        }
        let (input, output) = check_definition(&definition)?;
        let compared = compare::compare(&definition.ceiling, &trusted.ceiling)
            .map_err(|error| LoadError::Ceiling { name: name.clone(), error })?;
        if compared.width == Width::Wider {
            return Err(LoadError::Wider { name, added: compared.added.join("; ") });
        }
        let listed = Schema::of_output(&schema::listed(output.value()));
        let listed = listed.map_err(|error| LoadError::Schema {
            name: name.clone(),
            which: "output",
            error,
        })?;
        let trusted =
            BoundTool::parse(trusted).map_err(|error| LoadError::Ceiling { name, error })?;
        Ok(Self { definition, trusted, input, output, listed })
    }

    /// The name of the tool.
    pub fn name(&self) -> &str {
        &self.trusted().name
    }

    /// The digest of its component.
    pub fn digest(&self) -> ComponentDigest {
        self.trusted().digest
    }

    /// The entry of the tool in the trust file.
    pub fn trusted(&self) -> &TrustedTool {
        self.trusted.tool()
    }

    /// The entry of the tool in the trust file, with its parsed ceiling.
    pub fn bound(&self) -> &BoundTool {
        &self.trusted
    }

    /// The definition that the tool gives of itself.
    pub fn definition(&self) -> &Definition {
        &self.definition
    }

    /// The schema of its arguments.
    pub fn input(&self) -> &Schema {
        &self.input
    }

    /// The schema of its result.
    pub fn output(&self) -> &Schema {
        &self.output
    }

    /// The schema of its answers as agents are shown it: its own result, with what the host adds.
    pub fn listed(&self) -> &Schema {
        &self.listed
    }

    /// The tool as policy reads it.
    pub fn resource(&self) -> Resource {
        facts::resource(self.trusted())
    }

    /// The tool as agents read it.
    pub fn listing(&self, environment: &Environment) -> ToolListing {
        let accepted = &self.trusted().ceiling;
        ToolListing {
            name: self.name().to_owned(),
            title: self.definition.title.clone(),
            description: format!(
                "{}\n\nEnvironment: {} ({}).",
                self.definition.description,
                environment.name,
                environment.kind()
            ),
            input_schema: self.input.with_purpose(),
            output_schema: self.listed.value().clone(),
            read_only: facts::read_only(accepted),
            destructive: facts::destructive(accepted),
            idempotent: facts::idempotent(accepted),
        }
    }
}

/// Checks what a definition says by itself: `inspect` and `accept` ask before there is anything to
/// compare with. Gives its compiled schemas.
pub fn check_definition(definition: &Definition) -> Result<(Schema, Schema), LoadError> {
    texts(definition)?;
    let name = || definition.name.clone();
    Bound::parse(&definition.ceiling)
        .map_err(|error| LoadError::Ceiling { name: name(), error })?;
    let input = Schema::of_input(&definition.input_schema).map_err(|error| LoadError::Schema {
        name: name(),
        which: "input",
        error,
    })?;
    let output = Schema::of_output(&definition.output_schema)
        .map_err(|error| LoadError::Schema { name: name(), which: "output", error })?;
    if definition.examples.is_empty() || definition.examples.len() > EXAMPLES {
        let wanted = format!("1 to {EXAMPLES}: they are what reviewers read first");
        return Err(LoadError::Text { what: "number of examples", wanted });
    }
    for example in &definition.examples {
        let bad = |reason: String| LoadError::Example {
            name: name(),
            title: example.title.clone(),
            reason,
        };
        if escape::unseen(&example.title).is_some() {
            return Err(bad("its title has characters that cannot be seen".to_owned()));
        }
        input.check(&example.arguments).map_err(|error| bad(format!("arguments {error}")))?;
        serde_json::from_value::<Draft>(example.draft.clone())
            .map_err(|error| bad(format!("its draft is not readable: {error}")))?;
    }
    Ok((input, output))
}

fn texts(definition: &Definition) -> Result<(), LoadError> {
    let name = &definition.name;
    let plain =
        name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_');
    if name.len() > NAME || !plain || !name.starts_with(|first: char| first.is_ascii_lowercase()) {
        return Err(LoadError::Text {
            what: "name",
            wanted: format!("1 to {NAME} of `a-z`, `0-9` and `_`, beginning with a letter"),
        });
    }
    let numbers: Vec<_> = definition.version.split('.').collect();
    let number = |part: &&str| {
        (1..=9).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_digit())
    };
    if numbers.len() != 3 || !numbers.iter().all(number) {
        return Err(LoadError::Text {
            what: "version",
            wanted: "three numbers such as `1.2.0`".to_owned(),
        });
    }
    for (what, words, most) in
        [("title", &definition.title, TITLE), ("description", &definition.description, DESCRIPTION)]
    {
        let count = words.chars().count();
        if count == 0 || count > most {
            return Err(LoadError::Text {
                what,
                wanted: format!("1 to {most} characters, but {count}"),
            });
        }
        if let Some(odd) = escape::unseen(words) {
            return Err(LoadError::Text {
                what,
                wanted: format!(
                    "free of characters that cannot be seen; remove U+{:04X}",
                    u32::from(odd)
                ),
            });
        }
    }
    Ok(())
}
