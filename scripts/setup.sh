#!/bin/sh
# Makes .venv from a lock file: `scripts/setup.sh run` installs what hearth needs to run and to demonstrate itself,
# `scripts/setup.sh dev` everything for work on it. PYTHON=... names the interpreter; pip's own settings are respected.
set -eu
cd "$(dirname "$0")/.."

kind=${1:-dev}
case $kind in
    run) lock=requirements.lock ;;
    dev) lock=requirements-dev.lock ;;
    *) echo "usage: scripts/setup.sh run|dev" >&2; exit 2 ;;
esac

fail() {
    echo "setup: $1" >&2
    exit 1
}

usable() { # an interpreter of a version that we support; pyenv leaves stubs behind that only print an error
    "$1" -c 'import sys, venv; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' >/dev/null 2>&1
}

has_ensurepip() { # Debian moves it to the package python3-venv
    "$1" -c 'import ensurepip' >/dev/null 2>&1
}

choose_python() { # the newest with all its parts, else the newest
    if [ -n "${PYTHON:-}" ]; then
        usable "$PYTHON" || fail "PYTHON=$PYTHON is not Python 3.11, 3.12 or 3.13 · give another one"
        echo "$PYTHON"
        return
    fi
    second=
    for name in python3.13 python3.12 python3.11 python3; do
        usable "$name" || continue
        if has_ensurepip "$name"; then
            echo "$name"
            return
        fi
        [ -n "$second" ] || second=$name
    done
    [ -n "$second" ] || fail "no Python 3.11, 3.12 or 3.13 found · install one, or run: make PYTHON=/path/to/python3.11 setup"
    echo "$second"
}

make_venv() {
    if has_ensurepip "$python"; then
        "$python" -m venv --clear .venv
    elif "$python" -m pip --version >/dev/null 2>&1; then
        "$python" -m venv --clear --without-pip .venv
    else
        version=$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
        command="apt-get install -y python$version-venv"
        command -v apt-get >/dev/null 2>&1 || fail "$python has neither ensurepip nor pip · install one of them for Python $version"
        [ "$(id -u)" = 0 ] || fail "$python cannot make a virtual environment · run: sudo $command"
        echo "setup: $python cannot make a virtual environment: $command"
        DEBIAN_FRONTEND=noninteractive $command >/dev/null 2>&1 ||
            { apt-get update >/dev/null && DEBIAN_FRONTEND=noninteractive $command >/dev/null; } ||
            fail "could not run: $command"
        "$python" -m venv --clear .venv
    fi
}

install() { # with the environment's own pip, or with the interpreter's where the environment has none
    if .venv/bin/python -m pip --version >/dev/null 2>&1; then
        .venv/bin/python -m pip install -qq --disable-pip-version-check --no-input "$@"
    else
        "$python" -m pip --python .venv/bin/python install -qq --disable-pip-version-check --no-input "$@"
    fi || fail "installation failed (the lines above say why) · mend it, then run the same command again"
}

python=$(choose_python)
usable .venv/bin/python || make_venv
echo "setup: installing ($kind, $(.venv/bin/python --version)) into .venv"
install --no-deps -r "$lock"
# The build backend is in the lock, so that this step needs no network and gives the same result tomorrow.
install --no-deps --no-build-isolation -e .
touch .venv/.hearth-run
[ "$kind" = run ] || touch .venv/.hearth-dev
