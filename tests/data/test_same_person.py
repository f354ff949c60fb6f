# SPDX-License-Identifier: Apache-2.0
from pathlib import Path

import numpy as np
import pytest
import torch

from facefactor.data.photographs import PhotoCorpus
from facefactor.data.same_person import PairBatches, persons_of
from facefactor.errors import AssetMissing


@pytest.fixture
def corpus(photo_corpus_folder: Path, monkeypatch: pytest.MonkeyPatch) -> PhotoCorpus:
    """Ten photos: four of one person, three of two others each, the last person's alone."""
    names = [f"frames/{person}_{number}.png" for number, person in enumerate("aaaabbbccd")]
    monkeypatch.setattr(PhotoCorpus, "name", lambda self, number: names[number])
    return PhotoCorpus(photo_corpus_folder)


def test_persons_have_two_photos_or_more(corpus):
    assert persons_of(corpus) == {"a": (0, 1, 2, 3), "b": (4, 5, 6), "c": (7, 8)}


def test_names_that_tell_nothing_are_refused(photo_corpus_folder: Path):
    with pytest.raises(AssetMissing, match="no two photos"):
        persons_of(PhotoCorpus(photo_corpus_folder))  # 0.png to 9.png


def test_a_pair_is_two_photos_of_one_person_and_not_mirrored(corpus, monkeypatch):
    drawn = []
    original = PhotoCorpus.read_jittered

    def watch(self, numbers, seeds, limits):
        drawn.extend(numbers)
        assert len(set(seeds)) == len(numbers)
        assert limits.mirror_probability == 0.0
        return original(self, numbers, seeds, limits)

    monkeypatch.setattr(PhotoCorpus, "read_jittered", watch)
    persons = persons_of(corpus)
    batches = PairBatches(corpus, persons, num_pairs=3, seed=5)
    assert len(batches[0]) == 6
    for first, second in np.array(drawn).reshape(-1, 2):
        assert first != second
        assert any({first, second} <= set(numbers) for numbers in persons.values())
    assert len({person for person in persons for number in drawn if number in persons[person]}) == 3


def test_a_step_always_draws_the_same_and_another_something_else(corpus):
    batches = [PairBatches(corpus, persons_of(corpus), 2, seed=1) for _ in range(2)]
    assert torch.equal(batches[0][4].crops_srgb, batches[1][4].crops_srgb)
    assert not torch.equal(batches[0][4].crops_srgb, batches[0][5].crops_srgb)
