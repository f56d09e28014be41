//! The embedder against sentence-transformers.
