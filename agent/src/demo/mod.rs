//! plimsoll demo: a scene that plays calm, longer prompts, falling completion, CPU load, recovery.
