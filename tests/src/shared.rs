//! The one door to the data that is not part of the product.

use std::path::PathBuf;

/// A file or folder of the shared data (`data/llm/...`), beside the checkout or where `PLIMSOLL_SHARED` says.
/// `None`, said loudly, when it is not there: the caller returns, its test counts as skipped.
#[expect(clippy::disallowed_methods, reason = "tests find their data through the environment")]
pub fn shared(path: &str) -> Option<PathBuf> {
    let beside = || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../shared");
    let folder = std::env::var("PLIMSOLL_SHARED").map_or_else(|_| beside(), PathBuf::from);
    let full = folder.join(path);
    if full.exists() {
        return Some(full);
    }
    println!("SKIPPED: ../shared/{path} is not there; put the shared data beside the checkout or set PLIMSOLL_SHARED");
    None
}
