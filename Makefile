# make demo   install everything into .venv and run the pipeline end to end on synthetic data
# make test   install everything into .venv, then lint and check
# make lint   the linters, the type checker and the contract of imports
# make check  the tests; COVERAGE=1 prints which lines they reach
# make report the site of this project's own results, into output/site; REPORT="--images DIR ..." adds to it
# make clean  remove what was built, but not output/

VENV := .venv
STAMP := $(VENV)/.installed
# errors only: pip warns about what a user cannot change, such as the settings of a mirror
PIP := $(VENV)/bin/python -m pip --disable-pip-version-check -qq

# The first interpreter that runs, is 3.11 to 3.13 and can make environments. It is tried, not just
# looked up: a version manager's shim may exist and refuse to run.
USABLE := import ensurepip, sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))
PYTHON ?= $(shell for p in python3.11 python3.12 python3.13 python3; do \
	$$p -c '$(USABLE)' >/dev/null 2>&1 && { echo $$p; break; }; done)

.PHONY: demo report test lint workflows check clean
.DELETE_ON_ERROR:

demo: $(STAMP)
	@$(VENV)/bin/python tools/demo.py

report: $(STAMP)
	@$(VENV)/bin/python tools/report.py --runs docs/results --output output/site --latex \
		--title "Standard and robust backbones: this project's own results" $(REPORT)

test: lint
	@$(MAKE) --no-print-directory check

check: $(STAMP)
	OMP_NUM_THREADS=1 $(VENV)/bin/python -m pytest -q -n auto --maxprocesses 8 --dist worksteal \
		$(if $(COVERAGE),--cov --cov-report=term:skip-covered)

lint: $(STAMP) workflows
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy robust_det tools tests
	$(VENV)/bin/lint-imports --no-logo

# What GitHub reads: known keys, and no way in for what a stranger's pull request says
SCHEMA = $(VENV)/bin/check-jsonschema --quiet --builtin-schema
workflows: $(STAMP)
	$(SCHEMA) vendor.github-workflows .github/workflows/*.yml
	$(SCHEMA) vendor.dependabot .github/dependabot.yml
	$(SCHEMA) vendor.github-issue-config .github/ISSUE_TEMPLATE/config.yml
	$(SCHEMA) vendor.github-issue-forms $(filter-out %/config.yml,$(wildcard .github/ISSUE_TEMPLATE/*.yml))
	$(VENV)/bin/zizmor --quiet --offline .github

.venv: $(STAMP)

# The stamp is written last: an interrupted installation is done again.
$(STAMP): requirements.txt setup.py robust_det/commands/setup/install_detectron2.py
	@rm -f $@
	@$(or $(PYTHON),false) -c '$(USABLE)' 2>/dev/null || { echo "error: no usable Python 3.11, \
	3.12 or 3.13 with the venv module; install one, or name it: make PYTHON=/path/to/python3.11" >&2; exit 1; }
	@$(VENV)/bin/python -c 'import pip; $(USABLE)' 2>/dev/null || $(PYTHON) -m venv --clear $(VENV)
	@echo "Installing the pinned packages into $(VENV): 6 GB, a few minutes the first time"
	@$(PIP) install -r requirements.txt
	@$(PIP) install --no-deps imagecorruptions-imaug==1.1.5
	@$(PIP) install --no-deps --no-build-isolation -e .
	@$(VENV)/bin/python tools/install_detectron2.py
	@touch $@

clean:
	rm -rf $(VENV) build *.egg-info .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .coverage*
	find robust_det tools tests benchmarks -name __pycache__ -type d -prune -exec rm -rf {} +
