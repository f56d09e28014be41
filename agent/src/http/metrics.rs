//! GET /metrics with content negotiation.
