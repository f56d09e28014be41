//! Where the members of a JSON object are, so that one of them can be read or replaced and every other byte stays.

/// A key (escapes not undone) and where its value is.
pub(super) type Member<'a> = (&'a [u8], (usize, usize));

/// Keys of the object `json` (escapes not undone) and where their values are. `None` when it is no object.
pub(super) fn members(json: &[u8]) -> Option<Vec<Member<'_>>> {
    let mut at = json.iter().position(|byte| !byte.is_ascii_whitespace())?;
    if json[at] != b'{' {
        return None;
    }
    at += 1;
    let mut found = Vec::new();
    loop {
        at += json[at..].iter().position(|byte| !byte.is_ascii_whitespace() && *byte != b',')?;
        if json[at] == b'}' {
            return Some(found);
        }
        let key = (at + 1, end_of_value(json, at)? - 1);
        at = key.1 + 1;
        at += json[at..].iter().position(|byte| !byte.is_ascii_whitespace() && *byte != b':')?;
        let end = end_of_value(json, at)?;
        found.push((json.get(key.0..key.1)?, (at, end)));
        at = end;
    }
}

/// Where the value that begins at `at` ends.
fn end_of_value(json: &[u8], at: usize) -> Option<usize> {
    let (mut depth, mut i) = (0_usize, at);
    loop {
        match json.get(i)? {
            b'"' => i = end_of_string(json, i)?,
            b'{' | b'[' => {
                depth += 1;
                i += 1;
            }
            b'}' | b']' => {
                depth = depth.checked_sub(1)?;
                i += 1;
            }
            _ => i += json[i..].iter().position(|byte| b",:\"{}[] \t\r\n".contains(byte))?.max(1),
        }
        if depth == 0 {
            return Some(i);
        }
    }
}

/// Behind the closing quote of the string that begins at `at`.
fn end_of_string(json: &[u8], at: usize) -> Option<usize> {
    let mut i = at + 1;
    loop {
        i += memchr::memchr2(b'"', b'\\', json.get(i..)?)?;
        if json[i] == b'"' {
            return Some(i + 1);
        }
        i += 2;
    }
}
