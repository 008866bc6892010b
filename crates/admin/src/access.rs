//! Who may ask: roles, and the tokens that carry them.

use std::{net::SocketAddr, path::PathBuf, sync::Arc};

use axum::{
    extract::{Request, State},
    http::{HeaderMap, StatusCode, header::AUTHORIZATION},
    middleware::Next,
    response::{IntoResponse, Response},
};
use subtle::ConstantTimeEq;

use crate::{app::App, problem::Problem};

/// What a token allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// Reads.
    Viewer,
    /// Reads and acts.
    Operator,
}

/// The access rules.
#[derive(Clone, Debug)]
pub struct Access {
    /// Where the service listens; for the check of `Host`.
    pub listen: SocketAddr,
    /// Origins of web pages that may ask, besides its own page.
    pub origins: Vec<String>,
    /// A file with one `ROLE TOKEN [NAME]` a line, read at each request, so
    /// that a change counts at once. Without it everyone is an operator.
    pub tokens_file: Option<PathBuf>,
}

/// Who asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Actor {
    pub(crate) role: Role,
    pub(crate) name: String,
}

/// Lets through who has at least the role.
pub(crate) async fn require(State((app, role)): State<(Arc<App>, Role)>, mut request: Request, next: Next) -> Response {
    match actor(&app.options.access, request.headers()).await {
        Ok(actor) if actor.role >= role => {
            request.extensions_mut().insert(actor);
            next.run(request).await
        }
        Ok(actor) => {
            let detail = format!("{} is a viewer; this needs a token with the role operator", actor.name);
            Problem::new(StatusCode::FORBIDDEN, detail).into_response()
        }
        Err(problem) => problem.into_response(),
    }
}

/// Whether whoever asks with these headers is at least a viewer.
pub(crate) async fn may_look(access: &Access, headers: &HeaderMap) -> bool {
    actor(access, headers).await.is_ok()
}

async fn actor(access: &Access, headers: &HeaderMap) -> Result<Actor, Problem> {
    let Some(path) = &access.tokens_file else {
        return Ok(Actor { role: Role::Operator, name: "local".into() });
    };
    let lines = tokio::fs::read_to_string(path).await.map_err(|error| {
        tracing::error!(path = %path.display(), %error, "failed to read admin.tokens_file, so nobody is let in");
        Problem::new(StatusCode::SERVICE_UNAVAILABLE, "the tokens can't be read; see the log")
    })?;
    let given = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok()?.strip_prefix("Bearer "));
    given.and_then(|given| find(&lines, given.trim())).ok_or_else(|| {
        let how = "the token is missing or unknown; send one of admin.tokens_file as Authorization: Bearer TOKEN (--token-file)";
        Problem::new(StatusCode::UNAUTHORIZED, how)
    })
}

/// Compares with every line, each in constant time.
fn find(lines: &str, given: &str) -> Option<Actor> {
    let mut found = None;
    for line in lines.lines() {
        let mut words = line.split_whitespace();
        let role = match words.next() {
            Some("viewer") => Role::Viewer,
            Some("operator") => Role::Operator,
            _ => continue,
        };
        let Some(token) = words.next() else { continue };
        if bool::from(token.as_bytes().ct_eq(given.as_bytes())) && found.is_none() {
            let name = words.next().unwrap_or(if role == Role::Viewer { "viewer" } else { "operator" });
            found = Some(Actor { role, name: name.into() });
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINES: &str = "# admin\nviewer v-secret\noperator o-secret alice\nboss b-secret\n";

    #[test]
    fn a_token_carries_its_lines_role_and_name() {
        assert_eq!(find(LINES, "v-secret"), Some(Actor { role: Role::Viewer, name: "viewer".into() }));
        assert_eq!(find(LINES, "o-secret"), Some(Actor { role: Role::Operator, name: "alice".into() }));
        for wrong in ["", "o-secre", "b-secret", "alice"] {
            assert_eq!(find(LINES, wrong), None, "{wrong}");
        }
    }
}
