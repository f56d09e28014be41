//! The shell: tokio, files, sockets, clock. Wires sources to rules and rules to receivers; decides nothing itself.

pub mod shutdown;
