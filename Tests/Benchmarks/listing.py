"""Prints where the instructions of one cell go. Called by Toolchain/bench --listing CELL.

    listing.py FOLDER CELL

Each instruction that ran in a counted function, in the order of the program, with how often it ran for one
chain (for one call in worst-* rows). Their sum is the figure of the cell.
"""

import collections
import pathlib
import re
import subprocess
import sys

import report


def executions(dump):
    """Address to executions, from a dump with --dump-instr=yes and uncompressed positions."""
    counts = collections.Counter()
    lines = iter(dump.read_text(errors="replace").splitlines())
    for line in lines:
        if line.startswith("calls="):
            next(lines)  # what the callee cost: counted there
        elif line.startswith("0x"):
            fields = line.split()
            counts[int(fields[0], 16)] += int(fields[-1])
    return counts


def executed(folder, cell):
    """Heading, text and executions for one chain of each instruction that ran in `cell`, in program order."""
    dumps = [path for path in folder.glob("callgrind.out.*")
             if f"Client Request: {cell}\n" in path.read_text(errors="replace")]
    chains = {row[0]: int(row[1]) for row in report.read_table(folder / "count.tsv")}
    if not dumps:
        sys.exit(f"error: there is no cell {cell}; the cells are:\n  " + "\n  ".join(chains))
    program = str(folder / "vireo-bench")
    counts = executions(dumps[0])
    text = subprocess.run(["llvm-objdump", "-d", "--no-show-raw-insn", program], capture_output=True,
                          text=True, check=True).stdout
    code = re.compile(r"^ *([0-9a-f]+):\s+(.*)$")
    addresses = {int(match[1], 16) for match in map(code.match, text.splitlines()) if match}
    # The one distance at which every address that ran is an instruction.
    first = min(counts)
    distance = next(d for d in (first - a for a in sorted(addresses, reverse=True))
                    if d % 4096 == 0 and d >= 0 and all(a - d in addresses for a in counts))
    heading = ""
    for line in text.splitlines():
        if line.endswith(">:"):
            heading = line.split(" ", 1)[1]
        match = code.match(line)
        count = counts.get(int(match[1], 16) + distance, 0) if match else 0
        if count:
            yield heading, match[2], count / chains[cell]


def main():
    shown, heading = 0, ""
    for function, text, count in executed(pathlib.Path(sys.argv[1]), sys.argv[2]):
        if function != heading:
            print(function)
            heading = function
        print(f"{count:9.3f}  {text}")
        shown += count
    print(f"{shown:9.3f}  in all")


if __name__ == "__main__":
    main()
