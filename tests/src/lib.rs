//! Proves it end to end: starts the real binary beside real servers and watches from outside.
