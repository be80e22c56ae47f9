#!/bin/sh
# The client's tests under each protobuf that trainers pin, and under the oldest grpcio and numpy that are allowed.
# Environments are kept in build/matrix and reused. Usage: sh tests/matrix.sh [PYTHON]
set -eu
cd "$(dirname "$0")/.."
python=${1:-python3}

check() {
    name=$1
    shift
    environment=build/matrix/$name
    wanted="$* pytest pytest-asyncio pytest-timeout trustme"
    if [ "$(cat "$environment/installed" 2>/dev/null || true)" != "$wanted" ]; then
        rm -rf "$environment"
        "$python" -m venv "$environment"
        # shellcheck disable=SC2086
        "$environment/bin/pip" install --quiet --disable-pip-version-check $wanted
        echo "$wanted" >"$environment/installed"
    fi
    echo "== $name: $("$environment/bin/pip" freeze | grep -iE '^(grpcio|protobuf|numpy)=' | tr '\n' ' ')"
    "$environment/bin/python" -m pytest tests/client -q -p no:cacheprovider
}

# The tests mostly wait, so the environments are tried side by side.
trial() {
    check "$@" >"build/matrix/$1.log" 2>&1
}
mkdir -p build/matrix
trial protobuf5 'protobuf==5.29.*' 'grpcio==1.66.2' 'numpy==1.26.*' &
first=$!
trial protobuf6 'protobuf==6.33.*' 'grpcio==1.76.*' 'numpy>=2' &
second=$!
trial protobuf7 'protobuf>=7,<8' 'grpcio>=1.85' 'numpy>=2' &
third=$!
failed=0
wait "$first" || failed=1
wait "$second" || failed=1
wait "$third" || failed=1
cat build/matrix/*.log
exit "$failed"
