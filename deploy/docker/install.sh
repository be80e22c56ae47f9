#!/bin/sh
# Inside the build: a virtual environment at /opt/assay with what the lock names, and assay. No network, no pip left in it.
set -eu
python3 -m venv --without-pip /opt/assay
pip() {
    /opt/assay/bin/python "$(echo /wheels/pip-*.whl)/pip" --disable-pip-version-check --no-cache-dir "$@"
}
pip install --quiet --no-index --find-links /wheels --no-deps --require-hashes -r /wheels/lock.txt
# PyTorch differs by device: it comes from the index that the build was given, by version and without a hash.
if ls /wheels/torch-*.whl >/dev/null 2>&1; then pip install --quiet --no-index --no-deps /wheels/torch-*.whl; fi
pip install --quiet --no-index --no-deps /wheels/assay-*.whl
# Test suites and C headers of the libraries: a third of what they take, and no server reads them.
find /opt/assay/lib -type d \( -name tests -o -name include \) -prune -exec rm -rf {} +
