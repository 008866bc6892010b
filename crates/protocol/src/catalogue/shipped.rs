//! The types that Handbell ships.

use std::sync::LazyLock;

use super::Catalogue;

macro_rules! files {
    ($($name:literal),+ $(,)?) => {
        [$((concat!($name, ".json"), include_str!(concat!("../../catalogue/", $name, ".json")))),+]
    };
}

static CATALOGUE: LazyLock<Catalogue> = LazyLock::new(|| {
    let files = files!["domain", "integration", "system", "planning", "building", "review", "coordination", "help"];
    Catalogue::default().extend(files).expect("the files of this crate are checked by its tests")
});

pub(super) fn catalogue() -> Catalogue {
    CATALOGUE.clone()
}
