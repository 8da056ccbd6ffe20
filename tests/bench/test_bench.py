"""Bench: every figure is there and consistent; its size depends on the machine."""

from __future__ import annotations

from tests.conftest import CHECKOUT, CommandLine


def test_bench_measures_every_station_start_up_memory_and_search(edgeface: CommandLine) -> None:
    plot = edgeface.gallery.with_name("bench.svg")
    arguments = ("--runs", "10", "--seconds", "0.2", "--plot", str(plot), "--json")
    out = edgeface("bench", *arguments).json
    assert out["threads"] >= 1
    for frames in out["latency_ms"].values():
        assert len(frames) == 6
        for name, stations in frames.items():
            assert set(stations) == {"detect", "align", "encode", "match", "total"}
            for figures in stations.values():
                assert 0 <= figures["p50"] <= figures["p95"] <= figures["p99"]
            nobody = ", 0 faces" in name
            assert (stations["encode"]["p50"] == 0) == nobody
            assert stations["total"]["p50"] >= stations["detect"]["p50"]
    cold = out["cold_start_ms"]
    assert cold["process"]["p50"] > cold["import"]["p50"] > 0
    assert [cost["people"] for cost in out["gallery"]] == [1, 100, 1_000, 10_000]
    assert all(cost["file_mb"] * 1e6 / cost["templates"] > 128 for cost in out["gallery"])
    assert 20 < out["resident_memory_mb"] <= out["peak_memory_mb"]
    assert all(fps > 0 for fps in out["sustained_fps"].values())
    if out["runtime"] == "litert":
        for parts in out["model_load_ms"].values():
            assert all(parts[part]["p50"] > 0 for part in ("import", "open"))
    keys = (CHECKOUT / "docs" / "bench.md").read_text()
    assert [key for key in out if f"`{key}`" not in keys] == []
    drawn = plot.read_text()
    assert drawn.count(" threads</text>") == sum(len(f) for f in out["latency_ms"].values())
    assert not edgeface.gallery.exists()
