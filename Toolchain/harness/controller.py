"""Boots the system controller, which its agents try out by themselves. Called by Toolchain/boot."""

import argparse
import os
import sys

import machine
from symbols import Symbols

# What the agents say, in this order except for the neighbour's lines, which come when it gets to them.
STEPS = ["base.version", "base.identity", "base.protocols", "base.agents", "clock.count", "clock.names",
         "clock.counter", "clock.rates", "clock.rounding", "ticker.off", "ticker.fast", "ticker.slow",
         "errors.status", "errors.length", "clock.delayed", "notification", "shared.kept",
         "shared.released", "isolated", "polled"]
NEIGHBOUR = ["neighbour.view", "neighbour.recovers"]
NUMBERS = ["roundtrip.interrupt.ns", "roundtrip.polled.ns"]
SECONDS = 300


def command(cores):
    base = machine.base_command(machine.IMAGE + ".img", machine=",virtualization=on")
    return base + ["-nic", "none", "-smp", str(cores)]


def problems(run, status):
    """What is wrong with a run, a line each."""
    if run.timed_out:
        yield f"not finished after {SECONDS} s"
    results = run.results
    said = [key for key, _ in results]
    if [key for key in said if key in STEPS] != STEPS:
        yield "the steps are not those that there should be"
    for key in NEIGHBOUR + NUMBERS + ["result"]:
        if said.count(key) != 1:
            yield f"{key} was said {said.count(key)} times"
    for key, value in results:
        if key in STEPS + NEIGHBOUR and value != "ok":
            yield f"{key} is {value}"
        elif key in NUMBERS and not value.isdigit():
            yield f"{key} is no number: {value}"
        elif key == "result" and value != "pass":
            yield f"the result is {value}"
        elif key not in STEPS + NEIGHBOUR + NUMBERS + ["result"]:
            yield f"an unknown key: {key}"
    if status != 0:
        yield f"exit status {status}"


def main():
    parser = argparse.ArgumentParser(prog="Toolchain/boot controller", allow_abbrev=False)
    parser.add_argument("--check", action="store_true", help="only say what is wrong")
    parser.add_argument("--verbose", action="store_true", help="with --check: show the console")
    options = parser.parse_args()
    symbols = Symbols(machine.IMAGE + ".elf", os.environ["VIREO_TOOLCHAIN"], os.environ["VIREO_TOP"])
    shows = options.verbose or not options.check
    failed = False
    for cores, check in [(3, problems), (4, problems), (2, too_few)]:
        echo = (lambda line, cores=cores: print(f"    {cores} cores | {line}", flush=True)) if shows else None
        run = machine.Run(command(cores), symbols, SECONDS, echo=echo)
        status = run.execute()
        found = list(check(run, status))
        failed = failed or bool(found)
        numbers = ", ".join(f"{key} {value}" for key, value in run.results if key in NUMBERS)
        print(f"{cores} cores: {'failed' if found else 'passed'} {numbers}".rstrip(), flush=True)
        for line in found:
            print(f"  {line}")
        if found and not shows:
            print("\n".join(f"    {line}" for line in run.lines))
        if not options.check:
            break
    return 1 if failed else 0


def too_few(run, status):
    """With too few cores the image says so and ends."""
    if status != 1 or not any("too few cores" in line for line in run.lines):
        yield f"exit status {status}, without a word about too few cores"


if __name__ == "__main__":
    sys.exit(main())
