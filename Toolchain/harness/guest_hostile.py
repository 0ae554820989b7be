"""A hostile guest of two cores, in three lives, beside one that watches its own memory, disk and interrupts.

The hostile guest says a digit for each life and '.' for each case that ended as it should; the other guest
'+' for each round that found everything as it left it. Anything else that either says is a failure, and so is
an end of the host.
"""

import re
import subprocess
import threading
import time

import guest_payloads

END = b"guest 0 powered off"
# Cases of the three lives: those of the ordinary and of the raced pass, and what follows the resets.
CASES = 130
# How long the other guest goes on after that, in seconds, and the keys that show its console.
AFTER = 2
SHOW_OTHER = b"\x141"


def console(kernel, cores):
    """What both say until the hostile guest has ended and the other has looked around for a while more."""
    command = guest_payloads.command("guests=2", kernel, cores=cores, memory="2G")
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                               stderr=subprocess.STDOUT)
    timer = threading.Timer(guest_payloads.TIME_LIMIT, process.kill)
    timer.start()
    text, ended = b"", None
    try:
        for line in process.stdout:
            text += line
            if END in line:
                ended = time.monotonic()
                process.stdin.write(SHOW_OTHER)
                process.stdin.flush()
            if ended and time.monotonic() > ended + AFTER and line.strip():
                break
    finally:
        timer.cancel()
        process.kill()
        process.wait()
    return text.decode(errors="replace").replace("\r", "")


def verdict(text):
    """What is wrong with it, or an empty text."""
    lines = re.findall(r"vireo: guest \d (?:restarts|powered off|crashed)", text)
    if lines != ["vireo: guest 0 restarts"] * 2 + ["vireo: guest 0 powered off"]:
        return f"the host said {lines}"
    said = re.sub(r"vireo: .*|\[guest \d\]|[+\s]", "", text)
    if not re.fullmatch(r"1\.+2\.+3\.+", said) or said.count(".") < CASES:
        return f"the hostile guest said {said}, with {said.count('.')} cases, not {CASES}"
    if "+" not in text.partition(END.decode())[2]:
        return "the other guest did not go on"
    return ""


def checks(folder):
    kernel = guest_payloads.build(folder, "hostile", "hostile_registers.c", "hostile_rings.c", "witness.c")
    results = []
    for name, cores in (("beside another", 3), ("beside another, with a core for the hardware", 4)):
        text = console(kernel, cores)
        wrong = verdict(text)
        results.append(not wrong)
        print(f"{'FAILED' if wrong else 'passed'}  a hostile guest {name}", flush=True)
        if wrong:
            print(f"        {wrong}\n{text[-3000:]}")
    return results
