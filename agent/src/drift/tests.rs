//! Signals from exchanges to alarms, without files or sockets.
