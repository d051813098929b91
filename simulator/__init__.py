"""Clusters in virtual time, with faults and noise, that prove what the verdict makes of them."""
