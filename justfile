# Short names for the commands of this repository. Each calls a script or one command of cargo; CI
# calls the scripts themselves. `just` alone lists them.

# Lists the recipes.
[private]
default:
    @just --list --unsorted

# Builds what a user runs: binaries, tools, policies.
setup:
    scripts/setup

# Tells the main job on real parts.
demo *options:
    scripts/demo {{ options }}

# Checks the sources: formatting, dependencies, scripts, lints, documentation. No test.
check *names:
    scripts/check {{ names }}

# Formats both workspaces.
format:
    cargo fmt --all
    cd plugins && cargo fmt --all

# Runs CI's set of tests, or only those whose name contains the filter.
test *filter:
    scripts/test {{ filter }}

# Runs the full set: before an issue is resolved.
test-full:
    scripts/test --full

# Runs unit tests alone: seconds.
test-unit *filter:
    cargo test --workspace --lib --locked -- {{ filter }}

# Runs the guests' own tests.
test-guests:
    cd plugins && cargo test --locked

# Holds this repository against its own rules.
tidy:
    cargo test --workspace --test it --locked -- tidy

# Builds the reference of each crate and opens it.
doc:
    cargo doc --workspace --no-deps --locked --open

# Measures the whole gateway (ten minutes after the build; `just bench --quick` two).
bench *options:
    scripts/bench {{ options }}

# Searches one target for so many seconds: json, path, directory, policy, frame, signature, ledger.
fuzz target seconds="60":
    cargo +nightly fuzz run --features libfuzzer {{ target }} -- -max_total_time={{ seconds }} -max_len=4096
