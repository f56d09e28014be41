//! Tests of the whole score.
