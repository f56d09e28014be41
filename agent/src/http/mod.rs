//! Our own HTTP faces: open metrics and health on one port, the API on another.

pub mod api;
pub mod auth;
pub mod feedback;
pub mod health;
pub mod metrics;
