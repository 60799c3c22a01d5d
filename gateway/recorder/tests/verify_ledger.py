#!/usr/bin/env python3
"""Checks a published ledger: usage `verify_ledger.py FOLDER KEY`, where KEY is `name+id+base64` (C2SP signed-note).

A second program, written from the specifications (RFC 6962, RFC 8032, C2SP tlog-tiles and signed-note) with the standard library alone, so
that the first one's mistakes are not its own. Slower, and it stops at the first fault.
"""
import base64
import hashlib
import json
import pathlib
import sys

P = 2**255 - 19
L = 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, P - 2, P) % P


def point_add(a, b):
    (x1, y1, z1, t1), (x2, y2, z2, t2) = a, b
    e, f = (y1 - x1) * (y2 - x2) % P, (y1 + x1) * (y2 + x2) % P
    g, h = 2 * t1 * t2 * D % P, 2 * z1 * z2 % P
    e, f, g, h = f - e, h - g, h + g, f + e
    return e * f % P, g * h % P, f * g % P, e * h % P


def point_multiply(n, point):
    result = (0, 1, 1, 0)
    while n:
        if n & 1:
            result = point_add(result, point)
        point = point_add(point, point)
        n >>= 1
    return result


def point_decode(data):
    y = int.from_bytes(data, "little")
    sign, y = y >> 255, y & (2**255 - 1)
    xx = (y * y - 1) * pow(D * y * y + 1, P - 2, P) % P
    x = pow(xx, (P + 3) // 8, P)
    if (x * x - xx) % P:
        x = x * pow(2, (P - 1) // 4, P) % P
    if (x * x - xx) % P or y >= P:
        sys.exit("the key or the signature is no point of the curve")
    if x & 1 != sign:
        x = P - x
    return x, y, 1, x * y % P


def signature_holds(key, message, signature):
    base = point_decode((4 * pow(5, P - 2, P) % P).to_bytes(32, "little"))
    s = int.from_bytes(signature[32:], "little")
    digest = hashlib.sha512(signature[:32] + key + message).digest()
    left = point_multiply(s, base)
    right = point_add(point_decode(signature[:32]), point_multiply(int.from_bytes(digest, "little") % L, point_decode(key)))
    same = (left[0] * right[2] - right[0] * left[2]) % P == 0 and (left[1] * right[2] - right[1] * left[2]) % P == 0
    return s < L and same


def leaf(data):
    return hashlib.sha256(b"\0" + data).digest()


def root(hashes):
    if not hashes:
        return hashlib.sha256().digest()
    if len(hashes) == 1:
        return hashes[0]
    k = 1 << ((len(hashes) - 1).bit_length() - 1)
    return hashlib.sha256(b"\1" + root(hashes[:k]) + root(hashes[k:])).digest()


def tile(folder, level, number, width):
    name = f"{number % 1000:03}"
    while number := number // 1000:
        name = f"x{number % 1000:03}/{name}"
    path = pathlib.Path(folder, "tile", str(level), name)
    return (path if width == 256 or path.is_file() else path.with_name(path.name + ".p") / str(width)).read_bytes()


def main(folder, vkey):
    name, key_id, key = vkey.rsplit("+", 2)
    key = base64.b64decode(key)
    if hashlib.sha256(name.encode() + b"\n" + key).digest()[:4].hex() != key_id or key[0] != 1:
        sys.exit("the key is not `name+id+base64` of an Ed25519 key")
    text, signatures = pathlib.Path(folder, "checkpoint").read_text("utf-8").split("\n\n")
    origin, size, signed_root = text.split("\n")
    mine = [base64.b64decode(line.split(" ")[2]) for line in signatures.splitlines() if line.startswith(f"\u2014 {name} ")]
    if origin != name or not any(s[:4].hex() == key_id and signature_holds(key[1:], (text + "\n").encode(), s[4:]) for s in mine):
        sys.exit("the checkpoint is not signed by this key")
    size, hashes, previous = int(size), [], ""
    for number in range((size + 255) // 256):
        width = min(256, size - number * 256)
        bundle, known, at = tile(folder, "entries", number, width), tile(folder, 0, number, width), 0
        for place in range(width):
            index, length = number * 256 + place, int.from_bytes(bundle[at : at + 2], "big")
            data, at = bundle[at + 2 : at + 2 + length], at + 2 + length
            if leaf(data) != known[place * 32 : place * 32 + 32]:
                sys.exit(f"entry {index} and its hash do not fit")
            entry = json.loads(data)
            if entry["index"] != index or entry["origin"] != origin or entry["previous"] != previous:
                sys.exit(f"entry {index} belongs elsewhere, or entry {index - 1} was changed")
            previous = leaf(data).hex()
            hashes.append(leaf(data))
    level, row = 1, hashes
    while len(row) >= 256:
        row = [root(row[n : n + 256]) for n in range(0, len(row) - 255, 256)]
        for number in range((len(row) + 255) // 256):
            width = min(256, len(row) - number * 256)
            if tile(folder, level, number, width)[: width * 32] != b"".join(row[number * 256 : number * 256 + width]):
                sys.exit(f"tile {level}/{number} is not that of the entries beneath it")
        level += 1
    if base64.b64encode(root(hashes)).decode() != signed_root:
        sys.exit("the entries are not those that were signed")
    print(f"{origin}: {size} entries are sound")


main(*sys.argv[1:])
