"""A vhost-user front end with split rings and no guest, for devices that QEMU has no front end for."""

import array
import mmap
import os
import select
import socket
import struct
import time

from guest_console import GuestFailure

# Requests of the vhost-user protocol.
GET_FEATURES, SET_FEATURES, SET_OWNER = 1, 2, 3
SET_VRING_NUM, SET_VRING_ADDR = 8, 9
SET_VRING_KICK, SET_VRING_CALL = 12, 13
GET_PROTOCOL_FEATURES, SET_PROTOCOL_FEATURES, SET_VRING_ENABLE, ADD_MEM_REG = 15, 16, 18, 37
SET_BACKEND_REQ_FD, GET_CONFIG = 21, 24
# What a back end says of its own accord.
CONFIG_CHANGE = 2
VERSION_1, PROTOCOL_FEATURES = 1 << 32, 1 << 30
VERSION, NEED_REPLY = 1, 8

# Where a ring and its buffers are in the memory; addresses of the guest are offsets in it.
RING_SIZE, RING_BYTES = 8, 0x1_0000
AVAILABLE, USED, BUFFERS = 0x1000, 0x2000, 0x4000
BUFFER_BYTES = 0x1000
# Where the front end has the memory, as the back end is told.
OWN_ADDRESS = 0x7000_0000_0000
WRITE = 2  # a descriptor's flag
SECONDS = 60


class Ring:
    """A split ring: every buffer has a place of its own and one descriptor."""

    def __init__(self, front_end, index):
        self.memory, self.start = front_end.memory, index * RING_BYTES
        self.kick, self.call = os.eventfd(0), os.eventfd(0)
        self.made = self.taken = 0
        address = OWN_ADDRESS + self.start
        front_end.ask(SET_VRING_NUM, struct.pack("<II", index, RING_SIZE))
        front_end.ask(SET_VRING_ADDR, struct.pack("<IIQQQQ", index, 0, address, address + USED,
                                                  address + AVAILABLE, 0))
        front_end.ask(SET_VRING_CALL, struct.pack("<Q", index), self.call)
        front_end.ask(SET_VRING_KICK, struct.pack("<Q", index), self.kick)
        front_end.ask(SET_VRING_ENABLE, struct.pack("<II", index, 1))

    def offer(self, data=None):
        """Makes a buffer available: `data` for the device, or one that it may write."""
        slot = self.made % RING_SIZE
        place = self.start + BUFFERS + slot * BUFFER_BYTES
        self.store(slot * 16, "<QIHH", place, len(data) if data else BUFFER_BYTES, 0 if data else WRITE, 0)
        if data:
            self.memory[place:place + len(data)] = data
        self.store(AVAILABLE + 4 + 2 * slot, "<H", slot)
        self.made += 1
        self.store(AVAILABLE + 2, "<H", self.made & 0xFFFF)
        os.eventfd_write(self.kick, 1)

    def take(self):
        """The bytes that the device wrote into the next buffer it used."""
        end = time.monotonic() + SECONDS
        while self.load(USED + 2, "<H")[0] == self.taken & 0xFFFF:
            if time.monotonic() > end:
                raise GuestFailure("the device does not use a buffer")
            select.select([self.call], [], [], 0.1)
        slot, count = self.load(USED + 4 + 8 * (self.taken % RING_SIZE), "<II")
        self.taken += 1
        place = self.start + BUFFERS + slot * BUFFER_BYTES
        return self.memory[place:place + count]

    def store(self, offset, layout, *values):
        struct.pack_into(layout, self.memory, self.start + offset, *values)

    def load(self, offset, layout):
        return struct.unpack_from(layout, self.memory, self.start + offset)


class FrontEnd:
    """A connection to a daemon, some memory, and the first rings of the device. `features` are those of its
    own that the device gets."""

    def __init__(self, path, ring_count, features=0):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(SECONDS)
        self.socket.connect(path)
        byte_count = ring_count * RING_BYTES
        file = os.memfd_create("guest")
        os.ftruncate(file, byte_count)
        self.memory = mmap.mmap(file, byte_count)
        self.send(SET_OWNER)
        offered = self.get(GET_FEATURES)
        self.send(SET_PROTOCOL_FEATURES, struct.pack("<Q", self.get(GET_PROTOCOL_FEATURES)))
        self.send(SET_FEATURES, struct.pack("<Q", offered & (VERSION_1 | PROTOCOL_FEATURES | features)))
        self.ask(ADD_MEM_REG, struct.pack("<QQQQQ", 0, 0, byte_count, OWN_ADDRESS, 0), file)
        self.rings = [Ring(self, index) for index in range(ring_count)]

    def configuration(self, layout):
        """The first fields of the device's configuration space."""
        byte_count = struct.calcsize(layout)
        self.send(GET_CONFIG, struct.pack("<III", 0, byte_count, 0) + bytes(byte_count))
        return struct.unpack(layout, self.payload()[12:])

    def take_notices(self):
        """Two sockets: on the first one the daemon tells of changes, which it writes to the second."""
        ours, theirs = socket.socketpair()
        ours.settimeout(SECONDS)
        self.ask(SET_BACKEND_REQ_FD, b"", theirs.fileno())
        return ours, theirs

    def send(self, request, payload=b"", file=None, flags=VERSION):
        rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [file]))] if file else []
        self.socket.sendmsg([struct.pack("<III", request, flags, len(payload)) + payload], rights)

    def get(self, request):
        self.send(request)
        return self.answer()

    def ask(self, request, payload, file=None):
        self.send(request, payload, file, VERSION | NEED_REPLY)
        if self.answer() != 0:
            raise GuestFailure(f"the daemon refuses request {request}")

    def answer(self):
        return struct.unpack("<Q", self.payload())[0]

    def payload(self):
        header = self.socket.recv(12, socket.MSG_WAITALL)
        if len(header) < 12:
            raise GuestFailure("the daemon hangs up")
        return self.socket.recv(struct.unpack("<III", header)[2], socket.MSG_WAITALL)

    def close(self):
        self.socket.close()
