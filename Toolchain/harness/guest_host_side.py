"""What the guests' network leads to: a server of files, and one of iperf3, on this machine."""

import hashlib
import http.server
import os
import shutil
import socket
import subprocess
import threading
import time

import truth
from guest_console import GuestFailure


class Handler(http.server.BaseHTTPRequestHandler):
    """Serves /N, N MiB of pseudo-random content."""

    protocol_version = "HTTP/1.0"

    def do_GET(self):
        content = self.server.site.content.get(self.path)
        if content is None:
            self.send_error(404)
            return
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        try:
            self.wfile.write(content)
        except OSError:
            pass  # the guest has gone

    def log_message(self, *arguments):
        pass


class Site:
    """Servers that end with the block that uses them."""

    address = "10.0.2.2"  # this machine, in the user network of QEMU

    def __init__(self, sizes):
        self.content = {f"/{size}": truth.content(f"file {size}", size << 20)
                        for size in {1, sizes.file_mebibytes}}
        self.iperf = None

    def __enter__(self):
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.server.site = self
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *problem):
        self.server.shutdown()
        self.server.server_close()
        if self.iperf:
            self.iperf.kill()
            self.iperf.wait()

    def file(self, mebibytes):
        """The address of a file, and its hash."""
        content = self.content[f"/{mebibytes}"]
        port = self.server.server_address[1]
        return f"http://{self.address}:{port}/{mebibytes}", self.sha256(content)

    @staticmethod
    def sha256(data):
        return hashlib.sha256(data).hexdigest()

    def iperf_server(self):
        """The port of an iperf3 server on this machine."""
        if self.iperf is None:
            program = shutil.which("iperf3")
            if not program:
                raise GuestFailure("this machine has no iperf3")
            self.port = free_port()
            # An unpacked package has its libraries beside it.
            prefix = os.path.dirname(os.path.dirname(program))
            libraries = os.path.join(prefix, "lib", os.uname().machine + "-linux-gnu")
            self.iperf = subprocess.Popen(
                [program, "-s", "-p", str(self.port)], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL, env=os.environ | {"LD_LIBRARY_PATH": libraries})
            wait_for_server(self.port)
        return self.port


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_for_server(port):
    end = time.monotonic() + 60
    while True:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        if time.monotonic() > end:
            raise GuestFailure(f"nothing listens on port {port}")
        time.sleep(0.1)
