//! Is a dataset what its manifest says, and would the records give it again?

use std::path::Path;

use plimsoll_rules::dataset::METHOD;
use plimsoll_shadow_model::train::sha256;

use super::{Manifest, Out, Source, files};

/// Every difference between the files in `folder` and their manifest; with `source` also between them and what its records give
/// now with the same settings. Empty: it is whole. Feedback that was changed since, and what retention has deleted, are
/// differences.
///
/// # Errors
/// There is no manifest, or the records cannot be read.
pub async fn verify(
    folder: &Path,
    source: Option<&Source>,
    tell: &mut (dyn FnMut(u64) + Send),
) -> anyhow::Result<Vec<String>> {
    let manifest = Manifest::read(folder)?;
    let mut wrong = Vec::new();
    for name in files::names() {
        match (manifest.file(&name), sha256(&[folder.join(&name)])) {
            (None, _) => wrong.push(format!("{name}: the manifest does not name it")),
            (Some(_), Err(why)) => wrong.push(why.to_string()),
            (Some(said), Ok(found)) if said.sha256 != found => {
                wrong.push(format!("{name}: SHA-256 {found} found; the manifest says {}", said.sha256));
            }
            (Some(_), Ok(_)) => {}
        }
    }
    if wrong.is_empty() && files::hash_of_all(folder)? != manifest.sha256 {
        wrong.push(format!("manifest.json: key sha256: {} is not that of all files", manifest.sha256));
    }
    if let Some(source) = source.filter(|_| wrong.is_empty()) {
        rebuilt(folder, &manifest, source, tell, &mut wrong).await?;
    }
    Ok(wrong)
}

async fn rebuilt(
    folder: &Path,
    manifest: &Manifest,
    source: &Source,
    tell: &mut (dyn FnMut(u64) + Send),
    wrong: &mut Vec<String>,
) -> anyhow::Result<()> {
    if manifest.method != METHOD {
        wrong.push(format!("method: {} found; this program would choose by {METHOD}", manifest.method));
        return Ok(());
    }
    let place = tempfile::tempdir()?;
    let frozen = manifest.anchors_given.then(|| folder.join("anchors.jsonl"));
    let (frozen, out) = (frozen.as_deref(), Out::New(place.path()));
    let again = super::write(source, &manifest.settings, frozen, out, &|_| Ok(()), tell).await?;
    for (said, found) in manifest.files.iter().zip(&again.files).filter(|(said, found)| said != found) {
        let (lines, bytes) = (found.lines, found.bytes);
        wrong.push(format!(
            "{}: the records now give {lines} lines, {bytes} bytes; the dataset has {}, {}",
            said.name, said.lines, said.bytes
        ));
    }
    if manifest.counts != again.counts {
        wrong.push(format!("counts: the records now give {:?}", again.counts));
    }
    Ok(())
}
