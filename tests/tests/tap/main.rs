//! The tap is transparent, watches rightly, and does no harm. Each file is one side of that.

mod faults;
mod h2c;
mod http1;
mod inject;
mod observed;
mod streams;
mod support;
