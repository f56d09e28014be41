//! The cells of one CSV record (RFC 4180), without copies where there are no quotes.

use anyhow::bail;

/// Whether the record ends inside quotes. A quote opens a cell at its start only; two inside are one.
pub(super) fn is_open(record: &[u8]) -> bool {
    let mut at = 0;
    loop {
        if record.get(at) == Some(&b'"') {
            at += 1;
            loop {
                let Some(length) = memchr::memchr(b'"', &record[at..]) else { return true };
                at += length + 1;
                if record.get(at) != Some(&b'"') {
                    break;
                }
                at += 1;
            }
        }
        match memchr::memchr(b',', &record[at..]) {
            Some(length) => at += length + 1,
            None => return false,
        }
    }
}

/// Gives each cell of a whole record to `each` and says how many there were; `unquoted` is for cells that had quotes.
///
/// # Errors
/// What `each` says; text between a closing quote and the next comma.
pub(super) fn cells(
    record: &str,
    unquoted: &mut String,
    each: &mut dyn FnMut(usize, &str) -> anyhow::Result<()>,
) -> anyhow::Result<usize> {
    let (mut rest, mut column) = (record, 0);
    loop {
        let end = if rest.starts_with('"') {
            unquoted.clear();
            let end = unquote(rest, unquoted)?;
            each(column, unquoted)?;
            end
        } else {
            let end = memchr::memchr(b',', rest.as_bytes()).unwrap_or(rest.len());
            each(column, &rest[..end])?;
            end
        };
        column += 1;
        match rest.get(end + 1..) {
            Some(more) if end < rest.len() => rest = more,
            _ => return Ok(column),
        }
    }
}

/// Appends the cell that begins with a quote to `out`, and says where it ends: at a comma or the end of the record.
fn unquote(cell: &str, out: &mut String) -> anyhow::Result<usize> {
    let bytes = cell.as_bytes();
    let mut at = 1;
    while let Some(length) = memchr::memchr(b'"', &bytes[at..]) {
        out.push_str(&cell[at..at + length]);
        at += length + 1;
        if bytes.get(at) == Some(&b'"') {
            out.push('"');
            at += 1;
            continue;
        }
        let end = at + memchr::memchr(b',', &bytes[at..]).unwrap_or(bytes.len() - at);
        let behind = cell[at..end].trim();
        if !behind.is_empty() {
            let shown: String = behind.chars().take(20).collect();
            bail!("{shown:?} stands behind a closing quote; write a quote inside a cell twice (\"\")");
        }
        return Ok(end);
    }
    out.push_str(&cell[at..]);
    Ok(bytes.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_are_told_apart() {
        for (record, open, expected) in [
            ("a,b", false, vec!["a", "b"]),
            ("", false, vec![""]),
            (",", false, vec!["", ""]),
            ("\"a,b\",c", false, vec!["a,b", "c"]),
            ("\"say \"\"hi\"\"\"", false, vec!["say \"hi\""]),
            ("a\"b,\"c\" ,d", false, vec!["a\"b", "c", "d"]),
            ("\"\",x", false, vec!["", "x"]),
            ("x,\"y", true, vec!["x", "y"]),
            ("\"y\"\"", true, vec!["y\""]),
        ] {
            let mut found = Vec::new();
            let count = cells(record, &mut String::new(), &mut |_, cell| {
                found.push(cell.to_owned());
                Ok(())
            });
            assert_eq!(
                (found, is_open(record.as_bytes())),
                (expected.iter().map(ToString::to_string).collect(), open),
                "{record}"
            );
            assert_eq!(count.unwrap(), expected.len());
        }
        let said = cells("a,\"b\"c\"d\",e", &mut String::new(), &mut |_, _| Ok(())).unwrap_err().to_string();
        assert!(said.starts_with("\"c\\\"d\\\"\" stands behind a closing quote"), "{said}");
    }
}
