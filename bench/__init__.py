"""Measurements of the programs against other tools and against the truth, one command for all: `python -m bench`."""
