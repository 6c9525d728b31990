#!/usr/bin/env python3
"""Writes seeds for the fuzz targets into fuzz/corpus/, from the frames in test-vectors/.

The formats are those that the targets read; see the top of each target and src/input.rs.
"""

import json
import struct
from pathlib import Path

HERE = Path(__file__).resolve().parent
VECTORS = HERE.parent / "test-vectors"


def octets(data: bytes) -> bytes:
    return struct.pack("!H", len(data)) + data


def write(target: str, name: str, data: bytes) -> None:
    folder = HERE / "corpus" / target
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"seed-{name}").write_bytes(data)


def main() -> None:
    vectors = []
    for path in sorted((VECTORS / "ieee").glob("*.json")):
        vectors += json.loads(path.read_text())["vectors"]
    negative = json.loads((VECTORS / "dpdk" / "negative-dpdk.json").read_text())["frames"]
    protected = [(v["id"], bytes.fromhex(v["protected_frame"])) for v in vectors + negative]
    plain = {bytes.fromhex(v["unprotected_frame"]) for v in vectors}

    for name, frame in protected:
        write("sectag", name, frame[12:28])

    for suite in range(4):
        for mode in range(4):
            # flags, mode, window, suite, AN, style, first PN (counted from the last)
            head = struct.pack("!BBIBBBQ", 0, mode, 8, suite, 1, 0, 1 << 20)
            raw = b"".join(b"\x00" + octets(frame) for _, frame in protected[:6])
            sealed = b"".join(b"\x02" + octets(frame[12:]) for frame in sorted(plain))
            damaged = bytes([5, 0, 7, 0, 40, 5, 1, 0, 0, 9, 7, 0, 7, 1])
            write("secy_receive", f"{suite}-{mode}", head + raw + sealed + damaged)

    for suite in range(4):
        for peers in range(2):
            head = struct.pack("!BBIBBB", 0, 0, 4, suite, 0, peers)
            first = bytes([0, 0, 0]) * (1 + peers)
            frames = b""
            for step in (0, 1, 2, 0xFFFE, 1):
                # one at a time: style, twist, text, PN as a step from nextPN
                frames += b"\x00" + bytes([0, 0]) + octets(b"\x08\x00" + bytes(60))
                frames += struct.pack("!H", step) + b"\x00"
            write("secy_receive_null", f"{suite}-{peers}", head + first + frames)

    for suite in range(4):
        for flags in (0x00, 0x01, 0x02, 0x06, 0x10, 0x20, 0x80):
            style = 1 if flags == 0x06 else 0
            head = struct.pack("!BBBBHI", flags, style, suite, 0, 1500, 1)
            frames = b"".join(bytes([16, 16, 0]) + octets(frame) for frame in sorted(plain))
            tagged = bytes(12) + b"\x81\x00\x00\x05\x88\xa8\x00\x06\x08\x00" + bytes(50)
            write("secy_transmit", f"{suite}-{flags:02x}", head + frames + bytes([16, 16, 0]) + octets(tagged))

    for golden in json.loads((VECTORS / "mka" / "golden-frames.json").read_text())["frames"]:
        frame = bytes.fromhex(golden["frame"])
        # flags, and the frame; or flags, and the MKPDU without its ICV
        write("mkpdu", f"{golden['id']}-raw", b"\x00" + frame)
        write("mkpdu", f"{golden['id']}-sealed", b"\x01" + frame[18:-16])

    wait = b"\x02" + struct.pack("!H", 400)
    pn = b"\x0e" + struct.pack("!QQ", 0xC000_0000_0000_0000, 1)
    stories = {
        "rekeys": b"\x0a" + wait + b"\x0a" + wait + pn + wait * 4,
        "restarts": b"\x09" + wait * 3 + b"\x89" + wait * 3 + b"\x09\x89" + wait * 3,
        "links": b"\x08" + wait + b"\x48" + wait * 3 + b"\x88" + wait * 20 + b"\xc8" + wait * 3,
        "cuts": b"\x47" + wait * 20 + b"\x07" + wait * 5 + b"\xc7" + wait * 20 + b"\x87" + wait * 5,
        "faults": b"\x1d\x0a" + wait * 9 + b"\x3d" + wait * 9 + b"\x0d\x0a" + wait * 9,
        "slow": b"\x0b\x0a" + (wait + b"\x0c\x01\x4c\x01") * 9 + b"\x4b" + wait,
        # which frame, how many octets of it, and where and what
        "insider": b"".join(b"\x86" + bytes([n, 1, 10 * n, n]) + wait for n in range(16)),
        "outsider": b"".join(b"\x05" + bytes([n, 0]) + b"\x04" + octets(bytes(n)) for n in range(16)),
    }
    for flags in range(8):
        for name, story in stories.items():
            write("kay", f"{name}-{flags}", bytes([flags * 0x25 & 0xFF]) + wait * 8 + story)


if __name__ == "__main__":
    main()
