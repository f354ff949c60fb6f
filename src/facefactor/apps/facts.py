# SPDX-License-Identifier: Apache-2.0
"""Print the facts that a command found, for people or for programs."""

import json


def format_facts(facts: dict, as_json: bool) -> str:
    """A nested dict as one line of JSON, or as indented lines with three digits of every float."""
    return json.dumps(facts) if as_json else "\n".join(_lines(facts))


def _lines(facts: dict, indent: str = "") -> list[str]:
    lines = []
    for name, value in facts.items():
        if isinstance(value, dict):
            lines += [f"{indent}{name}:", *_lines(value, indent + "  ")]
        else:
            lines.append(f"{indent}{name}: {value:.3g}" if isinstance(value, float) else f"{indent}{name}: {value}")
    return lines
