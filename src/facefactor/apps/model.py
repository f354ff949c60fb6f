# SPDX-License-Identifier: Apache-2.0
"""The commands `facefactor model info|sample|build|fit-scans`."""

import argparse

from facefactor.apps.facts import format_facts
from facefactor.export.atomic import write_png
from facefactor.face.model import load_face_model, save_face_model


def run_info(options: argparse.Namespace) -> int:
    """Print what the shipped model is made of."""
    model = load_face_model()
    facts = {
        "model_hash": model.model_hash,
        "vertices": model.num_vertices,
        "triangles": len(model.triangles),
        "vertices_subdivided": model.num_subdivided,
        "triangles_subdivided": len(model.triangles_subdivided),
        "shape_components": len(model.shape_basis),
        "expressions": len(model.expression_basis),
        "reflectance_components": len(model.reflectance_basis),
        "regions": {name: len(ids) for name, ids in model.regions.items()},
        "provenance": {name: value for name, value in model.provenance.items() if name != "expressions"},
    }
    print(format_facts(facts, options.json))
    return 0


def run_sample(options: argparse.Namespace) -> int:
    """Draw random heads, or the 52 expressions, on one sheet."""
    from facefactor.apps.model_sheet import draw_expressions, draw_random_heads

    model = load_face_model()
    sheet = draw_expressions(model) if options.expressions else draw_random_heads(model, options.count, options.seed)
    write_png(options.out, sheet)
    print(options.out)
    return 0


def run_build(options: argparse.Namespace) -> int:
    """Build the model file."""
    from facefactor.face.build.assemble import Sources, build_face_model

    save_face_model(build_face_model(Sources.in_folder(options.data), options.anny_only), options.out)
    print(options.out)
    return 0


def run_fit_scans(options: argparse.Namespace) -> int:
    """Measure the shape space on real scans."""
    from facefactor.evaluate.shape_space import report

    models = {path.stem: load_face_model(path) for path in options.model}
    report(options.data, options.out, {"shipped": load_face_model(), **models})
    print(options.out / "report.md")
    return 0
