"""What goes with all that one receiver is told."""

import pytest

from collector.notify.notices import Notice, Status
from collector.notify.telling import Links

NOTICE = Notice("a", Status.FIRING, "NetmatrixPathLossHigh", {}, "Some are lost.", 0.0, None, {})


@pytest.mark.parametrize(
    ("links", "where"),
    [
        (Links(), "docs/runbooks/"),
        (Links(external_url="https://netmatrix.example"), "https://netmatrix.example/docs/runbooks/"),
        (Links("https://wiki.example/", "https://netmatrix.example"), "https://wiki.example/"),
    ],
)
def test_runbooks_are_the_collector_s_own_unless_somebody_said_where_others_are(links: Links, where: str) -> None:
    assert links.runbook(NOTICE) == f"{where}NetmatrixPathLossHigh"
