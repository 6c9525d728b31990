#!/usr/bin/env python3
"""Exchanges frames between macsec and scapy's MACsec layer, both ways.

Usage: interop.py PEER, where PEER is the built example `scapy_peer`. `.ci/interop-scapy` does it all.

What we protect must be octet for octet what scapy makes of the same frame and key, and scapy must open it; what scapy protects
we must find valid, and deliver the frame it started from. A frame with one bit changed we must not deliver.
"""

import itertools
import subprocess
import sys

from scapy.contrib.macsec import MACsec, MACsecSA
from scapy.layers.l2 import Ether

PAYLOADS = [*range(1, 201), 1500, 9000]
SUITES = {
    "gcm-aes-128": (16, False),
    "gcm-aes-256": (32, False),
    "gcm-aes-xpn-128": (16, True),
    "gcm-aes-xpn-256": (32, True),
}
DESTINATION = bytes.fromhex("02000000000b")
SOURCE = bytes.fromhex("02000000000a")
SCI = SOURCE + bytes.fromhex("0001")
SALT = bytes.fromhex("e630e81a48de86a21c66fa6d")
SSCI = 0x7A30C118


class Peer:
    """Our side: a process that answers line by line."""

    def __init__(self, program):
        self.process = subprocess.Popen(
            [program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
        )

    def ask(self, verb, **values):
        words = [verb, *(f"{name}={value}" for name, value in values.items())]
        self.process.stdin.write(" ".join(words) + "\n")
        return self.process.stdout.readline().strip()

    def close(self):
        self.process.stdin.close()
        if self.process.wait(timeout=10) != 0:
            sys.exit("the peer did not end well")


class Exchange:
    """One way of protecting: suite, encryption, form of the SecTAG."""

    def __init__(self, peer, suite, encrypt, tag):
        self.peer, self.suite, self.encrypt, self.tag = peer, suite, encrypt, tag
        key_len, self.xpn = SUITES[suite]
        self.key = bytes(range(0x40, 0x40 + key_len))

    def common(self, pn, an):
        values = {"suite": self.suite, "key": self.key.hex(), "sci": SCI.hex(), "pn": pn, "an": an}
        if self.xpn:
            values |= {"ssci": SSCI, "salt": SALT.hex()}
        return values

    def scapy_sa(self, pn, an):
        xpn = {"xpn_en": True, "ssci": SSCI, "salt": SALT} if self.xpn else {}
        return MACsecSA(SCI, an, pn, self.key, 16, self.encrypt, self.tag == "sci", **xpn)

    def scapy_protect(self, frame, pn, an):
        sa = self.scapy_sa(pn, an)
        packet = sa.encap(Ether(frame))
        packet[MACsec].ES = self.tag == "es"
        return bytes(sa.encrypt(packet))

    def scapy_open(self, wire, pn, an):
        sa = self.scapy_sa(pn, an)
        return bytes(sa.decap(sa.decrypt(Ether(wire))))

    def check(self, frame, pn, an):
        """Returns what differs, or None."""
        mode = "encrypt" if self.encrypt else "integrity"
        common = self.common(pn, an)
        answer = self.peer.ask("protect", **common, mode=mode, tag=self.tag, frame=frame.hex())
        if not answer.startswith("ok "):
            return f"protect: {answer}"
        wire = bytes.fromhex(answer[3:])
        if self.scapy_open(wire, pn, an) != frame:
            return "scapy opens our frame to something else"
        theirs = self.scapy_protect(frame, pn, an)
        if theirs != wire:
            return f"ours is {wire.hex()}, scapy's {theirs.hex()}"
        answer = self.peer.ask("validate", **common, frame=theirs.hex())
        if answer != f"InPktsOK {frame.hex()}":
            return f"validate: {answer[:60]}"
        damaged = bytearray(theirs)
        damaged[-1 - pn % 16] ^= 1 << pn % 8
        answer = self.peer.ask("validate", **common, frame=damaged.hex())
        if answer != "InPktsNotValid":
            return f"validate, damaged: {answer[:60]}"
        return None


def main(program):
    peer = Peer(program)
    frames = failures = 0
    for suite, encrypt, tag in itertools.product(SUITES, (True, False), ("sci", "es", "none")):
        exchange = Exchange(peer, suite, encrypt, tag)
        for payload in PAYLOADS:
            frame = DESTINATION + SOURCE + b"\x88\xb5" + bytes(i * 7 & 0xFF for i in range(payload))
            pn = 1 + payload * 0x01000193 % 0xFFFFFFFE
            if exchange.xpn:
                pn |= payload << 40
            difference = exchange.check(frame, pn, payload % 4)
            frames += 1
            if difference:
                failures += 1
                what = f"{suite} {'encrypted' if encrypt else 'integrity'} tag={tag} payload={payload}"
                print(f"FAILED {what}: {difference}")
    peer.close()
    expected = len(SUITES) * 2 * 3 * len(PAYLOADS)
    print(f"scapy: {frames} frames exchanged both ways, {failures} differ")
    return 1 if failures or frames != expected else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
