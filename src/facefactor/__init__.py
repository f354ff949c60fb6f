# SPDX-License-Identifier: Apache-2.0
"""facefactor: one face photo in; pose, shape, expression, skin reflectance and light out."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from facefactor.api import Face, load_face, reconstruct

__version__ = "0.1.0"
__all__ = ["Face", "__version__", "load_face", "reconstruct"]


def __getattr__(name: str) -> Any:
    """Import the interface when it is first used, so that `import facefactor` and the commands start at once."""
    if name in ("Face", "load_face", "reconstruct"):
        from facefactor import api

        return getattr(api, name)
    raise AttributeError(f"module 'facefactor' has no attribute {name!r}")
