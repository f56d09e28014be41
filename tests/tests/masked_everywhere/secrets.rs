//! What is planted: a value of every kind that masking knows, in a text that says through which door it came.

/// A kind: its token, what is written, and parts of it that may be found nowhere afterwards.
pub struct Planted {
    pub token: &'static str,
    pub written: &'static str,
    pub parts: &'static [&'static str],
}

/// A word that is no secret: shows whether text is there at all.
pub const MARIGOLD: &str = "Marigold";

const fn planted(token: &'static str, written: &'static str, parts: &'static [&'static str]) -> Planted {
    Planted { token, written, parts }
}

/// Every built-in kind, in spellings that differ, and a pattern of the configuration.
pub const ALL: [Planted; 18] = [
    planted("<EMAIL:", "write to DOOR.mallory@secret-corp.example", &["mallory", "secret-corp"]),
    planted("<PHONE:", "call +44 7911 123456", &["7911 123456", "7911123456"]),
    planted("<PHONE:", "手机13812345678 or 138-1234-5678", &["13812345678", "138-1234-5678"]),
    planted("<CN_ID:", "id 11010519491231002X", &["11010519491231002X", "19491231"]),
    planted("<CARD:", "card 4111 1111 1111 1111 (5500005555555559)", &["4111 1111", "5500005555555559"]),
    planted("<IBAN:", "iban DE89 3704 0044 0532 0130 00", &["3704 0044", "37040044"]),
    planted("<IP:", "from 93.184.216.34", &["93.184.216.34"]),
    planted(
        "<JWT:",
        "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N_XgL0n3I9PlFUP0THsR8U",
        &["eyJzdWIiOiIxMjM0NTY3ODkwIn0", "dozjgNryP4J3jVmNHl0w5N"],
    ),
    planted("<API_KEY:", "key sk-proj-Zk3vQ9xLw2Tb7Yp4Rm8NcVfGhJ6s", &["sk-proj-Zk3v", "Zk3vQ9xLw2Tb7Yp4Rm8N"]),
    planted("<SECRET:", "password: hunterGx9-blue", &["hunterGx9"]),
    planted("<URL_CREDENTIALS:", "see https://root:toorGx7@db.internal/x", &["toorGx7"]),
    planted("<SSN:", "SSN 123-45-6789", &["123-45-6789"]),
    planted("<PASSPORT:", "passport E12345678", &["E12345678"]),
    planted("<PLATE:", "车牌京A12345", &["京A12345"]),
    planted("<BIRTH_DATE:", "DOB: 1985-05-03", &["1985-05-03"]),
    planted("<EMPLOYEE_ID:", "badge EMP-424242", &["EMP-424242", "424242"]),
    planted("<EMAIL:", "full-width ｍallory＠ｓecret-corp.example", &["＠ｓecret-corp"]),
    planted(
        "<PRIVATE_KEY:",
        "-----BEGIN PRIVATE KEY-----\nMIIEvQIBADANBgkqhkiG9w0BAQEFAASC\n-----END PRIVATE KEY-----",
        &["MIIEvQIBADANBgkq"],
    ),
];

/// The configuration of the own pattern.
pub const PATTERN: (&str, &str) = ("employee_id", "EMP-[0-9]{6}");

/// A text with all of them; `door` stands in the first, so that a leak says where it came from.
pub fn sentence(door: &str) -> String {
    let all: Vec<String> = ALL.iter().map(|one| one.written.replace("DOOR", door)).collect();
    format!("{}. {MARIGOLD}.", all.join(" , "))
}

/// The first secret that `bytes` holds, with what stands around it.
pub fn leak(bytes: &[u8]) -> Option<String> {
    ALL.iter().flat_map(|one| one.parts).find_map(|part| {
        let at = memchr::memmem::find(bytes, part.as_bytes())?;
        let around = &bytes[at.saturating_sub(120)..(at + 80).min(bytes.len())];
        Some(format!("{part:?} in {:?}", String::from_utf8_lossy(around)))
    })
}

/// Tokens that `text` lacks.
pub fn lacking(text: &str) -> Vec<&'static str> {
    ALL.iter().map(|one| one.token).filter(|token| !text.contains(token)).collect()
}
