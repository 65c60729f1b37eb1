// How full the queue of each stream is between the memory and an engine: the words that the memory
// has moved, against those that the engine has taken, or made. What stands between the queue and the
// engine counts as the queue's.
#pragma once
#include <algorithm>
#include <cstdint>
#include <string>
#include <vector>

#include "verilated.h"
#include "verilated_syms.h"

// A stream at one port: all of its words, or every so many-th burst of them.
struct Flow {
  int network, input, port;  // input: the first of its network's, among all
  bool read;
  uint64_t base, bytes;                           // of its regions
  uint64_t words, burst, stripe, stripes;         // of a frame, and which of its bursts
  uint64_t beats, beats_per_word, words_per_beat; // of a frame, at the engine; none if read once
  const CData *valid = nullptr, *ready = nullptr; // the engine's
  uint64_t moved = 0;                             // words, by the memory
  uint64_t frames = 0, beat = 0, passed = 0;      // at the engine; words that it has passed
  uint64_t wanted = 1;                            // frames that must have begun
  bool known = false;
  int64_t least = 0, greatest = 0, worst = 0;
  std::vector<int64_t> samples;

  uint64_t data_words() const {
    return (beats + beats_per_word - 1) / beats_per_word * words_per_beat;
  }

  // After a reset: nothing has moved.
  void restart() {
    moved = frames = beat = passed = 0;
    wanted = 1;
  }

  // Of so many words of all stripes, those of this one.
  uint64_t own(uint64_t count) const {
    const uint64_t turn = burst * stripes, mine = stripe * burst, frame = count % words;
    const uint64_t rest = frame % turn;
    return count / words * own_words() + frame / turn * burst +
           (rest > mine ? std::min(rest - mine, burst) : 0);
  }
  uint64_t own_words() const {
    const uint64_t turn = burst * stripes, mine = stripe * burst, rest = words % turn;
    return words / turn * burst + (rest > mine ? std::min(rest - mine, burst) : 0);
  }

  int64_t level() const {
    const int64_t ours = own(passed);
    return read ? int64_t(moved) - ours : ours - int64_t(moved);
  }

  // A cycle of the engine's side. A word is taken with its first beat and made with its last; words
  // that only fill the last burst up go one by one.
  void see() {
    if (*valid && *ready && ++beat == beats) beat = 0, frames++;
    const uint64_t before = frames * words;
    if (read) {
      const uint64_t taken =
          beat ? (beat + beats_per_word - 1) / beats_per_word * words_per_beat : 0;
      const uint64_t padding = beat || !frames ? 0 : words - data_words();
      passed = std::max(before + taken - padding, std::min(passed + 1, before + taken));
    } else {
      passed = std::min(passed + 1, before + beat / beats_per_word * words_per_beat);
    }
  }

  // A cycle in which so many frames have begun, of those that the host has released. Where all of
  // them have been read the queue runs empty as it should, and is full again before the next begins.
  void record(uint64_t begun, uint64_t released) {
    if (read && moved >= released * own_words()) wanted = released + 1;
    if (begun < wanted) return;
    const int64_t now = level();
    least = known ? std::min(least, now) : now;
    greatest = known ? std::max(greatest, now) : now;
    known = true;
  }

  // The least level of some cycles of what is read, the greatest of what is written.
  void sample(bool first, bool last) {
    const int64_t now = level();
    worst = first ? now : read ? std::min(worst, now) : std::max(worst, now);
    if (last) samples.push_back(worst);
  }
};

// A signal of the design that watch.vlt names; its scope is a module below the top.
static const CData* signal_of(const std::string& scope, const std::string& name) {
  const VerilatedScope* found = Verilated::threadContextp()->scopeFind(scope.c_str());
  VerilatedVar* variable = found ? found->varFind(name.c_str()) : nullptr;
  return variable ? static_cast<const CData*>(variable->datap()) : nullptr;
}
