//! What holds for every text: masking is `find` and nothing else, and what is masked is masked.

use std::sync::LazyLock;

use proptest::prelude::*;

use super::scan::{Step, WAKE, wake};
use super::*;

/// Pieces that recognisers look at, values among them, put together at random.
const PIECES: &[&str] = &[
    "13812345678",
    "138-1234-5678",
    "+86 ",
    "4111 1111 1111 1111",
    "4111 1111\n1111 1111",
    "11010519491231002X",
    "DE89 3704 0044 0532 0130 00",
    "a.b@example.com",
    "@y.ya",
    "10.1.2.3",
    "2001:db8::1",
    "::",
    "password: ",
    "pin:",
    "密码：",
    "hunter2",
    "sk-",
    "4fj3kQx9LmZ2pR7tYv8wB1nC",
    "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.abcdefghijk",
    "-----BEGIN PRIVATE KEY-----",
    "-----END PRIVATE KEY-----",
    "postgres://",
    "user:pass1@",
    "Bearer ",
    "token=",
    "\"",
    "'",
    " ",
    "-",
    ".",
    ",",
    "，",
    "：",
    ":",
    "=",
    "@",
    "<",
    ">",
    "(",
    ")",
    "/",
    "x",
    "7",
    "12",
    "手机",
    "call ",
    "０",
    "＠",
    "\n",
    "\\n",
    "\\u0040",
    "\\",
    "%40",
    "%",
    "&#64;",
    "é",
    "😀",
    "\u{200d}",
    "<PHONE:3fa1c2d4>",
    "<CARD:01234567>",
    "IP",
    "元",
    "card ",
    "ssn ",
    "123-45-6789",
    "passport ",
    "E12345678",
    "京A12345",
    "born ",
    "1985-05-03",
    "3 May 1985",
    "2l-m*yn",
    "020 7946 0958",
    "256 512 1024",
    "EMP-123456",
    "EMP-",
    "ab",
    "__",
    "sk_live_",
    "glpat-",
    "SG.",
    "AKIA",
    "LTAI",
    "SK",
    "DE89",
    "FR14 2004 1010 0505 0001 3M02 606",
    "xn--",
    "git",
    ".com",
    "eyJ",
    "year ",
    "版本",
    "年",
    "月",
    "5日",
    "X",
    "·",
    "[",
    "]",
    "'s",
    "+",
    "$",
    "¥",
    "\u{3000}",
    "\u{2011}",
    "https://",
    "Authorization: Basic dXNlcjpwYXNz",
    "Proc-Type: 4,ENCRYPTED",
    "version ",
    "password is ",
    "Pwd is: ",
    "密码是",
    "验证码",
    "passphrase: ",
    "correct horse battery staple",
    "Cookie: ",
    "sid=8fj3kQx9; theme=dark",
    "PIN ",
    "OTP: ",
    "482193",
    "482-193",
    " is your code",
    "是您的",
    "dckr_pat_",
    "https://hooks.slack.com/services/",
    "T0001/B0002/AbCdEfGhIjKlMnOp",
    "aws_secret_access_key ",
    "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
    "4111  1111  1111  1111",
    "  ",
    "abcdefghijklmnopqrstuvwxyz-0123456789_ABCDEFGHIJKLMNOPQRSTUVWXYZ",
];

static MASKERS: LazyLock<Vec<Masker>> = LazyLock::new(|| {
    let own = |name: &str, regex: &str| OwnPattern { name: name.into(), regex: regex.into() };
    let options = |off: &[Kind], own: &[OwnPattern], digits| MaskOptions { off: off.into(), own: own.into(), digits };
    [
        options(&[], &[], 8),
        options(&[Kind::Ip, Kind::Email, Kind::Card], &[], 4),
        options(&[], &[own("employee_id", r"\bEMP-[0-9]{6}\b"), own("end", r"[a-z]+$"), own("pair", r"a|\.\S+x")], 8),
    ]
    .iter()
    .map(|options| Masker::new(b"a salt for tests only", options).unwrap())
    .collect()
});

/// Panics with what is wrong with `masker` on `text`.
fn hold(masker: &Masker, text: &str) -> Result<(), TestCaseError> {
    let (once, found) = (masker.mask(text), masker.find(text));
    prop_assert!(found.iter().all(|f| text.get(f.range.clone()).is_some_and(|value| !value.is_empty())), "{:?}", text);
    prop_assert!(found.windows(2).all(|pair| pair[0].range.end <= pair[1].range.start), "{:?}: overlap", text);
    // what `find` lists is what `mask` hides, value for value
    prop_assert_eq!(&*once.text, replaced(text, &found), "{:?}", text);
    prop_assert_eq!(once.counts.total(), found.len() as u64, "{:?}", text);
    prop_assert_eq!(masker.find(&once.text), Vec::new(), "{:?} became {:?}", text, once.text);
    prop_assert_eq!(masker.mask(&once.text).text, once.text.clone(), "{:?}", text);
    Ok(())
}

/// Panics where a refusal would have been another one, had the text ended behind all that it says it has looked at.
fn hold_reach(kinds: KindSet, text: &str) -> Result<(), TestCaseError> {
    let (bytes, mut at) = (text.as_bytes(), 0);
    while let Some(offset) = bytes.get(at..).and_then(|rest| rest.iter().position(|b| WAKE[usize::from(*b)])) {
        let here = at + offset;
        match wake(bytes, here, kinds) {
            Step::Hit(span) => at = span.range.end,
            Step::Skip { to, looked } => {
                for end in (looked.max(here + 1)..bytes.len()).filter(|end| text.is_char_boundary(*end)) {
                    let cut = wake(&bytes[..end], here, kinds);
                    let same = matches!(cut, Step::Skip { to: other, .. } if other == to);
                    prop_assert!(same, "{text:?} at {here}, to {to}, looked {looked}: {cut:?} when it ends at {end}");
                }
                at = to;
            }
        }
    }
    Ok(())
}

/// `PROPTEST_CASES` asks for more.
#[expect(clippy::disallowed_methods, reason = "a test that asks how long it may run")]
fn cases() -> u32 {
    std::env::var("PROPTEST_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(2000)
}

fn from_pieces() -> impl Strategy<Value = String> {
    prop::collection::vec(prop::sample::select(PIECES), 1..12).prop_map(|pieces| pieces.concat())
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(cases()) })]

    #[test]
    fn pieces_are_masked_once_and_for_all(text in from_pieces()) {
        for masker in &*MASKERS {
            hold(masker, &text)?;
        }
    }

    #[test]
    fn refusals_say_how_far_they_looked(text in from_pieces(), other in "[0-9a-zA-Z@:=._<>/ +()%\\\\-]{0,60}|[0-9 .@:-]{0,40}") {
        for text in [text, other] {
            hold_reach(KindSet::ALL, &text)?;
            hold_reach(KindSet::ALL.without(Kind::Secret), &text)?;
        }
    }

    #[test]
    fn signs_are_masked_once_and_for_all(text in "[0-9a-zA-Z@:=._<>/ +()%\\\\-]{0,60}|[0-9 .@:-]{0,40}|\\PC{0,40}") {
        hold(&MASKERS[0], &text)?;
    }
}

#[test]
fn texts_that_changed_once() {
    for text in [
        "pin:2l-m*yn:pin:3@y.ya<",
        "pin:2l-m*yn:pin:3@y.ya<=::m*!!!::*Ap::GOC*pyn*:::*Ap",
        "2001:db8::13812345678 x@y.zz",
        "123-45-6789-10.1.2.3-----BEGIN PRIVATE KEY-----",
        "2 415 555 2671 4111 1111 1111 1111",
    ] {
        MASKERS.iter().for_each(|masker| hold(masker, text).unwrap());
    }
}

/// Refusals are looked at again, so a text of nothing but near misses must not cost its square.
#[test]
fn no_text_costs_its_square() {
    let masker = &MASKERS[0];
    for part in [
        "1-",
        "1 ",
        "a@b.c1-",
        "pin:",
        "sk-.",
        "eyJ.",
        "eyJhbGciOiJI.",
        "::1:",
        "_a-",
        "password:a",
        "glpat-.",
        "-----BEGIN ",
        "138123456789-a@",
        "1.1.1.1.",
        "12 13812345678 ",
        "a://b:c",
        "\\u",
        "<PHONE:",
        "cookie:",
        "passphrase: a b",
        "password is ",
        "密码是",
        "PIN 12",
        "aws_secret ",
        "1  ",
    ] {
        let found = masker.find(&part.repeat(200_000 / part.len()));
        assert!(found.len() <= 200_000, "{part}");
    }
}
