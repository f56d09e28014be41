//! Exchanges, outcomes and the agent's own state in SQL; durable before acknowledged.
