//! IP addresses that say something about somebody: not loopback, not unspecified, not a netmask.

use std::net::{Ipv4Addr, Ipv6Addr};

use super::Kind;
use super::bytes::{before, byte, is_word, run_end, run_start};
use super::scan::Step;
use super::span::{Form, Span};

/// Longest IPv6 address in text: eight groups, the last two as IPv4.
const LONGEST: usize = 45;

/// Whether four decimal numbers are an address worth hiding.
pub(super) fn is_personal(address: Ipv4Addr) -> bool {
    let octets = address.octets();
    !(address.is_loopback() || octets[0] == 0 || octets[..3] == [255, 255, 255] || is_netmask(u32::from(address)))
}

fn is_netmask(bits: u32) -> bool {
    bits.leading_ones() >= 8 && bits.leading_ones() + bits.trailing_zeros() == 32
}

/// The IPv6 address around the `:` at `at`.
pub(super) fn v6(bytes: &[u8], at: usize) -> Step {
    let nothing = Step::skip(at + 1, at + 2);
    let next = byte(bytes, at + 1);
    if !(next == b':' || next.is_ascii_hexdigit()) {
        return nothing;
    }
    let start = run_start(bytes, at, 5, |b| b.is_ascii_hexdigit());
    let run_on = is_word(before(bytes, start)) && !follows_label(bytes, start);
    if start == at || run_on || matches!(before(bytes, start), b':' | b'.') {
        return nothing;
    }
    let limited = &bytes[..bytes.len().min(start + LONGEST)];
    let mut end = run_end(limited, start, |b| b.is_ascii_hexdigit() || matches!(b, b':' | b'.'));
    while end > start && matches!(bytes[end - 1], b'.' | b':') && !bytes[..end].ends_with(b"::") {
        end -= 1;
    }
    let nothing = Step::skip(at + 1, start + LONGEST + 2);
    if is_word(byte(bytes, end)) || end - start < 6 {
        return nothing;
    }
    let parsed = std::str::from_utf8(&bytes[start..end]).ok().and_then(|text| text.parse::<Ipv6Addr>().ok());
    match parsed {
        Some(address) if is_assigned(address) => Step::Hit(Span { range: start..end, kind: Kind::Ip, form: Form::Ip }),
        _ => nothing,
    }
}

/// `IPfe80::1`, as Chinese texts write it.
fn follows_label(bytes: &[u8], at: usize) -> bool {
    at >= 2 && bytes[at - 2..at].eq_ignore_ascii_case(b"ip") && !is_word(before(bytes, at - 2))
}

/// Ranges that hosts have: what else parses (`a::b`, `12:34::`) is code or a clock. Documentation addresses are among them.
fn is_assigned(address: Ipv6Addr) -> bool {
    let first = address.segments()[0];
    let global = first & 0xe000 == 0x2000;
    let nat64 = first == 0x64 && address.segments()[1] == 0xff9b;
    global || nat64 || address.is_unique_local() || address.is_unicast_link_local() || address.is_multicast()
}
