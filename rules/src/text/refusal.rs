//! Does an answer decline? Set phrases near its start, English and Chinese.

/// Characters from the start in which a refusal says so.
const OPENING: usize = 200;

/// Lower case, straight quotes.
const ENGLISH: &[&str] = &[
    "i'm sorry, but i can",
    "i'm sorry, but i am",
    "i'm sorry, but i'm",
    "i'm sorry, i can",
    "i'm sorry, i'm not able",
    "i'm sorry but i can",
    "i am sorry, but i can",
    "i am sorry, i can",
    "sorry, but i can't",
    "sorry, i can't",
    "sorry, i cannot",
    "i apologize, but i",
    "i apologise, but i",
    "my apologies, but i",
    "as an ai",
    "as a language model",
    "as a large language model",
    "i can't help with",
    "i cannot help with",
    "i can't assist",
    "i cannot assist",
    "i can't provide",
    "i cannot provide",
    "i can't fulfill",
    "i cannot fulfill",
    "i can't fulfil",
    "i cannot fulfil",
    "i can't comply",
    "i cannot comply",
    "i can't do that",
    "i can't generate",
    "i cannot generate",
    "i can't create",
    "i cannot create",
    "i can't discuss",
    "i cannot discuss",
    "i can't support",
    "i cannot support",
    "i'm unable to",
    "i am unable to",
    "i'm not able to",
    "i am not able to",
    "i won't be able to",
    "i will not be able to",
    "i must decline",
    "i have to decline",
    "i won't help",
    "i'm not comfortable",
    "it is not appropriate for me",
    "it's not appropriate for me",
];

/// Simplified and traditional, Latin letters in lower case.
const CHINESE: &[&str] = &[
    "抱歉，我无法",
    "抱歉，我不能",
    "抱歉，我没有办法",
    "抱歉，我没办法",
    "抱歉，无法",
    "抱歉，但我",
    "抱歉,我无法",
    "抱歉,我不能",
    "很抱歉，我",
    "非常抱歉，我",
    "对不起，我无法",
    "对不起，我不能",
    "对不起，我没有办法",
    "不好意思，我无法",
    "不好意思，我不能",
    "作为一个ai",
    "作为ai",
    "作为一个人工智能",
    "作为人工智能",
    "作为一个语言模型",
    "作为一款ai",
    "作为一名ai",
    "我无法提供",
    "我不能提供",
    "我无法协助",
    "我不能协助",
    "我无法帮助",
    "我不能帮助",
    "我无法回答",
    "我不能回答",
    "我无法满足",
    "我无法完成",
    "我无法生成",
    "抱歉，我無法",
    "抱歉，無法",
    "對不起，我無法",
    "對不起，我不能",
    "作為一個ai",
    "作為ai",
    "我無法提供",
    "我無法協助",
    "我無法回答",
];

/// Whether an answer declines, by set phrases within its first 200 characters. A quoted refusal far into an answer is none.
pub fn is_refusal(answer: &str) -> bool {
    let opening = folded_opening(answer);
    ENGLISH.iter().chain(CHINESE).any(|phrase| opening.contains(phrase))
}

/// The first characters in lower case, with straight quotes and single spaces.
fn folded_opening(answer: &str) -> String {
    let mut opening = String::with_capacity(OPENING * 3);
    for sign in answer.trim_start().chars().take(OPENING) {
        match sign {
            '\u{2019}' | '\u{2018}' => opening.push('\''),
            _ if sign.is_whitespace() => {
                if !opening.ends_with(' ') {
                    opening.push(' ');
                }
            }
            _ => opening.push(sign.to_ascii_lowercase()),
        }
    }
    opening
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_and_what_only_looks_like_one() {
        let late = format!("{} I'm sorry, but I can't", "Here is the text. ".repeat(20));
        for (why, answer, wanted) in [
            ("plain", "I'm sorry, but I can't help with that.", true),
            ("curly quote", "I\u{2019}m sorry, but I can\u{2019}t help with that.", true),
            ("after a greeting", "Hello! As an AI language model, I do not have opinions.", true),
            ("line break", "I'm sorry,\nbut I cannot", true),
            ("Chinese", "抱歉，我无法回答这个问题。", true),
            ("Chinese with Latin", "作为一个AI语言模型，我没有感情。", true),
            ("traditional", "對不起，我無法提供協助。", true),
            ("sorry, and then helps", "I'm sorry to hear that your card was lost. Here is what to do.", false),
            ("quoted late", &late, false),
            ("Chinese answer", "我很乐意帮助您，以下是步骤。", false),
            ("empty", "", false),
        ] {
            assert_eq!(is_refusal(answer), wanted, "{why}");
        }
    }
}
