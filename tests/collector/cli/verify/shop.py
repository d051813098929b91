"""Manifests of a small shop: what two teams would apply."""

from pathlib import Path

NAMESPACES = """
apiVersion: v1
kind: Namespace
metadata: {name: shop, labels: {team: checkout}}
---
apiVersion: v1
kind: Namespace
metadata: {name: pay}
"""
WORKLOADS = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: api, namespace: shop}
spec:
  replicas: 3
  selector: {matchLabels: {app: api}}
  template:
    metadata: {labels: {app: api}}
    spec:
      containers:
      - {name: api, image: "registry.test/api:1", ports: [{containerPort: 8080, name: http}]}
---
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: db, namespace: pay}
spec:
  serviceName: db
  selector: {matchLabels: {app: postgres}}
  template:
    metadata: {labels: {app: postgres}}
    spec:
      containers:
      - {name: db, image: "registry.test/db:1", ports: [{containerPort: 5432, name: sql}]}
---
apiVersion: v1
kind: Service
metadata: {name: db, namespace: pay}
spec:
  selector: {app: postgres}
  ports: [{port: 80, targetPort: sql}]
"""
CLOSED = """
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: db, namespace: pay}
spec:
  podSelector: {matchLabels: {app: postgres}}
  policyTypes: [Ingress]
"""
OPENED = (
    CLOSED
    + """  ingress:
  - from: [{namespaceSelector: {matchLabels: {team: checkout}}}]
    ports: [{port: 5432}]
"""
)
DECLARED = """
apiVersion: netmatrix.io/v1alpha1
kind: ReachabilityExpectation
metadata: {name: api-to-db, namespace: shop}
spec:
  from: [{workload: {kind: Deployment, name: api}}]
  to:
  - service: {name: db, namespace: pay}
  - pods: {namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: pay}}, podSelector: {matchLabels: {app: postgres}}}
  expect: allow
---
apiVersion: netmatrix.io/v1alpha1
kind: ReachabilityExpectation
metadata: {name: api-to-api, namespace: shop}
spec: {to: [{pods: {podSelector: {matchLabels: {app: api}}}}], expect: allow}
"""


def written(folder: Path, **texts: str) -> Path:
    """The folder with a file for each text."""
    for name, text in texts.items():
        (folder / f"{name}.yaml").write_text(text)
    return folder


def shop(folder: Path, **more: str) -> Path:
    """The folder with the shop in it, and what else is given."""
    return written(folder, namespaces=NAMESPACES, workloads=WORKLOADS, **more)
