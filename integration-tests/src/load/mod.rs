//! Runs under load: short ones are tests, long ones are programs that print
//! what they have seen. What they count must be right; how fast it went is
//! told and never judged.

pub mod churn;
pub mod crowd;
pub mod slow_reader;

use std::{collections::HashMap, str::FromStr};

use anyhow::{Context as _, bail};

/// Arguments like `--agents 1000`.
#[derive(Debug)]
pub struct Arguments(HashMap<String, String>);

impl Arguments {
    /// The arguments of this program, of which only `known` may stand there.
    ///
    /// # Errors
    /// When there is another, or one without a value.
    pub fn read(known: &[&str]) -> anyhow::Result<Self> {
        let mut arguments = std::env::args().skip(1);
        let mut read = HashMap::new();
        while let Some(name) = arguments.next() {
            let name = name.strip_prefix("--").unwrap_or_default().to_owned();
            if !known.contains(&name.as_str()) {
                bail!("the arguments are --{}, each with a number", known.join(", --"));
            }
            let value = arguments.next().with_context(|| format!("--{name} needs a number"))?;
            read.insert(name, value);
        }
        Ok(Self(read))
    }

    /// The value of an argument.
    ///
    /// # Errors
    /// When it is no number.
    pub fn get<T: FromStr>(&self, name: &str, default: T) -> anyhow::Result<T> {
        let Some(text) = self.0.get(name) else { return Ok(default) };
        text.parse().ok().with_context(|| format!("--{name} {text} is no number"))
    }
}

/// Bytes as people read them.
#[must_use]
pub fn mib(bytes: u64) -> String {
    format!("{:.1} MiB", bytes as f64 / f64::from(1 << 20))
}
