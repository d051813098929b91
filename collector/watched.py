"""A file that people or Kubernetes change while we run: whether it is another one by now.

In: looks at it, in any rhythm. Out: True once for each change. What is in it, and whether that is any good, is not known here.
"""

from pathlib import Path

Version = tuple[int, int, int]
"""Inode, time of change and size of a file."""


class WatchedFile:
    """A file, as it was when this was made.

    One that was replaced has changed at once. One that is written to in place has changed when two looks in a row find it the
    same, so that never half of it is taken for the whole.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._taken = self._looked = _version(path)

    def changed(self) -> bool:
        """Look once; True where it is another than when this was True last."""
        version = _version(self.path)
        before, self._looked = self._looked, version
        if version == self._taken or (version != before and _same_file(version, before)):
            return False
        self._taken = version
        return True


def _version(path: Path) -> Version | None:
    """What changes when a file is written to or replaced (a ConfigMap is replaced by a symbolic link); None for no file."""
    try:
        state = path.stat()
    except OSError:
        return None
    return state.st_ino, state.st_mtime_ns, state.st_size


def _same_file(one: Version | None, other: Version | None) -> bool:
    return one is not None and other is not None and one[0] == other[0]
