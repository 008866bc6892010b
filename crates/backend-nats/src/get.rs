//! Single messages out of a stream, from its leader: a follower might not
//! have them yet.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde::{Deserialize, Serialize};

use crate::{
    ack::Asker,
    api::instant,
    error::{NO_MESSAGE, Trouble},
    headers,
    message::Raw,
};

/// Which message.
#[derive(Clone, Debug, Default, Serialize)]
pub(crate) struct Which {
    #[serde(skip_serializing_if = "Option::is_none")]
    seq: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_by_subj: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_by_subj: Option<String>,
}

impl Which {
    pub(crate) fn at(sequence: u64) -> Self {
        Self { seq: Some(sequence), ..Self::default() }
    }

    /// The oldest of the subjects that match.
    pub(crate) fn first_of(subject: String) -> Self {
        Self { seq: Some(1), next_by_subj: Some(subject), ..Self::default() }
    }

    /// The newest of the subjects that match.
    pub(crate) fn last_of(subject: String) -> Self {
        Self { last_by_subj: Some(subject), ..Self::default() }
    }
}

#[derive(Deserialize)]
struct Got {
    message: Stored,
}

#[derive(Deserialize)]
struct Stored {
    subject: String,
    seq: u64,
    time: String,
    #[serde(default)]
    hdrs: String,
    #[serde(default)]
    data: String,
}

impl Asker {
    /// The message, or `None` where there is none.
    pub(crate) async fn get(&self, stream: &str, which: &Which) -> Result<Option<Raw>, Trouble> {
        match self.call::<Got>(&format!("STREAM.MSG.GET.{stream}"), which).await {
            Ok(got) => got.message.raw().map(Some),
            Err(Trouble::Api { err_code: NO_MESSAGE, .. }) => Ok(None),
            Err(trouble) => Err(trouble),
        }
    }
}

impl Stored {
    fn raw(self) -> Result<Raw, Trouble> {
        let decode = |text: &str| STANDARD.decode(text).map_err(|error| Trouble::Unreadable(error.to_string()));
        Ok(Raw {
            time: instant(&self.time),
            headers: headers::parse(&decode(&self.hdrs)?),
            payload: decode(&self.data)?.into(),
            subject: self.subject,
            sequence: self.seq,
        })
    }
}
