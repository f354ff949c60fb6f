# SPDX-License-Identifier: Apache-2.0
"""The suites of `facefactor evaluate` that ask an engine about photos of which something is known beforehand."""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from facefactor import evaluate
from facefactor.apps.progress import Progress
from facefactor.apps.reconstruction import CROP_SIZE_PX, Reconstructor
from facefactor.data.photo_names import GROUP_NAME, KNOWN_LIGHT, PERSON_NAME, LitPerson
from facefactor.errors import AssetMissing, IncompatibleCode, PhotoError
from facefactor.evaluate.answers import AnswerMeter, FaceAnswer
from facefactor.evaluate.tables import Table, write_tables
from facefactor.face.model import FaceModel, load_face_model
from facefactor.infer.engine import Engine
from facefactor.photo.cropped_face import CroppedFace
from facefactor.photo.find import FoundFace
from facefactor.photo.read import PHOTO_SUFFIXES, Photo, read_photo

OpenEngine = Callable[[FaceModel], Engine]
"""Makes an engine ready for a face model."""
LABELS = ("open", "closed")
OUR_LABELS = Path(evaluate.__file__).with_name("closure_labels.json")


def evaluate_known_light(data: Path, out: Path, open_it: OpenEngine) -> int:
    """Measure how well an engine tells light from skin and shape, on photos of people under known lights.

    Neither the person nor the camera moves between the lights, so a face is looked for in a person's photo whose light
    comes most from the front, and taken to be at the same place in the others, of which many show little but shadow.

    Args:
        data: folder of photos, or of folders, named as Extended Yale B names them.
        out: folder of the report.
        open_it: makes the engine that is measured ready.

    Raises:
        AssetMissing: the folder holds no such photos, or none shows a face; or the engine's weights are not there.
        MissingExtra, IncompatibleCode: see `engines.open_engine`.
        OutputUnwritable: the report cannot be written.
    """
    return _evaluate(data, out, open_it, KNOWN_LIGHT, "Known light", AnswerMeter.known_light, _FoundOnce)


def evaluate_skin_tones(data: Path, out: Path, open_it: OpenEngine) -> int:
    """Measure photometric error and albedo of groups of people; see `evaluate_known_light`."""
    return _evaluate(data, out, open_it, GROUP_NAME, "Skin tones", AnswerMeter.skin_tones)


def evaluate_identities(data: Path, out: Path, open_it: OpenEngine) -> int:
    """Measure how much an engine's shapes and albedos tell people apart; see `evaluate_known_light`."""
    return _evaluate(data, out, open_it, PERSON_NAME, "Identities", AnswerMeter.identities)


def evaluate_closures(data: Path, out: Path, open_it: OpenEngine, labels: Path | None = None) -> int:
    """Measure how often eyes and mouths are answered open or closed as they are labelled; see `evaluate_known_light`.

    Args:
        data: folder of photos.
        out: folder of the report.
        open_it: see there.
        labels: JSON: photo name without its ending to "open" or "closed" for any of left_eye, right_eye and mouth;
            by default those that we gave to photos of UTKFace and of three scanned people.

    Raises:
        AssetMissing, IncompatibleCode: the labels cannot be read, or are none; and see there.
    """
    known = _read_labels(labels or OUR_LABELS)
    named = re.compile(f"(?:{'|'.join(map(re.escape, known))})$")
    return _evaluate(data, out, open_it, named, "Closures", lambda meter, answers: meter.closures(answers, known))


def _evaluate(
    data: Path,
    out: Path,
    open_it: OpenEngine,
    named: re.Pattern[str],
    title: str,
    measure: Callable[[AnswerMeter, Sequence[FaceAnswer]], list[Table]],
    finder: Callable[[Reconstructor, Sequence[Path]], "_Finder"] = lambda reconstructor, _: _Finder(reconstructor),
) -> int:
    photos = [path for path in sorted(data.rglob("*")) if path.suffix.lower() in PHOTO_SUFFIXES]
    paths = [path for path in photos if named.match(path.stem)]
    if not paths:
        raise AssetMissing(f"{data}: holds no photos whose names tell what is known of them")
    model = load_face_model()
    reconstructor = Reconstructor(model, open_it(model))
    answers, failed = _ask(reconstructor, finder(reconstructor, paths), paths)
    if not answers:
        raise AssetMissing(f"{data}: none of its {len(paths)} photos shows a face")
    facts = {
        "photos": f"{data}, {len(answers)} of {len(paths)} with a face",
        "engine": reconstructor.engine.name,
        "weights": reconstructor.engine.weights_hash,
        "face model": reconstructor.model.model_hash,
        "without a face": ", ".join(failed) or "none",
    }
    write_tables(out, title, facts, measure(AnswerMeter(reconstructor.model), answers))
    print((out / "report.md").read_text(encoding="utf-8"), end="")
    return 0


class _Finder:
    """Finds the largest face of each photo.

    Args:
        reconstructor: whose detectors are used.
    """

    def __init__(self, reconstructor: Reconstructor) -> None:
        self._reconstructor = reconstructor

    def find(self, path: Path, photo: Photo) -> FoundFace:
        """Find it.

        Raises:
            NoFaceFound: there is none.
        """
        return self._reconstructor.find(photo)[0]


class _FoundOnce(_Finder):
    """Finds a person's face in the photo that is lit most from the front, and takes it for that of their others."""

    def __init__(self, reconstructor: Reconstructor, paths: Sequence[Path]) -> None:
        super().__init__(reconstructor)
        self._paths, self._found = sorted(paths, key=_light_angle_deg), dict[str, FoundFace]()

    def find(self, path: Path, photo: Photo) -> FoundFace:
        """Find it; see `_Finder.find`."""
        person = _lit(path).person
        if person not in self._found:
            lit = next(other for other in self._paths if _lit(other).person == person)
            self._found[person] = super().find(lit, read_photo(lit))
        return self._found[person]


def _lit(path: Path) -> LitPerson:
    found = LitPerson.of(path.stem)
    assert found is not None  # of photos that are so named
    return found


def _light_angle_deg(path: Path) -> float:
    """About how far from the camera's axis a photo's light is."""
    lit = _lit(path)
    return abs(lit.azimuth_deg) + abs(lit.elevation_deg)


def _ask(reconstructor: Reconstructor, finder: _Finder, paths: Sequence[Path]) -> tuple[list[FaceAnswer], list[str]]:
    """The answers, and the names of photos without a face."""
    answers, failed = [], []
    progress = Progress("facefactor evaluate", "photos", len(paths))
    for number, path in enumerate(paths, start=1):
        try:
            photo = read_photo(path)
            found = finder.find(path, photo)
            face = reconstructor.describe(CroppedFace.of(photo, found, CROP_SIZE_PX))
        except PhotoError:
            failed.append(path.stem)
            continue
        finally:
            progress.show(number, f"{len(failed)} without a face")
        albedo, light = reconstructor.albedo(face.code), face.code.illumination
        answers.append(FaceAnswer(path.stem, face.code, reconstructor.skin(face).error(albedo, light)))
    progress.clear()
    return answers, failed


def _read_labels(path: Path) -> Mapping[str, Mapping[str, str]]:
    """Read a file of labels.

    Raises:
        AssetMissing: it cannot be read.
        IncompatibleCode: it holds something else.
    """
    try:
        labels = json.loads(path.read_bytes())
        is_right = all(set(parts.values()) <= set(LABELS) for parts in labels.values()) and labels
    except OSError as error:
        raise AssetMissing(f"{path}: cannot be read ({error.strerror or error})") from None
    except (ValueError, AttributeError):
        is_right = False
    if not is_right:
        raise IncompatibleCode(f"{path}: holds no labels: photo name to open or closed for left_eye, right_eye, mouth")
    return labels
