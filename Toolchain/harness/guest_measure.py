"""What exits of a guest cost, counted in instructions, and how many a request takes.

Under `-icount shift=0` an instruction is a nanosecond of the guest's clock: the numbers are the same on every
machine and in every run.
"""

import re

import guest_payloads

# Most instructions of one access or call, from the guest's instruction to its next.
LIMITS = {"read": 150, "write": 165, "call": 180, "send": 150}
# Most exits between two marks of the guest.
EXITS = {"a block request of 4 KiB": (1, 2, 3), "an interrupt, with the write that pends it": (3, 4, 1)}


def exits(log, start, end):
    """How often the guest left EL1 between two calls with these numbers."""
    syndromes = re.findall(r"from EL1 to EL2\n\.\.\.with ESR \w+/0x(\w+)", log)
    marks = [index for index, value in enumerate(syndromes) if int(value, 16) in (0x5A000000 + start,
                                                                                  0x5A000000 + end)]
    return marks[1] - marks[0] - 1 if len(marks) == 2 else None


def checks(folder):
    """Prints each number beside its limit; returns whether each is kept."""
    log = folder / "exceptions.log"
    more = ["-icount", "shift=0,sleep=off", "-d", "int", "-D", log]
    status, console = guest_payloads.run(kernel=guest_payloads.build(folder, "measure"), more=more)
    found = dict(re.findall(r"^(\w+)=(\d+)$", console, re.MULTILINE))
    rows = [(f"instructions of a trapped {name}", found.get(name), limit) for name, limit in LIMITS.items()]
    text = log.read_text(errors="replace")
    rows += [(f"exits of {name}", exits(text, start, end), limit)
             for name, (start, end, limit) in EXITS.items()]
    results = []
    for name, number, limit in rows:
        good = status == 0 and found.get("status") == "0" and number is not None and int(number) <= limit
        results.append(good)
        print(f"{'passed' if good else 'FAILED'}  {name}: {number}, at most {limit}", flush=True)
    if not all(results):
        print(console)
    return results
