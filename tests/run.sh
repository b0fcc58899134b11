#!/bin/bash
# run.sh - what `./dev test` runs: every test and check.
#
#   tests/run.sh [PART...]     these parts, one after the other; or all, and then those that mostly
#                              compute beside those that mostly wait
#
# Each line says how long something took and what came of it; the last one sums up, in the form
# `N passed, N failed, N skipped`, the tests of all programs and the checks. Logs: build/test-logs.
#
# Much runs at once, on few cores. When all is over, a scenario or unit program that failed is run
# once more with the machine to itself, if they are few: what passes then is counted as passed, and
# named, so that it is seen and mended. What fails again has failed.
set -u
cd "$(dirname "$(readlink -f "$0")")/.." || exit 1

parts=(build layers headers unit scenarios package lint asan tsan fuzz)
logs=build/test-logs
at_once=3 # unit programs of a lane that run beside each other; of files of scenarios, two
few=4     # failures that are looked at again
passed=0 failed=0 skipped=0
export ASAN_OPTIONS=detect_stack_use_after_return=1 UBSAN_OPTIONS=print_stacktrace=1
export TSAN_OPTIONS=halt_on_error=1:second_deadlock_stack=1

count() {
	passed=$((passed + $1)) failed=$((failed + $2)) skipped=$((skipped + ${3:-0}))
}

since() {
	awk -v a="$1" -v b="$EPOCHREALTIME" 'BEGIN { printf "%.1f", b - a }'
}

# line NAME BEGAN RESULT
line() {
	printf '  %-34s %6s s   %s\n' "$1" "$(since "$2")" "$3"
}

# check NAME COMMAND...: passed when the command's status is 0.
check() {
	local name=$1 began=$EPOCHREALTIME log=$logs/${1//[^a-z0-9]/-}.log
	shift
	if timeout 1200 "$@" >"$log" 2>&1; then
		count 1 0
		line "$name" "$began" ok
	else
		count 0 1
		line "$name" "$began" "FAILED, see $log"
		tail -n 40 "$log"
	fi
}

# What a part needs built; told only when it fails, as building is a part of its own.
ready() {
	local log=$logs/ready-$1.log
	./dev build "$1" >"$log" 2>&1 && return
	count 0 1
	echo "  the $1 build FAILED, see $log"
	tail -n 40 "$log"
	return 1
}

build_dir() {
	[ "$1" = release ] && echo build || echo "build-$1"
}

# ---- unit tests -------------------------------------------------------------------------------

# "[  PASSED  ] 12 test(s)." -> 12; a program may run several groups.
cmocka_sum() {
	awk -v word="$1" '$2 == word && $4 ~ /^[0-9]+$/ { n += $4 } END { print n + 0 }' "$2"
}

# unit_program PRESET NAME: run one, and leave its status and how long it took beside its log.
unit_program() {
	local log=$logs/$1-$2.log began=$EPOCHREALTIME
	timeout 300 "$(build_dir "$1")/tests/$2" >"$log" 2>&1
	echo "$? $(since "$began")" >"$log.status"
}

# What came of one that has been run.
unit_judge() {
	local log=$logs/$1-$2.log status took good bad left
	read -r status took <"$log.status" || status=1 took=0
	good=$(cmocka_sum PASSED "$log")
	bad=$(cmocka_sum FAILED "$log")
	left=$(cmocka_sum SKIPPED "$log")
	# One that crashed, hung or ran nothing is a failure of its own.
	if [ $((good + bad + left)) -eq 0 ] || { [ "$status" -ne 0 ] && [ "$bad" -eq 0 ]; }; then
		bad=$((bad + 1))
	fi
	count "$good" "$bad" "$left"
	[ "$bad" -eq 0 ] && return
	echo "$bad $1 $2" >>$logs/again.unit
	printf '  %-34s %6s s   %s\n' "$2" "$took" "FAILED ($bad tests, status $status), see $log"
	grep -vE '^\[ +(RUN|OK) +\]' "$log" | tail -n 40
}

# Several at a time: many of them mostly wait.
unit_tests() {
	local source began=$EPOCHREALTIME programs=0 before=$passed over
	local -A running=()
	rm -f "$logs/$1"-*.status
	for source in tests/unit/test_*.c; do
		if [ ${#running[@]} -eq $at_once ]; then
			wait -n -p over "${!running[@]}"
			unset "running[$over]"
		fi
		unit_program "$1" "$(basename "$source" .c)" &
		running[$!]=1
		programs=$((programs + 1))
	done
	wait "${!running[@]}"
	for source in tests/unit/test_*.c; do
		unit_judge "$1" "$(basename "$source" .c)"
	done
	line "unit tests ($1)" "$began" "$((passed - before)) passed in $programs programs"
}

# ---- scenario tests ---------------------------------------------------------------------------

# "3 passed, 1 failed in 2s", "passed" -> 3
number_before() {
	grep -oE "[0-9]+ $1" <<<"$2" | awk '{ n += $1 } END { print n + 0 }'
}

# run_scenarios PRESET ENGINES PATIENCE LOG WHAT...
run_scenarios() {
	CREW_BUILD_DIR=$(build_dir "$1") CREW_ENGINES=$2 CREW_TEST_PATIENCE=$3 \
		timeout 1200 /usr/bin/python3 -m pytest -q -p no:cacheprovider "${@:5}" >"$4" 2>&1
}

# scenarios PRESET ENGINES PATIENCE WHAT...
scenarios() {
	local log=$logs/scenarios-$1.log began=$EPOCHREALTIME status summary bad
	run_scenarios "$1" "$2" "$3" "$log" -n 2 --dist loadfile "${@:4}"
	status=$?
	summary=$(tail -n 1 "$log")
	bad=$(($(number_before failed "$summary") + $(number_before 'errors?' "$summary")))
	[ $status -ne 0 ] && [ "$bad" -eq 0 ] && bad=1
	count "$(number_before passed "$summary")" "$bad" "$(number_before skipped "$summary")"
	line "scenarios ($1: $2)" "$began" "$summary"
	[ "$bad" -eq 0 ] && return
	sed -nE "s/^(FAILED|ERROR) (tests[^ ]*).*/$1 $2 $3 \2/p" "$log" >>$logs/again.scenarios
	tail -n 60 "$log"
}

# ---- once more ---------------------------------------------------------------------------------

# forgive NUMBER NAME BEGAN: what had failed passes alone.
forgive() {
	failed=$((failed - $1)) passed=$((passed + $1))
	line "$2" "$3" "passes alone, look at it"
}

# unit_again BAD PRESET PROGRAM
unit_again() {
	local began=$EPOCHREALTIME log=$logs/again-$2-$3.log
	if timeout 300 "$(build_dir "$2")/tests/$3" >"$log" 2>&1; then
		forgive "$1" "$3 ($2)" "$began"
	else
		line "$3 ($2)" "$began" "FAILED again, see $log"
	fi
}

# scenario_again PRESET ENGINES PATIENCE TEST
scenario_again() {
	local began=$EPOCHREALTIME name=${4##*::} log
	log=$logs/again-$1-${name//[^a-z0-9_]/-}.log
	if run_scenarios "$1" "$2" "$3" "$log" "$4"; then
		forgive 1 "$name ($1)" "$began"
	else
		line "$name ($1)" "$began" "FAILED again, see $log"
		tail -n 60 "$log"
	fi
}

once_more() {
	local words
	[ "$(cat $logs/again.* 2>/dev/null | wc -l)" -le $few ] || return
	[ -s $logs/again.unit ] || [ -s $logs/again.scenarios ] || return
	echo "once more, alone"
	while read -ra words; do
		unit_again "${words[@]}" </dev/null
	done < <(cat $logs/again.unit 2>/dev/null)
	while read -ra words; do
		scenario_again "${words[@]}" </dev/null
	done < <(cat $logs/again.scenarios 2>/dev/null)
}

# ---- the parts --------------------------------------------------------------------------------

part_build() {
	check "gcc, no warning" tests/checks.sh build release
	check "clang, no warning" tests/checks.sh build clang
}

part_layers() {
	check "includes point down" tests/layers.py
	check "that check can fail" tests/layers.py --self-test
}

part_headers() {
	local header
	for header in include/crew/*.h; do
		check "$(basename "$header") as C17" tests/checks.sh header_c "$header"
		check "$(basename "$header") as C++17" tests/checks.sh header_cxx "$header"
	done
}

part_unit() {
	ready release || return
	unit_tests release
	check "load generator of the bench" python3 bench/test_generator.py build/bench
}

part_scenarios() {
	ready release && scenarios release epoll,poll 2 tests/e2e
}

part_package() {
	ready release && check "install and use" tests/checks.sh package build
}

part_lint() {
	ready clang || return
	check "clang-tidy" nice -n 15 tests/checks.sh clang_tidy build-clang
	check "cppcheck" tests/checks.sh cppcheck build-clang
}

# Where the work is a browser's, a shell's or systemd's, the sanitizers see nothing that they have
# not seen elsewhere.
of_others=(browser completion dashboard demo unit_file)
part_asan() {
	local left_out=("${of_others[@]/#/--ignore=tests/e2e/test_}")
	ready asan && unit_tests asan && scenarios asan epoll 4 tests/e2e "${left_out[@]/%/.py}"
}

# What has threads, and no more: the library and a few programs.
tsan_units=(test_offload test_loop_calls)
part_tsan() {
	local log=$logs/ready-tsan.log name
	if ! ./dev build tsan crew program_desk "${tsan_units[@]}" >"$log" 2>&1; then
		count 0 1
		echo "  the tsan build FAILED, see $log"
		tail -n 40 "$log"
		return
	fi
	for name in "${tsan_units[@]}"; do
		unit_program tsan "$name"
		unit_judge tsan "$name"
	done
	scenarios tsan epoll 4 tests/e2e/test_offload.py
}

# Every driver once on its saved inputs.
part_fuzz() {
	local source name
	ready asan || return
	for source in fuzz/fuzz_*.c; do
		name=$(basename "$source" .c) name=${name#fuzz_}
		check "saved inputs: $name" build-asan/fuzz/replay_"$name" fuzz/corpus/"$name"
	done
}

run_parts() {
	local part
	for part; do
		echo "$part"
		"part_$part"
	done
}

# Other parts meanwhile; what they say is shown at the end.
run_beside() {
	passed=0 failed=0 skipped=0
	run_parts "$@" >$logs/beside.out 2>&1
	echo "$passed $failed $skipped" >$logs/beside.counts
}

run_all() {
	local good bad left
	run_parts build layers headers
	rm -f $logs/beside.counts
	(run_beside asan tsan fuzz) &
	run_parts unit package scenarios lint
	wait
	cat $logs/beside.out
	read -r good bad left <$logs/beside.counts || good=0 bad=1 left=0
	count "$good" "$bad" "$left"
}

began=$EPOCHREALTIME
for part; do
	if [[ " ${parts[*]} " != *" $part "* ]]; then
		echo "test: no part '$part'; there are: ${parts[*]}" >&2
		exit 2
	fi
done
mkdir -p $logs
rm -f $logs/again.*
if [ $# -gt 0 ]; then
	run_parts "$@"
else
	run_all
fi
once_more
echo "all in $(since "$began") s"
summary="$passed passed, $failed failed"
[ $skipped -gt 0 ] && summary+=", $skipped skipped"
echo "$summary"
[ $failed -eq 0 ] && [ $passed -gt 0 ]
