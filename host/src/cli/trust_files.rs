//! The files of trust rules: the server's, the user's, the repository's.

use std::path::Path;

use cofferdam_registry::{Trust, TrustError, TrustLevel, TrustLevels, is_there, read_named, read_plain};

use super::failure::Failure;
use super::home::Home;
use crate::plan::repository_directory;

/// What such a file is called, at each level.
pub(crate) const TRUST_FILE: &str = "trust.yaml";
/// Larger trust rules are not read.
const MAX_TRUST: u64 = 4 << 20;

impl Home {
    /// The trust rules of the server, of the user, and of the repository that a
    /// directory is in.
    pub(crate) fn trust_levels(&self, base: &Path) -> Result<TrustLevels, Failure> {
        let mut levels = TrustLevels::default();
        let server = self.server().join(TRUST_FILE);
        if is_there(&server) {
            levels = levels.with(TrustLevel::Server, parse(&server, &text(&server)?)?);
        }
        // Without the server's, the user's decide, also where there are none.
        if !is_there(&server) || is_there(&self.trust_file()) {
            levels = levels.with(TrustLevel::User, self.trust()?);
        }
        let repository = repository_directory(base).join(TRUST_FILE);
        if is_there(&repository) && repository != self.trust_file() {
            // It may be anybody's: not through a link, for what is wrong is shown.
            let bytes = read_plain(&repository, MAX_TRUST);
            let bytes = bytes.map_err(|error| Failure::io("read", &repository, &error))?;
            levels = levels.with(TrustLevel::Repository, parse(&repository, &utf8(&repository, bytes)?)?);
        }
        Ok(levels)
    }

    /// The user's trust rules; without a file, nothing is trusted.
    pub(crate) fn trust(&self) -> Result<Trust, Failure> {
        let file = self.trust_file();
        if is_there(&file) { parse(&file, &text(&file)?) } else { Ok(Trust::default()) }
    }

    /// The text of the user's trust rules.
    pub(crate) fn trust_text(&self) -> Result<String, Failure> {
        text(&self.trust_file())
    }

    /// Reads trust rules as if they were the user's.
    pub(crate) fn parse_trust(&self, text: &str) -> Result<Trust, Failure> {
        parse(&self.trust_file(), text)
    }
}

fn text(file: &Path) -> Result<String, Failure> {
    utf8(file, read_named(file, MAX_TRUST).map_err(|error| Failure::io("read", file, &error))?)
}

fn utf8(file: &Path, bytes: Vec<u8>) -> Result<String, Failure> {
    String::from_utf8(bytes).map_err(|_| {
        let message = format!("{} is not UTF-8 text", file.display());
        Failure::invalid("document/syntax", message, "save the file as UTF-8")
    })
}

fn parse(file: &Path, text: &str) -> Result<Trust, Failure> {
    Trust::parse(text, file.parent().unwrap_or(file)).map_err(|error| {
        if let TrustError::Faults(faults) = error {
            return Failure::faults(&file.display().to_string(), text, faults);
        }
        let source = std::error::Error::source(&error).map(|s| format!(": {s}")).unwrap_or_default();
        let message = format!("{}: {error}{source}", file.display());
        Failure::invalid("trust/invalid", message, "correct the file")
    })
}
