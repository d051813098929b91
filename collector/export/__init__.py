"""What others scrape: Prometheus text under a hard cap of series."""
