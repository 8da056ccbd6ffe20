# make demo   the runtime in .venv, then faces accepted and rejected
# make quick  lint, types and the tests of the parts, in a minute
# make hooks  the checks of lint and types before each commit
# make coverage  the lines and branches that the tests run, as a table
# make test-debian  the tests of what rests on OpenCV and NumPy, on the Debian package's
# make test   lint, types and all tests, on LiteRT and on tflite-runtime
PYTHON ?= $(shell command -v python3.11 || command -v python3)
PIP_QUIET = --quiet --disable-pip-version-check
# tests/conftest.py says how many processes and which files first; the tests of a file stay together,
# since they share what they converted.
PARALLEL = --numprocesses auto --dist loadfile --no-loadscope-reorder

.PHONY: api coverage demo hub-demo test quick hooks servers lint types test-litert test-tflite models \
	clean soak systemd-trial prove-gallery prove-pictures prove-socket identification identification-groups \
	identification-tracks import-graph dist deb sign reproducible lint-deb test-pi test-deb pi-cost \
	precisions benchmark benchmark-timing warped test-debian encoders
QUICK = tests/pipeline tests/gallery tests/liveness tests/system tests/test_architecture.py \
	tests/test_decide.py tests/test_enrollment.py tests/test_recognizer.py tests/test_verifier.py \
	tests/service/test_attempts.py tests/service/test_ballot.py tests/service/test_config.py tests/service/test_desk.py \
	tests/service/test_tracked_face.py tests/service/test_tracker.py \
	tests/service/test_thresholds_of_the_model.py tests/sources/test_files.py

# Of these rooms, what measures processes of its own.
NOT_QUICK = $(addprefix --ignore=,tests/pipeline/test_picture_memory.py \
	tests/pipeline/test_foreign_models.py tests/system/test_privileges.py)

demo: .venv/.ready
	.venv/bin/edgeface demo

test: lint types test-litert test-tflite

# One hub, three doors, two sites, from nothing: who is registered at one door opens the other.
hub-demo: .venv-tools/.ready
	.venv-tools/bin/python -m benchmarks.hub_demo

# What a change breaks first. It leaves out the service as a process, the commands, the documents,
# the bench and the workstation side.
quick: lint types
	.venv-tools/bin/pytest $(PARALLEL) $(QUICK) $(NOT_QUICK)

lint: .venv-tools/.ready
	.venv-tools/bin/ruff check .
	.venv-tools/bin/ruff format --check .

types: .venv-tools/.ready
	.venv-tools/bin/mypy

# Servers that tests talk to, unpacked from Debian's packages into .cache where none is installed.
servers: .venv-tools/.ready
	.venv-tools/bin/python -m tests.helpers.servers

test-litert: .venv-tools/.ready .venv/.ready servers
	.venv-tools/bin/pytest $(PARALLEL)

# Lines and branches that the tests on LiteRT run, in the processes that they start as well.
coverage: .venv-tools/.ready .venv/.ready servers
	rm -rf .cache/coverage
	mkdir -p .cache/coverage
	.venv-tools/bin/coverage run -m pytest $(PARALLEL)
	.venv-tools/bin/coverage combine --quiet
	.venv-tools/bin/coverage report

# .pre-commit-config.yaml, run by git before each commit.
hooks: .venv-tools/.ready
	.venv-tools/bin/pre-commit install

# What imports what, by folder; fails on a cycle or an arrow upwards (docs/architecture.md).
import-graph: .venv-tools/.ready
	.venv-tools/bin/python -m benchmarks.import_graph

# The second back end: the last tflite-runtime, with the NumPy it was built for. What rests on neither
# runs once: what reads only the source tree, the console, the history, the hub's register, the sinks, who
# may do what, and the accuracy on LFW where that is at hand, since the embeddings of both agree (tests/pipeline/test_encode.py).
RUN_ONCE = $(addprefix --ignore=,tests/test_documents.py tests/test_packaging.py \
	tests/test_mirror.py tests/test_architecture.py tests/test_contracts.py tests/console \
	tests/history tests/service/test_soak.py tests/service/test_rights.py tests/service/test_secrets.py \
	tests/service/test_audit.py tests/service/test_follow.py tests/sources/test_relay.py \
	tests/system/test_privileges.py $(filter-out %/test_snapshots.py,$(wildcard tests/sinks/test_*.py)) \
	tests/hub/test_register.py) \
	--deselect=tests/bench/test_evaluate.py::test_accuracy_on_lfw_holds
test-tflite: .venv-tflite/.ready servers
	EDGEFACE_RUNTIME=tflite-runtime .venv-tflite/bin/pytest $(PARALLEL) --ignore=tests/tools $(RUN_ONCE)

# The OpenCV, NumPy and other wheels that the Debian package for Debian 12 brings (Python 3.11), under
# the tests of what rests on them.
DEBIAN_PINS = packaging/debian/wheels-common.txt packaging/debian/wheels-cp311.txt
test-debian: .venv-debian/.ready
	.venv-debian/bin/pytest $(PARALLEL) tests/pipeline tests/sources tests/cli

.venv-debian/.ready: pyproject.toml requirements-camera.txt $(DEBIAN_PINS)
	$(PYTHON) -m venv .venv-debian
	sed -n 's/^\([A-Za-z0-9_.-]*==[^ ]*\).*/\1/p' $(DEBIAN_PINS) > .venv-debian/pins.txt
	.venv-debian/bin/pip install $(PIP_QUIET) --editable '.[crypto,gpio,heic,mqtt]' \
		--constraint .venv-debian/pins.txt hypothesis jsonschema pytest pytest-xdist safetensors
	.venv-debian/bin/pip install $(PIP_QUIET) --no-deps --requirement requirements-camera.txt
	touch $@

# The gallery's proofs at full size (minutes); the tests run them small.
prove-gallery: .venv-tools/.ready
	.venv-tools/bin/python benchmarks/proofs/gallery.py

# Photos on a screen that answer the challenge (minutes); IMAGES is LFW's folder of pictures.
warped: .venv-tools/.ready
	.venv-tools/bin/python -m benchmarks.attacks.warped --images $(IMAGES)

# 100,000 hostile pictures (minutes); the tests read some of them.
prove-pictures: .venv-tools/.ready
	.venv-tools/bin/python benchmarks/proofs/pictures.py

# 100,000 hostile lines on the control socket of a running service (minutes).
prove-socket: .venv-tools/.ready
	.venv-tools/bin/python benchmarks/proofs/control.py

# The tables of docs/identification.md: make identification LFW=folder with View 1's images and pairs
identification: .venv-tools/.ready
	mkdir -p .cache
	.venv-tools/bin/python benchmarks/identification/choices.py $(LFW) --cache .cache/view1.npz
	.venv-tools/bin/python benchmarks/identification/experiment.py $(LFW)/images --cache .cache/view1.npz \
		--plot docs/identification.svg

# Its table by groups: make identification-groups LFW=folder GROUPS=table of people and groups
identification-groups: .venv-tools/.ready
	mkdir -p .cache
	for split in train test; do .venv-tools/bin/python -m benchmarks.identification.groups $(LFW) \
		$(GROUPS) --cache .cache/view1.npz --split $$split; done

# Its table of tracks: make identification-tracks LFW=folder
identification-tracks: .venv-tools/.ready
	.venv-tools/bin/python -m benchmarks.identification.tracks $(LFW)

# The tables of docs/encoders.md: make encoders LFW=folder of View 1 GROUPS=table of people
encoders: .venv-tools/.ready
	.venv-tools/bin/python -m benchmarks.encoders $(LFW) $(if $(GROUPS),--groups $(GROUPS))

# docs/benchmarks.md: make benchmark LFW=folder of View 1; benchmark-timing needs an idle machine
benchmark: .venv/.ready .venv-tools/.ready
	.venv-tools/bin/python benchmarks/run.py $(LFW)

benchmark-timing: .venv/.ready .venv-tools/.ready
	.venv-tools/bin/python benchmarks/run.py --only timing

.venv/.ready: pyproject.toml
	$(PYTHON) -m venv .venv
	.venv/bin/pip install $(PIP_QUIET) --editable .
	.venv/bin/python -m compileall -q edgeface  # as pip does where it is installed for good
	touch $@

.venv-tools/.ready: pyproject.toml requirements-camera.txt
	$(PYTHON) -m venv .venv-tools
	.venv-tools/bin/pip install $(PIP_QUIET) --editable '.[convert,dev]'
	.venv-tools/bin/pip install $(PIP_QUIET) --no-deps --requirement requirements-camera.txt
	touch $@

.venv-tflite/.ready: pyproject.toml requirements-tflite.txt
	$(PYTHON) -m venv .venv-tflite
	.venv-tflite/bin/pip install $(PIP_QUIET) --requirement requirements-tflite.txt
	.venv-tflite/bin/pip install $(PIP_QUIET) --no-deps --editable .
	touch $@

# The shipped models again, byte for byte, from the pinned sources and the recorded numbers.
models: .venv-tools/.ready
	for name in facenet sface; do \
		.venv-tools/bin/convert-model $$name -o models/$$name-int8.tflite \
			--observations models/$$name-observations.json \
			--population models/$$name-population.json --no-report || exit; \
	done

# docs/python.md, from the docstrings.
api: .venv-tools/.ready
	.venv-tools/bin/python docs/python_page.py

# The table of docs/precisions.md: make precisions LFW=folder with View 1's images and pairs
precisions: .venv-tools/.ready .venv-tflite/.ready
	.venv-tools/bin/convert-model precisions facenet -o docs/precisions.md \
		--pairs $(LFW)/pairsDevTest.txt --python .venv-tflite/bin/python

clean:
	rm -rf .venv .venv-tools .venv-tflite .venv-debian .cache build dist *.egg-info

# Ten to thirty minutes: memory, threads, descriptors and the watchdog over 200,000 frames.
soak: .venv-tools/.ready
	EDGEFACE_SOAK_FRAMES=200000 .venv-tools/bin/pytest -s tests/service/test_soak.py

# The unit under a systemd of its own, as root: EDGEFACE_TRIAL_VIDEO names a video of a face.
systemd-trial: .venv/.ready
	packaging/proof/systemd_trial.sh .venv/bin/edgeface

# Source archive and wheel; one Debian package for each processor. The same bytes every time.
dist: .venv-tools/.ready
	.venv-tools/bin/python packaging/release/dists.py
	.venv-tools/bin/python packaging/release/sums.py

deb: .venv-tools/.ready
	.venv-tools/bin/python packaging/release/deb.py
	.venv-tools/bin/python packaging/release/sums.py

# dist/SHA256SUMS.sig, by an OpenSSH key that is kept elsewhere: make sign KEY=file
sign: .venv-tools/.ready
	.venv-tools/bin/python packaging/release/sums.py --sign $(if $(KEY),$(KEY),$(error KEY=file is missing))

# Both again, twice each, with the hashes compared (ten minutes or more).
reproducible: .venv-tools/.ready
	.venv-tools/bin/python packaging/release/dists.py --twice
	.venv-tools/bin/python packaging/release/deb.py --twice

lint-deb: deb
	lintian --fail-on error dist/edgeface_*.deb

# As root, with debootstrap and qemu-user: EdgeFace on emulated Raspberry Pi systems, from an empty
# one to its tests (an hour or more). LFW=folder takes real faces; SUITE=bookworm only that system.
test-pi: .venv-tools/.ready
	.venv-tools/bin/python packaging/proof/prove.py --report docs/raspberry-pi-proof.md \
		$(if $(LFW),--lfw $(LFW)) $(if $(SUITE),--suite $(SUITE))

# As root: the packages' whole life, on both systems and processors.
test-deb: deb
	.venv-tools/bin/python packaging/proof/packages.py dist --report docs/raspberry-pi-proof.md \
		$(if $(SUITE),--suite $(SUITE)) $(if $(ARCH),--arch $(ARCH))

# What the model costs on each board, estimated: docs/pi-cost.md
pi-cost: .venv-tools/.ready
	.venv-tools/bin/python benchmarks/pi_cost.py > docs/pi-cost.md
