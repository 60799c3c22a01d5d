//! Log lines on standard error: one line for each event, for people or as JSON. A field that is not
//! on the list prints `[withheld]` and never its value; such a field of a library is left out.
//! Control characters never reach a terminal.

use crate::setup::Sources;
use crate::signal::{Role, short};
use cofferdam_core::protocol::telemetry_names;
use jiff::Timestamp;
use serde_json::{Map, Value};
use std::borrow::Cow;
use std::fmt::{self, Debug};
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

/// The form of log lines.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum LineFormat {
    /// For people: `2026-11-29T03:12:45Z gateway  WARN  the recorder is away; calls are refused
    /// until it answers`, then fields.
    #[default]
    People,
    /// One JSON object for each line.
    Json,
}

/// The first characters of the target of every log line of Cofferdam.
const OWN: &str = "cofferdam";

/// Longest message, in characters: a paragraph.
const MESSAGE: usize = 2_000;

pub(crate) struct Lines {
    pub(crate) role: Role,
    pub(crate) format: LineFormat,
    pub(crate) sources: Sources,
}

impl<S: Subscriber + for<'a> LookupSpan<'a>, N: for<'a> FormatFields<'a> + 'static>
    FormatEvent<S, N> for Lines
{
    fn format_event(
        &self,
        _: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        // Libraries do not know the list, so their other fields are left out without a mark.
        let own = event.metadata().target().starts_with(OWN);
        let mut said = Said { own, ..Said::default() };
        event.record(&mut said);
        let time = Timestamp::try_from((self.sources.now)()).unwrap_or_default();
        let level = *event.metadata().level();
        match self.format {
            LineFormat::People => {
                write!(
                    writer,
                    "{} {:8} {:5} {}",
                    time.strftime("%Y-%m-%dT%H:%M:%SZ"),
                    self.role.word(),
                    word(level),
                    said.message
                )?;
                for (field, value) in &said.fields {
                    write!(writer, " {field}={}", shown(value))?;
                }
                writeln!(writer)
            }
            LineFormat::Json => {
                let mut line = Map::new();
                line.insert("time".to_owned(), time.to_string().into());
                line.insert("role".to_owned(), self.role.word().into());
                line.insert("level".to_owned(), word(level).into());
                line.insert("message".to_owned(), said.message.into());
                line.insert("fields".to_owned(), Value::Object(said.fields));
                writeln!(writer, "{}", Value::Object(line))
            }
        }
    }
}

/// A value as a log line shows it: in quotes, as in JSON, unless it cannot be confused with the
/// text around it. Quotes in a value cannot end it, so no value looks like another field.
fn shown(value: &Value) -> Cow<'_, str> {
    let plain =
        |byte: u8| byte.is_ascii_graphic() && !matches!(byte, b'"' | b'=' | b'\\' | b'`' | b'\'');
    match value {
        Value::String(text) if !text.is_empty() && text.bytes().all(plain) => Cow::Borrowed(text),
        other => Cow::Owned(other.to_string()),
    }
}

fn word(level: Level) -> &'static str {
    match level {
        Level::ERROR => "ERROR",
        Level::WARN => "WARN",
        Level::INFO => "INFO",
        Level::DEBUG => "DEBUG",
        Level::TRACE => "TRACE",
    }
}

#[derive(Default)]
struct Said {
    own: bool,
    message: String,
    fields: Map<String, Value>,
}

impl Said {
    fn text(&mut self, field: &str, value: &dyn Fn() -> String) {
        if field == "message" {
            self.message = value()
                .chars()
                .map(|c| if c.is_control() { ' ' } else { c })
                .take(MESSAGE)
                .collect();
        } else {
            self.keep(field, &|| short(&value()).into());
        }
    }

    fn keep(&mut self, field: &str, value: &dyn Fn() -> Value) {
        if telemetry_names::is_logged(field) {
            self.fields.insert(field.to_owned(), value());
        } else if self.own {
            self.fields.insert(field.to_owned(), "[withheld]".into());
        }
    }
}

impl Visit for Said {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.text(field.name(), &|| value.to_owned());
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.text(field.name(), &|| format!("{value:?}"));
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.keep(field.name(), &|| value.into());
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.keep(field.name(), &|| value.into());
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.keep(field.name(), &|| value.into());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_value_looks_like_another_field() {
        let check = |value: &str, expect: &str| assert_eq!(shown(&Value::from(value)), expect);
        check("deployment_scale", "deployment_scale");
        check("sha256:0a/b.c-d", "sha256:0a/b.c-d");
        check("two words", r#""two words""#);
        check("", r#""""#);
        check(r#"x role=admin""#, r#""x role=admin\"""#);
        check(r#"x" role="admin"#, r#""x\" role=\"admin""#);
        check("x=y", r#""x=y""#);
        check("x\trole=admin", r#""x\trole=admin""#);
        check(r"x\", r#""x\\""#);
        check("x\u{a0}role", "\"x\u{a0}role\"");
        assert_eq!(shown(&Value::from(7)), "7");
    }
}
