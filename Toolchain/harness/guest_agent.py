"""Two bare guests as SCMI agents: what each can name and do, what they share, and what neither gets at."""

import re

import guest_payloads

# Checks of the first guest.
CHECKS = 47


def checks(folder):
    payload = guest_payloads.build(folder, "agent")
    more = ["-global", "virtio-mmio.force-legacy=false", "-object", "rng-random,id=rng,filename=/dev/urandom",
            "-device", "virtio-rng-device,rng=rng",
            # So that speed is what the host gives and not what this machine has left.
            "-icount", "shift=0,sleep=off"]
    status, console = guest_payloads.run(options="guests=2 cores=1,1", kernel=payload, cores=3, memory="2G",
                                         more=more)
    said = re.sub(r"vireo: .*|\s", "", console)
    good = status == 0 and said == "." * CHECKS and "restarts" not in console
    print(f"{'passed' if good else 'FAILED'}  two guests as SCMI agents", flush=True)
    if not good:
        print(f"        exit status {status}, {said.count('.')} of {CHECKS} checks\n{console}")
    return [good]
