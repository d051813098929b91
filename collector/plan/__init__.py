"""The plan: a pure, deterministic function of a snapshot and the configuration."""
