//! Scrapes the inference engine's own metrics and names them as ours.
