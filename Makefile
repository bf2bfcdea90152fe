# make demo | make test | make check. Each builds .venv when it is not there or when what is compiled has changed.
#   make demo PYTHON=python3.12      another interpreter (remove .venv to change it later)

PYTHON ?= python3
VENV := .venv
RUN := $(VENV)/bin/python -m
BUILT_FROM := pyproject.toml CMakeLists.txt constraints.txt $(wildcard src/core/*)
INSTALL = $(RUN) pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable

.PHONY: demo test check docs clean

demo: $(VENV)/.installed
	$(VENV)/bin/voxbench demo --out demo --force

test: $(VENV)/.installed-test
	$(RUN) pytest -q

check: $(VENV)/.installed-dev
	PATH="$(CURDIR)/$(VENV)/bin:$$PATH" scripts/check

docs: $(VENV)/.installed-docs
	PATH="$(CURDIR)/$(VENV)/bin:$$PATH" $(VENV)/bin/python scripts/site.py --out site

clean:
	rm -rf $(VENV) build demo site

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: $(BUILT_FROM) | $(VENV)/bin/python
	$(INSTALL) .
	@touch $@

$(VENV)/.installed-%: $(BUILT_FROM) | $(VENV)/bin/python
	$(INSTALL) '.[$*]'
	@touch $@ $(VENV)/.installed
