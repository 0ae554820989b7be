"""Measures vireo's block daemon beside qemu-storage-daemon, by turns in one run: the CPU time of a request,
and its wall time. Called by Toolchain/bench --daemon; on a loaded machine only the ratios mean anything.
"""

import contextlib
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

ROUNDS = 5
DISK = 1 << 30
# Name, depth, requests, how the driver waits.
LOADS = [("depth 1, driver polls", 1, 10000, "poll"), ("depth 1, eventfd", 1, 10000, "event"),
         ("depth 32, driver polls", 32, 200000, "poll"), ("depth 32, eventfd", 32, 200000, "event")]


def cpu_nanoseconds(pid):
    """What all threads of a process have used so far."""
    return sum(int((task / "schedstat").read_text().split()[0])
               for task in pathlib.Path(f"/proc/{pid}/task").iterdir())


@contextlib.contextmanager
def daemon(command, socket):
    """A daemon that listens at `socket`."""
    pathlib.Path(socket).unlink(missing_ok=True)
    process = subprocess.Popen(command)
    try:
        deadline = time.monotonic() + 30
        while not os.path.exists(socket):
            if process.poll() is not None or time.monotonic() > deadline:
                sys.exit(f"error: {command[0]} does not listen")
            time.sleep(0.02)
        yield process.pid
    finally:
        process.kill()
        process.wait()


def measure(command, socket, front_end):
    """(CPU, wall) nanoseconds of a request, for each load."""
    results = []
    with daemon(command, socket) as pid:
        for _, depth, requests, mode in LOADS:
            before = cpu_nanoseconds(pid)
            done = subprocess.run([front_end, socket, str(depth), str(requests), "4096", mode],
                                  stdout=subprocess.PIPE, check=True, timeout=600)
            results.append(((cpu_nanoseconds(pid) - before) / requests, float(done.stdout)))
    return results


def compare(title, ours, theirs, socket, front_end):
    rounds = [(measure(ours, socket, front_end), measure(theirs, socket, front_end)) for _ in range(ROUNDS)]
    print(f"\n{title}: vireo beside qemu-storage-daemon, median of {ROUNDS}, nanoseconds a request\n")
    print("| load | CPU | its CPU | ratio | wall | its wall | ratio |\n|---|---|---|---|---|---|---|")
    for index, (name, *_) in enumerate(LOADS):
        cells = []
        for which in (0, 1):
            pair = [statistics.median(one[side][index][which] for one in rounds) for side in (0, 1)]
            ratio = statistics.median(one[0][index][which] / one[1][index][which] for one in rounds)
            cells += [f"{pair[0]:.0f}", f"{pair[1]:.0f}", f"{ratio:.2f}"]
        print(f"| {name} | " + " | ".join(cells) + " |", flush=True)


def main():
    vireo, storage_daemon, front_end = sys.argv[1:]
    with tempfile.TemporaryDirectory(dir="/dev/shm") as folder:
        disk, socket = f"{folder}/disk", f"{folder}/socket"
        with open(disk, "wb") as file:
            for _ in range(DISK >> 20):
                file.write(bytes(1 << 20))
        serve = [vireo, "vhost-user", "block", "--socket", socket]
        address = f"addr.type=unix,addr.path={socket}"

        def other(medium):
            return [storage_daemon, "--blockdev", f"node-name=n,{medium}",
                    "--export", f"vhost-user-blk,id=e,{address},node-name=n,writable=on"]

        compare("no medium", serve + ["--null", str(DISK)], other(f"driver=null-co,size={DISK}"),
                socket, front_end)
        compare("file in memory", serve + ["--file", disk], other(f"driver=file,filename={disk}"),
                socket, front_end)


main()
