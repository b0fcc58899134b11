#!/bin/bash
# checks.sh - single checks, each a command: tests/checks.sh NAME ARGUMENT; status 0: passed.
set -euo pipefail
cd "$(dirname "$(readlink -f "$0")")/.."

# The whole builds, and nobody warns: the linker neither, which optimises and has no -Werror.
build() {
	local told
	told=$(./dev build "$1" 2>&1) || {
		echo "$told"
		return 1
	}
	! grep -A8 'warning:' <<<"$told"
}

strict=(-Wall -Wextra -Wpedantic -Werror -fsyntax-only -Iinclude)

# A public header compiles by itself, in strict C17 ...
header_c() {
	for compiler in gcc clang; do
		$compiler -std=c17 "${strict[@]}" -x c "$1"
	done
}

# ... and as C++17.
header_cxx() {
	for compiler in g++ clang++; do
		$compiler -std=c++17 "${strict[@]}" -x c++ "$1"
	done
}

# What `install` puts down is enough for a stranger, by pkg-config and by find_package. One who does
# not optimise across files: that takes long, and the build does it to programs of its own.
package() {
	local build=$PWD/$1 place
	place=$(mktemp -d)
	# shellcheck disable=SC2064 # the name of now is meant
	trap "rm -rf '$place'" EXIT
	cmake --install "$build" --prefix "$place/usr"
	# The program that the README shows is the one that is built.
	# shellcheck disable=SC2016 # these are no expressions
	sed -n '/^```c$/,/^```$/p' README.md | grep -v '^```' >"$place/program.c"
	cd "$place"

	# The file names the prefix it was configured for; a tree of another place is told of here.
	export PKG_CONFIG_PATH
	PKG_CONFIG_PATH=$(dirname "$(find usr -name crew.pc)")
	# shellcheck disable=SC2046 # several words are meant
	gcc -fno-lto -o by-pkg-config program.c \
		$(pkg-config --define-variable=prefix="$place/usr" --cflags --libs crew)
	./by-pkg-config version

	cat >CMakeLists.txt <<'END'
cmake_minimum_required(VERSION 3.25)
project(stranger C)
find_package(crew REQUIRED)
add_executable(by-cmake program.c)
target_link_libraries(by-cmake PRIVATE crew::crew)
END
	cmake -G Ninja -B out -D CMAKE_PREFIX_PATH="$place/usr" -D CMAKE_EXE_LINKER_FLAGS=-fno-lto .
	cmake --build out
	out/by-cmake version
}

# Which checks run is said in .clang-tidy. The build must be clang's own: it knows no flags of gcc's.
clang_tidy() {
	# What it found, without the colours and the names of files in which it found nothing.
	run-clang-tidy -quiet -p "$1" "$PWD/(src|examples)/.*\.c$" 2>&1 |
		sed -E 's/\x1b\[[0-9;]*m//g; /^clang-tidy|warnings? (and [0-9]+ errors? )?generated|^$/d'
}

cppcheck() {
	command cppcheck --project="$PWD/$1/compile_commands.json" --cppcheck-build-dir="$(mktemp -d)" \
		--file-filter="$PWD/src/*" --file-filter="$PWD/examples/*" \
		--enable=warning,portability --inline-suppr --quiet --error-exitcode=1 -j2
}

"$@"
