//! Why embeddings could not be learned from, or one could not be used.

/// Why no detector could be built.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum LearnError {
    /// Fewer usable vectors than the method needs.
    #[error("{have} usable reference vectors, {need} are needed")]
    TooFew {
        /// Finite vectors of the right dimension that were given.
        have: usize,
        /// The least that gives a stated rate of false alarms.
        need: usize,
    },
    /// All usable vectors are the same: nothing can be said about what is usual.
    #[error("all {count} reference vectors are equal")]
    Constant {
        /// Usable vectors.
        count: usize,
    },
    /// The average run length is not a number in the range that can be kept.
    #[error("average run length {given}: wanted {least} to {most} observations", least = super::LEAST_ARL, most = super::MOST_ARL)]
    RunLength {
        /// What was asked for.
        given: f64,
    },
    /// A dimension of zero, or more than is kept in memory.
    #[error("embeddings of {given} dimensions: wanted 1 to {most}", most = super::MOST_DIMENSIONS)]
    Dimensions {
        /// Length of the vectors.
        given: usize,
    },
    /// A saved state that this version cannot go on from.
    #[error("saved embedding detector: {reason}")]
    Saved {
        /// What does not fit.
        reason: &'static str,
    },
}

/// Why one vector was left out. The detector stays as it was; the caller counts it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unusable {
    /// Another model's vectors?
    #[error("a vector of {given} dimensions, the reference has {wanted}")]
    Dimensions {
        /// Length of the vector.
        given: usize,
        /// Length of the reference's vectors.
        wanted: usize,
    },
    /// NaN or infinite, or so large that its square is.
    #[error("a vector that is not finite")]
    NotFinite,
}
