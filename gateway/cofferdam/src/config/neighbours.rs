//! What lies beside files whose folders a role may read while it serves. Reads no file.

use super::{Config, ConfigError, Courier, Infrastructure, Notify, paths, store};
use std::path::{Path, PathBuf};

/// The folders of the files of a section, which one role reads.
pub(super) struct Neighbours {
    /// The section, as errors name it.
    pub section: &'static str,
    /// The role.
    pub reader: &'static str,
    /// The folders.
    pub folders: Vec<PathBuf>,
}

impl Neighbours {
    /// The errors for what lies in these folders and is not for this role: the tree, credentials and
    /// secrets of others, and this further file.
    pub fn of(&self, config: &Config, further: Option<(String, &Path)>) -> Vec<ConfigError> {
        let Self { section, reader, folders } = self;
        let mut errors = Vec::new();
        if let Infrastructure::Directory { tree } = &config.infrastructure
            && folders.iter().any(|folder| folder.starts_with(tree) || tree.starts_with(folder))
        {
            errors.push(ConfigError::new(
                "cofferdam.toml",
                section,
                format!("a file lies in a folder with the tree, and the {reader} would read both"),
                "move the certificate and its key to a folder of their own",
            ));
        }
        let secrets = config.courier.iter().flat_map(Courier::secrets);
        let secrets = secrets.chain(config.notify.iter().filter_map(Notify::secret));
        let secrets = secrets.chain(config.store.as_ref().and_then(store::secret)).chain(further);
        for (key, file) in config.infrastructure.credentials().into_iter().chain(secrets) {
            let within = |place: &PathBuf| folders.iter().any(|folder| place.starts_with(folder));
            if paths::folders(file).iter().any(within) {
                let problem = format!(
                    "`{}` lies in a folder with a file of `{section}`, and the {reader} would read \
                     it",
                    file.display()
                );
                let remedy = "move it to a folder of its own, for no other role";
                errors.push(ConfigError::new("cofferdam.toml", &key, problem, remedy));
            }
        }
        errors
    }
}
