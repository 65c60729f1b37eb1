"""Waveforms, and the compression that their writer is given."""

import os
import subprocess

import numpy as np
import pytest

from fcnnx.cosim import run
from fcnnx.cosim.verilator import HEADERS


def test_an_fst_file_is_written(queues_design, queues, queues_inputs, tmp_path):
    path = tmp_path / "waves.fst"
    run(queues_design, queues, queues_inputs, {"good": 9, "bad": 9}, waves=path)
    content = path.read_bytes()
    assert content[0] == 0  # the header's block
    assert int.from_bytes(content[1:9], "big") == 329  # its length
    assert len(content) > 1000


PROGRAM = """\
#include <cstdio>
#include "lz4.h"
int main() {
  std::vector<char> from, to;
  for (int byte; (byte = getchar()) != EOF;) from.push_back(char(byte));
  to.resize(LZ4_compressBound(from.size()));
  to.resize(LZ4_compress_default(from.data(), to.data(), from.size(), to.size()));
  fwrite(to.data(), 1, to.size(), stdout);
}
"""


@pytest.fixture(scope="module")
def compress(tmp_path_factory):
    folder = tmp_path_factory.mktemp("lz4")
    (folder / "main.cpp").write_text(PROGRAM)
    subprocess.run([os.environ.get("CXX", "g++"), "-I", HEADERS[0].parent,
                    "-o", folder / "program", folder / "main.cpp"], check=True)
    return lambda data: subprocess.run([folder / "program"], input=data, check=True,
                                       capture_output=True).stdout


def decompress(block):
    """The block format, as its description has it."""
    out, at = bytearray(), 0

    def length(start):
        nonlocal at
        total = start
        while start == 15:
            total += block[at]
            at += 1
            if block[at - 1] != 255:
                break
        return total

    while True:
        token = block[at]
        at += 1
        count = length(token >> 4)
        out += block[at:at + count]
        at += count
        if at == len(block):
            return bytes(out)
        offset = block[at] | block[at + 1] << 8
        at += 2
        for _ in range(length(token & 15) + 4):
            out.append(out[-offset])


@pytest.mark.parametrize("data", [
    b"", b"a", b"ab" * 6, b"ab" * 7, bytes(100000), bytes(range(256)) * 300,
    np.random.default_rng(1).bytes(5000), np.random.default_rng(2).bytes(300) * 20 + b"end",
], ids=len)
def test_blocks_can_be_read_again(compress, data):
    block = compress(data)
    assert decompress(block) == data
    assert len(block) <= len(data) + len(data) // 255 + 16


def test_blocks_get_smaller(compress):
    assert len(compress(bytes(range(256)) * 300)) < 1000
