//! Writes what is generated from this crate's types below a folder, by
//! default the current one: `docs/schemas/*.json` and `docs/asyncapi.json`.

use std::{fs, io, path::PathBuf};

use handbell_protocol::schema;

fn main() -> io::Result<()> {
    let root = std::env::args_os().nth(1).map_or_else(|| PathBuf::from("."), PathBuf::from);
    let files = [
        ("docs/schemas/envelope.schema.json", schema::envelope_schema()),
        ("docs/schemas/frames.schema.json", schema::frames_schema()),
        ("docs/asyncapi.json", schema::asyncapi()),
    ];
    fs::create_dir_all(root.join("docs/schemas"))?;
    files.iter().try_for_each(|(path, text)| fs::write(root.join(path), text))
}
