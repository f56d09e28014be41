//! /livez, /readyz, /startupz.
