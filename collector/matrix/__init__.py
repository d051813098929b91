"""The matrix: every cell's last windows, in bounded memory, as arrays."""
