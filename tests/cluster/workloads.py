"""Small workloads of tests, as a user would write them."""

from tests.cluster.api import Object


def daemon_set(namespace: str, name: str, account: str = "default", *, selector: dict[str, str] | None = None) -> Object:
    """One pod on every node, or on those with certain labels; it rolls one node after the other."""
    labels = {"app": name}
    return {
        "apiVersion": "apps/v1",
        "kind": "DaemonSet",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {
            "selector": {"matchLabels": labels},
            "template": {
                "metadata": {"labels": labels},
                "spec": {
                    "serviceAccountName": account,
                    "terminationGracePeriodSeconds": 5,
                    "nodeSelector": selector or {},
                    "tolerations": [{"operator": "Exists"}],
                    "containers": [{"name": "main", "image": "example.test/none:1"}],
                },
            },
        },
    }


def service(namespace: str, name: str, port: int) -> Object:
    """Selects the pods of the workload of this name."""
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"selector": {"app": name}, "ipFamilyPolicy": "RequireDualStack", "ports": [{"name": "main", "port": port}]},
    }
