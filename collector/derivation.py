"""The section `expect` of the configuration: what is made of the policies in force, and where they say nothing."""

from typing import Annotated, Final, Literal

from msgspec import Meta, Struct

from collector.duration import Duration
from wire.text import Name

OPT_OUT: Final = "netmatrix.io/derive"
"""Annotation of a namespace: with the value `false` nothing is derived from policies about its pods."""

Names = Annotated[tuple[Name, ...], Meta(max_length=1000)]


class ExpectSettings(Struct, frozen=True, forbid_unknown_fields=True):
    """What is expected of connections, and of what that follows."""

    derive: bool = True
    """Whether anything is expected because of the policies in force; `false` leaves what people declare. Default `true`."""
    kinds: tuple[Literal["NetworkPolicy", "ClusterNetworkPolicy"], ...] = ("NetworkPolicy", "ClusterNetworkPolicy")
    """Kinds of policies that a closed path may be expected of; one that another kind closes is left unspecified. Default
    `[NetworkPolicy, ClusterNetworkPolicy]`."""
    directions: tuple[Literal["ingress", "egress"], ...] = ("ingress", "egress")
    """The same for the directions in which they close it. Default `[ingress, egress]`."""
    include: Names = ()
    """Namespaces about whose pods something is derived; a path counts where one of its ends is in one of them. Default:
    all."""
    exclude: Names = ()
    """Namespaces about whose pods nothing is, also with the annotation `netmatrix.io/derive: "false"`; a path counts where
    neither end is in one of them. Default: none."""
    cni_profile: Literal[
        "auto",
        "generic",
        "strict",
        "calico",
        "cilium",
        "antrea",
        "kube-router",
        "kube-network-policies",
        "tungsten-fabric",
        "none",
    ] = "auto"
    """Network plugin, which decides where the NetworkPolicy API does not: `calico`, `cilium`, `antrea`, `kube-router`,
    `kube-network-policies`, `tungsten-fabric`, or `none` for one that enforces nothing; `generic` may be any of them, `strict`
    drops whatever is not allowed, and `auto` is the one that is found. Default `auto`."""
    learn: Duration = Duration(3600 * 10**9)
    """How long a path must have been open before its silence is worth telling, where nobody says what should be: 10s to 24h.
    Default `1h`."""
    ipblock_matches_pods: Literal["auto"] | bool = "auto"
    """Whether an ipBlock matches the address of a pod: `true`, `false`, or `auto`, as the plugin is known to do. Default
    `auto`."""
    icmp: Literal["profile", "ignore"] = "profile"
    """Whether anything is derived about ICMP, which NetworkPolicy leaves to the plugin: `profile` as the plugin is known to do,
    `ignore` nothing. Default `profile`."""
    tf_isolated_to_open: Literal["allow", "deny", "unknown"] = "unknown"
    """With `tungsten-fabric`: whether a pod in an isolated namespace reaches one that is not; its documentation says `allow`,
    and its own tests `deny`. Default `unknown`."""
    tf_opened_services: Literal["allow", "deny", "unknown"] = "unknown"
    """With `tungsten-fabric`: whether the services of an isolated namespace are open where its annotation
    `opencontrail.org/isolation.service` is `false`; documentation and tests disagree about one that is set later. Default
    `unknown`."""

    def __post_init__(self) -> None:
        """Raise ValueError where the time to learn is out of its range."""
        if not 10 * 10**9 <= self.learn <= 86_400 * 10**9:
            raise ValueError(f"learn must be 10s to 24h, not {self.learn}")
