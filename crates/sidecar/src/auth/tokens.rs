//! A token per agent, from a file, compared in constant time.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::{Arc, PoisonError, RwLock},
};

use handbell_protocol::AgentName;
use subtle::ConstantTimeEq;

/// Why a tokens file can't be taken.
#[derive(Debug, thiserror::Error)]
pub enum BadTokens {
    /// The file can't be read.
    #[error("{path}: can't be read: {source}; make it readable for this user, or correct agents.tokens_file")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A line is not `AGENT TOKEN`.
    #[error("{path}:{line}: {why}; write one agent and its token a line, like: /backend-architect s3cr3t…")]
    Line {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// What is wrong with it.
        why: String,
    },
}

type ByAgent = BTreeMap<AgentName, Vec<Box<str>>>;

/// The agents' tokens, read again when the file changes. Clones share them.
#[derive(Clone)]
pub struct Tokens {
    path: PathBuf,
    current: Arc<RwLock<Arc<ByAgent>>>,
}

impl std::fmt::Debug for Tokens {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tokens").field("path", &self.path).finish_non_exhaustive()
    }
}

impl Tokens {
    /// Reads the file: `AGENT TOKEN` a line; an agent with several lines may
    /// use each of them, so that a token can be rotated without a gap. Empty
    /// lines and those that begin with `#` are passed over.
    ///
    /// # Errors
    /// [`BadTokens`], which never shows a token.
    pub fn read(path: &Path) -> Result<Self, BadTokens> {
        let current = Arc::new(RwLock::new(Arc::new(read(path)?)));
        Ok(Self { path: path.into(), current })
    }

    /// Reads the file again; tells whether anything changed. On an error the
    /// tokens stay as they were.
    ///
    /// # Errors
    /// [`BadTokens`].
    pub fn reload(&self) -> Result<bool, BadTokens> {
        let new = read(&self.path)?;
        let mut current = self.current.write().unwrap_or_else(PoisonError::into_inner);
        let changed = **current != new;
        if changed {
            *current = Arc::new(new);
        }
        Ok(changed)
    }

    /// Whether `token` is one of `agent`'s.
    #[must_use]
    pub fn allow(&self, agent: &AgentName, token: &str) -> bool {
        let current = self.current.read().unwrap_or_else(PoisonError::into_inner).clone();
        let known = current.get(agent).map(Vec::as_slice).unwrap_or_default();
        known.iter().fold(false, |found, have| found | bool::from(have.as_bytes().ct_eq(token.as_bytes())))
    }

    /// The file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }
}

fn read(path: &Path) -> Result<ByAgent, BadTokens> {
    let text = std::fs::read_to_string(path).map_err(|source| BadTokens::Unreadable { path: path.into(), source })?;
    parse(&text).map_err(|(line, why)| BadTokens::Line { path: path.into(), line, why })
}

fn parse(text: &str) -> Result<ByAgent, (usize, String)> {
    let mut tokens = ByAgent::new();
    for (index, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let mut words = line.split_whitespace();
        let (Some(agent), Some(token), None) = (words.next(), words.next(), words.next()) else {
            return Err((index + 1, "the line is not an agent and a token".into()));
        };
        let agent = AgentName::parse(agent).map_err(|bad| (index + 1, bad.to_string()))?;
        tokens.entry(agent).or_default().push(token.into());
    }
    Ok(tokens)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_line_is_an_agent_and_a_token() {
        let tokens = parse("# agents\n/a one\n\n/a two\n/b three\n").unwrap();
        assert_eq!(tokens[&AgentName::parse("/a").unwrap()].len(), 2);
        assert_eq!(parse("/a").unwrap_err().0, 1);
        assert_eq!(parse("/a x\nb y").unwrap_err().0, 2);
    }

    #[test]
    fn a_rotated_file_is_read_again_and_a_broken_one_changes_nothing() {
        let file = std::env::temp_dir().join(format!("handbell-tokens-{}", std::process::id()));
        let agent = AgentName::parse("/a").unwrap();
        std::fs::write(&file, "/a one").unwrap();
        let tokens = Tokens::read(&file).unwrap();
        assert!(tokens.allow(&agent, "one") && !tokens.allow(&agent, "two") && !tokens.allow(&agent, ""));
        std::fs::write(&file, "/a two").unwrap();
        assert!(tokens.reload().unwrap());
        assert!(!tokens.allow(&agent, "one") && tokens.allow(&agent, "two"));
        std::fs::write(&file, "broken").unwrap();
        tokens.reload().unwrap_err();
        assert!(tokens.allow(&agent, "two"));
        std::fs::remove_file(&file).unwrap();
    }
}
