"""What the host knows and the image has to find out: disk, served file, random bytes, FIPS 140-2 tests."""

import functools
import hashlib
import struct

SECTOR = 512
DISK_BYTES = 8 << 20
SERVED_BYTES = 300_007
ENTROPY_BYTES = 1 << 20
ECHO_BYTES = 16_384
BLOCK_BYTES = 2_500  # FIPS 140-2 tests 20,000 bits at a time


def content(seed, count):
    """`count` pseudo-random bytes that depend on `seed` alone."""
    return hashlib.shake_256(seed.encode()).digest(count)


def sha256(data):
    return hashlib.sha256(data).hexdigest()


def pattern(seed, count):
    """What the image writes to the disk: the 64-bit words of SplitMix64 from `seed`, little-endian."""
    mask = (1 << 64) - 1
    words = []
    for _ in range(count // 8):
        seed = (seed + 0x9E3779B97F4A7C15) & mask
        word = seed
        word = (word ^ word >> 30) * 0xBF58476D1CE4E5B9 & mask
        word = (word ^ word >> 27) * 0x94D049BB133111EB & mask
        words.append(word ^ word >> 31)
    return struct.pack(f"<{len(words)}Q", *words)


# FIPS 140-2 with change notice 1: how many runs of each length, 1 to 6 and more, are allowed.
RUNS_ALLOWED = {1: (2315, 2685), 2: (1114, 1386), 3: (527, 723), 4: (240, 384), 5: (103, 209), 6: (103, 209)}


@functools.lru_cache(maxsize=1)
def fips_failures(data):
    """In how many blocks of `data` each test fails, whole blocks only, most significant bit first."""
    failures = {"monobit": 0, "poker": 0, "runs": 0, "longrun": 0}
    for start in range(0, len(data) - BLOCK_BYTES + 1, BLOCK_BYTES):
        block = data[start:start + BLOCK_BYTES]
        bits = bin(int.from_bytes(block, "big"))[2:].zfill(BLOCK_BYTES * 8)
        if not 9725 < bits.count("1") < 10275:
            failures["monobit"] += 1
        counts = [0] * 16
        for byte in block:
            counts[byte >> 4] += 1
            counts[byte & 15] += 1
        if not 2.16 < 16 / 5000 * sum(count * count for count in counts) - 5000 < 46.17:
            failures["poker"] += 1
        runs = {"0": [0] * 7, "1": [0] * 7}
        longest = 0
        for digit, other in (("0", "1"), ("1", "0")):
            for run in bits.split(other):
                if run:
                    runs[digit][min(len(run), 6)] += 1
                    longest = max(longest, len(run))
        if any(not low <= runs[digit][length] <= high
               for digit in runs for length, (low, high) in RUNS_ALLOWED.items()):
            failures["runs"] += 1
        if longest >= 26:
            failures["longrun"] += 1
    return failures
