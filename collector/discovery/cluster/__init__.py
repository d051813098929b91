"""Discovery from the Kubernetes API: lists, watches, and whole snapshots made of what they say."""
