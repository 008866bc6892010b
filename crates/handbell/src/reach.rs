//! Which running Handbell a command talks to, and with which token:
//! `--url`, `HANDBELL_URL`, `--context`, then the configuration's own address.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use serde::Deserialize;

use crate::{
    cli::Reach,
    config::{Config, Listen, did_you_mean, read_file},
    failure::Failure,
};

/// Whose address is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    /// The agents' WebSocket.
    Agents,
    /// The admin API.
    Admin,
}

/// An address, who named it, and the token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) url: String,
    /// For errors: `--url`, `--context x`, `sidecar.listen`.
    pub(crate) named_by: String,
    pub(crate) token: Option<String>,
}

/// `contexts.yaml`: names for running Handbells.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Contexts {
    contexts: BTreeMap<String, Context>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Context {
    agents: Option<String>,
    admin: Option<String>,
    token_file: Option<PathBuf>,
}

/// Finds the address and reads the token.
pub(crate) fn place(reach: &Reach, config: &Config, side: Side) -> Result<Place, Failure> {
    let context = reach.context.as_deref().map(context).transpose()?;
    let from_context = context.as_ref().and_then(|context| match side {
        Side::Agents => context.agents.clone(),
        Side::Admin => context.admin.clone(),
    });
    let (url, named_by) = match (named(reach, side), from_context, &reach.context) {
        (Some((url, named_by)), _, _) => (url, named_by.to_owned()),
        (None, Some(url), Some(name)) => (url, format!("--context {name}")),
        (None, None, Some(name)) => return Err(no_address(name, side)),
        (None, _, None) => configured(config, side)?,
    };
    let typed = reach.token_file.clone().filter(|path| !path.as_os_str().is_empty());
    let token = match (typed, context.and_then(|context| context.token_file)) {
        (Some(path), _) => Some(read_token(path, "--token-file (HANDBELL_TOKEN_FILE)")?),
        (None, Some(path)) => Some(read_token(path, "contexts.yaml: token_file")?),
        (None, None) => None,
    };
    Ok(Place { url, named_by, token })
}

/// The address that was typed, or that the variable has for this side: agents
/// and the admin have one each, and the variable can hold only one of them.
fn named(reach: &Reach, side: Side) -> Option<(String, &'static str)> {
    let typed = reach.url.clone().filter(|url| !url.is_empty());
    typed.map(|url| (url, "--url")).or_else(|| Some((from_environment(side)?, "HANDBELL_URL")))
}

/// `HANDBELL_URL`, unless it has the other side's scheme. One that is set to
/// nothing counts as not set.
pub(crate) fn from_environment(side: Side) -> Option<String> {
    let url = std::env::var("HANDBELL_URL").ok().filter(|url| !url.is_empty())?;
    if Side::of(&url).is_some_and(|other| other != side) {
        tracing::info!(%url, "HANDBELL_URL is not used: it is the other side's address");
        return None;
    }
    Some(url)
}

impl Side {
    /// Whose address this is, by its scheme.
    pub(crate) fn of(url: &str) -> Option<Self> {
        let (scheme, _) = url.split_once(':')?;
        match scheme {
            "ws" | "wss" | "unix" => Some(Self::Agents),
            "http" | "https" => Some(Self::Admin),
            _ => None,
        }
    }
}

fn configured(config: &Config, side: Side) -> Result<(String, String), Failure> {
    let (listen, key) = match side {
        Side::Agents => (&config.sidecar.listen, "sidecar.listen"),
        Side::Admin => (&config.admin.listen, "admin.listen"),
    };
    let url = match (listen, side) {
        (Listen::Tcp(address), _) if address.port() == 0 => {
            let how = "name the address with --url, as the line \"ready\" prints it";
            return Err(Failure::usage("the configuration leaves the port open", key, how));
        }
        (Listen::Tcp(address), side) => {
            let mut address = *address;
            if address.ip().is_unspecified() {
                address.set_ip(std::net::Ipv4Addr::LOCALHOST.into());
            }
            match side {
                Side::Agents => format!("ws://{address}/v1/ws"),
                Side::Admin => format!("http://{address}"),
            }
        }
        (Listen::Unix(path), _) => format!("unix:{}", path.display()),
    };
    Ok((url, key.to_owned()))
}

fn context(name: &str) -> Result<Context, Failure> {
    let path = config_folder().join("contexts.yaml");
    let mut contexts = contexts_of(&path)?.contexts;
    contexts.remove(name).ok_or_else(|| {
        let known: Vec<&str> = contexts.keys().map(String::as_str).collect();
        let how = match &known[..] {
            [] => FORM.to_owned(),
            _ => did_you_mean(name, &known).unwrap_or_else(|| format!("there are {}", known.join(", "))),
        };
        Failure::usage(format!("there is no context {name}"), path.display().to_string(), how)
    })
}

/// The names of all contexts; none where there is no file of them.
pub(crate) fn known_contexts() -> Result<Vec<String>, Failure> {
    let path = config_folder().join("contexts.yaml");
    if !path.exists() {
        return Ok(Vec::new());
    }
    Ok(contexts_of(&path)?.contexts.into_keys().collect())
}

/// How the file is written.
const FORM: &str = "write, for each context:\n\
    contexts:\n  NAME:\n    agents: ws://127.0.0.1:7710/v1/ws\n    admin: http://127.0.0.1:7711\n    token_file: /path (where tokens are in force)";

fn contexts_of(path: &Path) -> Result<Contexts, Failure> {
    if let Err(error) = fs::metadata(path) {
        let what = format!("the file of contexts can't be read: {error}");
        return Err(Failure::usage(what, path.display().to_string(), FORM));
    }
    read_file(path).map_err(|problem| {
        let how = if problem.how.contains("keys here") { problem.how } else { FORM.to_owned() };
        Failure::usage(problem.what, problem.place, how)
    })
}

fn no_address(name: &str, side: Side) -> Failure {
    let (what, key) = match side {
        Side::Agents => ("the agents' address", "agents"),
        Side::Admin => ("the admin's address", "admin"),
    };
    let how = format!("add {key} to it in contexts.yaml, or give --url");
    Failure::usage(format!("the context lacks {what}"), format!("--context {name}"), how)
}

/// The token in the file that `named_by` names.
pub(crate) fn read_token(path: PathBuf, named_by: &str) -> Result<String, Failure> {
    let place = format!("{named_by}: {}", path.display());
    let text = fs::read_to_string(&path).map_err(|error| {
        Failure::usage(
            format!("the token can't be read: {error}"),
            place.clone(),
            "name a file that this user can read",
        )
    })?;
    match text.trim() {
        "" => Err(Failure::usage("the file is empty", place, "let it hold the token")),
        token => Ok(token.to_owned()),
    }
}

/// The user's folder for configuration.
fn config_folder() -> PathBuf {
    folder("XDG_CONFIG_HOME", ".config")
}

/// The user's folder for data.
pub(crate) fn data_folder() -> PathBuf {
    folder("XDG_DATA_HOME", ".local/share")
}

fn folder(variable: &str, below_home: &str) -> PathBuf {
    let named = std::env::var_os(variable).map(PathBuf::from).filter(|path| path.is_absolute());
    let home = || std::env::home_dir().unwrap_or_default().join(below_home);
    named.unwrap_or_else(home).join("handbell")
}
