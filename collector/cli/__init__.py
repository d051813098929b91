"""The `netmatrix` command: what the collector knows, for people and for scripts.

It speaks to the collector's operator port and imports nothing that is slow to import, numpy least of all.
"""
