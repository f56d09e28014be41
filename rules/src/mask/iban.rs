//! International Bank Account Numbers (ISO 13616): the country's length, and the checksum modulo 97.

use super::Kind;
use super::bytes::{before, byte, is_alnum, is_word};
use super::scan::Step;
use super::span::{Form, Span};

/// Country and length of its IBAN, four characters each, from the registry of SWIFT (release 99).
const LENGTHS: &[u8] = b"\
    AD24AE23AL28AT20AZ28BA20BE16BG22BH23BI27BR29BY28CH21CR22CY28CZ24DE22DJ27DK18DO28EE20EG29ES24FI18FK18\
    FO18FR27GB22GE22GI23GL18GR27GT28HN28HR21HU28IE22IL23IQ23IS26IT27JO30KW30KZ20LB28LC32LI21LT20LU20LV21\
    LY25MC27MD24ME22MK19MN20MR27MT31MU30NI28NL18NO15OM23PK24PL28PS29PT25QA29RO24RS22RU33SA24SC31SD18SE24\
    SI19SK24SM27SO23ST25SV28TL23TN24TR26UA29VA22VG24XK20YE30\
";

/// Furthest that a refusal has looked.
pub(super) const REACH: usize = 72;

/// The IBAN whose check digits begin at `at`, right after the country. One that is mistyped is passed over, lest its groups be
/// taken for telephone numbers.
pub(super) fn at_check_digits(bytes: &[u8], at: usize) -> Option<Step> {
    let start = at.checked_sub(2)?;
    let country = [bytes[start].to_ascii_uppercase(), bytes[start + 1].to_ascii_uppercase()];
    let entry = LENGTHS.chunks_exact(4).find(|entry| entry[..2] == country)?;
    let length = usize::from(entry[2] - b'0') * 10 + usize::from(entry[3] - b'0');
    if is_word(before(bytes, start)) {
        return None;
    }
    let end = end(bytes, start, length)?;
    if is_alnum(byte(bytes, end)) {
        return None;
    }
    if checksum(&bytes[start..end]) == 1 {
        return Some(Step::Hit(Span { range: start..end, kind: Kind::Iban, form: Form::Compact }));
    }
    let in_capitals = !bytes[start..end].iter().any(u8::is_ascii_lowercase);
    in_capitals.then_some(Step::skip(end, end + 1))
}

/// Where the `length`th letter or digit ends; between two of them may stand one space, dash or line end.
fn end(bytes: &[u8], start: usize, length: usize) -> Option<usize> {
    let (mut at, mut left) = (start, length);
    while left > 0 {
        if is_alnum(byte(bytes, at)) {
            left -= 1;
        } else if !(matches!(byte(bytes, at), b' ' | b'-' | b'\n') && is_alnum(byte(bytes, at + 1))) {
            return None;
        }
        at += 1;
    }
    Some(at)
}

/// ISO 7064 MOD 97-10 of the IBAN with its first four characters moved to the end.
fn checksum(text: &[u8]) -> u32 {
    let mut compact = text.iter().filter(|b| is_alnum(**b)).map(u8::to_ascii_uppercase);
    let head: Vec<u8> = compact.by_ref().take(4).collect();
    compact.chain(head).fold(0, |rest, byte| match byte {
        b'0'..=b'9' => (rest * 10 + u32::from(byte - b'0')) % 97,
        _ => (rest * 100 + u32::from(byte - b'A') + 10) % 97,
    })
}
