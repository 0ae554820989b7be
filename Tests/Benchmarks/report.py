"""Turns what the harness measured into a table, a plot and an exit status. Called by Toolchain/bench.

    report.py FOLDER CEILINGS [--check]

FOLDER holds count.tsv with callgrind's dumps (callgrind.out.N), and, unless --check, time.tsv, pair.tsv and
copy.tsv. Instructions come first: they repeat exactly, also on a loaded machine. Times are given as ratios to
a peer of the same run, since on shared machines they move by a factor of two. Only instructions and heap
calls are held against ceilings.
"""

import math
import pathlib
import re
import sys
from xml.sax.saxutils import escape

LOADS = ["b32n1", "b32n3", "b1n1", "b1n3"]
OURS = "vireo"
FLOORS = ["ref", "floor", "ref_lazy"]


def read_table(path):
    """The rows of a tab-separated file, without comments and empty lines; none if there is no such file."""
    if not path.exists():
        return []
    lines = path.read_text().splitlines()
    return [line.split("\t") for line in lines if line and not line.startswith("#")]


def read_instructions(folder):
    """Instructions collected in each dump, by the name that the harness gave it."""
    totals = {}
    for path in folder.glob("callgrind.out.*"):
        name = None
        for line in path.read_text(errors="replace").splitlines():
            if line.startswith("desc: Trigger: Client Request: "):
                name = line.removeprefix("desc: Trigger: Client Request: ")
            elif line.startswith(("totals: ", "summary: ")) and name:
                totals[name] = int(line.split()[1])
    return totals


class Results:
    def __init__(self, folder):
        totals = read_instructions(folder)
        self.instructions, self.allocations = {}, {}
        for cell, chains, allocations in read_table(folder / "count.tsv"):
            self.instructions[cell] = totals[cell] / int(chains)
            self.allocations[cell] = int(allocations) / int(chains)
        self.time = {cell: float(ns) for cell, ns in read_table(folder / "time.tsv")}
        self.pair = {cell: (float(m), float(b)) for cell, m, b in read_table(folder / "pair.tsv")}
        self.copy = {row[0]: [float(ns) for ns in row[1:]] for row in read_table(folder / "copy.tsv")}
        self.ceilings = {}

    def rows(self):
        """Row name to the peers in it, in the order of the harness."""
        rows = {}
        for cell in self.instructions:
            row, peer = cell.split("/")[:2]
            if not row.startswith(("worst-", "scmi")):
                rows.setdefault(row, {})[peer] = True
        return {row: list(peers) for row, peers in rows.items()}


def markdown(header, body):
    widths = [max(len(line[i]) for line in [header] + body) for i in range(len(header))]
    def line(cells):
        padded = [c.ljust(w) if i < 2 else c.rjust(w) for i, (c, w) in enumerate(zip(cells, widths))]
        return "| " + " | ".join(padded) + " |"
    rule = ["-" * w if i < 2 else "-" * (w - 1) + ":" for i, w in enumerate(widths)]
    return "\n".join([line(header), line(rule)] + [line(cells) for cells in body])


def number(value, digits=1):
    return "-" if value is None else f"{value:.{digits}f}"


def instruction_table(results):
    header = ["row", "peer"] + [f"{load}" for load in LOADS] + ["heap calls", "ns b32n1", "ns b32n3"]
    body = []
    for row, peers in results.rows().items():
        floor = {load: results.time.get(f"{row}/{base}/{load}") for load in LOADS for base in peers
                 if base in FLOORS[:2]}
        for peer in peers:
            cells = [f"{row}/{peer}/{load}" for load in LOADS]
            heap = max(results.allocations.get(cell, 0) for cell in cells)
            line = [row, peer] + [number(results.instructions.get(cell)) for cell in cells]
            line.append(number(heap, 0))
            for load in LOADS[:2]:
                ns, base = results.time.get(f"{row}/{peer}/{load}"), floor.get(load)
                line.append("-" if ns is None else f"{ns / base:.2f} x" if base else f"{ns:.1f}")
            body.append(line)
    return markdown(header, body)


def worst_table(results):
    body = []
    for cell, count in results.instructions.items():
        row, scenario, peer, budget = (cell.split("/") + [""])[:4]
        if row.startswith("worst-") and budget == "budget1":
            full = results.instructions[cell.replace("budget1", "budget256")]
            body.append([f"{row}: {scenario}", peer, number(count, 0), number(full, 0)])
    return markdown(["one service call", "peer", "budget 1", "budget 256"], body)


def scmi_table(results):
    """Each message with its instructions, three to a line, in the order of the protocols."""
    cells = [(cell.split("/")[1], count) for cell, count in results.instructions.items()
             if cell.startswith("scmi/")]
    columns = 3
    height = -(-len(cells) // columns)
    body = [[part for name, count in cells[i::height] for part in (name, number(count, 0))]
            for i in range(height)]
    body = [line + [""] * (2 * columns - len(line)) for line in body]
    return markdown(["message", "instructions"] * columns, body)


def pair_table(results):
    trip, stream = results.pair["pair/machine/round-trip"], results.pair["pair/machine/stream"]
    body = [["machine", "two-line round trip", "1.00 x", f"{trip[1]:.1f}", f"{trip[0]:.1f}"],
            ["machine", "one-way stream", "-", f"{stream[1]:.1f}", f"{stream[0]:.1f}"]]
    for cell, (median, best) in results.pair.items():
        _, row, peer, *load = cell.split("/")
        if load:
            base = trip[1] if load[0].startswith("d1n") else stream[1]
            body.append([row, f"{peer} {load[0]}", f"{best / base:.2f} x", f"{best:.1f}", f"{median:.1f}"])
    return markdown(["row", "peer, depth and chain", "to the machine", "best ns", "median ns"], body)


def copy_table(results):
    body = []
    for cell, (ns, base, empty) in results.copy.items():
        _, direction, size = cell.split("/")
        body.append([direction, size, f"{base / max(ns - empty, 0.01):.2f} x", f"{base / ns:.2f} x",
                     f"{ns:.1f}", f"{base:.1f}", f"{empty:.1f}"])
    return markdown(["payload", "bytes", "copy to memcpy", "whole chain to memcpy", "chain ns", "memcpy ns",
                     "empty chain ns"], body)


def plot(results):
    """Horizontal bars, logarithmic: instructions a chain at batch 32, one group a row and chain length."""
    bars = []
    for row, peers in results.rows().items():
        for load in LOADS[:2]:
            group = [(peer, results.instructions.get(f"{row}/{peer}/{load}")) for peer in peers]
            group = [(peer, count) for peer, count in group if count]
            if group:
                bars.append((f"{row}, {load[4:]} descriptor{'s' if load.endswith('3') else ''}", group))
    left, width, bar, gap = 150, 620, 15, 26
    top = max(count for _, group in bars for _, count in group)
    decades = math.ceil(math.log10(top))
    scale = lambda count: width * (math.log10(count) - 1) / (decades - 1) if count > 10 else 1
    shapes, y = [], 50
    for title, group in bars:
        shapes.append(f'<text x="{left}" y="{y}" class="t">{escape(title)}</text>')
        y += 6
        for peer, count in group:
            style = "ours" if peer.startswith(OURS) else "floor" if peer in FLOORS else "peer"
            size = scale(count)
            shapes.append(f'<text x="{left - 6}" y="{y + 12}" text-anchor="end">{escape(peer)}</text>'
                          f'<rect x="{left}" y="{y + 1}" width="{size:.1f}" height="{bar - 2}" '
                          f'class="{style}"/>'
                          f'<text x="{left + size + 5:.1f}" y="{y + 12}">{count:.0f}</text>')
            y += bar
        y += gap
    style = ("text{font:11px sans-serif;fill:#222}.t{font-weight:bold}.ours{fill:#d9541e}.peer{fill:#7a8aa0}"
             ".floor{fill:#b9c2cd}")
    return (f'<svg xmlns="http://www.w3.org/2000/svg" width="{left + width + 80}" height="{y}">'
            f'<style>{style}</style><rect width="100%" height="100%" fill="#fff"/>'
            f'<text x="{left}" y="22" class="t">Instructions a chain, ring 256, batch 32 (log scale)</text>'
            + "".join(shapes) + "</svg>\n")


def tab_separated(results):
    lines = ["cell\tinstructions\theap calls\tns\tceiling"]
    for cell, count in results.instructions.items():
        ns, ceiling = results.time.get(cell), results.ceilings.get(cell)
        lines.append("\t".join([cell, number(count, 2), f"{results.allocations[cell]:g}", number(ns, 2),
                                number(ceiling, 0)]))
    lines += [f"{cell}\t-\t-\t{ns[0]:.2f}\t-" for cell, ns in {**results.pair, **results.copy}.items()]
    return "\n".join(lines) + "\n"


def is_ours(cell):
    return any(re.fullmatch(OURS + r"(-.*)?", part) for part in cell.split("/"))


def check(results):
    """Prints each of our cells beside its ceiling; returns what is wrong."""
    wrong, body = [], []
    for cell, count in results.instructions.items():
        if not is_ours(cell):
            continue
        ceiling = results.ceilings.get(cell)
        if ceiling is None:
            wrong.append(f"{cell}: {count:.1f} instructions, but no ceiling is written down")
        elif count > ceiling:
            wrong.append(f"{cell}: {count:.1f} instructions, more than {ceiling:g}")
        if results.allocations[cell] > 0:
            wrong.append(f"{cell}: {results.allocations[cell]:g} heap calls")
        body.append([cell, "", number(count), number(ceiling, 0)])
    wrong += [f"{cell}: has a ceiling but was not measured" for cell in results.ceilings
              if cell not in results.instructions]
    print(markdown(["cell", "", "instructions", "ceiling"], body))
    return wrong


def check_fences(folder, results):
    """Each batch costs one full fence: between publishing and looking at what the other side wants to hear.
    No test on a few cores is sure to see it missing, so it is looked for in what ran."""
    import listing  # it imports this module too
    wrong = []
    for cell in results.instructions:
        if is_ours(cell) and cell.endswith("/b1n1"):
            fences = sum(count for _, text, count in listing.executed(folder, cell)
                         if text.split()[0] in ("lock", "mfence"))
            if round(fences, 3) != 1:
                wrong.append(f"{cell}: {fences:.3f} full fences for a batch of one")
    return wrong


def main():
    folder, ceilings = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2])
    results = Results(folder)
    results.ceilings = {row[0]: float(row[1]) for row in read_table(ceilings)}
    if "--check" in sys.argv:
        wrong = check(results) + check_fences(folder, results)
    else:
        parts = ["Instructions a chain (ring 256, EVENT_IDX; b = batch, n = descriptors); heap calls a "
                 "chain; time as a ratio to the floor of the row, else ns:", instruction_table(results),
                 "Instructions of one service call:", worst_table(results),
                 "Instructions of one SCMI message through the shared memory entry, on 16 resources of each "
                 "kind that four agents use:", scmi_table(results)]
        if results.pair:
            parts += ["Two cores, ns a chain; bests compared, for a stolen core spoils a median (depth 1 to "
                      "the round trip, others to the stream):", pair_table(results)]
        if results.copy:
            parts += ["Payload copies:", copy_table(results)]
        text = "\n\n".join(parts) + "\n"
        (folder / "report.md").write_text(text)
        (folder / "report.tsv").write_text(tab_separated(results))
        (folder / "report.svg").write_text(plot(results))
        print(text)
        wrong = []
    for line in wrong:
        print(f"error: {line}", file=sys.stderr)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
