# make run        install what the page needs and start it (options: make run ARGS="--model embedded")
# make serve      the page on Ray Serve, with replicas of the network (deploy/README.md)
# make check      lint and format, as CI does
# make format     fix lint and format
# make test       install what the tests need and run them
# make test-slow  the tests that compute for minutes
# make test-ray   the tests that start Ray
# make clean      delete the virtual environment
VENV := .venv
PYTHON ?= python3
BIN := $(VENV)/bin
ARGS ?=

.PHONY: run serve test test-slow test-ray check format clean

run: $(VENV)/run.stamp
	$(BIN)/python app.py $(ARGS)

serve: $(VENV)/ray.stamp
	$(BIN)/python -m deploy.ray_serve $(ARGS)

test-ray: $(VENV)/dev.stamp $(VENV)/ray.stamp
	PIXELWISE_REQUIRE_RAY=1 timeout --kill-after=10 480 $(BIN)/python -m pytest -m ray $(ARGS)

# One worker more than there are processors, four at most: browsers and pauses leave time to share.
# All tests of a file run in one worker and share its fixtures.
WORKERS := $(shell n=$$(( $$(nproc 2>/dev/null || echo 2) + 1 )); [ $$n -lt 4 ] && echo $$n || echo 4)
AT_ONCE := -n $(WORKERS) --dist loadfile --no-loadscope-reorder

test: $(VENV)/dev.stamp
	$(BIN)/python -m pytest $(AT_ONCE) $(ARGS)

test-slow: $(VENV)/dev.stamp
	$(BIN)/python -m pytest $(AT_ONCE) -m "slow and not ray" $(ARGS)

check: $(VENV)/dev.stamp
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

format: $(VENV)/dev.stamp
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:
	rm -rf $(VENV)

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)

# Gradio 6.31 asks for pillow<13, which has published vulnerabilities: see SECURITY.md.
PILLOW := $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps -r requirements-pillow.txt

$(VENV)/run.stamp: requirements.txt requirements-bounds.txt requirements-pillow.txt | $(BIN)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.txt -r requirements-bounds.txt
	$(PILLOW)
	touch $@

$(VENV)/dev.stamp: requirements.txt requirements-bounds.txt requirements-dev.txt requirements-pillow.txt | $(BIN)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements-dev.txt
	$(PILLOW)
	touch $(VENV)/run.stamp $@

$(VENV)/ray.stamp: requirements.txt requirements-bounds.txt requirements-pillow.txt pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e ".[ray]"
	$(PILLOW)
	touch $(VENV)/run.stamp $@
