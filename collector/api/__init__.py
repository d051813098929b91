"""HTTP: one listener for agents, one for operators."""
