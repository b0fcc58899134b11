#!/usr/bin/python3
"""Reads the #include lines and fails on an arrow that points up (ARCHITECTURE.md, "Layers").

    tests/layers.py [ROOT]        check that tree (default: this one)
    tests/layers.py --self-test   check that every rule can fail
"""
import re
import sys
import tempfile
from pathlib import Path

LAYERS = {"base": 0, "stats": 1, "loop": 2, "net": 3, "proto": 3, "web": 4, "service": 5, "proc": 6,
          "cli": 7, "admin": 8, "main": 9}
INCLUDE = re.compile(r'^\s*#\s*include\s*(["<])([^">]+)[">]')
OURS = {".c", ".h", ".def"}


def includes(path):
    """(line number, '"' or '<', name) of each #include."""
    for number, line in enumerate(path.read_text().splitlines(), 1):
        if match := INCLUDE.match(line):
            yield number, match[1], match[2]


def wrong_arrow(layer, target):
    """Why a file of `layer` may not include `target`, or None."""
    head, _, rest = target.partition("/")
    if head not in LAYERS or not rest:
        return f'"{target}" is not LAYER/FILE'
    if LAYERS[head] > LAYERS[layer]:
        return f'{layer} includes "{target}" of a higher layer'
    if head != layer and LAYERS[head] == LAYERS[layer]:
        return f'{layer} and {head} do not know each other, but it includes "{target}"'
    return None


def check_source(root, path):
    layer = path.parent.name
    where = path.relative_to(root)
    if layer not in LAYERS:
        return [f"{where}: {layer} is no layer"]
    found = list(includes(path))
    problems = []
    own = f"{layer}/{path.stem}.h"
    if path.suffix == ".c" and path.with_suffix(".h").exists():
        if not found or found[0][2] != own:
            problems.append(f'{where}: its own header "{own}" must be its first #include')
    for number, quote, target in found:
        if quote == '"' and (why := wrong_arrow(layer, target)):
            problems.append(f"{where}:{number}: {why}")
    return problems


def check_outside(root, path):
    """The program and the public headers know <crew/...> and nothing inside."""
    return [f'{path.relative_to(root)}:{number}: reaches inside by "{target}"'
            for number, quote, target in includes(path)
            if target.partition("/")[0] in LAYERS and quote == '"' or target.startswith("../")]


def check(root):
    problems = []
    files = 0
    for path in sorted((root / "src").rglob("*")):
        if path.suffix in OURS:
            files += 1
            problems += check_source(root, path)
    for folder in ("include/crew", "examples"):
        for path in sorted((root / folder).glob("*")):
            if path.suffix in OURS:
                files += 1
                problems += check_outside(root, path)
    return files, problems


# What each rule must find: a tree, and words of the complaint (None: there must be none).
TREES = [
    (None, {"src/net/a.c": '#include "net/a.h"\n#include "loop/b.h"\n', "src/net/a.h": "",
            "src/cli/c.c": '#include "base/d.h"\n#include "proto/e.h"\n'}),
    ("higher layer", {"src/base/a.h": '#include "net/b.h"\n'}),
    ("higher layer", {"src/stats/a.h": '#  include "loop/b.h"\n'}),
    ("do not know each other", {"src/net/a.c": '#include "proto/b.h"\n'}),
    ("do not know each other", {"src/proto/a.c": '#include "net/b.h"\n'}),
    ("must be its first", {"src/net/a.c": '#include <x.h>\n#include "net/a.h"\n', "src/net/a.h": ""}),
    ("not LAYER/FILE", {"src/net/a.c": '#include "b.h"\n'}),
    ("not LAYER/FILE", {"src/net/a.c": '#include "../base/b.h"\n'}),
    ("is no layer", {"src/extra/a.c": ""}),
    ("reaches inside", {"examples/a.c": '#include "net/b.h"\n'}),
    ("reaches inside", {"include/crew/a.h": '#include "base/b.h"\n'}),
]


def self_test():
    for words, tree in TREES:
        with tempfile.TemporaryDirectory() as folder:
            root = Path(folder)
            for name, text in tree.items():
                (root / name).parent.mkdir(parents=True, exist_ok=True)
                (root / name).write_text(text)
            _, problems = check(root)
        expected = words is None and not problems or words and any(words in p for p in problems)
        if not expected:
            sys.exit(f"self-test: expected {words!r}, got {problems} for {tree}")
    print(f"{len(TREES)} trees judged as they should be")


def main():
    if sys.argv[1:] == ["--self-test"]:
        return self_test()
    root = Path(sys.argv[1] if len(sys.argv) > 1 else Path(__file__).parent.parent).resolve()
    files, problems = check(root)
    print(*problems, sep="\n", end="\n" if problems else "")
    print(f"{files} files, {len(problems)} wrong includes")
    # Nothing read is nothing proved.
    return 1 if problems or files == 0 else 0


if __name__ == "__main__":
    sys.exit(main())
