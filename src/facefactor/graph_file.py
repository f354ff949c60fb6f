# SPDX-License-Identifier: Apache-2.0
"""ONNX graph files: opened with onnxruntime, and what they say about themselves.

Place in the flow: `photo/network_landmarks.py` and `infer/predictor.py` run graphs that `infer/export.py` wrote. Each
names its format, such as "facefactor.encoder/1", among its facts.
"""

from pathlib import Path
from typing import Any

from facefactor.errors import AssetMissing, IncompatibleCode
from facefactor.paths import why_no_file


def open_graph(path: Path, wanted_format: str, num_threads: int | None = None, content: bytes | None = None) -> Any:
    """Open a graph as an onnxruntime session, which several threads may run at once.

    Args:
        path: of the file.
        content: of a graph that another file holds, which `path` then names.
        wanted_format: what its fact "format" must be.
        num_threads: per call; None for as many as there are cores.

    Raises:
        AssetMissing: no such file.
        IncompatibleCode: it is no graph, or of another format.
    """
    import onnxruntime  # type: ignore[import-untyped]  # a quarter of a second, for whoever runs no graph

    if content is None and (reason := why_no_file(path)):
        raise AssetMissing(f"{path}: {reason}")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = num_threads or 0
    # Threads that spin after a call would take the cores from other graphs' threads.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.log_severity_level = 3  # errors; what goes wrong is raised all the same
    try:
        session = onnxruntime.InferenceSession(content or path, options, providers=["CPUExecutionProvider"])
    except Exception as error:
        raise IncompatibleCode(f"{path}: not an ONNX graph that onnxruntime reads: {error}") from None
    found = graph_facts(session).get("format", "no graph of facefactor")
    if found != wanted_format:
        raise IncompatibleCode(f"{path}: is {found}, this version reads {wanted_format}")
    return session


def graph_facts(session: Any) -> dict[str, str]:
    """What the file of an open graph says about itself."""
    return session.get_modelmeta().custom_metadata_map
