//! Query parameters whose faults are problems, like all others.

use axum::{
    extract::{FromRequestParts, Query},
    http::request::Parts,
};
use serde::de::DeserializeOwned;

use crate::problem::Problem;

/// The query, read as `T`.
pub(crate) struct Params<T>(pub(crate) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Params<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        match Query::from_request_parts(parts, state).await {
            Ok(Query(params)) => Ok(Self(params)),
            Err(bad) => {
                let text = bad.body_text();
                let what = text.strip_prefix("Failed to deserialize query string: ").unwrap_or(&text);
                let what = what.replace("invalid digit found in string", "it is no whole number");
                Err(Problem::bad_request(format!("{what}; /api/v1/openapi.json has the parameters")))
            }
        }
    }
}
