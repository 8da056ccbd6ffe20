"""Bench: every figure is there and hangs together; how large it is, is the machine's affair."""

from __future__ import annotations

from conftest import CommandLine


def test_bench_measures_every_station_start_up_memory_and_search(edgeface: CommandLine) -> None:
    out = edgeface("bench", "--runs", "10", "--json").json
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
    assert out["peak_memory_mb"] > 20
    assert not edgeface.gallery.exists()
