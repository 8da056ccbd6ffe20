"""Cost: the processor time of liveness per sample, and its memory in the service.

Takes in a video of a face, prints processor time, which other load hardly changes, of a whole
sample and of its parts, and the peak memory of `edgeface run` with and without liveness.

    python benchmarks/attacks/cost.py VIDEO
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import cv2
import numpy as np

from benchmarks.attacks.material import frames
from edgeface.demo.decisions import PORTRAITS
from edgeface.liveness.judge import LivenessJudge
from edgeface.liveness.sample import Sampler
from edgeface.pipeline.mesh import FaceMesh
from edgeface.pipeline.pipeline import FacePipeline
from edgeface.verifier import FaceVerifier


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("video", type=Path)
    options = parser.parse_args()
    cv2.setNumThreads(1)
    _time(options.video)
    with tempfile.TemporaryDirectory() as folder:
        gallery = Path(folder) / "gallery.safetensors"
        _enroll(gallery, options.video)
        memory = {
            profile: min(_memory(options.video, gallery, profile) for _ in range(3))
            for profile in ("convenience", "standard")
        }
    more = memory["standard"] - memory["convenience"]
    print(f"peak memory of `edgeface run`: {memory}, {more:.1f} MB more with liveness")


def _time(video: Path) -> None:
    pipeline, mesh = FacePipeline(threads=1), FaceMesh(1)
    sampler, judge = Sampler(mesh), LivenessJudge()
    looks = []
    for moment, picture in frames(video, 10.0):
        faces = pipeline.detect(picture, first_found=True)
        if not faces:
            continue
        face = faces[0]
        begun = time.thread_time()
        mesh.fit(picture, face.box, face.right_eye, face.left_eye)
        fitted = time.thread_time()
        sample = sampler.sample(moment, picture, face)
        sampled = time.thread_time()
        judge.take(moment, sample, face)
        looks.append((fitted - begun, sampled - fitted, time.thread_time() - sampled))
    parts = 1e3 * np.array(looks[5:])
    whole = parts[:, 1] + parts[:, 2]
    print(
        f"{len(whole)} samples: {np.median(whole):.2f} ms each in the median, "
        f"{np.mean(whole):.2f} in the mean, {np.percentile(whole, 95):.2f} at the 95th percentile; "
        f"mesh {np.median(parts[:, 0]):.2f}, sample {np.median(parts[:, 1] - parts[:, 0]):.2f}, "
        f"judge {np.median(parts[:, 2]):.2f}"
    )


def _enroll(gallery: Path, video: Path) -> None:
    """Who is to be seen in the video, so that the whole pipeline is at work, and a stranger."""
    verifier = FaceVerifier(gallery)
    pictures = [p for t, p in frames(video, 10.0) if t < 3][::10]
    verifier.enroll("seen", pictures, force=True)
    verifier.enroll("stranger", [PORTRAITS / "collins.jpg"])


def _memory(video: Path, gallery: Path, profile: str) -> float:
    """Peak resident memory in MB of a run over the video."""
    command = [sys.executable, "-m", "edgeface", "run", "--source", str(video)]
    settings = ["--profile", profile, "--gallery", str(gallery)]
    running = subprocess.Popen(command + settings, stdout=subprocess.DEVNULL)
    _, status, used = os.wait4(running.pid, 0)
    if status:
        raise SystemExit(f"edgeface run ended with {status}")
    return round(used.ru_maxrss / 1024, 1)


if __name__ == "__main__":
    main()
