//! Transparent proxy in front of the engine: forwards bytes first, observes copies.
