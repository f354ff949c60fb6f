# SPDX-License-Identifier: Apache-2.0
"""The page's sliders, buttons and menus, and what each of them does to the state.

Every control hands an edit, which makes a changed state of one, to the session. Controls that the program moves itself,
when another face comes, hand nothing.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from facefactor.apps.viewer.drop import DROP_HTML
from facefactor.apps.viewer.state import Layer, ViewerState
from facefactor.code.names import EXPRESSION_NAMES
from facefactor.light.presets import PRESETS, preset_light
from facefactor.light.source import light_from_direction

if TYPE_CHECKING:
    import viser

Edit = Callable[[ViewerState], ViewerState]

EXPRESSION_FOLDERS = {
    "Eyes": ("eye",),
    "Brows": ("brow",),
    "Jaw and mouth": ("jaw", "mouth"),
    "Cheeks and nose": ("cheek", "nose"),
    "Tongue": ("tongue",),
}
"""The folders of the expressions, by what their names begin with."""
NUM_COMPONENTS = 10
"""Sliders of shape and of reflectance: the components that change most."""
LARGEST_DEVIATION = 3.0
SLIDER_STEP = 0.01
PHOTO_LIGHT, LAMP_LIGHT = "photo", "lamp"
"""Lights that are no preset: the photo's own, and the lamp that the angles place."""
OPEN_LABEL = "Open a photo…"
OVER_PHOTO_LABEL = "Over the photo"
VIEW_LABEL = "View of the photo"
RESET_LABEL = "As reconstructed"
NEUTRAL_LABEL = "Neutral"
ZERO_WIDTH_SPACE = "\u200b"
SAVE_KINDS = ("GLB", "JSON", "PNG")


class Requests(Protocol):
    """What controls ask of the session; all return at once."""

    def edit(self, edit: Edit) -> None:
        """Change the state."""

    def choose(self, name: str, client: viser.ClientHandle | None) -> None:
        """Show another of the files."""

    def open_upload(self, name: str, content: bytes, client: viser.ClientHandle | None) -> None:
        """Show the face of a photo that was sent."""

    def save(self, kind: str, client: viser.ClientHandle | None) -> None:
        """Send the state as a file; `kind` is one of SAVE_KINDS."""

    def reset_view(self) -> None:
        """Look from the photo's camera again."""


def label_of(expression: str) -> str:
    """An expression's name that can go on in the next line before each capital: narrow columns cut words anywhere."""
    return re.sub("(?=[A-Z])", ZERO_WIDTH_SPACE, expression)


class Controls:
    """All controls of the page.

    Args:
        gui: where they go.
        requests: what they ask.
        choices: names of the files to choose from; with fewer than two there is no menu.
    """

    def __init__(self, gui: viser.GuiApi, requests: Requests, choices: Sequence[str]) -> None:
        self._gui, self._requests = gui, requests
        self._add_files(choices)
        self._add_layers()
        self._add_light()
        self._expressions = self._add_expressions()
        self._shape = self._add_components("Shape", ViewerState.with_shape)
        self._reflectance = self._add_components("Reflectance", ViewerState.with_reflectance)

    def show(self, state: ViewerState) -> None:
        """Move the controls to where a face that just came has them."""
        self._move_sliders(state)
        self._light.value = PHOTO_LIGHT
        self._layer.value = state.layer.value
        self._over_photo.value = state.over_photo
        self._over_photo.disabled = state.subject.photo_srgb is None

    def _move_sliders(self, state: ViewerState) -> None:
        code, bound = state.code, LARGEST_DEVIATION
        for sliders, values in (
            (self._expressions, code.expression),
            (self._shape, code.shape[:NUM_COMPONENTS].clip(-bound, bound)),
            (self._reflectance, code.reflectance[:NUM_COMPONENTS].clip(-bound, bound)),
        ):
            for slider, value in zip(sliders, values.tolist(), strict=True):
                slider.value = value

    def _add_files(self, choices: Sequence[str]) -> None:
        if len(choices) > 1:
            menu = self._gui.add_dropdown("Face", choices)
            _on_user(menu.on_update, lambda event: self._requests.choose(menu.value, event.client))
        upload = self._gui.add_upload_button(OPEN_LABEL, mime_type="image/*")
        self._gui.add_html(DROP_HTML)
        _on_user(
            upload.on_upload,
            lambda event: self._requests.open_upload(upload.value.name, upload.value.content, event.client),
        )
        save = self._gui.add_button_group("Save", SAVE_KINDS)
        save.on_click(lambda event: self._requests.save(save.value, event.client))

    def _add_layers(self) -> None:
        # Any: viser's handles have values that can be set, which mypy does not see.
        self._layer: Any = self._gui.add_dropdown("Show", [layer.value for layer in Layer])
        _on_user(self._layer.on_update, lambda _: self._edit(ViewerState.with_layer, Layer(self._layer.value)))
        self._over_photo: Any = self._gui.add_checkbox(OVER_PHOTO_LABEL, False)
        _on_user(self._over_photo.on_update, lambda _: self._edit(ViewerState.with_over_photo, self._over_photo.value))
        self._gui.add_button(VIEW_LABEL).on_click(lambda _: self._requests.reset_view())
        self._gui.add_button(RESET_LABEL).on_click(lambda _: self._requests.edit(self._reset))

    def _reset(self, state: ViewerState) -> ViewerState:
        changed = state.as_reconstructed()
        self.show(changed)
        return changed

    def _add_light(self) -> None:
        with self._gui.add_folder("Light"):
            self._light: Any = self._gui.add_dropdown("Light", (PHOTO_LIGHT, LAMP_LIGHT, *PRESETS))
            self._azimuth = self._gui.add_slider("Azimuth", -180, 180, 1, -45, hint="degrees, to image right")
            self._elevation = self._gui.add_slider("Elevation", -90, 90, 1, 20, hint="degrees, upwards")
        _on_user(self._light.on_update, lambda _: self._light_up())
        for slider in (self._azimuth, self._elevation):
            _on_user(slider.on_update, lambda _: self._turn_lamp())

    def _turn_lamp(self) -> None:
        self._light.value = LAMP_LIGHT
        self._light_up()

    def _light_up(self) -> None:
        name = self._light.value
        if name == PHOTO_LIGHT:
            self._requests.edit(lambda state: state.with_light(state.subject.code.illumination))
        elif name == LAMP_LIGHT:
            self._edit(ViewerState.with_light, light_from_direction(self._azimuth.value, self._elevation.value))
        else:
            self._edit(ViewerState.with_light, preset_light(name))

    def _add_expressions(self) -> list[Any]:
        """Sliders in the order of EXPRESSION_NAMES."""
        sliders: dict[str, Any] = {}
        with self._gui.add_folder("Expression"):
            self._gui.add_button(NEUTRAL_LABEL).on_click(lambda _: self._requests.edit(self._neutralise))
            for folder, beginnings in EXPRESSION_FOLDERS.items():
                with self._gui.add_folder(folder, expand_by_default=False):
                    for name in EXPRESSION_NAMES:
                        if name.startswith(beginnings):
                            change = ViewerState.with_expression
                            sliders[name] = self._add_slider(label_of(name), 0.0, 1.0, change, name)
        return [sliders[name] for name in EXPRESSION_NAMES]

    def _neutralise(self, state: ViewerState) -> ViewerState:
        changed = state.without_expression()
        self._move_sliders(changed)
        return changed

    def _add_components(self, title: str, change: Callable[[ViewerState, int, float], ViewerState]) -> list[Any]:
        """Sliders of the first components."""
        bound = LARGEST_DEVIATION
        with self._gui.add_folder(title, expand_by_default=False):
            return [self._add_slider(f"{title} {k + 1}", -bound, bound, change, k) for k in range(NUM_COMPONENTS)]

    def _add_slider(
        self, label: str, lowest: float, highest: float, change: Callable[..., ViewerState], part: str | int
    ) -> Any:
        slider = self._gui.add_slider(label, lowest, highest, SLIDER_STEP, 0.0)
        _on_user(slider.on_update, lambda _: self._edit(change, part, slider.value))
        return slider

    def _edit(self, change: Callable[..., ViewerState], *values: Any) -> None:
        self._requests.edit(lambda state: change(state, *values))


def _on_user(subscribe: Callable[[Any], Any], respond: Callable[[Any], None]) -> None:
    """Respond when a person moves a control; not when the program sets its value, which has no client."""

    def respond_to_user(event: Any) -> None:
        if event.client is not None:
            respond(event)

    subscribe(respond_to_user)
