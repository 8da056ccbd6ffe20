"""Every module has a test of its own at the same place below tests/, or a line here.

A line says which test file covers the module, and by what: by importing it where nothing is said,
else by a word that the test file holds, such as the command that the module is. What is not true
any more fails: a line for a module that is gone or got its own test, a test file or word that is
not there, a word where the import is proof enough.
"""

from __future__ import annotations

import ast
from functools import cache
from pathlib import Path

import pytest

from tests.conftest import CHECKOUT

TESTS = CHECKOUT / "tests"
ROOTS = {
    "edgeface": (CHECKOUT / "edgeface", TESTS),
    "edgeface_tools": (CHECKOUT / "tools" / "edgeface_tools", TESTS / "tools"),
}

COVERED: dict[str, str] = {
    "edgeface.cli.merge": 'cli/test_people_commands.py: "merge"',
    "edgeface.cli.model": 'gallery/test_choice.py: "model"',
    "edgeface.cli.models": 'gallery/test_choice.py: "models"',
    "edgeface.cli.rename": 'cli/test_people_commands.py: "rename"',
    "edgeface.gallery.duplicates": "cli/test_people_commands.py: adds nothing",
    "edgeface.system.chatter": "pipeline/test_foreign_models.py: stderr.splitlines()",
    "edgeface.system.legible": "sources/test_files.py: any_name_that_a_file_can_have",
    "edgeface.sources.http_client": "sources/test_mjpeg.py: WWW-Authenticate",
    "edgeface.sources.picture_size": "sources/test_relay.py: one_size=True",
    "edgeface.sources.limits": "sources/test_files.py: huge_frames",
    "edgeface.cli.ownership": "system/test_privileges.py: used by root",
    "edgeface.pipeline.trial": "pipeline/test_foreign_models.py: edgeface(",
    "edgeface.pipeline.containers.webp": "pipeline/test_picture_memory.py: read_picture",
    "edgeface.pipeline.containers.tiff": "pipeline/test_picture_memory.py: read_picture",
    "edgeface.pipeline.containers.png": "pipeline/test_picture_memory.py: read_picture",
    "edgeface.pipeline.containers.layout": "pipeline/test_picture_memory.py: read_picture",
    "edgeface.pipeline.containers.jpeg": "pipeline/test_picture_memory.py: read_picture",
    "edgeface.pipeline.containers.bmp": "pipeline/test_picture_memory.py: read_picture",
    "edgeface.pipeline.containers": "pipeline/test_picture_memory.py: read_picture",
    "edgeface": "test_public_names.py",
    "edgeface.__main__": "cli/test_gallery_commands.py: edgeface(",
    "edgeface.errors": "test_public_names.py",
    "edgeface.events": "service/test_run.py",
    "edgeface.bench.figures": 'bench/test_bench.py: "bench"',
    "edgeface.bench.plot": 'bench/test_bench.py: "--plot"',
    "edgeface.bench.start": "bench/test_bench.py: cold_start",
    "edgeface.cli": "test_contracts.py",
    "edgeface.service.audit_file": "service/test_audit.py",
    "edgeface.service.stills": "service/test_follow.py: a_portrait_that_is_hidden",
    "edgeface.cli.paths": "cli/test_which_gallery.py: a_tilde_that_no_shell_replaced",
    "edgeface.cli.audit": 'service/test_audit.py: "audit"',
    "edgeface.cli.bench": 'bench/test_bench.py: "bench"',
    "edgeface.cli.config": 'service/test_config.py: "config"',
    "edgeface.cli.demo": 'cli/test_commands.py: "demo"',
    "edgeface.cli.doctor": 'service/test_doctor.py: "doctor"',
    "edgeface.cli.encode": 'cli/test_commands.py: "encode"',
    "edgeface.cli.enroll": 'cli/test_commands.py: "enroll"',
    "edgeface.cli.eval": 'bench/test_evaluate.py: "eval"',
    "edgeface.cli.export": 'cli/test_gallery_commands.py: "export"',
    "edgeface.cli.gallery": 'cli/test_gallery_commands.py: "gallery"',
    "edgeface.cli.history": 'history/test_reading.py: "history"',
    "edgeface.cli.identify": 'cli/test_commands.py: "identify"',
    "edgeface.cli.import_": 'cli/test_gallery_commands.py: "import"',
    "edgeface.cli.list": 'cli/test_commands.py: "list"',
    "edgeface.cli.live": 'service/test_live_options.py: "--live"',
    "edgeface.cli.options": 'cli/test_commands.py: "--json"',
    "edgeface.cli.reload": 'service/test_control.py: "reload"',
    "edgeface.cli.remove": 'cli/test_commands.py: "remove"',
    "edgeface.cli.rules": 'gallery/test_rules_file.py: "rules"',
    "edgeface.cli.run": "service/test_run.py: Running(",
    "edgeface.cli.service": 'service/test_unit.py: "service"',
    "edgeface.cli.status": 'service/test_control.py: "status"',
    "edgeface.cli.verify": 'cli/test_commands.py: "verify"',
    "edgeface.cli.console": 'console/test_server.py: "console"',
    "edgeface.console.__main__": 'console/test_server.py: "--lan"',
    "edgeface.console.access": "console/test_app.py",
    "edgeface.console.api": "console/test_app.py: /api/v1/events",
    "edgeface.console.certificate": "console/test_server.py",
    "edgeface.console.errors": "console/test_app.py: 409",
    "edgeface.console.interface": "console/test_app.py: /people/enroll",
    "edgeface.console.invitation": "console/test_app.py",
    "edgeface.console.kept": "console/test_server.py: 0o600",
    "edgeface.console.options": "console/test_app.py: options(",
    "edgeface.console.pages": "console/test_app.py: /people/change",
    "edgeface.console.passwords": "console/test_app.py",
    "edgeface.console.queries": "console/test_app.py: day=tomorrow",
    "edgeface.console.service": "console/test_app.py: Running",
    "edgeface.console.sessions": "console/test_app.py",
    "edgeface.demo.animate": "liveness/test_liveness.py",
    "edgeface.demo.decisions": 'cli/test_commands.py: "demo"',
    "edgeface.demo.liveness": "service/test_liveness_at_the_door.py: shown_video(",
    "edgeface.cli.door": 'hub/test_door.py: "door"',
    "edgeface.cli.hub": 'hub/test_register.py: "import"',
    "edgeface.hub.database": "hub/test_register.py: hub init",
    "edgeface.hub.keys": "hub/test_register.py",
    "edgeface.hub.migrations.env": "hub/test_register.py: hub init",
    "edgeface.hub.migrations.versions.v0001_register": "hub/test_register.py: edgeface_door",
    "edgeface.hub.fetch": "hub/test_register.py: no door with this token",
    "edgeface.hub.server": "hub/test_register.py",
    "edgeface.hub.publish": "hub/test_register.py",
    "edgeface.hub.memory": "hub/test_door.py",
    "edgeface.hub.package": "hub/test_door.py",
    "edgeface.gallery.change": "gallery/test_gallery.py",
    "edgeface.gallery.contents": "gallery/test_file.py",
    "edgeface.gallery.report": 'cli/test_gallery_commands.py: "gallery"',
    "edgeface.gallery.store": "gallery/test_durability.py",
    "edgeface.gallery.transfer": "gallery/test_encryption.py",
    "edgeface.liveness": "liveness/test_liveness.py",
    "edgeface.liveness.anchors": "liveness/test_liveness.py",
    "edgeface.liveness.challenge": "liveness/test_liveness.py",
    "edgeface.liveness.cues": "liveness/test_liveness.py",
    "edgeface.liveness.gestures": "liveness/test_liveness.py",
    "edgeface.liveness.judge": "liveness/test_liveness.py: Judge(",
    "edgeface.liveness.register": "liveness/test_liveness.py",
    "edgeface.liveness.sample": "liveness/test_liveness.py: Sampler(",
    "edgeface.liveness.surface": "liveness/test_liveness.py",
    "edgeface.pipeline.mesh": "liveness/test_liveness.py: Sampler(",
    "edgeface.pipeline.model_file": "cli/test_commands.py",
    "edgeface.pipeline.pipeline": "pipeline/test_encode.py",
    "edgeface.service.challenger": 'service/test_liveness_at_the_door.py: "challenge"',
    "edgeface.service.client": "service/test_control.py: .command(",
    "edgeface.service.cooldown": "service/test_tracked_face.py",
    "edgeface.service.frame_result": "service/test_attempts.py",
    "edgeface.service.gate": 'service/test_rights.py: "gate"',
    "edgeface.service.install": "service/test_unit.py",
    "edgeface.service.listening": "service/test_control.py",
    "edgeface.service.lockout": "service/test_lockout_and_heat.py",
    "edgeface.service.loop": "service/test_run.py",
    "edgeface.service.notify": "service/test_run.py",
    "edgeface.service.outlets": "service/test_run.py: Running(",
    "edgeface.service.peers": "service/test_rights.py",
    "edgeface.service.proof": "service/test_liveness_at_the_door.py",
    "edgeface.service.search": "service/test_liveness_at_the_door.py: Watch(",
    "edgeface.service.session": "service/test_liveness_at_the_door.py",
    "edgeface.service.uploads": "console/test_uploads.py: somebody else is sending",
    "edgeface.system.upload": "console/test_uploads.py",
    "edgeface.service.watch": "service/test_liveness_at_the_door.py",
    "edgeface.sinks": "sinks/test_outlet.py",
    "edgeface.sinks.door": "sinks/test_home_assistant.py",
    "edgeface.sinks.lines": "sinks/test_outlet.py",
    "edgeface.sinks.settings": "sinks/test_mqtt.py",
    "edgeface.sources": "sources/test_files.py",
    "edgeface.sources.base": "sources/test_files.py: SourceSettings(",
    "edgeface.sources.stream": "sources/test_feed.py: MjpegServer(",
    "edgeface.system.closing": "sinks/test_outlet.py: .close(",
    "edgeface.system.program": "tools/cli/test_unforeseen_errors.py: unexpected",
    "edgeface.system.settings": "service/test_config.py: load_config",
    "edgeface.system.thermal": "service/test_lockout_and_heat.py",
    "edgeface.system.threads": "sources/test_feed.py: threads",
    "edgeface.system.units": "sinks/test_gpio.py",
    "edgeface_tools.convert": "tools/cli/test_convert_model.py",
    "edgeface_tools.describe": 'tools/cli/test_convert_model.py: "describe"',
    "edgeface_tools.progress": "tools/cli/test_convert_model.py: convert_model(",
    "edgeface_tools.cli.output": "tools/cli/test_convert_model.py: convert_model(",
    "edgeface_tools.people.agreement": "tools/source/test_framework.py: disagrees",
    "edgeface_tools.quantize.widening": "tools/quantize/test_quantize.py",
    "edgeface_tools.source.beginning": "tools/source/test_framework.py: by_arithmetic",
    "edgeface_tools.source.harmless": "tools/source/test_framework.py: is not arithmetic",
    "edgeface_tools.source.normalization": "tools/source/test_framework.py",
    "edgeface_tools.tflite.cleaning": "tools/source/test_framework.py: softmax over",
    "edgeface_tools.tflite.preprocessing": "tools/source/test_framework.py: with_rescaling",
    "edgeface_tools.network.graph": "tools/network/test_rewrite.py",
    "edgeface_tools.network.split": "tools/cli/test_train_triplet.py",
    "edgeface_tools.network.prelu": "tools/source/test_onnx.py: Prelu",
    "edgeface_tools.network.scaling": "tools/source/test_onnx.py: simplify",
    "edgeface_tools.network.to_keras": "tools/source/test_load.py",
    "edgeface_tools.network.to_tflite": "tools/network/test_rewrite.py",
    "edgeface_tools.people.cohort": "tools/people/test_population.py",
    "edgeface_tools.people.curves": "tools/report/test_report.py: tar",
    "edgeface_tools.people.embed": "tools/people/test_population.py",
    "edgeface_tools.people.faces": "tools/quantize/test_quantize.py",
    "edgeface_tools.people.guess": "tools/cli/test_convert_model.py: a guess from",
    "edgeface_tools.people.inputs": "tools/cli/test_convert_model.py: clearly better",
    "edgeface_tools.people.labelled": 'tools/cli/test_convert_model.py: "--labelled"',
    "edgeface_tools.people.overlap": "tools/report/test_report.py: among the calibration faces",
    "edgeface_tools.tflite.cost": "tools/report/test_report.py",
    "edgeface_tools.people.records": "tools/people/test_population.py: populations.load",
    "edgeface_tools.quantize.calibrate": "tools/quantize/test_quantize.py",
    "edgeface_tools.quantize.sqnr": "tools/quantize/test_quantize.py",
    "edgeface_tools.charts": "tools/report/test_report.py: report.html",
    "edgeface_tools.report.contents": "tools/report/test_report.py: report.json",
    "edgeface_tools.report.html": "tools/report/test_report.py: report.html",
    "edgeface_tools.report.trial": "tools/report/test_report.py: trial",
    "edgeface_tools.source.architectures": "tools/test_models_in_use.py",
    "edgeface_tools.source.fetch": "tools/source/test_facenet.py",
    "edgeface_tools.source.hdf5": "tools/source/test_load.py: h5py",
    "edgeface_tools.source.keras3": "tools/cli/test_train_triplet.py",
    "edgeface_tools.source.keras_config": "tools/source/test_keras2.py: read_legacy_h5",
    "edgeface_tools.source.keras_layers": "tools/source/test_keras2.py: read_legacy_h5",
    "edgeface_tools.source.saved_model": "tools/source/test_load.py: saved_model",
    "edgeface_tools.source.weights": "tools/source/test_load.py",
    "edgeface_tools.tflite.inspection": "tools/cli/test_unforeseen_errors.py",
    "edgeface_tools.tflite.operators": "tools/quantize/test_quantize.py",
    "edgeface_tools.train.arrays": "tools/train/test_mixing.py",
    "edgeface_tools.train.batches": "tools/cli/test_train_triplet.py",
    "edgeface_tools.train.camera": "tools/cli/test_train_triplet.py",
    "edgeface_tools.train.dataset": "tools/cli/test_train_triplet.py: fine_tune(",
    "edgeface_tools.train.finetune": "tools/cli/test_train_triplet.py",
    "edgeface_tools.train.frozen": "tools/cli/test_train_triplet.py: fine_tune(",
    "edgeface_tools.train.head": "tools/cli/test_train_triplet.py",
    "edgeface_tools.train.learning_curves": "tools/cli/test_train_triplet.py",
    "edgeface_tools.train.loop": "tools/cli/test_train_triplet.py",
    "edgeface_tools.train.validation": "tools/cli/test_train_triplet.py",
}


def modules() -> dict[str, Path]:
    """Every module that does something, and where its mirror test would stand. An __init__.py of
    nothing but a docstring does nothing."""
    found = {}
    for package, (root, tests) in ROOTS.items():
        for path in sorted(root.rglob("*.py")):
            place = path.relative_to(root)
            parts = place.with_suffix("").parts
            if parts[-1] == "__init__":
                if len(ast.parse(path.read_text()).body) <= 1:
                    continue
                parts = parts[:-1]
            name = parts[-1] if parts else package
            mirror = tests.joinpath(*parts[:-1], f"test_{name}.py")
            found[".".join((package, *parts))] = mirror
    return found


@cache
def imported(test: Path) -> frozenset[str]:
    """The modules that a test file imports, and the names from them, dotted."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(test.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return frozenset(names)


MODULES = modules()


@pytest.mark.parametrize("module", MODULES)
def test_every_module_has_a_test_of_its_own_or_a_line(module: str) -> None:
    assert MODULES[module].exists() or module in COVERED, (
        f"write {MODULES[module].relative_to(CHECKOUT)}, or say in COVERED what covers {module}"
    )


@pytest.mark.parametrize("module", COVERED)
def test_no_line_is_stale(module: str) -> None:
    test, _, word = COVERED[module].partition(": ")
    assert module in MODULES, f"there is no {module} any more"
    assert not MODULES[module].exists(), f"{module} has a test of its own now"
    assert (TESTS / test).exists(), f"there is no tests/{test}"
    if word:
        assert module not in imported(TESTS / test), (
            f"tests/{test} imports {module}: no word needed"
        )
        assert word in (TESTS / test).read_text(), f"tests/{test} does not say {word}"
    else:
        assert module in imported(TESTS / test), f"tests/{test} does not import {module}"
