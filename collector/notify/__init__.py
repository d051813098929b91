"""Telling of incidents where there is no Prometheus: Alertmanager, webhooks and Kubernetes Events."""
