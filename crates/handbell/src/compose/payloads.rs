//! Payloads of declared topics, checked by JSON Schema.

use std::{path::Path, sync::Arc};

use handbell_protocol::{Code, Json, Refusal};
use handbell_sidecar::policy::PayloadCheck;
use jsonschema::Validator;

/// A compiled schema.
#[derive(Debug)]
struct Schema(Validator);

/// Reads and compiles a schema file.
pub(super) fn schema(path: &Path) -> Result<Arc<dyn PayloadCheck>, String> {
    let text = std::fs::read(path).map_err(|error| format!("{} can't be read: {error}", path.display()))?;
    let schema = serde_json::from_slice(&text).map_err(|error| format!("{} is no JSON: {error}", path.display()))?;
    let validator = jsonschema::validator_for(&schema);
    let validator = validator.map_err(|error| format!("{} is no JSON Schema: {error}", path.display()))?;
    Ok(Arc::new(Schema(validator)))
}

impl PayloadCheck for Schema {
    fn check(&self, event_type: &str, payload: &Json) -> Result<(), Refusal> {
        let refuse = |why: String| Refusal::new(Code::InvalidPayload, format!("the payload of {event_type} {why}"));
        let value: serde_json::Value =
            serde_json::from_str(payload.as_str()).map_err(|error| refuse(format!("can't be checked: {error}")))?;
        match self.0.iter_errors(&value).next() {
            None => Ok(()),
            Some(error) => {
                let at = error.instance_path().to_string();
                let place = if at.is_empty() { "as a whole".to_owned() } else { format!("at {at}") };
                Err(refuse(format!("doesn't meet the topic's schema {place}: {error}")))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_payload_that_misses_its_schema_is_told_where() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("s.json");
        std::fs::write(&path, r#"{"type":"object","properties":{"n":{"type":"integer"}},"required":["n"]}"#).unwrap();
        let schema = schema(&path).unwrap();
        let check = |text: &str| schema.check("T", &Json::from_text(text.into()).unwrap());
        check(r#"{"n":1}"#).unwrap();
        let refusal = check(r#"{"n":"x"}"#).unwrap_err();
        assert_eq!(refusal.code, Code::InvalidPayload);
        assert!(refusal.reason.contains("/n"), "{refusal}");
        assert!(check("null").is_err());
    }
}
