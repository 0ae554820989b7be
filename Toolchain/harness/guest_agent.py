"""Bare guests as SCMI agents, two over HVC and one over virtio: what each can name and do, what they share,
and what none gets at."""

import re

import guest_payloads

# Checks of the first guest, and of the one over virtio.
CHECKS = 47
DEVICE_CHECKS = 26


def checks(folder):
    return [over_calls(folder), over_virtio(folder)]


def over_virtio(folder):
    """A guest as an agent behind a device: repeated tokens, bad messages, events without a buffer."""
    payload = guest_payloads.build(folder, "agent_virtio")
    status, console = guest_payloads.run(options="cores=1 scmi-device=1", kernel=payload, cores=2,
                                         more=["-icount", "shift=0,sleep=off"])
    said = re.sub(r"vireo: .*|\s", "", console)
    return verdict("a guest as an SCMI agent over virtio", DEVICE_CHECKS, status, said, console)


def verdict(name, count, status, said, console):
    good = status == 0 and said == "." * count and "restarts" not in console
    print(f"{'passed' if good else 'FAILED'}  {name}", flush=True)
    if not good:
        print(f"        exit status {status}, {said.count('.')} of {count} checks\n{console}")
    return good


def over_calls(folder):
    """Two guests as agents over HVC, who share a clock."""
    payload = guest_payloads.build(folder, "agent")
    more = ["-global", "virtio-mmio.force-legacy=false", "-object", "rng-random,id=rng,filename=/dev/urandom",
            "-device", "virtio-rng-device,rng=rng",
            # So that speed is what the host gives and not what this machine has left.
            "-icount", "shift=0,sleep=off"]
    status, console = guest_payloads.run(options="guests=2 cores=1,1", kernel=payload, cores=3, memory="2G",
                                         more=more)
    said = re.sub(r"vireo: .*|\s", "", console)
    return verdict("two guests as SCMI agents", CHECKS, status, said, console)
