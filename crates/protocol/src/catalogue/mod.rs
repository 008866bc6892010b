//! The catalogue of event types: what each means, and the JSON Schema of its
//! payload.
//!
//! The types that Handbell ships are files in this crate's `catalogue` folder;
//! a deployment adds its own, or replaces shipped ones, with files of the same
//! form. The catalogue deliberately knows nothing of files: it is given their
//! names and texts. A type that it doesn't have is not refused: the taxonomy
//! is open.

mod file;
mod shipped;

use std::{collections::BTreeMap, sync::Arc};

use serde_json::Value;

use self::file::Loaded;
use crate::{
    code::{Code, Refusal},
    event::{Kind, bare_type},
    json::Json,
};

/// Event types by name; `X` and `XEvent` are one. Cloning shares it.
#[derive(Clone, Debug, Default)]
pub struct Catalogue {
    /// By the name without the suffix `Event`.
    types: BTreeMap<Box<str>, Arc<Entry>>,
}

/// One event type.
#[derive(Debug)]
pub struct Entry {
    name: String,
    category: String,
    kind: Kind,
    meaning: String,
    schema: Value,
    validator: jsonschema::Validator,
}

/// A file of the catalogue that can't be taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{file}: {place}: {reason}")]
pub struct BadCatalogue {
    /// The file's name, as it was given.
    pub file: String,
    /// Where in it: a line and column, or a path such as `types[2].schema`.
    pub place: String,
    /// What is wrong there and how to mend it.
    pub reason: String,
}

impl Catalogue {
    /// The types that Handbell ships.
    #[must_use]
    pub fn shipped() -> Self {
        shipped::catalogue()
    }

    /// This catalogue and the types of these files, each a name and a text of
    /// the form `{"category": "…", "types": [{"type", "meaning", "kind"?,
    /// "schema"?}, …]}`. A type that this catalogue has already is replaced.
    ///
    /// # Errors
    /// [`BadCatalogue`] for the first file that can't be read, has an unknown
    /// key or a schema that is none, or has a type that stands twice in them.
    pub fn extend<'a>(&self, files: impl IntoIterator<Item = (&'a str, &'a str)>) -> Result<Self, BadCatalogue> {
        let mut added: BTreeMap<Box<str>, (String, Arc<Entry>)> = BTreeMap::new();
        for (file, text) in files {
            for Loaded { place, entry } in file::load(file, text)? {
                let bare: Box<str> = bare_type(&entry.name).into();
                let here = format!("{file}: {place}");
                if let Some((there, _)) = added.get(&bare) {
                    let reason = format!("type {} stands twice; it is already in {there}", entry.name);
                    return Err(BadCatalogue { file: file.into(), place, reason });
                }
                added.insert(bare, (here, Arc::new(entry)));
            }
        }
        let mut types = self.types.clone();
        types.extend(added.into_iter().map(|(bare, (_, entry))| (bare, entry)));
        Ok(Self { types })
    }

    /// The type of that name; `X` finds `XEvent` and the other way round.
    #[must_use]
    pub fn get(&self, event_type: &str) -> Option<&Entry> {
        self.types.get(bare_type(event_type)).map(AsRef::as_ref)
    }

    /// All types, by name.
    pub fn iter(&self) -> impl Iterator<Item = &Entry> {
        self.types.values().map(AsRef::as_ref)
    }

    /// Checks a payload against the schema of its type. A type that the
    /// catalogue doesn't have takes any payload.
    ///
    /// # Errors
    /// `invalid_payload`, with the member that is wrong and how.
    pub fn validate(&self, event_type: &str, payload: &Json) -> Result<(), Refusal> {
        self.get(event_type).map_or(Ok(()), |entry| entry.validate(payload))
    }
}

impl Entry {
    /// The type's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What it belongs to, such as `domain` or `planning`.
    #[must_use]
    pub fn category(&self) -> &str {
        &self.category
    }

    /// What events of the type ask for.
    #[must_use]
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// What it says happened, in one line.
    #[must_use]
    pub fn meaning(&self) -> &str {
        &self.meaning
    }

    /// The JSON Schema of its payload.
    #[must_use]
    pub fn schema(&self) -> &Value {
        &self.schema
    }

    /// Checks a payload against the type's schema.
    ///
    /// # Errors
    /// `invalid_payload`, with the member that is wrong and how.
    pub fn validate(&self, payload: &Json) -> Result<(), Refusal> {
        let refuse = |path: &str, reason: &str| {
            let reason: String = reason.chars().take(300).collect();
            let name = &self.name;
            Err(Refusal::new(Code::InvalidPayload, format!("{path}: {reason}, as the schema of {name} wants it")))
        };
        let value: Value = match serde_json::from_str(payload.as_str()) {
            Ok(value) => value,
            Err(error) => return refuse("payload", &error.to_string()),
        };
        match self.validator.validate(&value) {
            Ok(()) => Ok(()),
            Err(error) => {
                let path = file::dotted("payload", error.instance_path().as_str());
                refuse(&path, &error.masked_with("the value").to_string())
            }
        }
    }
}

#[cfg(test)]
mod tests;
