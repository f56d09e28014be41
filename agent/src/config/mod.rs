//! One YAML file, checked whole: every mistake at once, each with its place.
