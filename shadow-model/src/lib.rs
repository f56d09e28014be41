//! Reads meaning: will embed, score and judge sampled traffic in a worker process, with models in candle.
//!
//! Empty until the shadow worker is built; it stands here so that the dependency arrows are fixed from the start.
