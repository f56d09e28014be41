//! Sole owner of the store and the rule engine: ticks, samples in, alerts out.
