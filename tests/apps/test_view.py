# SPDX-License-Identifier: Apache-2.0
"""`facefactor view` as a command: it serves a page, without torch, and says in one line why it does not."""

import os
import re
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator

import pytest

pytest.importorskip("viser", reason="viser (the extra `view`) is not installed")

from facefactor.apps import cli, view
from facefactor.apps.viewer import page

RUN_WITHOUT_TORCH = (
    "import sys; sys.modules['torch'] = sys.modules['jaxtyping'] = sys.modules['mediapipe'] = None\n"
    "from facefactor.apps.cli import main; sys.exit(main())"
)


@pytest.fixture
def taken_port() -> Iterator[int]:
    with socket.socket() as other:
        other.bind((page.HOST, 0))
        other.listen()
        yield other.getsockname()[1]


def test_the_page_is_served_without_torch_until_ctrl_c():
    command = [sys.executable, "-c", RUN_WITHOUT_TORCH, "--verbose", "view", "--port", "0", "--no-browser"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=os.environ)
    try:
        (url,) = re.findall(r"http://127\.0\.0\.1:\d+", process.stdout.readline())
        with urllib.request.urlopen(url, timeout=10) as answer:
            assert b"<html" in answer.read()
        assert "a head painted and sent" in process.stderr.readline()
    finally:
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=20)
    assert process.returncode == cli.EXIT_INTERRUPTED
    assert (out, err) == ("", "facefactor: stopped\n")


def test_a_port_that_is_taken_is_one_sentence_and_exit_code_2(taken_port, capsys):
    assert cli.main(["view", "--port", str(taken_port), "--no-browser"]) == cli.EXIT_WRONG_USE
    out, err = capsys.readouterr()
    assert out == ""
    assert err == (
        f"facefactor: --port {taken_port}: cannot be served on this machine, where another program may use it\n"
    )


def test_a_file_that_is_not_there_is_said_before_a_server_starts(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(view, "open_server", lambda port: pytest.fail("started"))
    assert cli.main(["view", str(tmp_path / "me.jpg"), "--no-browser"]) == cli.EXIT_WRONG_USE
    assert capsys.readouterr().err == f"facefactor: {tmp_path / 'me.jpg'}: no such file or folder\n"


def test_a_photo_without_a_face_fails_like_any_photo_and_stops_the_server(tmp_path, capsys, monkeypatch):
    (tmp_path / "me.jpg").write_text("text")
    closed = []
    monkeypatch.setattr(view, "close_server", lambda server: (page.close_server(server), closed.append(server)))
    assert cli.main(["view", str(tmp_path / "me.jpg"), "--port", "0", "--no-browser"]) == cli.EXIT_PHOTO_FAILED
    assert "is not an image" in capsys.readouterr().err
    assert len(closed) == 1


def test_without_viser_the_extra_is_named(capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "viser", None)
    assert cli.main(["view", "--no-browser"]) == cli.EXIT_WRONG_USE
    assert "pip install 'facefactor[view]'" in capsys.readouterr().err


@pytest.mark.parametrize("port", ["-1", "65536", "http"])
def test_a_port_that_is_no_port_is_wrong_use(port, capsys):
    with pytest.raises(SystemExit) as stop:
        cli.main(["view", "--port", port])
    assert stop.value.code == cli.EXIT_WRONG_USE
    assert "from 0 to 65535" in capsys.readouterr().err


def test_the_browser_is_opened_where_there_is_a_screen(monkeypatch):
    monkeypatch.setattr(view.sys, "platform", "linux")
    for name in ("DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    assert not view.has_screen()
    monkeypatch.setenv("WAYLAND_DISPLAY", "wayland-0")
    assert view.has_screen()
