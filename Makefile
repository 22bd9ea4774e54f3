# make demo: set up and search activations on the churn data that come along.   make test: set up and run the whole suite.
# make quick: lint and the fast unit tests.   make docs: the docs as a site, in site/.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin

.PHONY: demo test quick lint docs clean

# torch comes first and alone: with its pin installed, nothing else pulls another build of it.
$(VENV)/.installed: pyproject.toml constraints.txt
	$(PYTHON) -c "import sys; sys.exit('autoact needs Python 3.11 or newer') if sys.version_info < (3, 11) else None"
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt "$$(grep '^torch==' constraints.txt)"
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e .
	touch $@

$(VENV)/.installed-test: $(VENV)/.installed
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[test,docs]"
	touch $@

demo: $(VENV)/.installed
	$(BIN)/python -m autoact search task=churn
	@echo
	@echo "Next: browse every trial   $(BIN)/python -m autoact ui"
	@echo "      use your own table   $(BIN)/python -m autoact search task=classification data.path=x.csv data.target=y"
	@echo "      what can be chosen   $(BIN)/python -m autoact activations"

lint: $(VENV)/.installed-test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/vulture

# Strict: a link or a docstring that is wrong is an error.
docs: $(VENV)/.installed-test
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet

# The unit tests but for the folders whose tests train networks or prepare searches, which take most of the time.
TRAIN := benchmarks config integrations study training workflows
quick: lint
	$(BIN)/pytest -n 2 --dist worksteal -m "not slow" tests/unit $(TRAIN:%=--ignore=tests/unit/%)

test: lint docs
	$(BIN)/pytest -n 2 --dist worksteal

clean:
	rm -rf $(VENV) build dist site *.egg-info .pytest_cache .ruff_cache .mypy_cache
