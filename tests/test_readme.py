# SPDX-License-Identifier: Apache-2.0
"""What the README says that one can do, each command and the Python lines as they stand there, on the astronaut."""

import itertools
import os
import re
import runpy
import shlex
import signal
import subprocess
import sys
import urllib.request
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from skimage.data import astronaut

from facefactor.apps.cli import main

ROOT = Path(__file__).resolve().parents[1]
SECTION = (ROOT / "README.md").read_text(encoding="utf-8").split("## What you can do")[1].split("\n## ")[0]
COMMANDS = [line.split("  #")[0].strip() for line in re.findall(r"```sh\n(.*?)```", SECTION, re.S)[0].splitlines()]
PYTHON = re.findall(r"```python\n(.*?)```", SECTION, re.S)[0]
WRITTEN = {
    "reconstruct": ["faces/me/0.json", "faces/me/0.glb", "faces/me/0.png"],
    "view": [],
    "video": ["clip/codes.parquet", "clip/person-0.csv", "clip/person-0.glb", "clip/overlay.mp4", "clip/report.json"],
    "examples/00_first_face.py": ["faces/face.json", "faces/face.glb"],
}
"""What commands write that do not say so by --out FILE."""
NEEDED = {"video": ("av", "video"), "view": ("viser", "view"), ".usdz": ("pxr", "usd")}
"""Modules of optional installs, by what of a command asks for them."""
PHOTO = astronaut()[:330, 60:390]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A user's folder: me.jpg, me.mp4, studio.hdr, and another face's numbers."""
    folder = tmp_path_factory.mktemp("readme")
    Image.fromarray(PHOTO).save(folder / "me.jpg", quality=95)
    Image.fromarray(PHOTO[:, ::-1]).save(folder / "other.jpg", quality=95)
    for name in ("me", "other"):
        assert main(["reconstruct", str(folder / f"{name}.jpg"), "--out", str(folder / "faces")]) == 0
    bright = np.full((16, 32, 4), (60, 60, 60, 128), dtype=np.uint8)
    bright[4:8, 20:26, :3] = 250
    (folder / "studio.hdr").write_bytes(b"#?RADIANCE\nFORMAT=32-bit_rle_rgbe\n\n-Y 16 +X 32\n" + bright.tobytes())
    return folder


def write_video(path: Path) -> None:
    """Half a second of the photo, slowly moved."""
    import av

    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=24)
        stream.width, stream.height, stream.pix_fmt = 320, 320, "yuv420p"
        for step in range(12):
            frame = av.VideoFrame.from_ndarray(
                np.ascontiguousarray(PHOTO[5:325, step // 2 : step // 2 + 320]), format="rgb24"
            )
            container.mux(stream.encode(frame))
        container.mux(stream.encode())


def test_the_readme_names_what_there_is():
    words = {word for command in COMMANDS for word in shlex.split(command)}
    assert {"reconstruct", "relight", "edit", "video", "view", "export", "python"} <= words


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_of_the_readme_does_what_it_says(command: str, folder: Path, monkeypatch):
    for part, (module, extra) in NEEDED.items():
        if part in command.split("#")[0].replace(".usdz", " .usdz").split():
            pytest.importorskip(module, reason=f"{module} (the extra `{extra}`) is not installed")
    monkeypatch.chdir(folder)
    program, *words = shlex.split(command)
    outputs = [word for before, word in itertools.pairwise(words) if before == "--out" and "." in word]
    outputs = outputs or WRITTEN[words[0]]
    for path in outputs:
        (folder / path).unlink(missing_ok=True)
    if words[0] == "view":
        look_at_page([program, *words])
    elif program == "python":
        monkeypatch.setattr(sys, "argv", words)
        runpy.run_path(str(ROOT / words[0]), run_name="__main__")
    else:
        if words[0] == "video":
            write_video(folder / "me.mp4")
        assert main(words) == 0
    for path in outputs:
        assert (folder / path).stat().st_size > 0, path


def look_at_page(command: list[str]) -> None:
    """Start the server, load its page, and stop it by Ctrl-C."""
    arguments = [sys.executable, "-m", "facefactor.apps.cli", *command[1:], "--no-browser", "--port", "0"]
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True, env=environment) as server:
        try:
            assert server.stdout is not None
            address = re.search(r"http://127\.0\.0\.1:\d+", server.stdout.readline())
            assert address is not None
            with urllib.request.urlopen(address[0], timeout=20) as page:
                assert b"<html" in page.read().lower()
        finally:
            server.send_signal(signal.SIGINT)
        assert server.wait(timeout=30) == 130


def test_the_python_lines_of_the_readme_run(folder: Path, monkeypatch):
    monkeypatch.chdir(folder)
    scope: dict = {}
    exec(compile(PYTHON, "README.md", "exec"), scope)
    assert (folder / "me.glb").read_bytes()[:4] == b"glTF"
    assert scope["face"].expression["mouthSmileLeft"] > 0.2
