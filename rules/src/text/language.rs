//! Which language a text is in, as a label for a category.

/// Bytes looked at: the start of a text tells its language, and a long text would cost more without telling more.
const LOOKED_AT: usize = 1024;

/// Label of a text too short or too mixed to tell.
pub const UNKNOWN_LANGUAGE: &str = "und";

/// Letters from which the likeliest language is taken even where it is not certain.
const ENOUGH_LETTERS: usize = 16;

/// ISO 639-3 code ("eng", "cmn", "deu", ...), or [`UNKNOWN_LANGUAGE`].
///
/// By script and trigram profile among the 26 languages most used on the web (crate `whatlang`, after Cavnar and Trenkle,
/// 1994). Short texts are sometimes taken for a neighbour of their language; as a category that is part of the baseline.
pub fn language(text: &str) -> &'static str {
    let start = &text[..text.floor_char_boundary(LOOKED_AT)];
    match whatlang::Detector::with_allowlist(KNOWN.to_vec()).detect(start) {
        Some(found) if found.is_reliable() || has_own_script(found.lang()) || letters(start) >= ENOUGH_LETTERS => {
            told_by_letters(found.lang(), start).code()
        }
        _ => UNKNOWN_LANGUAGE,
    }
}

/// Ukrainian without a letter of its own is Russian: the two profiles lie close together.
fn told_by_letters(found: whatlang::Lang, text: &str) -> whatlang::Lang {
    let ukrainian = |sign| matches!(sign, 'і' | 'ї' | 'є' | 'ґ' | 'І' | 'Ї' | 'Є' | 'Ґ');
    match found {
        whatlang::Lang::Ukr if !text.contains(ukrainian) => whatlang::Lang::Rus,
        found => found,
    }
}

fn letters(text: &str) -> usize {
    text.chars().filter(|sign| sign.is_alphabetic()).take(ENOUGH_LETTERS).count()
}

const KNOWN: [whatlang::Lang; 26] = {
    use whatlang::Lang;
    [
        Lang::Eng,
        Lang::Cmn,
        Lang::Spa,
        Lang::Por,
        Lang::Fra,
        Lang::Deu,
        Lang::Ita,
        Lang::Nld,
        Lang::Pol,
        Lang::Tur,
        Lang::Vie,
        Lang::Ind,
        Lang::Swe,
        Lang::Ces,
        Lang::Ron,
        Lang::Hun,
        Lang::Rus,
        Lang::Ukr,
        Lang::Ara,
        Lang::Pes,
        Lang::Heb,
        Lang::Hin,
        Lang::Jpn,
        Lang::Kor,
        Lang::Tha,
        Lang::Ell,
    ]
};

/// Languages told by their letters alone.
fn has_own_script(lang: whatlang::Lang) -> bool {
    use whatlang::Lang::{Cmn, Ell, Heb, Jpn, Kor, Tha};
    matches!(lang, Cmn | Ell | Heb | Jpn | Kor | Tha)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn languages_and_what_cannot_be_told() {
        let long = "Where can I find the nearest branch of the bank? ".repeat(200);
        for (why, text, wanted) in [
            ("English", "I am still waiting on my card, could you please tell me when it will arrive?", "eng"),
            ("Chinese", "你好，请推荐一家好吃的餐馆", "cmn"),
            ("short Chinese", "你好", "cmn"),
            ("German", "Ich warte immer noch auf meine Karte, wann wird sie endlich geliefert werden?", "deu"),
            ("Japanese", "カードはまだ届いていません", "jpn"),
            ("Russian", "Я до сих пор жду свою карту, когда она придёт? Скажите пожалуйста, где она сейчас?", "rus"),
            (
                "Ukrainian",
                "Я досі чекаю на свою картку, коли вона прийде? Підкажіть, будь ласка, де вона зараз?",
                "ukr",
            ),
            ("only the start is looked at", &long, "eng"),
            ("cut inside a character", &"好".repeat(1000), "cmn"),
            ("empty", "", UNKNOWN_LANGUAGE),
            ("numbers", "12 34 56", UNKNOWN_LANGUAGE),
        ] {
            assert_eq!(language(text), wanted, "{why}");
        }
    }
}
