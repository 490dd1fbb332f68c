# Everything here needs only Python 3.11-3.13, git and make: each target makes .venv and installs what it needs.
# PYTHON=/path/to/python3.12 chooses the interpreter.
.DEFAULT_GOAL := help
.PHONY: help setup demo test test-fast check format lock bench bench-fit bench-pull bench-kv bench-faults
.PHONY: pilot bench-pilot bench-snapshots bench-edits bench-repomap bench-prefix bench-context
BIN := .venv/bin
RUN := .venv/.hearth-run
DEV := .venv/.hearth-dev
# Many tests wait for processes: three at once keep two cores busy.
WORKERS ?= 3

help:  ## this list
	@grep -E '^[a-z-]+:.*  ## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*  ## /\1\t/' | expand -t 14

setup: $(DEV)  ## .venv with everything for work on hearth

demo: $(RUN)  ## the whole system on a sample project, with the model in the package
	@$(BIN)/hearth demo

test: check  ## check, then the whole suite with coverage (fails under 85 % of lines)
	@$(BIN)/coverage erase
	$(BIN)/coverage run -m pytest -n $(WORKERS) --dist worksteal $(ARGS)
	@$(BIN)/python scripts/drop_broken_coverage.py
	@$(BIN)/coverage combine --quiet
	$(BIN)/coverage report

test-fast: $(DEV)  ## the suite without its slow tests
	$(BIN)/python -m pytest -m "not slow" -n $(WORKERS) --dist worksteal $(ARGS)

check: $(DEV)  ## lint, format, types, import rules, lock
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo
	$(BIN)/python scripts/lock.py --check

format: $(DEV)  ## put the code in the one format
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

lock: $(DEV)  ## resolve the lock files again after a change of dependencies (needs uv)
	$(BIN)/python scripts/lock.py

bench: $(DEV)  ## start-up, prompt weight and speed, printed and written to docs/bench.md
	$(BIN)/python -m bench

bench-fit: $(DEV)  ## what hearth says a model takes, beside the engine's own account; writes docs/fit.md
	$(BIN)/python -m bench.fit

bench-pull: $(DEV)  ## a pull of 2 GB beside curl and sha256sum, from a server on this machine
	$(BIN)/python -m bench.pull

bench-kv: $(DEV)  ## what saved KV states spare; writes docs/kv-bench.md
	$(BIN)/python -m bench.kv

bench-prefix: $(DEV)  ## what agents make the engine read again: hearth, pi, OpenCode, qwen-code (needs npm); writes docs/prefix.md
	$(BIN)/python -m bench.prefix

bench-context: $(DEV)  ## what keeping within a small window makes the engine read again; writes docs/context-bench.md
	$(BIN)/python -m bench.context

bench-faults: $(DEV)  ## how soon a stuck engine is found and replaced; writes docs/faults.md
	$(BIN)/python -m bench.faults

bench-edits: $(DEV)  ## what an edit costs in a file of 50,000 lines; writes docs/edits-bench.md
	$(BIN)/python -m bench.edits

bench-repomap: $(DEV)  ## what the map of a project costs; writes docs/repomap-bench.md
	$(BIN)/python -m bench.repomap

bench-snapshots: $(DEV)  ## what undo costs in a project of 100,000 files; writes docs/undo-bench.md
	$(BIN)/python -m bench.snapshots

pilot: $(DEV)  ## train the model in the package again, from nothing (3 hours on 2 cores; in work-pilot/)
	$(BIN)/python -m pip install --quiet -e '.[pilot]'
	@test ! -e work-pilot || { echo "work-pilot is there from an earlier training · move it away" >&2; exit 1; }
	mkdir work-pilot
	$(BIN)/python -m hearth.pilot.data work-pilot/vocab.jsonl 200 --made-up --seed 10
	$(BIN)/python -m hearth.pilot.data work-pilot/held-out.jsonl 120 --held-out --seed 20
	$(BIN)/python -m hearth.pilot.data work-pilot/train-1.jsonl 9000 --seed 1 & \
	$(BIN)/python -m hearth.pilot.data work-pilot/train-2.jsonl 9000 --seed 2; wait
	$(BIN)/python -m hearth.pilot.data work-pilot/train-3.jsonl 14000 --seed 3 --kinds constant rename explain
	$(BIN)/python -m hearth.pilot.train work-pilot --minutes 120
	$(BIN)/python -m hearth.pilot.export work-pilot src/hearth/weights/pilot.gguf

bench-pilot: $(DEV)  ## 200 held-out chores as real sessions; writes docs/pilot.md
	$(BIN)/python -m hearth.pilot.evaluate

$(RUN): requirements.lock pyproject.toml scripts/setup.sh
	@scripts/setup.sh run

$(DEV): requirements.lock requirements-dev.lock pyproject.toml scripts/setup.sh
	@scripts/setup.sh dev
