#!/usr/bin/env python3
"""Computes the known-answer transcript of the handshake a second time and compares it with transcript.h.

Written from the protocol text alone and on Python's hashlib and hmac: X25519 (RFC 7748), Ed25519 (RFC 8032) and
ChaCha20-Poly1305 (RFC 8439) are spelled out below, so that nothing is shared with the C++ code or libsodium.
With --print it writes the lines of transcript.h. Exit status: 0 all equal, 1 something differs.
"""

import hashlib
import hmac
import pathlib
import re
import struct
import sys
import textwrap

P = 2**255 - 19
L = 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, P - 2, P) % P


def x25519(scalar, point):
    k = int.from_bytes(scalar, "little") & ((1 << 254) - 8) | (1 << 254)
    x1 = int.from_bytes(point, "little") & ((1 << 255) - 1)
    x2, z2, x3, z3 = 1, 0, x1, 1
    for t in reversed(range(255)):
        bit = k >> t & 1
        if bit:
            x2, z2, x3, z3 = x3, z3, x2, z2
        a, b, c, d = x2 + z2, x2 - z2, x3 + z3, x3 - z3
        x3, z3 = (d * a + c * b) ** 2 % P, x1 * (d * a - c * b) ** 2 % P
        aa, bb = a * a % P, b * b % P
        x2, z2 = aa * bb % P, (aa - bb) * (aa + 121665 * (aa - bb)) % P
        if bit:
            x2, z2, x3, z3 = x3, z3, x2, z2
    return (x2 * pow(z2, P - 2, P) % P).to_bytes(32, "little")


BASE_Y = 4 * pow(5, P - 2, P) % P


def recover_x(y, odd):
    square = (y * y - 1) * pow(D * y * y + 1, P - 2, P) % P
    x = pow(square, (P + 3) // 8, P)
    if (x * x - square) % P:
        x = x * pow(2, (P - 1) // 4, P) % P
    return x if x & 1 == odd else P - x


BASE = (recover_x(BASE_Y, 0), BASE_Y)


def add(a, b):
    t = D * a[0] * b[0] * a[1] * b[1] % P
    return (
        (a[0] * b[1] + b[0] * a[1]) * pow(1 + t, P - 2, P) % P,
        (a[1] * b[1] + a[0] * b[0]) * pow(1 - t, P - 2, P) % P,
    )


def multiply(k, point):
    total = (0, 1)
    while k:
        if k & 1:
            total = add(total, point)
        point = add(point, point)
        k >>= 1
    return total


def encode(point):
    return (point[1] | (point[0] & 1) << 255).to_bytes(32, "little")


class Identity:
    def __init__(self, seed):
        digest = hashlib.sha512(seed).digest()
        self.x_private = digest[:32]
        self.scalar = int.from_bytes(digest[:32], "little") & ((1 << 254) - 8) | (1 << 254)
        self.prefix = digest[32:]
        point = multiply(self.scalar, BASE)
        self.public = encode(point)
        self.x_public = ((1 + point[1]) * pow(1 - point[1], P - 2, P) % P).to_bytes(32, "little")

    def sign(self, message):
        def reduce(*parts):
            return int.from_bytes(hashlib.sha512(b"".join(parts)).digest(), "little") % L

        r = reduce(self.prefix, message)
        big_r = encode(multiply(r, BASE))
        s = (r + reduce(big_r, self.public, message) * self.scalar) % L
        return big_r + s.to_bytes(32, "little")


def chacha_block(key, counter, nonce):
    start = list(struct.unpack("<16I", b"expand 32-byte k" + key + struct.pack("<I", counter) + nonce))
    s = start[:]

    def turn(a, b, c, d):
        for x, y, z, n in ((a, b, d, 16), (c, d, b, 12), (a, b, d, 8), (c, d, b, 7)):
            s[x] = (s[x] + s[y]) & 0xFFFFFFFF
            s[z] ^= s[x]
            s[z] = (s[z] << n | s[z] >> (32 - n)) & 0xFFFFFFFF

    for _ in range(10):
        for i in range(4):
            turn(i, i + 4, i + 8, i + 12)
        for i in range(4):
            turn(i, (i + 1) % 4 + 4, (i + 2) % 4 + 8, (i + 3) % 4 + 12)
    return struct.pack("<16I", *((a + b) & 0xFFFFFFFF for a, b in zip(s, start)))


def seal(key, nonce, associated, plain):
    sealed = b""
    for i in range(0, len(plain), 64):
        stream = chacha_block(key, 1 + i // 64, nonce)
        sealed += bytes(a ^ b for a, b in zip(plain[i : i + 64], stream))
    one_time = chacha_block(key, 0, nonce)
    r = int.from_bytes(one_time[:16], "little") & 0x0FFFFFFC0FFFFFFC0FFFFFFC0FFFFFFF
    total = 0
    text = associated + bytes(-len(associated) % 16) + sealed + bytes(-len(sealed) % 16)
    text += struct.pack("<QQ", len(associated), len(sealed))
    for i in range(0, len(text), 16):
        total = (total + int.from_bytes(text[i : i + 16] + b"\x01", "little")) * r % (2**130 - 5)
    tag = (total + int.from_bytes(one_time[16:], "little")) & (2**128 - 1)
    return sealed + tag.to_bytes(16, "little")


def h(*parts):
    return hashlib.blake2b(b"".join(parts)).digest()


def extract(salt, data):
    return hmac.new(salt, data, "sha512").digest()


def expand(key, info, size):
    return hmac.new(key, info + b"\x01", "sha512").digest()[:size]


def siphash(key, data):
    """SipHash-2-4 with a result of 16 bytes, from the paper; data in whole words of 8 bytes."""
    mask = 2**64 - 1
    k0, k1 = struct.unpack("<QQ", key)
    v = [k0 ^ 0x736F6D6570736575, k1 ^ 0x646F72616E646F6D ^ 0xEE, k0 ^ 0x6C7967656E657261, k1 ^ 0x7465646279746573]

    def rotate(x, by):
        return (x << by | x >> (64 - by)) & mask

    def rounds(count):
        for _ in range(count):
            for a, b, c, d, left, right in ((0, 1, 2, 3, 13, 16), (2, 1, 0, 3, 17, 21)):
                v[a] = (v[a] + v[b]) & mask
                v[c] = (v[c] + v[d]) & mask
                v[b] = rotate(v[b], left) ^ v[a]
                v[d] = rotate(v[d], right) ^ v[c]
                v[a] = rotate(v[a], 32)

    for word in [*struct.unpack(f"<{len(data) // 8}Q", data), (len(data) & 0xFF) << 56]:
        v[3] ^= word
        rounds(2)
        v[0] ^= word
    v[2] ^= 0xEE
    rounds(4)
    low = v[0] ^ v[1] ^ v[2] ^ v[3]
    v[1] ^= 0xDD
    rounds(4)
    return struct.pack("<QQ", low, v[0] ^ v[1] ^ v[2] ^ v[3])


def mac1(receiver, message):
    return siphash(h(b"mac1", receiver)[:16], message)


def cookie_reply(receiver, cookie, initiation, nonce):
    key, macs = h(b"cookie", receiver)[:16], initiation[-32:]
    pad = siphash(key, bytes([1] + [0] * 7) + nonce + macs)
    reply = bytes([0x83, 1, 0, 0, 0, 0, 0, 0]) + initiation[8:16] + nonce + bytes(a ^ b for a, b in zip(cookie, pad))
    return reply + siphash(key, bytes([2] + [0] * 7) + macs + reply)


def params(lanes, window_bits, flags, heartbeat_ms, mtu):
    return struct.pack(">BBBBIH6x", 1, lanes, window_bits, flags, heartbeat_ms, mtu)


def transcript():
    initiator, responder = Identity(bytes([0x11] * 32)), Identity(bytes([0x22] * 32))
    ephemeral_i, ephemeral_r, psk = bytes([0x33] * 32), bytes([0x44] * 32), bytes([0x55] * 32)
    nine = bytes([9] + [0] * 31)
    zero_nonce = bytes(12)
    sid_i, sid_r = struct.pack(">Q", 0x0102030405060708), struct.pack(">Q", 0x1112131415161718)
    stamp = struct.pack(">Q", 1_700_000_000_000_000_000 & ~(2**24 - 1))
    params_i, params_r = params(4, 15, 0, 250, 1420), params(2, 16, 1, 1000, 1380)

    start = bytes([0x81, 1, 0, 0, 0, 0, 0, 0]) + sid_i + x25519(ephemeral_i, nine)
    hash_ = h(h(b"centipede1", responder.public), start)
    chain = extract(hash_, x25519(ephemeral_i, responder.x_public))
    digest = h(hash_, responder.public, initiator.public, stamp, params_i)
    signature = initiator.sign(b"centipede1 init" + digest)
    box = seal(expand(chain, b"m1", 32), zero_nonce, hash_, initiator.public + stamp + params_i + signature)
    initiation = start + box
    initiation += mac1(responder.public, initiation)
    hash_ = h(hash_, box)

    secret, port = bytes([0x99] * 16), struct.pack(">H6x", 40000)
    cookie = siphash(secret, bytes(10) + b"\xff\xff" + bytes([203, 0, 113, 5]) + port)
    cookie_v6 = siphash(secret, bytes.fromhex("20010db8000000000000000000000005") + port)

    start = bytes([0x82, 1, 0, 0, 0, 0, 0, 0]) + sid_i + x25519(ephemeral_r, nine)
    hash_ = h(hash_, start)
    chain = extract(chain, x25519(ephemeral_r, x25519(ephemeral_i, nine)))
    chain = extract(chain, psk)
    digest = h(hash_, initiator.public, responder.public, sid_r, params_r)
    signature = responder.sign(b"centipede1 resp" + digest)
    box = seal(expand(chain, b"m2", 32), zero_nonce, hash_, sid_r + params_r + signature)
    response = start + box
    response += mac1(initiator.public, response) + bytes(16)
    root = extract(chain, h(hash_, box))

    key_ir, iv_ir = expand(root, b"key initiator to responder", 32), expand(root, b"iv initiator to responder", 12)
    header = struct.pack(">QQ", 3 << 56 | 0x0A0B0C, 0x1112131415161718)
    nonce = bytes(a ^ b for a, b in zip(iv_ir, bytes(4) + header[:8]))
    sealed = seal(key_ir, nonce, header, b"a packet on lane three")
    return {
        "initiator_public": initiator.public,
        "responder_public": responder.public,
        "initiation": initiation + bytes(16),
        "cookie": cookie,
        "cookie_v6": cookie_v6,
        "mac2": siphash(cookie, initiation),
        "cookie_reply": cookie_reply(
            responder.public, cookie, initiation + bytes([0x66] * 16), bytes.fromhex("8899aabbccddeeff")
        ),
        "response": response,
        "key_ir": key_ir,
        "iv_ir": iv_ir,
        "key_ri": expand(root, b"key responder to initiator", 32),
        "iv_ri": expand(root, b"iv responder to initiator", 12),
        "exporter": expand(root, b"exporter", 32),
        "data_packet": header + sealed[-16:] + sealed[:-16],
    }


def main():
    computed = {name: value.hex() for name, value in transcript().items()}
    if "--print" in sys.argv:
        for name, value in computed.items():
            lines = "\n".join(f'    "{line}"' for line in textwrap.wrap(value, 112))
            print(f"inline constexpr std::string_view {name} =\n{lines};")
        return 0
    text = pathlib.Path(__file__).with_name("transcript.h").read_text()
    frozen = {
        name: "".join(re.findall(r'"([0-9a-f]*)"', body))
        for name, body in re.findall(r"string_view (\w+) =([^;]*);", text)
    }
    wrong = [name for name in computed if frozen.get(name) != computed[name]]
    print("differs: " + ", ".join(wrong) if wrong else f"{len(computed)} values equal")
    return 1 if wrong or frozen.keys() != computed.keys() else 0


if __name__ == "__main__":
    sys.exit(main())
