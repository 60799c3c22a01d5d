//! `cofferdam new`: creates a folder with a new tool: the example tool under another name, with all
//! files for a build outside of this repository. Writes only to the new folder.

use super::report::{Report, Usage};
use anyhow::{Context as _, Result, bail};
use clap::{Args, ValueHint};
use serde_json::json;
use std::fs;
use std::path::{Path, PathBuf};

/// The code of the example tool, which the tests of `plugins/` check.
const LIB: &str = include_str!("../../../../plugins/tools/hello/src/lib.rs");
/// The schema of its arguments.
const INPUT: &str = include_str!("../../../../plugins/tools/hello/input.schema.json");
/// The lock file of the shipped tools: the first build uses tested versions.
const LOCK: &str = include_str!("../../../../plugins/Cargo.lock");
/// The compiler of the shipped tools.
const TOOLCHAIN: &str = include_str!("../../../../rust-toolchain.toml");
/// The linker settings of the shipped tools, after a comment about this repository.
const LINKED: &str = include_str!("../../../../plugins/.cargo/config.toml");

/// The first line of the example after its own head.
const HEAD: &str = "//! A tool has no effect.";

/// The most characters of a tool's name, as in `tool.wit`.
const NAME: usize = 64;

/// Names that a tool may have and a crate may not: Rust's keywords, and the dependencies of a tool.
const TAKEN: [&str; 55] = [
    "abstract",
    "alloc",
    "as",
    "async",
    "await",
    "become",
    "box",
    "break",
    "cofferdam_sdk",
    "const",
    "continue",
    "core",
    "crate",
    "do",
    "dyn",
    "else",
    "enum",
    "extern",
    "false",
    "final",
    "fn",
    "for",
    "gen",
    "if",
    "impl",
    "in",
    "let",
    "loop",
    "macro",
    "match",
    "mod",
    "move",
    "mut",
    "override",
    "priv",
    "proc_macro",
    "pub",
    "ref",
    "return",
    "self",
    "serde",
    "static",
    "std",
    "struct",
    "super",
    "test",
    "trait",
    "true",
    "try",
    "type",
    "unsafe",
    "use",
    "where",
    "while",
    "yield",
];

/// Creates a folder NAME with a working tool: commented code, schema, tests and build files. If the
/// folder exists, the command fails and changes nothing.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  cofferdam new label_set\n  cofferdam new label_set --sdk https://git.example.com/cofferdam.git --tag v0.1.0\n  \
    cofferdam new label_set --sdk ~/src/cofferdam/plugins/sdk"
)]
pub struct New {
    /// The name of the tool for agents: a-z, 0-9 and `_`, with a letter first
    name: String,
    /// The folder to create it in [default: the working folder]
    #[arg(long = "in", value_name = "DIR", value_hint = ValueHint::DirPath)]
    within: Option<PathBuf>,
    /// The SDK: a folder, or the URL of a git repository [default: the checkout that this binary
    /// was built in]
    #[arg(long, value_name = "DIR|URL", value_hint = ValueHint::DirPath)]
    sdk: Option<String>,
    /// The tag of that repository
    #[arg(long, value_name = "TAG", requires = "sdk")]
    tag: Option<String>,
    // Hides the global option of this name: this command needs no installation.
    #[arg(long, hide = true)]
    home: Option<PathBuf>,
}

impl New {
    /// Runs the command and returns its report.
    pub fn run(self, working: &Path) -> Result<Report> {
        named(&self.name)?;
        let sdk = self.sdk(working)?;
        let folder = working.join(self.within.as_deref().unwrap_or(Path::new(""))).join(&self.name);
        if fs::symlink_metadata(&folder).is_ok() {
            bail!(
                "`{}` is there already; choose another name, or another place with `--in DIR`",
                folder.display()
            );
        }
        let files = files(&self.name, &sdk)?;
        fs::create_dir_all(&folder)
            .with_context(|| format!("cannot make `{}`", folder.display()))?;
        if let Err(error) = write(&folder, &files) {
            let _half = fs::remove_dir_all(&folder);
            return Err(error);
        }
        let (name, place) = (&self.name, folder.display());
        let listed: Vec<String> =
            files.iter().map(|(path, _, what)| format!("  {path:<20} {what}")).collect();
        let text = format!(
            "Made {place}:\n{}\n\nNext:\n  cd {place}\n  cargo test                     # runs \
             the examples; the first time it compiles for three minutes\n  UPDATE_EXAMPLES=1 \
             cargo test   # after a change: writes the drafts into the examples; read them\n  \
             cofferdam build .              # makes target/components/{name}.wasm, the same bytes \
             on every machine\n  cofferdam try target/components/{name}.wasm --args '{EXAMPLE}'\n  \
             cofferdam accept target/components/{name}.wasm",
            listed.join("\n")
        );
        let written: Vec<&str> = files.iter().map(|(path, ..)| *path).collect();
        Ok(Report::new(
            text,
            json!({"name": name, "folder": folder, "sdk": sdk.line(), "files": written}),
        ))
    }

    fn sdk(&self, working: &Path) -> Result<Sdk> {
        match (&self.sdk, &self.tag) {
            (Some(url), tag) if url.contains("://") => {
                let tag = tag.clone().unwrap_or_else(|| format!("v{}", env!("CARGO_PKG_VERSION")));
                Ok(Sdk::Git { url: url.clone(), tag })
            }
            (Some(_), Some(_)) => {
                Err(Usage("`--tag` is of a git repository; a folder is taken as it is".to_owned())
                    .into())
            }
            (Some(folder), None) => Sdk::folder(&working.join(folder)),
            (None, _) => match beside() {
                Some(folder) => Sdk::folder(&folder),
                None => Err(Usage(
                    "say where the SDK is: `--sdk URL --tag TAG` of Cofferdam's repository, or \
                     `--sdk DIR`, its folder `plugins/sdk`"
                        .to_owned(),
                )
                .into()),
            },
        }
    }
}

/// Valid arguments of the example.
const EXAMPLE: &str = r#"{"namespace": "team-a", "name": "web", "greeting": "Ahoy"}"#;

/// The SDK of the checkout that this binary was built in: `target/PROFILE/cofferdam` lies two
/// folders below it.
fn beside() -> Option<PathBuf> {
    let binary = std::env::current_exe().ok()?;
    let sdk = binary.parent()?.parent()?.parent()?.join("plugins/sdk");
    sdk.join("Cargo.toml").is_file().then_some(sdk)
}

/// Checks a name that agents and cargo accept.
fn named(name: &str) -> Result<()> {
    let plain =
        name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_');
    if !plain || name.len() > NAME || !name.starts_with(|first: char| first.is_ascii_lowercase()) {
        let said = format!(
            "`{name}` is no name for a tool; use 1 to {NAME} of `a-z`, `0-9` and `_`, beginning \
             with a letter"
        );
        return Err(Usage(said).into());
    }
    if TAKEN.contains(&name) {
        return Err(Usage(format!(
            "`{name}` cannot be the name of a crate; choose another, such as `{name}_set`"
        ))
        .into());
    }
    Ok(())
}

/// The source of the SDK.
enum Sdk {
    Folder(String),
    Git { url: String, tag: String },
}

impl Sdk {
    fn folder(folder: &Path) -> Result<Self> {
        let manifest = folder.join("Cargo.toml");
        let found = fs::canonicalize(folder)
            .with_context(|| format!("no SDK at `{}`", folder.display()))?;
        let text = fs::read_to_string(&manifest)
            .with_context(|| format!("cannot read `{}`", manifest.display()))?;
        if !text.contains("name = \"cofferdam-sdk\"") {
            bail!(
                "`{}` is not the SDK; it lies in `plugins/sdk` of Cofferdam's repository",
                folder.display()
            );
        }
        match found.to_str() {
            Some(path) => Ok(Self::Folder(path.to_owned())),
            None => bail!("`{}` is not UTF-8; cargo cannot be told of it", found.display()),
        }
    }

    /// The dependency on the SDK, as a line of a manifest.
    fn line(&self) -> String {
        let text = |text: &str| toml::Value::String(text.to_owned()).to_string();
        match self {
            Self::Folder(path) => format!("cofferdam-sdk = {{ path = {} }}", text(path)),
            Self::Git { url, tag } => {
                format!("cofferdam-sdk = {{ git = {}, tag = {} }}", text(url), text(tag))
            }
        }
    }
}

/// The path, the content and the purpose of a file.
type File = (&'static str, String, &'static str);

fn files(name: &str, sdk: &Sdk) -> Result<Vec<File>> {
    // Tests check that the shipped files have both texts.
    let example = LIB.find(HEAD).and_then(|at| LIB.get(at..)).context("the example has no head")?;
    let linked = LINKED
        .find("[target.")
        .and_then(|at| LINKED.get(at..))
        .context("the cargo configuration has no target")?;
    let lib = format!(
        "//! `{name}` begins as the worked example: it writes a greeting on a Deployment. Change \
         it step by step, from the\n//! top to the bottom; `cargo test` says what does not fit \
         together.\n//!\n{}",
        example
            .replace("`README.md` says how to run each step.", "`cargo test` runs it.")
            .replace("-p hello", "")
    );
    let manifest =
        include_str!("new/Cargo.toml.txt").replace("{name}", name).replace("{sdk}", &sdk.line());
    let config = format!("{}{linked}", include_str!("new/config.toml.txt"));
    Ok(vec![
        ("Cargo.toml", manifest, "name, version, and the SDK"),
        ("Cargo.lock", LOCK.to_owned(), "the versions that the shipped tools are built of"),
        (
            "rust-toolchain.toml",
            TOOLCHAIN.to_owned(),
            "the compiler: another one gives another digest",
        ),
        (".cargo/config.toml", config, "256 KiB of memory, the stack first"),
        (
            ".gitignore",
            "/target\n".to_owned(),
            "the folder that cargo builds in, for git to ignore",
        ),
        ("input.schema.json", INPUT.to_owned(), "the arguments, as agents read them"),
        ("src/lib.rs", lib, "the tool, and its tests"),
    ])
}

fn write(folder: &Path, files: &[File]) -> Result<()> {
    for (path, content, _) in files {
        let path = folder.join(path);
        let parent = path.parent().context("a file without a folder")?;
        fs::create_dir_all(parent)
            .and_then(|()| fs::write(&path, content))
            .with_context(|| format!("cannot write `{}`", path.display()))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(name: &str, expect: &str) {
        let said = named(name).map_or_else(|error| error.to_string(), |()| "good".to_owned());
        assert!(said.contains(expect), "{name}: {said}");
    }

    #[test]
    fn a_name_is_one_for_agents_and_for_crates() {
        check("label_set", "good");
        check("a1", "good");
        for name in ["", "Label", "1a", "_a", "label-set", "läbel", "a b", "../a", &"a".repeat(65)]
        {
            check(name, "is no name for a tool");
        }
        for name in ["fn", "test", "serde", "cofferdam_sdk", "std"] {
            check(name, "cannot be the name of a crate");
        }
        assert!(TAKEN.is_sorted());
    }

    #[test]
    fn a_new_tool_names_itself_and_its_sdk() {
        let git = Sdk::Git {
            url: "https://git.example.com/\"c\".git".to_owned(),
            tag: "v0.1.0".to_owned(),
        };
        let files = files("label_set", &git).unwrap();
        let file = |name: &str| {
            files.iter().find(|(path, ..)| *path == name).map(|(_, text, _)| text.as_str()).unwrap()
        };
        let manifest: toml::Table = toml::from_str(file("Cargo.toml")).unwrap();
        assert_eq!(manifest["package"]["name"].as_str(), Some("label_set"));
        assert_eq!(manifest["dependencies"]["cofferdam-sdk"]["tag"].as_str(), Some("v0.1.0"));
        assert_eq!(
            manifest["dependencies"]["cofferdam-sdk"]["git"].as_str(),
            Some("https://git.example.com/\"c\".git")
        );
        let config: toml::Table = toml::from_str(file(".cargo/config.toml")).unwrap();
        assert!(
            config["target"]["wasm32-unknown-unknown"]["rustflags"].as_array().unwrap().len() == 4
        );
        let lib = file("src/lib.rs");
        assert!(
            lib.starts_with("//! `label_set` begins")
                && !lib.contains("hello")
                && !lib.contains("README"),
            "{lib}"
        );
    }
}
