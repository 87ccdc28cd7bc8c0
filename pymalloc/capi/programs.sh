#!/usr/bin/env bash
# Programs that nobody here wrote, plain and with libpymalloc.so preloaded: each does the
# same work both times, and what it prints and writes is compared. A failure counts where the
# plain run has none.
#
#   pymalloc/capi/programs.sh               all of them, some 20 minutes
#   pymalloc/capi/programs.sh bash redis    some of them
#   PYTHON=python3.11 pymalloc/capi/programs.sh python
#
# Needs git, gcc, python3 with its own tests, redis-server, sqlite3, stress-ng. Perl, node, java
# and chromium run where they are installed. Status 1: one of them differs.
set -euo pipefail
export LC_ALL=C
unset LD_PRELOAD

PROGRAMS=(bash git gcc sqlite3 redis stress-ng python)
MORE=(perl node java chromium) # where they are
PYTHON=${PYTHON:-python3}
PYTHON_TESTS=(test_json test_re test_gc test_sqlite3 test_threading test_asyncio
  test_multiprocessing_fork test_multiprocessing_spawn test_multiprocessing_forkserver
  test_dict test_tuple test_list test_codecs test_bytes test_memoryview test_array
  test_ctypes test_capi test_decimal test_pickle test_zlib test_subprocess test_fork1)
SQLITE_SOURCE=libsqlite3-sys@0.30.1 # sqlite3.c, 9 MB: a real file for gcc

repository=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
work=$repository/target/capi-programs
library=$repository/target/release/libpymalloc.so
failures=0
started=$SECONDS
summary=()
python_tests=()

die() {
  printf 'programs: %s\n' "$*" >&2
  exit 2
}

need() {
  command -v "$1" >/dev/null || die "$1 is not here; try: apt-get install $2"
}

# Runs a command of the work as this run's variant has it.
it() { "${with[@]}" "$@"; }

# Words, numbers, arrays, functions, subshells and here-documents.
work_bash() {
  # shellcheck disable=SC2016 # the inner shell's
  it bash -c '
    declare -A count
    for ((i = 0; i < 20000; i++)); do
      word="w$((i * 7919 % 1013))"
      count[$word]=$((${count[$word]:-0} + i))
    done
    for word in "${!count[@]}"; do echo "$word ${count[$word]}"; done | sort
    text=
    for ((i = 0; i < 3000; i++)); do text+="line $i of a text that grows;"; done
    echo "${#text} ${text//line/LINE}" | cksum
    f() { local n=$1; ((n < 2)) && echo "$n" || echo $(($(f $((n - 1))) + $(f $((n - 2))))); }
    f 11
    for i in {1..200}; do
      printf "%s\n" "$(tr a-z A-Z <<<"here $i" | rev)" &
      wait $!
    done
    mapfile -t lines < <(seq 50000)
    echo "${#lines[@]} ${lines[49999]}"
    cat <<END
$(ls -la /etc | wc -l) $(printf "%q" "a b\tc")
END
  '
}

# A repository made, changed, packed, checked and read.
work_git() {
  export GIT_CONFIG_GLOBAL=/dev/null GIT_CONFIG_NOSYSTEM=1
  export GIT_AUTHOR_NAME=A GIT_AUTHOR_EMAIL=a@b GIT_COMMITTER_NAME=A GIT_COMMITTER_EMAIL=a@b
  export GIT_AUTHOR_DATE='2020-01-01T00:00:00Z' GIT_COMMITTER_DATE='2020-01-01T00:00:00Z'
  it git clone --quiet --no-hardlinks "$repository" here
  cd here
  it git log --stat --oneline | cksum
  it git log -p --no-color | cksum
  it git grep -n -i -E 'alloc[a-z]*\(' -- '*.rs' | cksum
  it git blame ARCHITECTURE.md | cksum
  it git checkout --quiet -b change
  local i
  for i in {1..20}; do
    seq "$i" 2000 >"file-$((i % 5))"
    it git add -A
    it git commit --quiet -m "change $i"
  done
  it git checkout --quiet HEAD~10
  it git checkout --quiet -b other
  seq 5000 >another
  it git add -A
  it git commit --quiet -m other
  it git merge --quiet -m merge change
  it git rev-parse HEAD
  it git gc --quiet --aggressive --prune=now
  it git fsck --strict --full
  it git diff --no-color HEAD~5 HEAD | cksum
  it git archive HEAD | cksum
  cd ..
}

# An optimised build of a large file, a C++ one with many templates, and the linker.
work_gcc() {
  it gcc -O1 -c "$sqlite_source/sqlite3/sqlite3.c" -o sqlite3.o
  it g++ -O2 -std=c++17 -I"$repository/pymalloc/capi/include" \
    "$repository/pymalloc/capi/tests/c/operators.cpp" -c -o operators.o
  cksum sqlite3.o operators.o
}

work_sqlite3() {
  it sqlite3 -batch data.db <<'SQL'
PRAGMA journal_mode = wal;
CREATE TABLE words (id INTEGER PRIMARY KEY, word TEXT, weight REAL, extra BLOB);
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 60000)
  INSERT INTO words SELECT i, 'w' || (i * 7919 % 10007), i * 0.25, zeroblob(i % 500) FROM n;
CREATE INDEX by_word ON words (word);
CREATE VIRTUAL TABLE search USING fts5(body);
INSERT INTO search SELECT word || ' ' || id || ' words in a text' FROM words WHERE id % 5 = 0;
SELECT count(*), sum(weight), sum(length(extra)) FROM words;
SELECT word, count(*) c, group_concat(id) FROM words GROUP BY word ORDER BY c DESC, word LIMIT 20;
SELECT a.word, b.id FROM words a JOIN words b ON a.word = b.word AND a.id < b.id
  ORDER BY b.id DESC LIMIT 20;
SELECT count(*) FROM search WHERE search MATCH 'w123 OR w42*';
SELECT json_group_array(json_object('id', id, 'word', word)) FROM words WHERE id < 500;
UPDATE words SET extra = randomblob(100) WHERE id % 3 = 0;
DELETE FROM words WHERE id % 7 = 0;
VACUUM;
PRAGMA integrity_check;
SELECT count(*), sum(length(extra)) FROM words;
SQL
}

# A server, its benchmark, saves by fork, and a reload of what was saved.
work_redis() {
  local socket=$PWD/redis.sock server key
  "${with[@]}" redis-server --port 0 --unixsocket "$socket" --save '' --dir "$PWD" \
    --daemonize no --enable-debug-command yes >server.log 2>&1 &
  server=$!
  for ((i = 0; i < 100; i++)); do
    [[ $(redis-cli -s "$socket" ping 2>/dev/null) == PONG ]] && break
    sleep 0.1
  done
  [[ $variant == plain ]] || grep -q libpymalloc "/proc/$server/maps"
  it redis-benchmark -s "$socket" -q -n 30000 -r 5000 -d 200 -P 8 \
    -t set,get,incr,lpush,rpop,sadd,hset,zadd,mset >benchmark.log
  grep -c 'requests per second' benchmark.log
  redis-cli -s "$socket" flushall
  for key in {1..300}; do
    printf 'SET key:%d %0*d\nRPUSH list a%d b c\nHSET hash f%d %d\nZADD ranks %d m%d\n' \
      "$key" "$key" "$key" "$key" "$key" "$key" "$key" "$key"
  done | redis-cli -s "$socket" >replies
  cksum <replies
  for _ in 1 2 3; do
    redis-cli -s "$socket" bgsave >>log
    while [[ $(redis-cli -s "$socket" info persistence) == *rdb_bgsave_in_progress:1* ]]; do
      sleep 0.1
    done
    redis-cli -s "$socket" info persistence | grep -o 'rdb_last_bgsave_status:[a-z]*'
    redis-cli -s "$socket" debug reload 2>&1 | head -n 1
  done
  redis-cli -s "$socket" dbsize
  redis-cli -s "$socket" sort list alpha limit 0 20
  redis-cli -s "$socket" eval 'local t = {} for i = 1, 5000 do t[i] = i .. "x" end return #table.concat(t)' 0
  redis-cli -s "$socket" debug digest
  redis-cli -s "$socket" shutdown nosave
  wait "$server"
}

# Allocates, fills, checks and frees, from several processes and threads.
work_stress-ng() {
  local log=stress.log
  it stress-ng --quiet --verify --malloc 2 --malloc-bytes 1m --malloc-max 300 \
    --malloc-pthreads 2 --malloc-touch --malloc-ops 100000 --timeout 60 >"$log" 2>&1
  it stress-ng --quiet --verify --malloc 2 --malloc-bytes 4k --malloc-max 20000 \
    --malloc-ops 2000000 --timeout 60 >>"$log" 2>&1
  cat "$log"
}

work_perl() {
  # shellcheck disable=SC2016 # perl's
  it perl -e '
    my %h;
    $h{"key $_"} = [$_, "x" x ($_ % 50)] for 1 .. 300000;
    delete $h{"key $_"} for 1 .. 150000;
    my $text = join "", map { "$_ $h{$_}[1]\n" } sort keys %h;
    $text =~ s/key (\d+)/$1 . "k" x ($1 % 7)/ge;
    print length $text, " ", unpack("%32C*", $text), "\n";
  '
}

# Buffers outside the engine's heap, its threads for zlib, and workers that come and go.
work_node() {
  it node -e '
    const { Worker } = require("worker_threads"), zlib = require("zlib");
    const kept = new Map();
    for (let i = 0; i < 300000; i++) kept.set("k" + i % 7000, Buffer.alloc(i % 2000));
    for (let i = 0; i < 100; i++)
      zlib.deflate(Buffer.alloc(200000, i), (_, out) => console.log(i, out.length));
    const text = `let kept = []; for (let i = 0; i < 1e5; i++) kept.push(Buffer.alloc(i % 500));
      require("worker_threads").parentPort.postMessage(kept.length)`;
    for (let i = 0; i < 6; i++) new Worker(text, { eval: true }).on("message", console.log);
    console.log(kept.size);
  ' | sort
}

# The compiler and the collector of the virtual machine; memory outside its heap from threads.
work_java() {
  cat >Work.java <<'JAVA'
import java.nio.ByteBuffer;
import java.util.*;
import java.util.zip.Deflater;

class Work {
  static void deflate() {
    for (int i = 0; i < 200; i++) {
      Deflater deflater = new Deflater();
      deflater.setInput(new byte[50000]);
      deflater.finish();
      deflater.deflate(new byte[60000]);
      deflater.end();
    }
  }

  public static void main(String[] arguments) throws Exception {
    Map<Integer, byte[]> kept = new HashMap<>();
    for (int i = 0; i < 200000; i++) {
      kept.put(i % 5000, new byte[i % 3000]);
      if (i % 100 == 0) ByteBuffer.allocateDirect(100000).putInt(i);
    }
    List<Thread> threads = new ArrayList<>();
    for (int i = 0; i < 8; i++) threads.add(new Thread(Work::deflate));
    for (Thread thread : threads) thread.start();
    for (Thread thread : threads) thread.join();
    System.out.println(kept.values().stream().mapToInt(bytes -> bytes.length).sum());
  }
}
JAVA
  it java -Xmx512m Work.java
}

# Several processes of it, and libraries that call malloc beside its own allocator.
work_chromium() {
  cat >page.html <<'HTML'
<canvas id="canvas" width="400" height="400"></canvas>
<script>
  for (let i = 0; i < 20000; i++) {
    const line = document.createElement("p");
    line.textContent = "line " + i;
    document.body.append(line);
  }
  const pen = document.getElementById("canvas").getContext("2d");
  for (let i = 0; i < 400; i++) pen.fillRect(i, i, i % 40, 9);
  document.title = document.body.children.length + " " + document.body.textContent.length;
</script>
HTML
  it chromium --headless --no-sandbox --disable-gpu --user-data-dir="$PWD/profile" \
    --dump-dom "file://$PWD/page.html" >dom
  grep -o '<title>.*</title>' dom
  cksum <dom
}

# CPython's tests. Those that fail are run again; what is printed failed again. A job of a script's
# ignores SIGINT, for which test_asyncio then waits for ever: not here.
work_python() {
  it env --default-signal=INT "$PYTHON" -m test -j2 -w --timeout 600 "${python_tests[@]}" >log 2>&1 || true
  grep -q '^== Tests result: ' log
  awk '/^Re-running/ { again = 1 }
    again && /^(FAIL|ERROR): / { print "failed:", $2, $3 }
    /^== Tests result: / { listed = 0; delete failed }
    /tests? failed.*:$/ { listed = 1; next }
    listed && /^ +test_/ { for (i = 1; i <= NF; i++) failed[$i]; next }
    { listed = 0 }
    END { for (name in failed) print "failed:", name }' log | sort -u
}

# Whether a run's output is as it must be; plain first.
same_python() {
  # A test that fails without us is not ours.
  [[ -z $(comm -13 "$1" "$2") ]]
}

# Does the work of a program once in each variant, and compares.
compare() {
  local name=$1 variant status same=yes plain preloaded from
  local -a seconds=() with=()
  for variant in plain pymalloc; do
    printf '%s, %s ...' "$name" "$variant" >&2
    [[ $variant == plain ]] || with=(env LD_PRELOAD="$library" PYTHONMALLOC=malloc)
    # The same folder both times: what is printed may name it.
    rm -rf "$work/run"
    mkdir -p "$work/run" "$work/outputs"
    from=$(date +%s%N)
    set +e
    (
      set -e
      cd "$work/run"
      "work_$name"
    ) >"$work/outputs/$name.$variant" 2>"$work/outputs/$name.$variant.errors"
    status=$?
    set -e
    [[ ! -f $work/run/log ]] || cp "$work/run/log" "$work/outputs/$name.$variant.log"
    seconds+=("$(awk -v ns="$(($(date +%s%N) - from))" 'BEGIN { printf "%.1f", ns / 1e9 }')")
    printf ' %s s\n' "${seconds[-1]}" >&2
    ((status == 0)) || same="$variant: status $status"
    grep -q '^pymalloc: ' "$work/outputs/$name.$variant.errors" && same="$variant: misuse reported"
  done
  plain=$work/outputs/$name.plain
  preloaded=$work/outputs/$name.pymalloc
  if [[ $same != yes ]]; then
    tail -n 5 "$plain.errors" "$preloaded.errors" >&2
  elif [[ $(type -t "same_$name") == function ]]; then
    "same_$name" "$plain" "$preloaded" || same=NO
  else
    cmp -s "$plain" "$preloaded" || same=NO
  fi
  if [[ $same != yes ]]; then
    failures=$((failures + 1))
    diff "$plain" "$preloaded" | head -n 10 >&2 || true
  fi
  summary+=("$(printf '%-10s %8s s %8s s   %s' "$name" "${seconds[@]}" "$same")")
}

wanted=()
for program in "${PROGRAMS[@]}" "${MORE[@]}"; do
  if [[ $# == 0 && " ${MORE[*]} " == *" $program "* ]] && ! command -v "$program" >/dev/null; then
    summary+=("$(printf '%-10s is not here' "$program")")
  elif [[ $# == 0 || " $* " == *" $program "* ]]; then
    wanted+=("$program")
  fi
done
if [[ ${#wanted[@]} == 0 || ($# -gt 0 && ${#wanted[@]} -lt $#) ]]; then
  printf 'usage: %s [ %s ]\n' "${0##*/}" "${PROGRAMS[*]} ${MORE[*]}" >&2
  exit 2
fi

for program in "${wanted[@]}"; do
  case $program in
  gcc)
    need gcc gcc
    need g++ g++
    sources=${CARGO_HOME:-$HOME/.cargo}/registry/src
    cargo info --quiet "$SQLITE_SOURCE" >/dev/null || die "cargo cannot fetch $SQLITE_SOURCE"
    sqlite_source=$(find "$sources" -maxdepth 2 -name "${SQLITE_SOURCE/@/-}" -print -quit)
    [[ -f $sqlite_source/sqlite3/sqlite3.c ]] || die "no sqlite3.c in $SQLITE_SOURCE"
    ;;
  redis) need redis-server redis-server && need redis-benchmark redis-tools ;;
  python)
    need "$PYTHON" python3
    folder=$("$PYTHON" -c 'import os, test; print(os.path.dirname(test.__file__))') ||
      die "$PYTHON comes without its tests; name one in PYTHON"
    for name in "${PYTHON_TESTS[@]}"; do
      if [[ -e $folder/$name || -e $folder/$name.py ]]; then
        python_tests+=("$name")
      else
        summary+=("$(printf '%-10s has no %s' python "$name")")
      fi
    done
    ((${#python_tests[@]} > 0)) || die "$PYTHON comes without its tests; name one in PYTHON"
    ;;
  *) need "$program" "$program" ;;
  esac
done

printf 'building the library\n' >&2
(cd "$repository" && cargo build --quiet --release -p pymalloc-capi)
LD_PRELOAD=$library grep -q libpymalloc /proc/self/maps || die "the library is not loaded"

for program in "${wanted[@]}"; do compare "$program"; done

printf '\n%-10s %10s %10s   %s\n' program plain pymalloc 'as the plain run'
printf '%s\n' "${summary[@]}"
printf '\n%d s in all; python is %s.\n' "$((SECONDS - started))" "$("$PYTHON" --version 2>&1)"
if ((failures > 0)); then
  printf '%d differ or failed; see %s.\n' "$failures" "$work/outputs"
  exit 1
fi
printf 'No failure that the plain run has not.\n'
