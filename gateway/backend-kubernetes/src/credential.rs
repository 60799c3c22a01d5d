//! A kubeconfig as a credential: read once, without running a program and without the environment.
//! There is no default: an operator names the file of each identity.

use kube::Config;
use kube::config::{AuthInfo, KubeConfigOptions, Kubeconfig, KubeconfigError};
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// A server that does not accept a connection within this is away.
const CONNECT: Duration = Duration::from_secs(5);

/// The port of a URL that names none.
const HTTPS: u16 = 443;

/// A kubeconfig that is not used.
#[derive(Debug, thiserror::Error)]
pub enum CredentialError {
    /// It cannot be read, or names no cluster and user.
    #[error("the kubeconfig `{path}` cannot be used: {error}")]
    Unreadable {
        /// The path of the kubeconfig.
        path: PathBuf,
        /// The cause of the error.
        error: Box<KubeconfigError>,
    },
    /// It asks for something that is refused.
    #[error(
        "the kubeconfig `{path}` {what}; write one with a token, a token file or a client \
         certificate"
    )]
    Refused {
        /// The path of the kubeconfig.
        path: PathBuf,
        /// The part of a kubeconfig that is not supported.
        what: &'static str,
    },
}

/// One identity at one API server.
#[derive(Debug, Clone)]
pub struct Credential {
    /// Boxed, because it has a kilobyte and the other variants are small.
    config: Box<Config>,
    /// Files that are read again while it is used.
    files: Vec<PathBuf>,
}

impl Credential {
    /// Reads a kubeconfig's current context.
    pub async fn read(path: &Path) -> Result<Self, CredentialError> {
        let unreadable =
            |error| CredentialError::Unreadable { path: path.to_owned(), error: Box::new(error) };
        let refused = |what| CredentialError::Refused { path: path.to_owned(), what };
        let kubeconfig = Kubeconfig::read_from(path).map_err(unreadable)?;
        // A kubeconfig that runs a program, or trusts another server than the named one, is refused
        // before it is loaded.
        for user in kubeconfig.auth_infos.iter().filter_map(|named| named.auth_info.as_ref()) {
            if user.exec.is_some() || user.auth_provider.is_some() {
                return Err(refused("runs a program to log in"));
            }
            if user.impersonate.is_some() || user.impersonate_groups.is_some() {
                return Err(refused("acts as another user"));
            }
        }
        for cluster in kubeconfig.clusters.iter().filter_map(|named| named.cluster.as_ref()) {
            if cluster.insecure_skip_tls_verify == Some(true) {
                return Err(refused("does not check the server's certificate"));
            }
            if cluster.proxy_url.is_some() {
                return Err(refused("goes through a proxy"));
            }
        }
        let mut config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default())
            .await
            .map_err(unreadable)?;
        if config.cluster_url.scheme_str() != Some("https") {
            return Err(refused("does not use https"));
        }
        // The crate uses the proxy of the environment if the kubeconfig names none.
        config.proxy_url = None;
        config.connect_timeout = Some(CONNECT);
        // Each request has its own deadline (`api.rs`): a write is waited for until the server has
        // given it up.
        config.read_timeout = None;
        config.write_timeout = None;
        // The default is fifteen silent retries, of writes too. The requests of `api.rs` decide
        // themselves.
        config.default_retry = false;
        let files = config.auth_info.token_file.iter().map(PathBuf::from).collect();
        Ok(Self { config: Box::new(config), files })
    }

    /// Files that are read again while the credential is used. Confinement has to leave them
    /// readable.
    pub fn files(&self) -> &[PathBuf] {
        &self.files
    }

    /// Where the API server is.
    pub fn server(&self) -> String {
        self.config.cluster_url.to_string()
    }

    /// The API server's address, where its URL has one instead of a name.
    pub fn address(&self) -> Option<IpAddr> {
        self.config.cluster_url.host()?.trim_matches(['[', ']']).parse().ok()
    }

    /// The TCP port of the API server.
    pub fn port(&self) -> u16 {
        self.config.cluster_url.port_u16().unwrap_or(HTTPS)
    }

    /// The same server, with another token.
    pub(super) fn with_token(&self, token: String) -> Config {
        let mut config = self.without_identity();
        config.auth_info.token = Some(token.into());
        config
    }

    /// The same server, without an identity.
    pub(super) fn without_identity(&self) -> Config {
        let mut config = self.config();
        config.auth_info = AuthInfo::default();
        config
    }

    /// The same identity, acting as another at each request: never from a kubeconfig, only as a
    /// job.
    pub(super) fn as_user(&self, user: &str) -> Config {
        let mut config = self.config();
        config.auth_info.impersonate = Some(user.to_owned());
        config
    }

    pub(super) fn config(&self) -> Config {
        Config::clone(&self.config)
    }
}
