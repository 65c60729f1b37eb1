// What Verilator's FST writer asks of LZ4, for machines that have no lz4.h: the block format, by
// the last place where the same four bytes stood.
#pragma once
#include <cstdint>
#include <cstring>
#include <vector>

inline int LZ4_compressBound(int size) { return size + size / 255 + 16; }

inline char* lz4_length(char* to, int rest) {
  for (; rest >= 255; rest -= 255) *to++ = char(255);
  *to++ = char(rest);
  return to;
}

// Literals, and a match behind them, or none at the end of the block.
inline char* lz4_sequence(char* to, const char* literals, int count, int offset, int match) {
  const int rest = match - 4;
  char* token = to++;
  *token = char((count < 15 ? count : 15) << 4 | (!match ? 0 : rest < 15 ? rest : 15));
  if (count >= 15) to = lz4_length(to, count - 15);
  memcpy(to, literals, count);
  to += count;
  if (!match) return to;
  *to++ = char(offset & 255);
  *to++ = char(offset >> 8);
  return rest >= 15 ? lz4_length(to, rest - 15) : to;
}

inline int LZ4_compress_default(const char* from, char* to, int size, int) {
  const int last_match = size - 12, last_byte = size - 5;  // the format's own rules for the end
  std::vector<int> places(1 << 13, -1);
  char* const start = to;
  int done = 0;
  for (int at = 0; at < last_match;) {
    uint32_t four;
    memcpy(&four, from + at, 4);
    int& place = places[four * 2654435761u >> 19];
    const int before = place;
    place = at;
    if (before < 0 || at - before > 65535 || memcmp(from + before, from + at, 4)) {
      at++;
      continue;
    }
    int match = 4;
    while (at + match < last_byte && from[before + match] == from[at + match]) match++;
    to = lz4_sequence(to, from + done, at - done, at - before, match);
    done = at += match;
  }
  to = lz4_sequence(to, from + done, size - done, 0, 0);
  return int(to - start);
}
