// Little-endian decoding of wire structures. The bytes come from an untrusted peer.
