# SPDX-License-Identifier: Apache-2.0
"""`facefactor view`: a page in the browser that shows a face, lets it be changed, and saves it.

The server starts first and the browser is opened at once, since both take a while; the face comes as soon as the face
model is there. Only this machine can reach the page. Ctrl-C ends it.
"""

import argparse
import os
import sys
import webbrowser

from facefactor.apps.viewer.page import HOST, close_server, open_server
from facefactor.apps.viewer.sources import find_sources


def run(options: argparse.Namespace) -> int:
    """Serve the page until Ctrl-C.

    Raises:
        AssetMissing: there is no such file, or the folder holds nothing to show.
        IncompatibleCode: the file is no face's JSON, or one of another face model.
        MissingExtra: viser is not installed.
        PhotoError: the photo cannot be read, or shows no face.
        WrongArgument: another program listens on the port.
    """
    sources = find_sources(options.path) if options.path is not None else {}
    server = open_server(options.port)
    try:
        url = f"http://{HOST}:{server.get_port()}"
        print(f"{url} shows the face; Ctrl-C ends it", flush=True)
        if options.browser and has_screen():
            webbrowser.open(url)
        # All that computes is imported behind the server's start, so that the page answers at once.
        from facefactor.apps.viewer.head import Head
        from facefactor.apps.viewer.session import Session

        Session(server, sources, Head()).serve()
    finally:
        close_server(server)
    return 0


def has_screen() -> bool:
    """Whether a browser with pictures can open here, rather than one in the terminal."""
    return sys.platform in ("darwin", "win32") or bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))
