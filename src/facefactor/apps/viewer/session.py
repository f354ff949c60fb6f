# SPDX-License-Identifier: Apache-2.0
"""One run of the viewer: takes what people ask on the page, one after the other, and keeps the page up to date.

The page's controls call from threads of the server; all they do is to put a task into a queue. `serve` takes whatever
has come, does it in order, and paints the last state once: a slider that moves faster than heads are painted skips
steps, and never lags.
"""

from __future__ import annotations

import logging
import queue
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from facefactor.apps.viewer.controls import Controls, Edit
from facefactor.apps.viewer.downloads import glb_file, json_file, png_file
from facefactor.apps.viewer.head import Head
from facefactor.apps.viewer.opening import Opener
from facefactor.apps.viewer.page import Scene, notify
from facefactor.apps.viewer.painting import paint
from facefactor.apps.viewer.scene import camera_distance, encode_painted_mesh, place_backdrop
from facefactor.apps.viewer.state import ViewerState
from facefactor.apps.viewer.subject import Subject
from facefactor.errors import FaceError

if TYPE_CHECKING:
    import viser

LEAST_INTERVAL_S = 0.06
"""Between heads: what a browser needs to take one in."""
SETTLE_S = 0.2
"""Without a task until the head before the newest is taken away."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Task:
    """Something to do, and who gets to know when it fails."""

    run: Callable[[], None]
    client: viser.ClientHandle | None = None


class Session:
    """A server with the face that it shows.

    Args:
        server: of the page.
        sources: files to choose from, by name; the first one is opened, or the mean face when there are none.
        head: the face model.

    Raises:
        FaceError: the only file cannot be shown.
    """

    def __init__(self, server: viser.ViserServer, sources: Mapping[str, Path], head: Head) -> None:
        self._server, self._sources, self._head = server, sources, head
        self._tasks: queue.SimpleQueue[Task] = queue.SimpleQueue()
        self._scene, self._opener = Scene(server), Opener(head)
        subject = self._first_subject()
        self._controls = Controls(server.gui, self, list(sources))
        self.state = ViewerState.of(subject)
        """What is shown, or will be in a moment."""
        self._painted: ViewerState | None = None
        self._welcome(subject)
        self._update_page()

    def serve(self) -> None:
        """Do what people ask until interrupted."""
        _ = self._opener.reconstructor  # takes a second, best before somebody waits for it
        while True:
            self.work()

    def work(self) -> None:
        """Do what has been asked, or wait a moment for something to be asked."""
        try:
            tasks = [self._tasks.get(timeout=SETTLE_S)]
        except queue.Empty:
            self._scene.settle()
            return
        while not self._tasks.empty():
            tasks.append(self._tasks.get())
        for task in tasks:
            self._try(task)
        if self.state is not self._painted:
            self._try(Task(self._update_page))
            time.sleep(LEAST_INTERVAL_S)

    def edit(self, edit: Edit) -> None:
        """See `Requests`."""
        self._tasks.put(Task(lambda: self._set_state(edit(self.state))))

    def choose(self, name: str, client: viser.ClientHandle | None) -> None:
        """See `Requests`."""
        self._tasks.put(Task(lambda: self._welcome(self._opener.open_file(self._sources[name])), client))

    def open_upload(self, name: str, content: bytes, client: viser.ClientHandle | None) -> None:
        """See `Requests`."""
        self._tasks.put(Task(lambda: self._welcome(self._opener.open_upload(name, content)), client))

    def save(self, kind: str, client: viser.ClientHandle | None) -> None:
        """See `Requests`."""
        if client is not None:
            self._tasks.put(Task(lambda: self._send(kind, client), client))

    def reset_view(self) -> None:
        """See `Requests`."""
        self._tasks.put(Task(self._scene.look_from_photo))

    def _try(self, task: Task) -> None:
        """Do a task; whatever goes wrong is told on the page."""
        try:
            task.run()
        except FaceError as error:
            notify(self._server, task.client, "That did not work", str(error))
        except Exception:
            logger.exception("a task of the page failed")
            notify(self._server, task.client, "Something went wrong", "The terminal says more.")

    def _set_state(self, state: ViewerState) -> None:
        self.state = state

    def _update_page(self) -> None:
        """Paint the state, and send it."""
        start = time.perf_counter()
        mesh = paint(self._head, self.state)
        self._scene.show_head(encode_painted_mesh(mesh, camera_distance(self.state.subject)))
        if self._painted is None or self._painted.photo_behind is not self.state.photo_behind:
            self._scene.show_photo(place_backdrop(self.state))
        self._painted = self.state
        logger.info("a head painted and sent in %.0f ms", 1e3 * (time.perf_counter() - start))

    def _welcome(self, subject: Subject) -> None:
        """Show another face as it was opened, by the layer shown before."""
        before = self.state
        self.state = replace(ViewerState.of(subject), layer=before.layer).with_over_photo(before.over_photo)
        self._controls.show(self.state)
        self._scene.look_from_photo(camera_distance(subject))

    def _first_subject(self) -> Subject:
        """The first file's face; of a folder whose first file cannot be shown, and without any, the mean face."""
        for path in list(self._sources.values())[:1]:
            try:
                return self._opener.open_file(path)
            except FaceError as error:
                if len(self._sources) == 1:
                    raise
                logger.warning("%s", error)
        return self._opener.open_mean()

    def _send(self, kind: str, client: viser.ClientHandle) -> None:
        """Let the browser save the state as a file."""
        content = {
            "GLB": lambda: glb_file(self._opener.reconstructor, self._head, self.state),
            "JSON": lambda: json_file(self._head, self.state),
            "PNG": lambda: png_file(self._head, self.state),
        }[kind]()
        stem = Path(self.state.subject.record.photo_name).stem
        client.send_file_download(f"{stem}.{kind.lower()}", content, save_immediately=True)
