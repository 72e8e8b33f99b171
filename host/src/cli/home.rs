//! Where things are on disk: the XDG directories, or all below `COFFERDAM_HOME`.

use std::env;
use std::fs::{DirBuilder, File};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use cofferdam_registry::{KeyError, PublicKey, SigningKey};

use super::configuration::Configuration;
use super::failure::Failure;
use super::key_password::load_key;
use super::run_directory;
use super::trust_files::TRUST_FILE;
use crate::event::Journal;
use crate::secret::{Place, SecretStore};
use crate::store::Store;

/// Where whoever runs a machine decides for all its users.
const SERVER: &str = "/etc/cofferdam";

/// The public half of the user's own key, relative to `trust.yaml`.
pub(crate) const PUBLIC_KEY: &str = "keys/cofferdam.pub";

/// The directories of one user.
#[derive(Clone, Debug)]
pub(crate) struct Home {
    config: PathBuf,
    data: PathBuf,
    cache: PathBuf,
    /// Where the history, the store and the directories of runs are.
    runs: PathBuf,
    /// The user's own signing key.
    key: PathBuf,
    /// What whoever runs the machine decides.
    server: PathBuf,
}

impl Home {
    /// Finds the directories, and makes those that are missing, for their user
    /// alone: they hold keys, sources and logs.
    pub(crate) fn open() -> Result<Self, Failure> {
        let home = Self::find()?;
        for directory in [&home.config, &home.data, &home.cache] {
            // One that cannot be made is said by whoever needs it.
            let _ = DirBuilder::new().recursive(true).mode(0o700).create(directory);
        }
        Ok(home)
    }

    /// Finds the directories, and makes none.
    pub(crate) fn find() -> Result<Self, Failure> {
        let variable = |name: &str| env::var_os(name).filter(|v| !v.is_empty()).map(PathBuf::from);
        if let Some(home) = variable("COFFERDAM_HOME") {
            let home = std::path::absolute(&home).unwrap_or(home);
            return Ok(Self::below(home.clone(), home.clone(), home));
        }
        let user = variable("HOME");
        let under = |xdg: &str, below: &str| {
            let base =
                variable(xdg).filter(|p| p.is_absolute()).or_else(|| user.as_ref().map(|u| u.join(below)));
            base.map(|base| base.join("cofferdam"))
        };
        let missing =
            || Failure::usage("neither HOME nor COFFERDAM_HOME is set", "set COFFERDAM_HOME to a directory");
        Ok(Self::below(
            under("XDG_CONFIG_HOME", ".config").ok_or_else(missing)?,
            under("XDG_DATA_HOME", ".local/share").ok_or_else(missing)?,
            under("XDG_CACHE_HOME", ".cache").ok_or_else(missing)?,
        ))
    }

    fn below(config: PathBuf, data: PathBuf, cache: PathBuf) -> Self {
        let (runs, key) = (data.clone(), config.join("keys/cofferdam.key"));
        let server = env::var_os("COFFERDAM_SERVER_CONFIG").filter(|value| !value.is_empty());
        let server = server.map_or_else(|| PathBuf::from(SERVER), PathBuf::from);
        Self { config, data, cache, runs, key, server }
    }

    /// The same user, whose runs and what signs them are in a directory of
    /// their own: nothing of them is to be kept.
    pub(crate) fn with_runs_in(&self, directory: &Path) -> Self {
        Self { runs: directory.to_owned(), key: directory.join("run.key"), ..self.clone() }
    }

    /// The user's own signing key.
    pub(crate) fn key_file(&self) -> PathBuf {
        self.key.clone()
    }

    pub(crate) fn configuration(&self) -> Result<Configuration, Failure> {
        Configuration::load(&self.config.join("config.toml"))
    }

    /// Where that file stands, and what it names is looked for.
    pub(crate) fn configuration_directory(&self) -> PathBuf {
        self.config.clone()
    }

    pub(crate) fn trust_file(&self) -> PathBuf {
        self.config.join(TRUST_FILE)
    }

    /// The directory of whoever runs the machine.
    pub(crate) fn server(&self) -> &Path {
        &self.server
    }

    pub(crate) fn registry(&self) -> PathBuf {
        self.data.join("registry")
    }

    /// What is known of the tasks that were built here, by their digests.
    pub(crate) fn builds(&self) -> PathBuf {
        self.data.join("builds")
    }

    /// What was pulled from registries over HTTP.
    pub(crate) fn pulled(&self) -> PathBuf {
        self.data.join("pulled")
    }

    /// Logins for registries, as docker and podman write theirs.
    pub(crate) fn logins(&self) -> PathBuf {
        self.config.join("auth.json")
    }

    pub(crate) fn compiled(&self) -> PathBuf {
        self.cache.join("compiled")
    }

    /// The outcomes of hermetic tasks.
    pub(crate) fn task_cache(&self) -> PathBuf {
        self.cache.join("taskruns.db")
    }

    /// What is known of runs as a whole.
    pub(crate) fn known_runs(&self) -> PathBuf {
        self.cache.join("known-runs")
    }

    /// The key that guards compiled code and the outcomes of tasks.
    pub(crate) fn cache_key(&self) -> PathBuf {
        self.config.join("keys/cache.key")
    }

    /// Whether the process of a run still runs.
    pub(crate) fn is_alive(&self, run: &str) -> bool {
        run_directory::is_alive(&self.work_root(), run)
    }

    /// All of them.
    pub(crate) fn directories(&self) -> Vec<PathBuf> {
        let all = [&self.config, &self.data, &self.cache].into_iter();
        all.map(|path| path.canonicalize().unwrap_or_else(|_| path.clone())).collect()
    }

    /// Held by whoever removes old runs.
    pub(crate) fn gc_lock(&self) -> PathBuf {
        self.data.join("gc.lock")
    }

    /// The directories of runs while they are under way.
    pub(crate) fn work_root(&self) -> PathBuf {
        self.runs.join("work")
    }

    /// Where runs under way say what they use of the machine.
    pub(crate) fn admission(&self) -> PathBuf {
        self.data.join("admission")
    }

    /// The user's secrets.
    pub(crate) fn secrets(&self) -> Result<SecretStore, Failure> {
        const VARIABLE: &str = "COFFERDAM_SECRET_STORE";
        let place = match env::var_os(VARIABLE).filter(|value| !value.is_empty()) {
            None => None,
            Some(value) if value == "keychain" => Some(Place::Keychain),
            Some(value) if value == "file" => Some(Place::File),
            Some(value) => {
                return Err(Failure::usage(
                    format!("{VARIABLE} is `{}`, which is no place for secrets", value.display()),
                    "set it to `keychain` or `file`, or unset it: the keychain where one answers",
                ));
            }
        };
        Ok(SecretStore::new(&self.data, &self.config.join("keys/secrets.key"), place))
    }

    /// Opens the store, making it where there is none.
    pub(crate) fn store(&self) -> Result<Store, Failure> {
        Ok(Store::open(&self.runs.join("store"))?)
    }

    /// Opens the journal, making it where there is none.
    pub(crate) fn journal(&self) -> Result<Journal, Failure> {
        self.make(&self.runs)?;
        let path = self.history();
        // SQLite gives the files beside it the same permissions.
        let file = File::options().create(true).truncate(false).write(true).mode(0o600).open(&path);
        file.map_err(|error| Failure::io("open", &path, &error))?;
        Ok(Journal::open(&self.history())?)
    }

    /// The journal's file.
    pub(crate) fn history(&self) -> PathBuf {
        self.runs.join("state.db")
    }

    fn make(&self, directory: &Path) -> Result<(), Failure> {
        std::fs::create_dir_all(directory).map_err(|error| Failure::io("create", directory, &error))
    }

    /// The user's own key.
    pub(crate) fn signing_key(&self) -> Result<SigningKey, Failure> {
        let path = self.key_file();
        if !path.exists() {
            return Err(Failure::invalid(
                "key/none",
                format!("there is no signing key at {}", path.display()),
                "make one with `cofferdam setup`, which also publishes and signs tasks",
            ));
        }
        load_key(&path, None)
    }

    /// The public half of the user's own key, or the key in a file.
    pub(crate) fn public_key(&self, file: Option<&Path>) -> Result<PublicKey, Failure> {
        let path = file.map_or_else(|| self.config.join(PUBLIC_KEY), Path::to_owned);
        match PublicKey::load(&path) {
            Err(KeyError::Io { .. }) if file.is_none() => Err(Failure::invalid(
                "key/none",
                format!("there is no public key at {}", path.display()),
                "name the key that signed: --key FILE; your own is made by `cofferdam setup`",
            )),
            other => Ok(other?),
        }
    }
}
