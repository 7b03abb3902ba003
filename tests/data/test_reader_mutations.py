"""Damaged files: two thousand seeded mutations over every reader, each read or refused in one line.

The readers run in a process of their own, so that a crash of a C decoder, a hang, a flood of memory or a word on
stderr is a failed test and not the end of the test run. Run as a script it searches longer:
`python tests/data/test_reader_mutations.py FIRST COUNT`.
"""

from __future__ import annotations

import collections
import faulthandler
import gzip
import io
import random
import resource
import struct
import subprocess
import sys
import tempfile
import zipfile
import zlib
from pathlib import Path

import pytest

MUTATIONS = 2000
MEMORY = 6 * 2**30  # address space; a header that is believed blindly asks for far more
SECONDS = 10  # for one file
EXTREMES = (0, 1, 2, 3, 7, 0x7F, 0x80, 0xFF, 0x7FFF, 0x8000, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)


def mutate(_: str, data: bytes, chance: random.Random, others: list[bytes]) -> bytes:
    """One to three random damages: bytes flipped, cut, inserted, doubled, header numbers overwritten, files mixed."""
    damaged = bytearray(data)
    for _ in range(chance.choice((1, 1, 1, 2, 3))):
        size = max(1, len(damaged))
        place = chance.randrange(size)
        kind = chance.choice(("flip", "flip", "cut", "insert", "delete", "double", "number", "number", "text", "mix"))
        if kind == "flip":
            for _ in range(chance.choice((1, 1, 2, 8))):
                if damaged:
                    damaged[chance.randrange(len(damaged))] ^= 1 << chance.randrange(8)
        elif kind == "cut":
            del damaged[place:]
        elif kind == "insert":
            damaged[place:place] = chance.randbytes(chance.choice((1, 2, 4, 64)))
        elif kind == "delete":
            del damaged[place : place + chance.choice((1, 2, 4, 64))]
        elif kind == "double":
            damaged[place:place] = damaged[place : place + chance.choice((4, 32, 256))]
        elif kind == "number":
            place = chance.randrange(min(size, 700))
            form = chance.choice(("<B", "<H", ">H", "<I", ">I"))
            value = chance.choice((*EXTREMES, chance.getrandbits(32))) & (256 ** struct.calcsize(form) - 1)
            damaged[place : place + struct.calcsize(form)] = struct.pack(form, value)
        elif kind == "text":  # a decimal digit in DICOM, an array header or a CSV
            digits = [index for index, byte in enumerate(damaged) if 48 <= byte <= 57]
            if digits:
                damaged[chance.choice(digits)] = chance.choice(b"0123456789-.eE ,x")
        else:
            other = chance.choice(others)
            damaged[place : place + 32] = other[place : place + 32]
    return bytes(damaged)


def mutate_inside(name: str, data: bytes, chance: random.Random, others: list[bytes]) -> bytes:
    """Damage that checksums do not catch: inside a gzip or zip, or with the checksums of a PNG made right again."""
    if name.endswith(".gz"):
        return gzip.compress(mutate(name, gzip.decompress(data), chance, others), 1, mtime=0)
    if name.endswith(".npz"):
        archive, buffer = zipfile.ZipFile(io.BytesIO(data)), io.BytesIO()
        with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as target:
            for entry in archive.namelist():
                target.writestr(entry, mutate(name, archive.read(entry), chance, others))
        return buffer.getvalue()
    if name.endswith(".png"):
        parts, position = [data[:8]], 8
        while position < len(data):
            (length,) = struct.unpack_from(">I", data, position)
            word, body = data[position + 4 : position + 8], data[position + 8 : position + 8 + length]
            if word != b"IEND" and chance.random() < 0.5:
                if word == b"IDAT" and chance.random() < 0.5:
                    body = zlib.compress(mutate(name, zlib.decompress(body), chance, others))
                else:
                    body = mutate(name, body, chance, others)
            parts.append(struct.pack(">I", len(body)) + word + body + struct.pack(">I", zlib.crc32(word + body)))
            position += 12 + length
        return b"".join(parts)
    return mutate(name, data, chance, others)


def main(first: int, count: int) -> None:
    """Read mutations `first` to `first + count`; prints the number of each before it is read, then a tally."""
    from tiny_files import every_kind

    from ganvas.errors import DataError
    from ganvas.kinds.image.readers import read
    from ganvas.kinds.points.files import read_points

    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    files = {**every_kind(), "points.csv": b"x,y\n1,2\n3.5,-4e2\n0,0.25\n"}
    names, contents = list(files), list(files.values())
    outcomes: collections.Counter[str] = collections.Counter()
    with tempfile.TemporaryDirectory() as folder:
        for number in range(first, first + count):
            chance = random.Random(number)
            name = names[number % len(names)]
            outside = chance.random() < 0.6
            path = Path(folder) / name
            path.write_bytes((mutate if outside else mutate_inside)(name, files[name], chance, contents))
            print(number, name, end=" ", flush=True)
            faulthandler.dump_traceback_later(SECONDS, exit=True)
            try:
                if name.endswith(".csv"):
                    points, _ = read_points(path)
                    assert points.dtype.name == "float32"
                    assert points.ndim == 2
                else:
                    for picture in read(path):
                        height, width, channels = picture.pixels.shape
                        assert height > 0 < width
                        assert 1 <= channels <= 8
                        assert picture.pixels.dtype.name == {8: "uint8", 16: "uint16", 32: "float32"}[picture.depth]
                        assert all("\n" not in warning for warning in picture.warnings)
                outcome = "read"
            except DataError as error:
                message = str(error)
                assert name in message, message
                assert message.isprintable(), message
                assert len(message) < 400 + len(folder), message
                assert name.split(".")[-1] != "dcm" or ("patient" not in message and "Doe" not in message), message
                outcome = "refused"
            finally:
                faulthandler.cancel_dump_traceback_later()
            outcomes[outcome] += 1
            outcomes[f"{Path(name).suffix} {outcome}"] += 1
            print(outcome)
    print("read", outcomes.pop("read", 0), "refused", outcomes.pop("refused", 0), dict(sorted(outcomes.items())))
    # Not ru_maxrss: that one begins with the size of the process that started this one.
    status = Path("/proc/self/status")
    peak = next((line.split()[1] for line in status.read_text().splitlines() if line.startswith("VmHWM")), "0")
    print("megabytes", int(peak) // 1024)


@pytest.mark.slow
def test_every_mutation_is_read_or_refused_in_one_line() -> None:
    done = subprocess.run(
        [sys.executable, "-X", "faulthandler", __file__, "0", str(MUTATIONS)],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    last = "\n".join(done.stdout.splitlines()[-3:])
    assert done.returncode == 0, f"{last}\n{done.stderr[-3000:]}"
    assert done.stderr == "", f"the libraries talk: {done.stderr[:2000]}"
    read, refused = (int(word) for word in last.splitlines()[-2].split()[1:4:2])
    assert read + refused == MUTATIONS
    # Both happen, or the mutations (or the readers) are not what they claim to be
    assert min(read, refused) > MUTATIONS // 10
    assert int(last.split()[-1]) < 1000


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
