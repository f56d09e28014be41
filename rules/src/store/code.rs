//! How one sample follows from the one before: a control byte, then only what it does not already say.
//!
//! The idea is Gorilla's (Pelkonen et al., VLDB 2015): times as differences of differences, values as XOR with the one
//! before. On byte boundaries it decodes faster; and because a control byte has 256 values, it names the commonest cases
//! outright: small jitter of the clock, whole numbers and thousandths that grow by little, and runs in which nothing
//! changes at all. A series that stands still takes 1/57 of a byte a sample, with jitter one byte; one that moves by up to
//! two thousand whole steps or thousandths takes two bytes while the clock keeps time.

/// Time forms: the difference of differences itself, or how many bytes follow with it.
const TIMES: [Time; 6] = [Time::Is(0), Time::Is(1), Time::Is(-1), Time::Bytes(1), Time::Bytes(2), Time::Bytes(8)];

#[derive(Clone, Copy, Debug)]
enum Time {
    Is(i8),
    Bytes(u8),
}

/// Value forms; each is followed by so many bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    Same,
    /// Zigzag difference of whole numbers.
    Whole(u8),
    /// Zigzag difference of thousandths.
    Thousandths(u8),
    /// Bytes of the XOR, `low` of them left out at the low end.
    Xor {
        low: u8,
        len: u8,
    },
}

/// Form 0 is `Same`; of these families, the form for `len` bytes is `len` places after.
const WHOLE: usize = 0;
const THOUSANDTHS: usize = 4;
/// The XOR's bytes down from the top one; up from the lowest; down from the second (numbers of like size share the top).
const TOP: usize = 6;
const BOTTOM: usize = 14;
const MIDDLE: usize = 21;

const VALUES: [Form; 28] = values();

/// Codes from here on, a clock that keeps time: the low four bits are the high ones of twelve, a byte follows with the
/// rest of a zigzag difference of whole numbers (first sixteen) or thousandths (last sixteen).
const FIRST_TWELVE: u8 = (TIMES.len() * VALUES.len()) as u8;

/// Codes from here on are runs: so many samples more with the same step in time and the same value.
const FIRST_RUN: u8 = FIRST_TWELVE + 32;

/// Shortest and longest run.
const SHORTEST_RUN: u8 = 2;
const LONGEST_RUN: u8 = SHORTEST_RUN + (u8::MAX - FIRST_RUN);

const fn values() -> [Form; 28] {
    let mut forms = [Form::Same; 28];
    let mut len = 1;
    while len <= 4 {
        forms[WHOLE + len] = Form::Whole(len as u8);
        len += 1;
    }
    forms[THOUSANDTHS + 1] = Form::Thousandths(1);
    forms[THOUSANDTHS + 2] = Form::Thousandths(2);
    let mut len = 1;
    while len <= 8 {
        forms[TOP + len] = Form::Xor { low: 8 - len as u8, len: len as u8 };
        if len < 8 {
            forms[BOTTOM + len] = Form::Xor { low: 0, len: len as u8 };
        }
        if len < 7 {
            forms[MIDDLE + len] = Form::Xor { low: 7 - len as u8, len: len as u8 };
        }
        len += 1;
    }
    forms
}

impl Form {
    const fn len(self) -> u8 {
        match self {
            Self::Same => 0,
            Self::Whole(len) | Self::Thousandths(len) | Self::Xor { len, .. } => len,
        }
    }
}

/// Where an encoder or decoder stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) at_ms: i64,
    pub(super) delta: i64,
    pub(super) bits: u64,
}

/// Appends the step from `place` to a sample. `run` counts samples in the run that `out` ends with, if it does.
pub(super) fn encode(place: &mut Place, run: &mut u8, at_ms: i64, bits: u64, out: &mut Vec<u8>) {
    let delta = at_ms.wrapping_sub(place.at_ms);
    let change = delta.wrapping_sub(place.delta);
    let before = place.bits;
    *place = Place { at_ms, delta, bits };
    if change == 0 && bits == before {
        return lengthen(run, out);
    }
    *run = 0;
    let (time, time_len) = time_form(change);
    let (value, payload) = value_form(before, bits);
    if let (0, Some(base)) = (time, twelve_bits(value, payload)) {
        return out.extend_from_slice(&[base + (payload >> 8) as u8, payload as u8]);
    }
    out.push((time * VALUES.len() + value) as u8);
    out.extend_from_slice(&change.to_le_bytes()[..time_len]);
    out.extend_from_slice(&payload.to_le_bytes()[..usize::from(VALUES[value].len())]);
}

fn lengthen(run: &mut u8, out: &mut Vec<u8>) {
    match (*run, out.last_mut()) {
        (0 | LONGEST_RUN, _) | (_, None) => {
            out.push(0);
            *run = 1;
        }
        (length, Some(last)) => {
            *last = FIRST_RUN + (length + 1 - SHORTEST_RUN);
            *run = length + 1;
        }
    }
}

/// Number of the time form, and how many bytes follow for it.
fn time_form(change: i64) -> (usize, usize) {
    match change {
        0 => (0, 0),
        1 => (1, 0),
        -1 => (2, 0),
        -0x80..=0x7f => (3, 1),
        -0x8000..=0x7fff => (4, 2),
        _ => (5, 8),
    }
}

/// The first of the sixteen codes for a difference of two bytes that needs twelve bits only.
fn twelve_bits(value: usize, payload: u64) -> Option<u8> {
    let fits = payload < 1 << 12;
    match value {
        _ if !fits => None,
        value if value == WHOLE + 2 => Some(FIRST_TWELVE),
        value if value == THOUSANDTHS + 2 => Some(FIRST_TWELVE + 16),
        _ => None,
    }
}

/// Number of the value form that takes the fewest bytes, and what follows with it.
fn value_form(before: u64, bits: u64) -> (usize, u64) {
    let xor = before ^ bits;
    if xor == 0 {
        return (0, 0);
    }
    let (low, high) = ((xor.trailing_zeros() / 8) as usize, (xor.leading_zeros() / 8) as usize);
    let mut best = if high >= low {
        let len = 8 - high;
        (if len == 8 { TOP + 8 } else { BOTTOM + len }, xor)
    } else if high >= 1 && low <= 6 {
        (MIDDLE + 7 - low, xor >> (8 * low))
    } else {
        (TOP + 8 - low, xor >> (8 * low))
    };
    let mut try_steps = |steps: Option<i64>, first: usize, longest: usize| {
        let Some(steps) = steps else { return };
        let zigzag = ((steps << 1) ^ (steps >> 63)).cast_unsigned();
        let len = (8 - zigzag.leading_zeros() as usize / 8).max(1);
        // twelve bits may go with one byte, so they win against two
        let cost = if zigzag < 1 << 12 { 1 } else { len };
        if len <= longest && cost < usize::from(VALUES[best.0].len()) {
            best = (first + len, zigzag);
        }
    };
    try_steps(whole_steps(before, bits), WHOLE, 4);
    try_steps(thousandth_steps(before, bits), THOUSANDTHS, 2);
    best
}

/// How far two values lie apart in whole steps, where adding these gives the second one to the bit.
fn whole_steps(before: u64, bits: u64) -> Option<i64> {
    let steps = (f64::from_bits(bits) as i64).checked_sub(f64::from_bits(before) as i64)?;
    (add_whole(before, steps) == bits).then_some(steps)
}

fn add_whole(before: u64, steps: i64) -> u64 {
    ((f64::from_bits(before) as i64).wrapping_add(steps) as f64).to_bits()
}

fn thousandth_steps(before: u64, bits: u64) -> Option<i64> {
    let steps = thousandths(bits).checked_sub(thousandths(before))?;
    (add_thousandths(before, steps) == bits).then_some(steps)
}

fn add_thousandths(before: u64, steps: i64) -> u64 {
    (thousandths(before).wrapping_add(steps) as f64 / 1000.0).to_bits()
}

/// Rounded by hand, because without newer instructions `round` is a call. The bits are compared afterwards anyway.
fn thousandths(bits: u64) -> i64 {
    let value = f64::from_bits(bits) * 1000.0;
    (value + 0.5_f64.copysign(value)) as i64
}

/// What one code says, ready for decoding.
#[derive(Clone, Copy, Debug)]
struct Decoded {
    /// Difference of differences, where no bytes follow with it.
    change: i8,
    time_len: u8,
    form: Form,
    /// Bits of the difference above those of the bytes that follow.
    high: u16,
    /// Samples in the run; 0 where it is none.
    run: u8,
}

static DECODED: [Decoded; 256] = decoded();

const fn decoded() -> [Decoded; 256] {
    let mut table = [Decoded { change: 0, time_len: 0, form: Form::Same, high: 0, run: 0 }; 256];
    let mut code = 0;
    while code < 256 {
        if code >= FIRST_RUN as usize {
            table[code].run = SHORTEST_RUN + (code - FIRST_RUN as usize) as u8;
        } else if code >= FIRST_TWELVE as usize {
            let nibble = code - FIRST_TWELVE as usize;
            table[code].form = if nibble < 16 { Form::Whole(1) } else { Form::Thousandths(1) };
            table[code].high = ((nibble % 16) << 8) as u16;
        } else {
            match TIMES[code / VALUES.len()] {
                Time::Is(change) => table[code].change = change,
                Time::Bytes(len) => table[code].time_len = len,
            }
            table[code].form = VALUES[code % VALUES.len()];
        }
        code += 1;
    }
    table
}

/// Below this many thousandths, a value's thousandths are the number it was made of.
const EXACT: u64 = 1 << 50;

/// Takes one step and gives how many samples it stands for; `None` where `bytes` ends early. `known` are the thousandths
/// of the value, where the last step was one of thousandths: the next then waits for an addition, not for a division.
#[inline]
pub(super) fn decode(place: &mut Place, known: &mut Option<i64>, bytes: &mut &[u8]) -> Option<u8> {
    let (code, rest) = bytes.split_first()?;
    *bytes = rest;
    let step = &DECODED[usize::from(*code)];
    if step.run > 0 {
        return Some(step.run);
    }
    let change = match step.time_len {
        0 => i64::from(step.change),
        1 => i64::from(take(bytes, 1)? as u8 as i8),
        2 => i64::from(take(bytes, 2)? as u16 as i16),
        _ => take(bytes, 8)?.cast_signed(),
    };
    place.delta = place.delta.wrapping_add(change);
    match step.form {
        Form::Same => {}
        Form::Xor { low, len } => place.bits ^= take(bytes, len)? << (8 * u32::from(low)),
        Form::Whole(len) => place.bits = add_whole(place.bits, unzigzag(take(bytes, len)? | u64::from(step.high))),
        Form::Thousandths(len) => {
            let steps = unzigzag(take(bytes, len)? | u64::from(step.high));
            let n = known.take().unwrap_or_else(|| thousandths(place.bits)).wrapping_add(steps);
            place.bits = (n as f64 / 1000.0).to_bits();
            *known = (n.unsigned_abs() < EXACT).then_some(n);
            return Some(1);
        }
    }
    *known = None;
    Some(1)
}

fn unzigzag(value: u64) -> i64 {
    (value >> 1).cast_signed() ^ -(value & 1).cast_signed()
}

/// The next `len` bytes as a little-endian number.
#[inline]
fn take(bytes: &mut &[u8], len: u8) -> Option<u64> {
    let (digits, rest) = bytes.split_at_checked(usize::from(len))?;
    // Away from the end, eight bytes read at once are faster than so many of them.
    let word = match bytes.first_chunk::<8>() {
        Some(eight) => u64::from_le_bytes(*eight) & (u64::MAX >> (64 - 8 * u32::from(len.max(1)))),
        None => digits.iter().rev().fold(0, |word, digit| word << 8 | u64::from(*digit)),
    };
    *bytes = rest;
    Some(word)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn common_steps_take_few_bytes() {
        for (why, change, before, value, expected) in [
            ("nothing new", 0, 5.0, 5.0, 1),
            ("jitter", -1, 5.0, 5.0, 1),
            ("more jitter", 100, 5.0, 5.0, 2),
            ("a missed tick", 5000, 5.0, 5.0, 3),
            ("a counter", 0, 1_000_000.0, 1_000_100.0, 3),
            ("a slow counter", 1, 7.0, 8.0, 2),
            ("a counter that keeps time", 0, 1000.0, 2999.0, 2),
            ("a ratio that keeps time", 0, 0.991, 0.003, 2),
            ("the same with jitter", 1, 0.991, 0.003, 3),
            ("hundredths", 0, 0.37, 0.39, 2),
            ("full precision", 0, 0.123_456_789_123, 0.123_987_654_321, 8),
            ("back to zero", 0, 1e9, 0.0, 5),
        ] {
            let mut place = Place { at_ms: 0, delta: 5000, bits: f64::to_bits(before) };
            let (mut run, mut out) = (0, Vec::new());
            encode(&mut place, &mut run, 5000 + change, f64::to_bits(value), &mut out);
            assert!(out.len() <= expected, "{why}: {} bytes", out.len());
        }
    }

    #[test]
    fn a_still_series_is_runs() {
        let (mut place, mut run, mut out) = (Place::default(), 0, Vec::new());
        for n in 0..100 {
            encode(&mut place, &mut run, n * 5000, 0, &mut out);
        }
        assert!(out.len() <= 7, "{out:?}");
    }
}
