//! The shadow model end to end: the worker over its socket, and the agent that keeps it and goes on without it.

mod disturbed;
mod files;
mod impolite;
mod pod;
mod support;
mod worker;
