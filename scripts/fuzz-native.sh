#!/bin/sh
# Builds the scan of native/ without Node under AddressSanitizer and UndefinedBehaviorSanitizer, and runs it
# over test/fuzz/corpus and mutations of it.
#
#   scripts/fuzz-native.sh [SECONDS] [SEED]
#
# SECONDS defaults to 60, SEED to the time. SWITCHYARD_FUZZ_OPTIMIZE (default -O1) is for the compiler: with -O0 it takes an eighth of
# the time, and the fuzzer several times as much for each input. With clang and its libFuzzer (SWITCHYARD_LIBFUZZER=1) the mutations
# are guided by coverage; otherwise g++ builds a driver of our own.
set -eu

cd "$(dirname "$0")/.."
seconds=${1:-60}
seed=${2:-$(date +%s)}
simdjson=$(node -p "require('path').join(require('path').dirname(require.resolve('simdjson/package.json')), 'src')")
out=.cache/fuzz-native
mkdir -p "$out"

sanitize='-fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer'
optimize=${SWITCHYARD_FUZZ_OPTIMIZE:--O1}
flags="-std=c++17 $optimize -g1 -Wall -Wextra -Inative -I$simdjson"
sources='native/canonical.cc native/scan-core.cc native/scan-judge.cc native/scan-uri.cc native/tokens.cc native/scan-fuzz.cc native/simdjson-kernels.cc'
compiler=${CXX:-g++}
if [ "${SWITCHYARD_LIBFUZZER:-0}" = 1 ]; then
  compiler=${CXX:-clang++}
  sanitize="$sanitize -fsanitize=fuzzer"
  flags="$flags -DSWITCHYARD_LIBFUZZER"
fi

# One object a source, compiled again only when it or a header of ours is newer; simdjson's kernels, most of
# the time, include none of those.
objects=
for source in $sources; do
  object="$out/$(basename "$source" .cc)-$(basename "$compiler")$optimize.o"
  objects="$objects $object"
  headers=native/*.h
  [ "$source" != native/simdjson-kernels.cc ] || headers=$source
  # shellcheck disable=SC2086
  if [ -z "$(find "$object" -newer "$source" 2>/dev/null)" ] || [ -n "$(find $headers -newer "$object" 2>/dev/null)" ]; then
    # shellcheck disable=SC2086
    $compiler $flags $sanitize -c "$source" -o "$object.new"
    mv "$object.new" "$object"
  fi
done
# shellcheck disable=SC2086
$compiler $sanitize $objects -o "$out/scan-fuzz"

if [ "${SWITCHYARD_LIBFUZZER:-0}" = 1 ]; then
  mkdir -p "$out/found"
  exec "$out/scan-fuzz" -max_total_time="$seconds" -seed="$seed" -max_len=65536 "$out/found" test/fuzz/corpus
fi
exec "$out/scan-fuzz" "$seconds" "$seed" test/fuzz/corpus/*
