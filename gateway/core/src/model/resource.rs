//! Resources and prompts of MCP: texts that a client reads by address, or puts before its model.
//! Made by the journey, rendered by the edge. Decides no right.

/// A resource, or the template of many.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resource {
    /// The address, or its template (RFC 6570).
    pub uri: String,
    /// The name for programs.
    pub name: String,
    /// The title for people.
    pub title: String,
    /// The content in one sentence, for models.
    pub description: String,
    /// The media type of the content.
    pub media: &'static str,
}

/// The content of a resource.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Content {
    /// The address.
    pub uri: String,
    /// The media type.
    pub media: &'static str,
    /// The content.
    pub text: String,
}

/// A prompt as lists show it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Prompt {
    /// The name, which many clients show as a command.
    pub name: &'static str,
    /// The title for people.
    pub title: &'static str,
    /// The purpose in one sentence.
    pub description: String,
    /// The arguments, all required: name, and meaning in one sentence.
    pub arguments: Vec<(&'static str, &'static str)>,
}

/// A message of a prompt, in the words of the user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PromptMessage {
    /// A text.
    Text(String),
    /// A resource with its content.
    Embedded(Content),
}

/// A prompt that cannot be given.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PromptError {
    /// There is no prompt of this name.
    #[error("unknown prompt: `{0}`; `prompts/list` lists them")]
    Unknown(String),
    /// An argument is missing or not valid.
    #[error("the argument `{name}` {error}")]
    Argument {
        /// The name of the argument.
        name: &'static str,
        /// The error, and the remedy.
        error: String,
    },
    /// The calls cannot be read at present.
    #[error("calls cannot be read now; try again later")]
    Unavailable,
}
