#!/bin/sh
# Runs the fuzz targets of virtio/, net/ and vm-manager/, each for a bounded time. What is found is left where the output says, and is
# run again by: tools/fuzz.sh CARGO OUT NAME FILE
#
#   tools/fuzz.sh CARGO OUT-DIRECTORY [NAME [FILE]]
#
# From the environment: FUZZ_SECONDS for each target (60).
#
# libFuzzer is in the crate libfuzzer-sys, and needs a C++ compiler. The coverage that guides it is LLVM's, by options that the
# stable compiler has. It has no address sanitizer, but what is fuzzed forbids unsafe code, but for the locks of hv-core.
set -eu

cargo=$1
out=$2
wanted=${3:-}
file=${4:-}
seconds=${FUZZ_SECONDS:-60}
root=$(cd "$(dirname "$0")/.." && pwd)
host=$(rustc -vV | sed -n 's/^host: //p')
mkdir -p "$out"
out=$(cd "$out" && pwd)

say() { echo "fuzz: $*" >&2; }

instrumented="--cfg fuzzing -Cdebug-assertions -Coverflow-checks -Ccodegen-units=1 -Cpasses=sancov-module"
for option in level=4 inline-8bit-counters pc-table trace-compares; do
    instrumented="$instrumented -Cllvm-args=-sanitizer-coverage-$option"
done

# Prints the targets of a crate.
targets() {
    for source in "$root/$1"/fuzz/fuzz_targets/*.rs; do
        name=$(basename "$source" .rs)
        [ -n "$wanted" ] && [ "$wanted" != "$name" ] || echo "$name"
    done
}

# With a target named, host tools are built without instruments.
build() {
    say "building $2 of $1"
    # shellcheck disable=SC2086 # CARGO may set variables before it
    (cd "$root/$1/fuzz" && RUSTFLAGS=$instrumented sh -c "$cargo build --quiet --release --target $host --target-dir '$out/target' --bin $2")
}

run() {
    seeds="$root/$1/fuzz/seeds/$2"
    [ -d "$seeds" ] || seeds=
    mkdir -p "$out/$2"
    say "$2: $seconds s"
    # What is new goes into the first directory.
    # shellcheck disable=SC2086 # there may be no seeds
    if ! "$out/target/$host/release/$2" "$out/$2" $seeds -max_total_time="$seconds" -max_len=4096 -timeout=20 \
        -rss_limit_mb=2048 -artifact_prefix="$out/$2-" >"$out/$2.log" 2>&1; then
        tail -n 40 "$out/$2.log" >&2
        say "$2 failed: $out/$2.log"
        exit 1
    fi
    say "$2: $(sed -n 's/^Done \([0-9]*\) runs.*/\1 runs, nothing found/p' "$out/$2.log")"
}

found=
for crate in virtio net vm-manager; do
    for name in $(targets $crate); do
        found=yes
        build $crate "$name"
        if [ -n "$file" ]; then
            "$out/target/$host/release/$name" "$file"
        else
            run $crate "$name"
        fi
    done
done
if [ -z "$found" ]; then
    say "no target '$wanted': there are $(wanted='' && targets virtio | tr '\n' ' ')$(wanted='' && targets net | tr '\n' ' ')$(wanted='' && targets vm-manager | tr '\n' ' ')"
    exit 1
fi
