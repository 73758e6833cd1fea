"""The named pipes to a container, with an ordinary process in the place of the container."""

import os
import subprocess
import sys

import pytest

from rlvr_sandbox.backends.docker_pipes import BOOT, FROM_ZYGOTE, INSIDE, NOT_TAKEN, TAKEN, TO_ZYGOTE, NamedPipes
from rlvr_sandbox.backends.docker_streams import AttachedStream, PipedStream
from rlvr_sandbox.jail import wire

ECHO = "import os\n{boot}\nwhile part := os.read(0, 100): os.write(1, part)\n"


def start(folder):
    code = ECHO.format(boot=BOOT.replace(INSIDE, str(folder)))
    return subprocess.Popen([sys.executable, "-S", "-c", code], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)


def muxed(kind, text):
    return bytes([kind, 0, 0, 0]) + len(text).to_bytes(4, "big") + text


def test_a_frame_goes_there_and_comes_back_past_the_standard_streams():
    pipes = NamedPipes()
    with start(pipes.folder) as zygote:
        assert zygote.stdout.read() == TAKEN  # and its end: nothing else goes that way
        read, write = os.pipe()
        stream = PipedStream(pipes.handed_over(), AttachedStream(read))
        pipes.close()
        stream.send(wire.frame(b"J", b"x" * 20_000), 10.0)
        assert stream.receive(10.0) == (b"J", b"x" * 20_000)
        stream.close()  # ends the other side
        assert zygote.wait(10) == 0
    os.close(write)


def test_the_end_of_the_other_side_is_noted_and_its_last_words_are_kept():
    pipes = NamedPipes()
    read, write = os.pipe()
    attached = AttachedStream(read)
    with start(pipes.folder) as zygote:
        assert zygote.stdout.read() == TAKEN
        stream = PipedStream(pipes.handed_over(), attached)
        pipes.close()
        zygote.kill()
    os.write(write, muxed(2, b"Traceback"))
    os.close(write)
    with pytest.raises(wire.Broken, match="gone"):
        stream.receive(10.0)
    assert attached.words == "Traceback"
    stream.close()


def test_pipes_that_nobody_here_reads_are_not_taken(tmp_path):
    for name in (TO_ZYGOTE, FROM_ZYGOTE):  # as a virtual machine shows them: the same names on another kernel
        os.mkfifo(tmp_path / name)
    with start(tmp_path) as zygote:
        assert zygote.stdout.read() == NOT_TAKEN


def test_a_folder_that_is_not_shown_is_not_taken(tmp_path):
    with start(tmp_path / "absent") as zygote:
        assert zygote.stdout.read() == NOT_TAKEN


def test_the_pipes_are_gone_from_the_disk_when_they_are_closed():
    pipes = NamedPipes()
    assert {path.name for path in pipes.folder.iterdir()} == {TO_ZYGOTE, FROM_ZYGOTE}
    assert pipes.folder.parent.stat().st_mode & 0o777 == 0o700
    pipes.close()
    assert not pipes.folder.parent.exists()
    pipes.close()
