# SPDX-License-Identifier: Apache-2.0
"""The page in a real Chromium: what it draws, and that its controls do what they say.

Drawn by software, so it runs on machines without a GPU; the tests build on one page, in their order.
"""

import io
import json
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pygltflib
import pytest
from PIL import Image

pytest.importorskip("viser", reason="viser (the extra `view`) is not installed")
pytest.importorskip("playwright.sync_api", reason="playwright (the extra `dev`) is not installed")

from playwright.sync_api import sync_playwright

from facefactor.apps.viewer import controls
from facefactor.apps.viewer.head import Head
from facefactor.apps.viewer.opening import Opener
from facefactor.apps.viewer.page import FIELD_OF_VIEW_RAD, HOST, close_server, open_server
from facefactor.apps.viewer.painting import paint
from facefactor.apps.viewer.session import Session
from facefactor.apps.viewer.state import ViewerState
from facefactor.code.names import EXPRESSION_NAMES
from facefactor.export.record import from_json_dict
from facefactor.light.spherical_harmonics import dominant_direction
from facefactor.photo.colour import linear_to_srgb
from facefactor.render.picture import View

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed (on Debian: apt-get install chromium)"),
]
SOFTWARE_GL = ("--use-gl=angle", "--use-angle=swiftshader", "--enable-unsafe-swiftshader")
SIZE = {"width": 760, "height": 420}
PATIENCE_S = 60.0
"""A frame takes a fifth of a second in software, on an idle machine."""
SAME = 0.006
"""One and a half of 255 levels: what rounding and the smoothing of edges leave, measured 0.002."""
JAW_OPEN = EXPRESSION_NAMES.index("jawOpen")


@dataclass
class Visit:
    """A page that is open in a browser, and the session behind it."""

    page: Any
    session: Session
    head: Head

    def canvas(self) -> np.ndarray:
        """What the 3D view shows: (height, width, 3) in [0, 1]."""
        canvases = self.page.locator("canvas").all()
        box = max((canvas.bounding_box() or {"width": 0} for canvas in canvases), key=lambda box: box["width"])
        return np.asarray(Image.open(io.BytesIO(self.page.screenshot(clip=box))).convert("RGB")) / 255.0

    def error_of(self, state: ViewerState) -> float:
        """Mean distance of the view from our own drawing of a state, where that covers whole pixels."""
        shown = self.canvas()
        height, width, _ = shown.shape
        focal_px = 0.5 * height / np.tan(FIELD_OF_VIEW_RAD / 2.0)
        K = np.array([[focal_px, 0.0, width / 2], [0.0, focal_px, height / 2], [0.0, 0.0, 1.0]])
        mesh = paint(self.head, state)
        view = View(mesh.vertices_camera, K, mesh.triangles, height, width)
        ours = linear_to_srgb(view.blend(mesh.colours_linear))
        return float(np.abs(shown - ours)[view.coverage >= 1.0].mean())

    def wait_for(self, is_so: Callable[[], bool]) -> bool:
        """Whether it is so, sooner or later."""
        end = time.monotonic() + PATIENCE_S
        while not (answer := is_so()) and time.monotonic() < end:
            self.page.wait_for_timeout(100)
        return answer

    def slider(self, label: str) -> Any:
        return self.page.locator(f'xpath=//*[text()="{label}"]/following::*[@role="slider"][1]')

    def move(self, label: str, key: str, has_moved: Callable[[ViewerState], bool]) -> bool:
        """Press a key on a slider, again if a busy page lost it, and say whether the state got it."""

        def press_and_look() -> bool:
            self.slider(label).press(key)
            self.page.wait_for_timeout(500)
            return has_moved(self.session.state)

        return self.wait_for(press_and_look)

    def upload(self, name: str, content: bytes) -> None:
        chosen = {"name": name, "mimeType": "image/png", "buffer": content}
        self.page.locator('input[type="file"]').first.set_input_files(chosen)

    def download(self, kind: str) -> tuple[str, bytes]:
        with self.page.expect_download() as expected:
            self.page.get_by_role("button", name=kind, exact=True).click()
        return expected.value.suggested_filename, expected.value.path().read_bytes()


@pytest.fixture(scope="module")
def visit(head, reconstructor, photo, tmp_path_factory) -> Iterator[Visit]:
    """The astronaut's photo, opened."""
    path = tmp_path_factory.mktemp("photos") / "astronaut.png"
    Image.fromarray(photo.srgb).save(path)
    server, stopped = open_server(0), threading.Event()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Opener, "reconstructor", reconstructor)
        session = Session(server, {path.name: path}, head)
        worker = threading.Thread(target=lambda: [session.work() for _ in iter(stopped.is_set, True)])
        worker.start()
        try:
            with sync_playwright() as playwright:
                browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", *SOFTWARE_GL])
                page = browser.new_page(viewport=SIZE)
                page.set_default_timeout(1000 * PATIENCE_S)
                page.goto(f"http://{HOST}:{server.get_port()}")
                page.get_by_text(controls.OPEN_LABEL).wait_for()
                page.locator(".mantine-Notification-closeButton").click()  # viser's remark on software drawing
                yield Visit(page, session, head)
                browser.close()
        finally:
            stopped.set()
            worker.join()
            close_server(server)


def test_the_page_shows_the_head_in_the_colours_of_our_own_renderer(visit):
    assert visit.wait_for(lambda: visit.error_of(visit.session.state) < SAME)
    # The measure sees a tenth of difference in the light.
    state = visit.session.state
    assert visit.error_of(state.with_light(1.1 * state.code.illumination)) > 0.02


def test_moving_a_slider_changes_the_expression_and_the_picture(visit):
    before = visit.canvas()
    visit.page.get_by_text("Jaw and mouth").click()
    assert visit.move(controls.label_of("jawOpen"), "End", lambda state: state.code.expression[JAW_OPEN] == 1.0)
    assert visit.wait_for(lambda: visit.error_of(visit.session.state) < SAME)
    assert np.abs(visit.canvas() - before).max() > 0.3


def test_the_azimuth_lights_the_head_from_the_side(visit):
    lamp_is_chosen = visit.page.locator(f'input[value="{controls.LAMP_LIGHT}"]')
    assert lamp_is_chosen.count() == 0
    assert visit.move("Azimuth", "Home", lambda state: dominant_direction(state.code.illumination)[2] < -0.9)
    assert visit.wait_for(lambda: visit.error_of(visit.session.state) < SAME)
    assert lamp_is_chosen.count() > 0


def test_the_face_is_laid_over_its_photo(visit, photo):
    visit.page.get_by_label(controls.OVER_PHOTO_LABEL).click()
    assert visit.wait_for(lambda: visit.error_of(visit.session.state) < SAME)
    assert visit.canvas()[-20:, :20].mean() > 0.2  # the corner shows the photo, no longer the dark page


def test_the_downloads_hold_what_is_shown(visit):
    name, content = visit.download("GLB")
    assert name == "astronaut.glb"
    document = pygltflib.GLTF2.load_from_bytes(content)
    assert document.meshes[0].extras["targetNames"] == list(EXPRESSION_NAMES)
    assert document.meshes[0].weights[JAW_OPEN] == 1.0
    name, content = visit.download("JSON")
    assert name == "astronaut.json"
    assert from_json_dict(json.loads(content)).expression[JAW_OPEN] == 1.0
    name, content = visit.download("PNG")
    assert name == "astronaut.png"
    assert Image.open(io.BytesIO(content)).size == (512, 512)


def test_what_is_no_photo_is_told_on_the_page(visit):
    visit.upload("notes.png", b"text")
    message = visit.page.locator(".mantine-Notification-root", has_text="notes.png: is not an image")
    message.locator(".mantine-Notification-closeButton").click()


def test_a_photo_that_is_dropped_on_the_page_is_shown(visit, photo):
    file = io.BytesIO()
    Image.fromarray(photo.srgb[:, ::-1]).save(file, format="PNG")
    visit.page.evaluate(
        """bytes => {
            const files = new DataTransfer();
            files.items.add(new File([new Uint8Array(bytes)], "dropped.png", { type: "image/png" }));
            document.querySelector("canvas").dispatchEvent(
                new DragEvent("drop", { bubbles: true, cancelable: true, dataTransfer: files }));
        }""",
        list(file.getvalue()),
    )
    assert visit.wait_for(lambda: visit.session.state.subject.record.photo_name == "dropped.png")
    assert visit.wait_for(lambda: visit.error_of(visit.session.state) < SAME)


def test_another_photo_is_shown(visit, photo):
    file = io.BytesIO()
    Image.fromarray(photo.srgb[:, ::-1]).save(file, format="PNG")
    visit.upload("mirrored.png", file.getvalue())
    assert visit.wait_for(lambda: visit.session.state.subject.record.photo_name == "mirrored.png")
    assert visit.wait_for(lambda: visit.error_of(visit.session.state) < SAME)
    assert visit.slider(controls.label_of("jawOpen")).get_attribute("aria-valuenow") != "1"
