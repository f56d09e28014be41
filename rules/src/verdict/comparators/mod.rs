//! What others use, by their own formulas: comparators in benchmarks, and checks of ours. Nothing here decides.
