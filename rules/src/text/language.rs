//! Which language a text is in, as a label for a category.

/// Bytes looked at: the start of a text tells its language, and a long text would cost more without telling more.
const LOOKED_AT: usize = 1024;

/// Label of a text too short or too mixed to tell.
pub const UNKNOWN_LANGUAGE: &str = "und";

/// Share of the characters that decides the script, hence the language, of texts too short for a profile.
/// ISO 639-3 code ("eng", "cmn", "deu", ...), or [`UNKNOWN_LANGUAGE`].
///
/// By script and trigram profile (crate `whatlang`, after Cavnar and Trenkle, 1994). A text of few letters is often taken
/// for a neighbour of its language, so an answer that is not reliable counts only where the script settles it.
pub fn language(text: &str) -> &'static str {
    let start = &text[..text.floor_char_boundary(LOOKED_AT)];
    match whatlang::detect(start) {
        Some(found) if found.is_reliable() || has_own_script(found.lang()) => found.lang().code(),
        _ => UNKNOWN_LANGUAGE,
    }
}

/// Languages told by their letters alone.
fn has_own_script(lang: whatlang::Lang) -> bool {
    use whatlang::Lang::{Cmn, Ell, Heb, Jpn, Kor, Tha};
    matches!(lang, Cmn | Ell | Heb | Jpn | Kor | Tha)
}
