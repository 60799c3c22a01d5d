# What the scripts share: places, versions, and how they speak. Sourced, never run.
# shellcheck shell=sh

root=$(cd "$(dirname "$0")/.." && pwd)
# Parts that take minutes live outside the tree, keyed by version, and are used by every clone.
cache="${XDG_CACHE_HOME:-$HOME/.cache}/cofferdam"

opa_version=1.19.1
mcp_version=2.3.0
pyyaml_version=6.0.4
# The control plane for tests: its module's own requirement is the one place that says which Kubernetes.
kubernetes_version=$(sed -n 's/^.*k8s\.io\/kubernetes v\([0-9.]*\).*/\1/p' "$root/scripts/control-plane/go.mod")
opa="$cache/opa-$opa_version/opa"
venv="$cache/python-mcp-$mcp_version"
# Older official clients, for tests alone.
clients="$cache/clients"
control_plane="$cache/control-plane-$kubernetes_version"
# Built parts that `cofferdam init --assets` reads: tools/, executors/, policy/.
assets="$root/target/assets"
binaries="$root/target/debug"

say() { printf '\033[1m==>\033[0m %s\n' "$*" >&2; }
die() { printf 'error: %s\n' "$*" >&2; exit 1; }

# need COMMAND REMEDY
need() { command -v "$1" >/dev/null 2>&1 || die "\`$1\` is missing; $2"; }
