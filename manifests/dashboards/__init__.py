"""Grafana dashboards, made from one definition: `python -m manifests.dashboards` writes the JSON that stands beside this."""
