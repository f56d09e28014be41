//! Sources: each reads the world and gives readings; none decides.

pub mod engine;
pub mod gpu;
pub mod process;
pub mod system;
