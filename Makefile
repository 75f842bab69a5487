# The targets share one virtual environment with the command inrsr in it.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# pinned, because a plain "torch" may pull gigabytes of CUDA; another build: make TORCH=torch==2.8.0 …
TORCH ?= torch==2.13.0
# two tests at a time, each with a thread of its own; a worker that has nothing left takes from the other one
TEST_OPTIONS ?= --numprocesses 2 --dist worksteal -m "not alone"

.PHONY: help demo test lint panel screenshots tutorial package clean

help:
	@echo "make demo   two thick-slice scans -> isotropic volumes, a figure and a table (no Slicer needed)"
	@echo "make test   the tests"
	@echo "make panel  the panel of the Slicer module in a window, without Slicer"
	@echo "make screenshots   the README's pictures of the panel"
	@echo "make tutorial      does the tutorial with the sample data, and takes its pictures"
	@echo "make package       packs the extension with a stand-in of Slicer's build system"
	@echo "make lint   ruff and mypy"

$(BIN)/inrsr: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check "$(TORCH)"
	$(BIN)/pip install --quiet --disable-pip-version-check --editable ".[cohorts,dev,demo,fast,slicer,slurm]"
	@touch $@

demo: $(BIN)/inrsr
	$(BIN)/python -m INRSuperResolutionLib.demo

test: $(BIN)/inrsr
	$(BIN)/python -m pytest $(TEST_OPTIONS)
	$(BIN)/python -m pytest -m alone

lint: $(BIN)/inrsr
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

panel: $(BIN)/inrsr
	$(BIN)/python Testing/panel.py

screenshots: $(BIN)/inrsr
	$(BIN)/python Testing/panel.py --screenshots Resources/Screenshots

tutorial: $(BIN)/inrsr
	$(BIN)/python Testing/tutorial.py Documentation/pictures

package:
	cmake -S . -B build -DSlicer_DIR="$(CURDIR)/Testing/SlicerMacros"
	cmake --build build
	cd build && cpack

clean:
	rm -rf $(VENV) build *.egg-info demo
