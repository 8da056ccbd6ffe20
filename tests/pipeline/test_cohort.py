"""Cohort normalization, and flip augmentation near the threshold."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import msgspec
import numpy as np
import pytest

from edgeface import FaceVerifier
from edgeface.decide import DOUBT, verification_threshold
from edgeface.errors import ModelError
from edgeface.pipeline.cohort import Cohort
from edgeface.pipeline.pipeline import FacePipeline
from tests.conftest import CHECKOUT

Portrait = Callable[[str], np.ndarray]


def test_a_model_without_a_cohort_keeps_its_identity(pipeline: FacePipeline) -> None:
    description = pipeline.model.description
    plain = msgspec.structs.replace(
        description,
        cohort=None,
        embedding=msgspec.structs.replace(description.embedding, centre=None),
    )
    recorded = json.loads((CHECKOUT / "models" / "facenet-population.json").read_text())
    assert plain.identity == recorded["measured_with"]
    assert description.identity != msgspec.structs.replace(description, cohort=None).identity


def test_normalized_embeddings_have_unit_length_singly_and_in_batches(
    pipeline: FacePipeline,
) -> None:
    rows = np.random.default_rng(0).standard_normal((20, 128)).astype(np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    cohort = Cohort(pipeline.model.description)
    together = cohort.normalize(rows)
    np.testing.assert_allclose(np.linalg.norm(together, axis=1), 1, rtol=1e-5)
    np.testing.assert_allclose(cohort.normalize(rows[3:4])[0], together[3], atol=1e-5)
    assert np.abs(together - rows).max() > 0.01


@pytest.mark.parametrize("faces", [b"", bytes(128), bytes(128 * 10 + 1)])
def test_a_cohort_that_does_not_fit_is_refused(pipeline: FacePipeline, faces: bytes) -> None:
    description = pipeline.model.description
    assert description.cohort is not None
    cohort = msgspec.structs.replace(description.cohort, faces=faces)
    with pytest.raises(ModelError, match="cohort does not fit"):
        Cohort(msgspec.structs.replace(description, cohort=cohort))


def test_only_a_score_near_the_threshold_is_decided_with_flip_augmentation(
    pipeline: FacePipeline, portrait: Portrait, tmp_path: Path
) -> None:
    verifier = FaceVerifier(tmp_path / "gallery")
    verifier.enroll("obama", [portrait("obama")])
    frame = portrait("obama3")
    face = pipeline.main_face(frame)
    (template,) = verifier.gallery.templates("obama")
    single, both_sides = (
        float(template @ pipeline.encode(frame, face, flip_augmented=both).embedding)
        for both in (False, True)
    )
    assert abs(single - both_sides) > 0.002
    certain = verifier.verify("obama", frame, far=1e-2)
    assert certain.score - certain.threshold > DOUBT
    assert certain.score == pytest.approx(single, abs=1e-3)
    fars = 10.0 ** -np.arange(1, 7.9, 0.05)
    near = [abs(verification_threshold(pipeline.model, far, 1) - single) for far in fars]
    doubtful = verifier.verify("obama", frame, far=float(fars[int(np.argmin(near))]))
    assert doubtful.score == pytest.approx(both_sides, abs=1e-3)
