"""The kinds of our own say what the code reads, and the same for one namespace and for all."""

from typing import Any

import msgspec
from msgspec import Struct, inspect

from collector.expectation.document import API_VERSION, CLUSTER_SCOPED, KINDS, NAMESPACED, Spec
from tests.manifests.rendering import Object, rendered, the

NAMES = {
    NAMESPACED: "reachabilityexpectations.netmatrix.io",
    CLUSTER_SCOPED: "clusterreachabilityexpectations.netmatrix.io",
}


def definition(kind: str) -> Object:
    spec: Object = the(rendered("base"), "CustomResourceDefinition", NAMES[kind])["spec"]
    return spec


def schema(kind: str) -> Object:
    (version,) = definition(kind)["versions"]
    assert f"{definition(kind)['group']}/{version['name']}" == API_VERSION
    properties: Object = version["schema"]["openAPIV3Schema"]["properties"]
    return properties


def test_both_kinds_have_the_same_schema_but_for_whom_from_stands_for() -> None:
    first, second = (schema(kind) for kind in KINDS)
    for one in (first, second):
        assert one["spec"]["properties"]["from"].pop("description")
    assert first == second
    assert [definition(kind)["scope"] for kind in (NAMESPACED, CLUSTER_SCOPED)] == ["Namespaced", "Cluster"]


def test_a_status_is_written_apart_and_the_columns_show_what_is_in_it() -> None:
    for kind in KINDS:
        (version,) = definition(kind)["versions"]
        assert version["subresources"] == {"status": {}}
        columns = [column["name"] for column in version["additionalPrinterColumns"]]
        assert columns[:4] == ["Expect", "Satisfied", "Verified", "Consistent"]


def test_the_schema_has_the_keys_and_words_of_the_type_and_no_others() -> None:
    assert keys(schema(NAMESPACED)["spec"]) == known(Spec)


def keys(part: Object, path: str = "") -> set[str]:
    """Paths of all keys in a schema, and the words that may stand there."""
    found = {f"{path}={word}" for word in part.get("enum", ())}
    for name, inner in part.get("properties", {}).items():
        where = f"{path}.{name}".lstrip(".")
        found |= {where} | keys(inner, where)
    return found | (keys(part["items"], path) if isinstance(part.get("items"), dict) else set())


def known(type_: Any, path: str = "") -> set[str]:
    """The same of a type."""
    match inspect.type_info(type_) if not isinstance(type_, inspect.Type) else type_:
        case inspect.StructType(cls=cls):
            return of_struct(cls, path)
        case inspect.VarTupleType(item_type=item):
            return known(item, path)
        case inspect.UnionType(types=types):
            return set().union(*(known(one, path) for one in types))
        case inspect.LiteralType(values=values):
            return {f"{path}={word}" for word in values}
        case inspect.Metadata(type=inner):
            return known(inner, path)
    return set()


def of_struct(cls: type[Struct], path: str) -> set[str]:
    found: set[str] = set()
    for field in msgspec.structs.fields(cls):
        where = f"{path}.{field.encode_name}".lstrip(".")
        found |= {where} | known(field.type, where)
    return found
