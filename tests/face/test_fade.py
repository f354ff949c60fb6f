# SPDX-License-Identifier: Apache-2.0
import numpy as np

from facefactor.face.fade import face_opacity
from facefactor.face.model import load_face_model


def test_it_covers_the_face_and_leaves_the_rest():
    model = load_face_model()
    opacity = face_opacity(model)
    nose_tip = np.intersect1d(model.regions["face"], [model.mean[:, 2].argmax()])
    assert opacity[nose_tip].tolist() == [1.0]
    assert float(opacity[model.regions["ears"]].max()) < 0.5
    assert opacity[[model.mean[:, 1].argmax(), model.mean[:, 1].argmin()]].tolist() == [0.0, 0.0]
