# Two commands for a fresh machine; each makes its own virtual environment and installs what it needs.
#   make demo   reconstruct the sample photo into out/demo
#   make test   lint, type-check and run the tests
# and, beside them,
#   make docs   the API reference, as pages in out/site

# mediapipe, the landmark teacher, has wheels for Python 3.11 and 3.12.
PYTHON ?= $(shell for p in python3 python3.12 python3.11; do \
	$$p -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 12))' 2>/dev/null && echo $$p && break; done)
TORCH := torch==2.13.0
PIP := pip install --quiet --disable-pip-version-check
# Many small matrices on few cores: threads of BLAS and OpenMP only get in each other's way.
export OPENBLAS_NUM_THREADS := 1
export OMP_NUM_THREADS := 1

.PHONY: demo test docs clean

demo: .venv-demo/installed
	.venv-demo/bin/python examples/sample_photo.py out/demo/astronaut.png
	.venv-demo/bin/facefactor reconstruct out/demo/astronaut.png --out out/demo

test: .venv-test/installed
	.venv-test/bin/ruff check
	.venv-test/bin/ruff format --check
	.venv-test/bin/mypy
	.venv-test/bin/python -m pytest --numprocesses 2 --dist loadfile

docs: .venv-test/installed
	.venv-test/bin/python -m mkdocs build --strict

.venv-demo/installed: pyproject.toml Makefile
	$(call make-venv,.venv-demo)
	.venv-demo/bin/$(PIP) --editable ".[demo]"
	touch $@

# A CPU build of torch where one is offered: by the index in use, or by PyTorch's own; else what the index has.
.venv-test/installed: pyproject.toml Makefile
	$(call make-venv,.venv-test)
	.venv-test/bin/$(PIP) "$(TORCH)+cpu" 2>/dev/null \
		|| .venv-test/bin/$(PIP) --retries 1 --index-url https://download.pytorch.org/whl/cpu "$(TORCH)" 2>/dev/null \
		|| .venv-test/bin/$(PIP) "$(TORCH)"
	.venv-test/bin/$(PIP) --editable ".[train,prepare,build,export,exr,usd,video,view,tensorboard,docs,dev]"
	touch $@

define make-venv
	@test -n "$(PYTHON)" || { echo "facefactor needs Python 3.11 or 3.12 on the PATH, or make PYTHON=/path/to/it" >&2; exit 1; }
	$(PYTHON) -m venv $(1)
endef

clean:
	rm -rf .venv-demo .venv-test out
