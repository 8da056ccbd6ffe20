# make demo   the runtime in .venv, then faces accepted and refused
# make test   lint, types and all tests, on LiteRT and on tflite-runtime
PYTHON ?= $(shell command -v python3.11 || command -v python3)
PIP_QUIET = --quiet --disable-pip-version-check

.PHONY: demo test lint types test-litert test-tflite models clean soak systemd-trial prove-gallery crowd benchmark benchmark-timing

demo: .venv/.ready
	.venv/bin/edgeface demo

test: lint types test-litert test-tflite

lint: .venv-tools/.ready
	.venv-tools/bin/ruff check .
	.venv-tools/bin/ruff format --check .

types: .venv-tools/.ready
	.venv-tools/bin/mypy

test-litert: .venv-tools/.ready .venv/.ready
	.venv-tools/bin/pytest

# The second back end: the last tflite-runtime, with the NumPy it was built for.
test-tflite: .venv-tflite/.ready
	EDGEFACE_RUNTIME=tflite-runtime .venv-tflite/bin/pytest --ignore=tests/tools

# The gallery's proofs at full size (minutes); the tests run them small.
prove-gallery: .venv-tools/.ready
	.venv-tools/bin/python tests/gallery_proofs.py

# The tables of docs/crowd.md: make crowd LFW=folder with View 1's images and pairs
crowd: .venv-tools/.ready
	mkdir -p .cache
	.venv-tools/bin/python tests/crowd_choices.py $(LFW) --cache .cache/view1.npz
	.venv-tools/bin/python tests/crowd_experiment.py $(LFW)/images --cache .cache/view1.npz \
		--plot docs/crowd.svg

# docs/benchmarks.md: make benchmark LFW=folder of View 1; benchmark-timing wants an idle machine
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

# The shipped model again, byte for byte, from the pinned source and the recorded numbers.
models: .venv-tools/.ready
	.venv-tools/bin/convert-model facenet -o models/facenet-int8.tflite \
		--observations models/facenet-observations.json --population models/facenet-population.json

clean:
	rm -rf .venv .venv-tools .venv-tflite .cache build dist *.egg-info

# Ten to thirty minutes: memory, threads, descriptors and the watchdog over 200,000 frames.
soak: .venv-tools/.ready
	EDGEFACE_SOAK_FRAMES=200000 .venv-tools/bin/pytest -s tests/service/test_soak.py

# The unit under a systemd of its own, as root: EDGEFACE_TRIAL_VIDEO names a video of a face.
systemd-trial: .venv/.ready
	tests/service/systemd_trial.sh .venv/bin/edgeface
