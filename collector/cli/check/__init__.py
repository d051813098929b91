"""`netmatrix check`: what is not as it should be, and what to do; of an installation, or of a configuration in a file."""
