//! `matrix ROOT`: writes `docs/backends.md` below ROOT, with the matrix made
//! from the committed results.

use std::{error::Error, fs, path::Path};

use handbell_backend_conformance::with_matrix;

const DOCUMENT: &str = "docs/backends.md";

fn main() -> Result<(), Box<dyn Error>> {
    let root = std::env::args().nth(1).ok_or("give the folder to write below")?;
    let repository =
        Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).ok_or("no repository around the crate")?;
    let document = fs::read_to_string(repository.join(DOCUMENT))?;
    let document = with_matrix(&document, repository).map_err(|failure| failure.to_string())?;
    let target = Path::new(&root).join(DOCUMENT);
    if let Some(folder) = target.parent() {
        fs::create_dir_all(folder)?;
    }
    Ok(fs::write(target, document)?)
}
