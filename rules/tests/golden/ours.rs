//! E1, E2 and what is built on them.
