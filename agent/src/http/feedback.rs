//! POST /api/v1/feedback and /api/v1/exchanges.
