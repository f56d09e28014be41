//! Tests of the clusters and of what they say.
