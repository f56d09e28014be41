//! Country calling codes (ITU-T E.164, list of assigned codes).

/// Codes of two digits, beside `1` and `7`; every other assigned one has three.
const TWO: [u8; 43] = [
    20, 27, 30, 31, 32, 33, 34, 36, 39, 40, 41, 43, 44, 45, 46, 47, 48, 49, 51, 52, 53, 54, 55, 56, 57, 58, 60, 61, 62,
    63, 64, 65, 66, 81, 82, 84, 86, 90, 91, 92, 93, 94, 95,
];

/// First two digits of codes of three digits, and which third digits are assigned.
const THREE: [(u8, &[u8]); 20] = [
    (21, b"12368"),
    (22, b"0123456789"),
    (23, b"0123456789"),
    (24, b"0123456789"),
    (25, b"012345678"),
    (26, b"012345689"),
    (29, b"01789"),
    (35, b"0123456789"),
    (37, b"0123456789"),
    (38, b"01235679"),
    (42, b"013"),
    (50, b"0123456789"),
    (59, b"0123456789"),
    (67, b"023456789"),
    (68, b"0123456789"),
    (69, b"012"),
    (85, b"02356"),
    (88, b"06"),
    (96, b"012345678"),
    (97, b"01234567"),
];

/// Length of the country code that `digits` begin with.
pub(super) fn code_len(digits: &[u8]) -> Option<usize> {
    let [first, second, third, ..] = *digits else { return None };
    if matches!(first, b'1' | b'7') {
        return Some(1);
    }
    let two = first.wrapping_sub(b'0').wrapping_mul(10).wrapping_add(second.wrapping_sub(b'0'));
    if TWO.contains(&two) || two == 98 {
        return Some(2);
    }
    let central_asia = two == 99 && b"234568".contains(&third);
    let assigned = THREE.iter().any(|(start, thirds)| *start == two && thirds.contains(&third));
    (assigned || central_asia).then_some(3)
}
