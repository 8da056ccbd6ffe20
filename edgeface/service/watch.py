"""Watch: processes one frame, from the picture to the events it causes.

Takes in frames, hands on `FrameResult`s: the observations of faces, and the events that follow from
them. It never waits and sends nothing.

In each frame the faces are found, the tracker assigns them to its tracks, and each tracked face
takes one step by its own rules (tracked_face.py).
"""

from __future__ import annotations

from edgeface.liveness import LivenessVerdict, Profile
from edgeface.service.ballot import Rules
from edgeface.service.challenger import Challenger
from edgeface.service.config import RecognitionSettings
from edgeface.service.cooldown import Cooldown
from edgeface.service.frame_result import FrameResult
from edgeface.service.people import People
from edgeface.service.proof import ProofTools
from edgeface.service.search import Search
from edgeface.service.stills import Stills
from edgeface.service.tracked_face import LEAST_DETECTIONS, Asked, Station, TrackedFace
from edgeface.service.tracker import Track, Tracker
from edgeface.service.viewers import ShownFace
from edgeface.sources import Frame

__all__ = ["Asked", "Watch"]

_MOST_OBSERVATIONS = 2  # encodings per frame: several people take turns


class Watch:
    """Search, tracks and tracked faces of one source. One thread at a time."""

    def __init__(
        self, people: People, settings: RecognitionSettings, profile: Profile = Profile.STANDARD
    ) -> None:
        self._search = Search(people.pipeline, settings.smallest_face)
        self._tracker = Tracker()
        rules = Rules(settings.agree, settings.of, settings.least_quality, settings.recheck)
        self._station = Station(
            people,
            profile,
            rules,
            ProofTools(people.pipeline),
            Challenger(people),
            Cooldown(settings.cooldown),
            Stills(people.likeness.mean),
        )
        self._faces: dict[int, TrackedFace] = {}  # by track number, in order of appearance

    @property
    def calm(self) -> bool:
        """Whether nobody is in view and nothing moves."""
        return not self._tracker.tracks and self._search.calm

    @property
    def in_view(self) -> list[tuple[int, str | None, LivenessVerdict | None]]:
        """The tracks in view, each with whom it resembles and its liveness verdict."""
        return [(f.number, f.ballot.name, f.proof.verdict) for f in self._faces.values()]

    @property
    def shown(self) -> list[ShownFace]:
        """The faces in view as viewers see them."""
        return [face.shown for face in self._faces.values()]

    @property
    def recognized(self) -> list[str]:
        """Who in view was recognized, with the profile's proof, and has not turned out to be
        another person since."""
        return [f.recognized for f in self._faces.values() if f.recognized is not None]

    def untold(self, name: str | None) -> None:
        """The last event about this person was not sent: report them again at once."""
        if name is not None:
            self._station.cooldown.forget(name)

    def gallery_changed(self) -> None:
        """Judge everybody in view from the beginning."""
        for face in self._faces.values():
            face.gallery_changed()

    def step(self, frame: Frame, source: str, asked: Asked | None = None) -> FrameResult:
        """Process one frame."""
        asked = asked or Asked()
        if frame.still:
            return self._still(frame, source)
        faces = self._search.faces(frame, self._tracker.tracks)
        seen, ended = self._tracker.update(faces, frame.time)
        result = self._begin(frame, seen)
        for track in ended:
            self._faces.pop(track.number).end(frame.time, source, result)
        for face in self._in_turn(seen, frame.time):
            if len(result.observations) < _MOST_OBSERVATIONS:
                face.step(frame, source, result, asked)
        self._challenge(source, result, asked)
        for face in self._faces.values():
            if face.number in result.seen:
                face.report_attack(source, result)
                face.ask_to_turn(source, result)
        return result

    def finish(self, source: str) -> FrameResult:
        """End every track: the source has ended or will be replaced."""
        result = FrameResult()
        for track in self._tracker.end_all():
            self._faces.pop(track.number).end(track.last_seen, source, result)
        return result

    def _begin(self, frame: Frame, seen: list[Track]) -> FrameResult:
        """The frame's result before any face is encoded; new tracks get a `TrackedFace`."""
        for track in seen:
            if track.number not in self._faces:
                self._faces[track.number] = TrackedFace(track, self._station)
        in_view = self._tracker.tracks
        return FrameResult(
            faces=len(in_view),
            sure=sum(track.detections >= LEAST_DETECTIONS for track in in_view),
            time=frame.time,
            seen=frozenset(track.number for track in seen),
        )

    def _in_turn(self, seen: list[Track], now: float) -> list[TrackedFace]:
        """The faces that may be judged, the longest waiting first."""
        sure = [self._faces[t.number] for t in seen if t.detections >= LEAST_DETECTIONS]
        return sorted(sure, key=lambda face: -face.ballot.waited(now))

    def _challenge(self, source: str, result: FrameResult, asked: Asked) -> None:
        """Challenge a person who resembles an enrolled one, in the profile that needs it."""
        challenger = self._station.challenger
        if not self._station.profile.challenged:
            return
        if not asked.challenge:
            challenger.cancel()
            return
        for face in self._faces.values():
            if face.number in result.seen:
                face.offer_challenge(result)
        challenged = self._faces.get(challenger.track) if challenger.track is not None else None
        challenger.see(result, source, challenged.proof.verdict if challenged else None)

    def _still(self, frame: Frame, source: str) -> FrameResult:
        """A single picture: every face is judged by its one observation."""
        result = FrameResult(time=frame.time)
        for face in self._station.people.pipeline.detect(frame.picture):
            track = self._tracker.begin(face, frame.time)
            result.faces += 1
            TrackedFace(track, self._station).step_still(frame, source, result)
        return result
