# Sourced by scripts that build or run containers: finds an engine, or makes podman work here.
# shellcheck shell=bash

say() { printf '%s: %s\n' "$(basename "$0" .sh)" "$*"; }
fail() { say "$*" >&2; exit 1; }

# Installs Debian packages, for those of the named commands that are missing.
need() { # COMMAND=PACKAGE...
  local missing=() pair
  for pair in "$@"; do command -v "${pair%%=*}" >/dev/null || missing+=("${pair#*=}"); done
  [ ${#missing[@]} -gt 0 ] || return 0
  [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null || fail "needs these packages, and only root can install them: ${missing[*]}"
  say "installing ${missing[*]}"
  apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -qq --yes --no-install-recommends "${missing[@]}" >/dev/null ||
    fail "apt-get could not install ${missing[*]}: see above"
}

use_podman() {
  need podman=podman buildah=buildah runc=runc catatonit=catatonit iptables=iptables newuidmap=uidmap
  [ -e /usr/lib/podman/netavark ] || need netavark=netavark aardvark-dns=aardvark-dns
  # Without systemd there is nobody to make control groups, and limits beyond one's own cannot be set.
  if [ ! -d /run/systemd/system ] && [ -z "${CONTAINERS_CONF:-}" ]; then
    CONTAINERS_CONF=${TMPDIR:-/tmp}/containers-$(id -u).conf
    export CONTAINERS_CONF
    cat >"$CONTAINERS_CONF" <<'END'
[containers]
default_ulimits = ["nofile=20000:20000", "nproc=4096:4096"]
netns = "host"
[engine]
runtime = "runc"
cgroup_manager = "cgroupfs"
events_logger = "file"
[network]
network_backend = "netavark"
END
  fi
  podman info >/dev/null || fail "podman does not work here: see above"
}

# Makes what the Dockerfile starts from out of Debian's packages and this machine's Python 3.11: the same Debian, Python
# and layout, from where no image registry is reached.
make_base() { # IMAGE
  local image=$1 python root
  need debootstrap=debootstrap
  [ "$(id -u)" = 0 ] || fail "$image can be fetched from no registry, and only root can make it here"
  python=$(find_shared_python) || fail "$image can be fetched from no registry, and there is no relocatable Python 3.11 to make it from"
  say "no registry has $image here: making it from Debian's packages and $python"
  root=$(mktemp -d)
  debootstrap --variant=minbase --include=ca-certificates,libbz2-1.0,libexpat1,libffi8,liblzma5,libncursesw6,libreadline8t64,libsqlite3-0,libssl3t64,libuuid1,netbase,tzdata,zlib1g \
    trixie "$root" >"$root.log" 2>&1 || fail "debootstrap failed: $(tail -n 1 "$root.log")"
  rm -rf "$root"/var/cache/apt/archives/*.deb "$root"/var/lib/apt/lists/* "$root"/usr/share/{doc,man}
  (cd "$python" && tar -cf - --exclude=__pycache__ --exclude='*/test' --exclude='*/config-3.11-*' --exclude='*/idlelib' \
    --exclude='*/tkinter' --exclude='lib/python3.11/site-packages/[!p]*' --exclude='lib/python3.11/site-packages/p[!i]*' \
    bin/python3.11 lib/libpython3* lib/python3.11) | tar -C "$root/usr/local" -xf -
  ln -s python3.11 "$root/usr/local/bin/python3" && ln -s python3.11 "$root/usr/local/bin/python"
  chroot "$root" ldconfig
  chroot "$root" python -c 'import ssl, sqlite3, ctypes, bz2, lzma, pip' || fail "$python does not work on Debian 13"
  tar -C "$root" -c . | podman import --quiet --change 'CMD ["python3"]' \
    --change 'ENV PATH=/usr/local/bin:/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin' - "docker.io/library/$image" >/dev/null
  rm -rf "$root" "$root.log"
}

# Prints the folder of a Python 3.11 that lies in one place, as pyenv's and uv's do.
find_shared_python() {
  local candidate
  for candidate in ${PYTHON:+"$PYTHON"} python3.11 "$HOME"/.pyenv/versions/3.11.*/bin/python3.11 \
    "$HOME"/.local/share/uv/python/cpython-3.11.*/bin/python3.11; do
    "$candidate" -c 'import os, sys
prefix = sys.base_prefix
sys.exit(prefix == "/usr" or sys.version_info[:2] != (3, 11) or print(prefix))' 2>/dev/null && return
  done
  return 1
}
