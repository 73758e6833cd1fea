"""Two named pipes to a container of an engine on this machine, past the engine: that copies what it carries twice."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

INSIDE = "/run/rlvr-sandbox-pipes"
TO_ZYGOTE, FROM_ZYGOTE = "in", "out"
TAKEN, NOT_TAKEN = b"+", b"-"
# Runs in the container before the zygote, which then finds the pipes in the place of its standard streams. On another
# kernel (a virtual machine, gVisor) the same name is another pipe: then nobody reads it, and opening it fails.
BOOT = f"""
try:
    ours = [os.open(f"{INSIDE}/{{name}}", how | os.O_NONBLOCK)
            for name, how in (("{FROM_ZYGOTE}", os.O_WRONLY), ("{TO_ZYGOTE}", os.O_RDONLY))]
except OSError:
    os.write(1, {NOT_TAKEN!r})
else:
    os.write(1, {TAKEN!r})
    for now, then in zip(ours, (1, 0)):
        os.set_blocking(now, True)
        os.dup2(now, then)
        os.close(now)
    del now, then, ours
"""


class NamedPipes:
    """The judge's ends, and the folder that the container is shown. Gone from the disk before any program runs."""

    def __init__(self) -> None:
        """OSError where there can be none."""
        self._private = Path(tempfile.mkdtemp(prefix="rlvr-sandbox-"))  # which nobody else may enter
        self._ends: list[int] = []
        try:
            self.folder = self._private / "pipes"
            self.folder.mkdir()
            for name in (TO_ZYGOTE, FROM_ZYGOTE):
                os.mkfifo(self.folder / name)
                (self.folder / name).chmod(0o666)  # the container's root may be another user here
            self.folder.chmod(0o755)
            # Both ways, so that it opens although nobody reads it yet; replaced by one that notes when nobody does.
            self._ends = [os.open(self.folder / FROM_ZYGOTE, os.O_RDONLY | os.O_NONBLOCK)]
            self._ends.append(os.open(self.folder / TO_ZYGOTE, os.O_RDWR | os.O_NONBLOCK))
        except BaseException:
            self.close()
            raise

    def handed_over(self) -> tuple[int, int]:
        """The ends to read from and to write to, the caller's from here on: the other side has taken its own."""
        receive, both = self._ends
        send = os.open(self.folder / TO_ZYGOTE, os.O_WRONLY | os.O_NONBLOCK)
        os.close(both)
        self._ends.clear()
        return receive, send

    def close(self) -> None:
        """Takes the folder away, and what ends have not become a stream."""
        for end in self._ends:
            os.close(end)
        self._ends.clear()
        shutil.rmtree(self._private, ignore_errors=True)
