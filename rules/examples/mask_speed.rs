//! How fast texts are masked, beside the same kinds as regular expressions: `cargo run --release --example mask_speed`.
//!
//! The peer is one `RegexSet` that says which patterns occur, and one search per pattern that does: what a careful person would write
//! with the `regex` crate, without the checksums. Both see the same seeded mixture of English and Chinese chat, with a
//! value in every so many bytes.

#![expect(
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a measurement prints, and reads its own CPU time"
)]

use std::fmt::Write as _;

use plimsoll_rules::mask::{MaskOptions, Masker, OwnPattern};
use regex::{Regex, RegexSet};

const ENGLISH: [&str; 6] = [
    "I still have not received my new card, I ordered it over a week ago. ",
    "Could you explain step by step how the transformer architecture works, and why attention is quadratic? ",
    "My top-up was reverted; the app says \"pending\" since 10:30 and nothing happens. What should I do? ",
    "Write a Python function that returns the 3 largest elements of a list: def top(xs): return sorted(xs)[-3:] ",
    "Thanks, that worked! One more question: is there a fee of 2.5% when I pay in euros? ",
    "The quick summary: version 2.1.0 fixes the crash, please upgrade before 2024-11-30. ",
];
const CHINESE: [&str; 5] = [
    "你好，我想找家人均消费在100-150元的餐馆，请给我推荐一家吧。",
    "请帮我写一篇关于春天的短文，大约三百字，语言要优美。",
    "这家酒店的评分是4.7分，离地铁站近吗？周边有什么景点？",
    "已经等了三天了还没有收到货，什么时候能发货？谢谢！",
    "这段代码报错：TypeError，请问是什么原因？",
];
const VALUES: [&str; 8] = [
    "call me at (415) 555-2671 ",
    "手机号13812345678，",
    "邮箱zhang.san@example.com。",
    "card 4111 1111 1111 1111 ",
    "身份证11010519491231002X，",
    "from 203.0.113.9 ",
    "password: hunter2 ",
    "key sk-proj-4fj3kQx9LmZ2pR7tYv8wB1nC ",
];
const PEER: [&str; 11] = [
    r"[A-Za-z0-9._%+-]+@[A-Za-z0-9.-]+\.[A-Za-z]{2,}",
    r"(?:\+?86[- ]?)?1[3-9]\d[- ]?\d{4}[- ]?\d{4}|\(?[2-9]\d{2}\)?[-. ][2-9]\d{2}[-. ]\d{4}|\+\d{1,3}[ -]?\d[\d -]{6,14}",
    r"[1-9]\d{5}(?:19|20)\d{2}(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])\d{3}[\dXx]",
    r"(?:\d{4}[- ]?){3}\d{1,7}",
    r"[A-Z]{2}\d{2}(?: ?[A-Z0-9]{4}){3,7}",
    r"(?:\d{1,3}\.){3}\d{1,3}|(?:[0-9a-fA-F]{1,4}:){2,7}[0-9a-fA-F]{1,4}",
    r"eyJ[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+",
    r"sk-[A-Za-z0-9_-]{20,}|gh[pousr]_[A-Za-z0-9]{36}|AKIA[A-Z0-9]{16}|xox[bp]-[A-Za-z0-9-]+|AIza[A-Za-z0-9_-]{35}|hf_[A-Za-z0-9]{34}",
    r"(?i)(?:password|passwd|pwd|secret|api_key|token|密码)\s*[:=：]\s*\S+",
    r"-----BEGIN [A-Z ]*PRIVATE KEY-----",
    r"[a-z]+://[^\s/:@]+:[^\s/@]+@",
];

/// Bytes of text in one round.
const ROUND: usize = 4 << 20;

/// Chat in messages of about 500 bytes, one value in about `every` bytes.
fn chat(every: usize) -> Vec<String> {
    let mut rng = fastrand::Rng::with_seed(7);
    let (mut messages, mut total) = (Vec::new(), 0);
    while total < ROUND {
        let mut message = String::new();
        while message.len() < 500 {
            let part =
                if rng.bool() { ENGLISH[rng.usize(..ENGLISH.len())] } else { CHINESE[rng.usize(..CHINESE.len())] };
            message.push_str(part);
            if rng.usize(..every) < part.len() {
                message.push_str(VALUES[rng.usize(..VALUES.len())]);
            }
        }
        total += message.len();
        messages.push(message);
    }
    messages
}

/// MB in a second of this thread's own CPU time, which the kernel counts in nanoseconds: the machine is shared.
fn speed(texts: &[String], rounds: usize, mut mask: impl FnMut(&str) -> usize) -> f64 {
    let bytes: usize = texts.iter().map(String::len).sum();
    let begun = cpu_seconds();
    for _ in 0..rounds {
        std::hint::black_box(texts.iter().map(|text| mask(text)).sum::<usize>());
    }
    (bytes * rounds) as f64 / (cpu_seconds() - begun) / 1e6
}

fn cpu_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    stat.split(' ').next().and_then(|nanoseconds| nanoseconds.parse::<f64>().ok()).unwrap_or(f64::NAN) / 1e9
}

/// Replaces every match of every pattern that occurs.
fn with_regexes(set: &RegexSet, each: &[Regex], text: &str) -> usize {
    let mut out = text.to_owned();
    for at in &set.matches(text) {
        out = each[at].replace_all(&out, "<MASKED>").into_owned();
    }
    out.len()
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let masker = Masker::new(b"a salt for measuring", &MaskOptions::default())?;
    let own = OwnPattern { name: "employee_id".into(), regex: "EMP-[0-9]{6}".into() };
    let with_own = Masker::new(b"a salt for measuring", &MaskOptions { own: vec![own], ..MaskOptions::default() })?;
    let (set, each) = (RegexSet::new(PEER)?, PEER.iter().map(|p| Regex::new(p)).collect::<Result<Vec<_>, _>>()?);
    let mut table = String::from(
        "| one value in | plimsoll MB/s | with an own pattern | regex crate | ratio |\n| --- | --- | --- | --- | --- |\n",
    );
    for every in [500, 1000, 5000, usize::MAX] {
        let texts = chat(every);
        let ours = speed(&texts, 15, |text| masker.mask(text).text.len());
        let owned = speed(&texts, 15, |text| with_own.mask(text).text.len());
        let peer = speed(&texts, 3, |text| with_regexes(&set, &each, text));
        let label = if every == usize::MAX { "never".to_owned() } else { format!("{every} bytes") };
        writeln!(table, "| {label} | {ours:.0} | {owned:.0} | {peer:.1} | {:.1} |", ours / peer)?;
    }
    println!("{table}");
    Ok(())
}
