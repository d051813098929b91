"""Discovery: whole snapshots of what exists, from a static file (and, later in the line, from the Kubernetes API)."""
