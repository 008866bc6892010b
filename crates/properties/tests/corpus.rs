//! Every input that is kept still holds: seeds, and what fuzzing has found.

#![allow(clippy::unwrap_used, reason = "in a test a failure is best seen where it happens")]

use std::{fs, path::PathBuf};

/// A corpus is for people and for every run of the tests, so it stays small.
const MOST_FILES: usize = 400;
const MOST_BYTES: u64 = 512 << 10;

fn corpus(target: &str) -> Vec<PathBuf> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus").join(target);
    let mut files: Vec<_> = fs::read_dir(&folder)
        .unwrap_or_else(|error| panic!("{}: {error}", folder.display()))
        .map(|entry| entry.unwrap().path())
        .collect();
    files.sort();
    files
}

#[test]
fn every_input_of_the_corpus_holds() {
    for (target, property) in handbell_properties::ALL {
        let files = corpus(target);
        assert!(files.len() >= 5, "{target} has hardly any seeds");
        for file in files {
            // Shown only when the property panics.
            println!("{target}: {}", file.display());
            property(&fs::read(&file).unwrap());
        }
    }
}

#[test]
fn the_corpus_stays_small() {
    for (target, _) in handbell_properties::ALL {
        let files = corpus(target);
        let bytes: u64 = files.iter().map(|file| fs::metadata(file).unwrap().len()).sum();
        let hint = "cargo +nightly fuzz cmin makes it smaller";
        assert!(
            files.len() <= MOST_FILES && bytes <= MOST_BYTES,
            "{target}: {} files, {bytes} bytes; {hint}",
            files.len()
        );
    }
}
