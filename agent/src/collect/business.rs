//! Task completion and user satisfaction over a window, from stored feedback.
