#!/usr/bin/env bash
# Three programs that nobody here wrote, under the system allocator and under
# PyMalloc: builds each twice, runs both on the same input, compares the outputs
# byte for byte, and prints time and memory side by side.
#
#   examples/real-programs.sh           all of them
#   examples/real-programs.sh tokei     one of them
#
# cargo brings the sources; they stay under target/. Status 1: an output differs.
set -euo pipefail
export LC_ALL=C

PROGRAMS=(ripgrep@15.2.0 tokei@15.0.0 oxipng@10.2.1)
RUNS=3 # of which the fastest counts

repository=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
work=$repository/target/real-programs
sources=target/real-programs/sources # as published; a short name, see run_tokei
patched=$work/patched   # with two lines more
binaries=$work/binaries # NAME.system and NAME.pymalloc
outputs=$work/outputs
failures=0
started=$SECONDS

die() {
  printf 'real-programs: %s\n' "$*" >&2
  exit 2
}

usage() {
  printf 'usage: %s [' "${0##*/}"
  printf ' %s' "${PROGRAMS[@]%@*}"
  printf ' ]\n'
}

# The main file of a program, and the binary that it becomes.
main_of() { [[ $1 == ripgrep ]] && echo crates/core/main.rs || echo src/main.rs; }
binary_of() { [[ $1 == ripgrep ]] && echo rg || echo "$1"; }

# Brings NAME@VERSION through cargo and copies it to $sources/NAME.
fetch() {
  local name=${1%@*} version=${1#*@} found
  found=$(published "$name" "$version")
  if [[ -z $found ]]; then
    cargo info --quiet "$1" >/dev/null || die "cargo cannot fetch $1; is the network there?"
    found=$(published "$name" "$version")
    [[ -n $found ]] || die "cargo fetched $1, but not into its source folder"
  fi
  rm -rf "${sources:?}/$name"
  mkdir -p "$sources"
  cp -R "$found" "$sources/$name"
  # Settings of its own workplace, and no part of ours.
  rm -rf "$sources/$name/.cargo"
  grep -q '^\[workspace\]' "$sources/$name/Cargo.toml" ||
    printf '\n[workspace]\n' >>"$sources/$name/Cargo.toml"
}

published() {
  find "${CARGO_HOME:-$HOME/.cargo}/registry/src" -mindepth 2 -maxdepth 2 -type d \
    -name "$1-$2" -print -quit 2>/dev/null || true
}

# The folders of the libraries that the programs are built from, as far as cargo
# has brought them: a large input that is the same in every run.
libraries() {
  cat "$sources"/*/Cargo.lock |
    awk -F'"' '/^name = / { name = $2 } /^version = / { print name, $2 }' | sort -u |
    while read -r name version; do published "$name" "$version"; done
}

# Puts PyMalloc into a copy of the sources of NAME.
patch_in() {
  local name=$1 main
  main=$patched/$name/$(main_of "$name")
  rm -rf "${patched:?}/$name"
  mkdir -p "$patched"
  cp -R "$sources/$name" "$patched/$name"
  # Its own allocator goes: the attribute, a cfg before it, the static after it.
  awk '
    in_static { if (/;/) in_static = 0; next }
    /^#\[global_allocator\]/ { held = ""; in_static = 1; next }
    held != "" { print held; held = "" }
    /^#\[cfg/ { held = $0; next }
    { print }
    END { if (held != "") print held }
  ' "$sources/$name/$(main_of "$name")" >"$main"
  cat >>"$main" <<'RUST'

#[global_allocator]
static GLOBAL: pymalloc::PyMalloc = pymalloc::PyMalloc;
RUST
  printf '\n[dependencies.pymalloc]\npath = "%s"\n' "$repository/pymalloc" \
    >>"$patched/$name/Cargo.toml"
}

# Builds the sources in FOLDER; the binary becomes $binaries/NAME.VARIANT.
build() {
  local folder=$1 name=$2 variant=$3
  # Both with thin LTO, which inlines PyMalloc, and sharing what they have in common.
  (cd "$folder" && CARGO_TARGET_DIR=$work/build CARGO_PROFILE_RELEASE_LTO=thin \
    CARGO_PROFILE_RELEASE_CODEGEN_UNITS=16 CARGO_PROFILE_RELEASE_DEBUG=0 \
    CARGO_PROFILE_RELEASE_STRIP=none \
    cargo build --release --quiet --bin "$(binary_of "$name")") 2>"$work/build.log" || {
    cat "$work/build.log" >&2
    die "$name does not build with the $variant allocator"
  }
  mkdir -p "$binaries"
  cp "$work/build/release/$(binary_of "$name")" "$binaries/$name.$variant"
}

# Runs COMMAND with each of the two binaries in front, and compares.
#   compare NAME LABEL FILTER ARGUMENT ...
# FILTER makes an order out of what several threads print: cat or sort. The word
# OUT among the arguments is replaced by a file whose bytes are compared too.
compare() {
  local name=$1 label=$2 filter=$3 variant run out status same=yes
  local -a cells=()
  shift 3
  for variant in system pymalloc; do
    out=$outputs/$variant
    rm -rf "$out" && mkdir -p "$out"
    local best_ms='' best_kib=''
    for ((run = 0; run < RUNS; run++)); do
      local ms kib
      rm -f "$out/file"
      status=0
      "$timed" "$out/time" "$binaries/$name.$variant" "${@//OUT/$out/file}" \
        >"$out/stdout.raw" 2>"$out/stderr" </dev/null || status=$?
      read -r ms kib <"$out/time"
      [[ -n $best_ms ]] && ((best_ms <= ms)) || best_ms=$ms
      [[ -n $best_kib ]] && ((best_kib <= kib)) || best_kib=$kib
    done
    rm "$out/time"
    # Its own file's name is the only thing that may differ.
    sed -i "s|$out/file|OUT|g" "$out/stdout.raw" "$out/stderr"
    "$filter" <"$out/stdout.raw" >"$out/stdout"
    rm "$out/stdout.raw"
    printf '%d\n' "$status" >"$out/status"
    cells+=("$best_ms" "$best_kib")
  done
  [[ $status == 0 ]] || same="status $status"
  # A program that said nothing and wrote nothing has shown nothing.
  [[ -s $out/stdout || -s $out/file ]] || same=empty
  diff -r "$outputs/system" "$outputs/pymalloc" >"$work/differences" || same=NO
  [[ $same == yes ]] || failures=$((failures + 1))
  printf '%-8s %-34s %-5s %7d ms %5.1f MB %7d ms %5.1f MB\n' "$name" "$label" "$same" \
    "${cells[0]}" "$(megabytes "${cells[1]}")" "${cells[2]}" "$(megabytes "${cells[3]}")"
  [[ $same != NO ]] || head -n 10 "$work/differences"
}

megabytes() { awk -v kib="$1" 'BEGIN { print kib * 1024 / 1e6 }'; }

run_ripgrep() {
  local -a folders
  mapfile -t folders < <(libraries)
  local own=(benches cyclegc examples loom-tests pymalloc Cargo.toml)
  compare ripgrep "words in this repository" cat --sort path -n -i 'alloc|free' "${own[@]}"
  compare ripgrep "the same, several threads" sort -n -i 'alloc|free' "${own[@]}"
  compare ripgrep "Unicode words, three programs" cat --sort path --no-ignore -c '\b\w+ing\b' \
    "$sources"
  # shellcheck disable=SC2016 # these are ripgrep's variables
  compare ripgrep "captures, ${#folders[@]} libraries" sort --no-ignore -o -n \
    'fn (?P<name>\w+)\((?P<arguments>[^)]*)\)' -r '$name takes $arguments' "${folders[@]}"
}

run_tokei() {
  local -a folders
  mapfile -t folders < <(libraries)
  compare tokei "this repository, file by file" sort --columns 160 --files --no-ignore \
    benches cyclegc examples loom-tests pymalloc
  compare tokei "sources of three programs" sort --columns 160 --files --no-ignore "$sources"
  compare tokei "${#folders[@]} libraries" cat --sort code --no-ignore "${folders[@]}"
}

run_oxipng() {
  local picture
  for picture in "$work"/pictures/*.png; do
    compare oxipng "${picture##*/}, -o 4" cat -o 4 --threads 2 --out OUT "$picture"
  done
  compare oxipng "moire.png, zopfli" cat --zopfli --zi 3 -o 1 --threads 2 --out OUT \
    "$work/pictures/moire.png"
}

wanted=()
for program in "${PROGRAMS[@]}"; do
  [[ $# == 0 || " $* " == *" ${program%@*} "* ]] && wanted+=("$program")
done
if [[ ${#wanted[@]} == 0 || ($# -gt 0 && ${#wanted[@]} -lt $#) ]]; then
  usage >&2
  exit 2
fi

cd "$repository"
mkdir -p "$work"
printf 'building the helpers\n' >&2
CARGO_TARGET_DIR=$work/build cargo build --release --quiet -p examples --bin timed --bin make_pngs
timed=$work/build/release/timed
"$work/build/release/make_pngs" "$work/pictures"

# All sources first: they are input too.
for program in "${PROGRAMS[@]}"; do
  printf 'fetching %s\n' "${program/@/ }" >&2
  fetch "$program"
done
for program in "${wanted[@]}"; do
  name=${program%@*}
  printf 'building %s twice\n' "${program/@/ }" >&2
  patch_in "$name"
  build "$sources/$name" "$name" system
  build "$patched/$name" "$name" pymalloc
done

printf '\n%-8s %-34s %-5s %19s %19s\n' program input same 'system time   RSS' 'PyMalloc time   RSS'
for program in "${wanted[@]}"; do
  "run_${program%@*}"
done

printf '\nThe best of %d runs each; %d s in all.\n' "$RUNS" "$((SECONDS - started))"
if ((failures > 0)); then
  printf '%d differ or failed.\n' "$failures"
  exit 1
fi
printf 'All outputs are the same.\n'
