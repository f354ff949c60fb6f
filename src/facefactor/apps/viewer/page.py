# SPDX-License-Identifier: Apache-2.0
"""The page in the browser: a viser server on this machine alone, its scene and its messages.

viser replaces a mesh by taking the old one away before the new one is there, which flickers. So each new head comes
under another name, and the one before it stays until the next has come, or until `settle`.
"""

from __future__ import annotations

import contextlib
import io
import math
import socket
from collections.abc import Iterator
from typing import TYPE_CHECKING

from facefactor.errors import WrongArgument, require
from facefactor.photo.crop import FOCAL_PER_CROP_SIZE

if TYPE_CHECKING:
    import viser

    from facefactor.apps.viewer.scene import Backdrop

HOST = "127.0.0.1"
FIELD_OF_VIEW_RAD = 2.0 * math.atan(1.4 * 0.5 / FOCAL_PER_CROP_SIZE)
"""Vertical: that of a face's crop, and four tenths more."""
NOMINAL_DISTANCE = 1.0
"""Metres from the photo's camera to a head before one is there."""
HEADS_KEPT = 2
"""The newest head, and the one that is seen until the browser has it."""


def open_server(port: int) -> viser.ViserServer:
    """Start the page's server.

    Args:
        port: of this machine; 0 for any that is free.

    Raises:
        MissingExtra: viser is not installed.
        WrongArgument: another program listens there.
    """
    viser_module = require("viser", "view", "viewing faces")
    _check_free(port)
    with _silence():
        server = viser_module.ViserServer(host=HOST, port=port, label="facefactor", verbose=False)
    if port not in (0, server.get_port()):
        close_server(server)
        raise WrongArgument(_taken(port))
    server.gui.configure_theme(dark_mode=True, show_logo=False, show_share_button=False, control_width="large")
    server.gui.main_panel.dock_right()
    server.scene.set_up_direction("+y")
    server.initial_camera.position, server.initial_camera.fov = (0.0, 0.0, NOMINAL_DISTANCE), FIELD_OF_VIEW_RAD
    return server


def close_server(server: viser.ViserServer) -> None:
    """Stop it without a word."""
    with _silence():
        server.stop()


class Scene:
    """The 3D scene of the page.

    Args:
        server: whose page.
    """

    def __init__(self, server: viser.ViserServer) -> None:
        self._server = server
        self._heads: list[viser.GlbHandle] = []
        self._num_heads = 0
        self._photo: viser.ImageHandle | None = None
        self._distance = NOMINAL_DISTANCE
        server.on_client_connect(self._place_camera)

    def show_head(self, glb: bytes) -> None:
        """Show a head in place of the one before."""
        name = f"/head/{self._num_heads % (HEADS_KEPT + 1)}"
        self._num_heads += 1
        self._heads.append(self._server.scene.add_glb(name, glb, cast_shadow=False, receive_shadow=False))
        self._keep_heads(HEADS_KEPT)

    def settle(self) -> None:
        """Take the head away that was kept until the newest had come."""
        self._keep_heads(1)

    def show_photo(self, backdrop: Backdrop | None) -> None:
        """Stand the photo behind the head, or take it away."""
        if self._photo is not None:
            self._photo.remove()
        self._photo = None
        if backdrop is not None:
            self._photo = self._server.scene.add_image(
                "/photo",
                backdrop.srgb,
                backdrop.width,
                backdrop.height,
                jpeg_quality=92,
                cast_shadow=False,
                receive_shadow=False,
                wxyz=(0.0, 1.0, 0.0, 0.0),
                position=backdrop.centre,
            )

    def look_from_photo(self, distance: float | None = None) -> None:
        """Put all cameras, also those to come, where the photo's was.

        Args:
            distance: metres to what they turn about; as before when left out.
        """
        self._distance = self._distance if distance is None else distance
        self._server.initial_camera.position = (0.0, 0.0, self._distance)
        for client in self._server.get_clients().values():
            self._place_camera(client)

    def _place_camera(self, client: viser.ClientHandle) -> None:
        with client.atomic():
            client.camera.position, client.camera.look_at = (0.0, 0.0, self._distance), (0.0, 0.0, 0.0)
            client.camera.up_direction, client.camera.fov = (0.0, 1.0, 0.0), FIELD_OF_VIEW_RAD

    def _keep_heads(self, count: int) -> None:
        while len(self._heads) > count:
            self._heads.pop(0).remove()


def notify(server: viser.ViserServer, client: viser.ClientHandle | None, title: str, body: str) -> None:
    """Show a message to the person who asked, or to all."""
    for reader in [client] if client is not None else server.get_clients().values():
        reader.add_notification(title, body, color="red", auto_close_seconds=20.0)


def _check_free(port: int) -> None:
    """Raise WrongArgument where another program listens; viser would quietly take the next port."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError as error:
            raise WrongArgument(_taken(port)) from error


def _taken(port: int) -> str:
    return f"--port {port}: cannot be served on this machine, where another program may use it"


@contextlib.contextmanager
def _silence() -> Iterator[None]:
    """Keep the banners that viser prints from the user."""
    with contextlib.redirect_stdout(io.StringIO()):
        yield
