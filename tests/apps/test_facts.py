# SPDX-License-Identifier: Apache-2.0
import json

from facefactor.apps.facts import format_facts

FACTS = {"name": "a", "sizes": {"vertices": 5610, "share": 0.98765}, "none": None}


def test_facts_are_indented_lines_for_people():
    assert format_facts(FACTS, as_json=False).splitlines() == [
        "name: a",
        "sizes:",
        "  vertices: 5610",
        "  share: 0.988",
        "none: None",
    ]


def test_facts_are_one_line_of_json_for_programs():
    text = format_facts(FACTS, as_json=True)
    assert "\n" not in text
    assert json.loads(text) == FACTS
