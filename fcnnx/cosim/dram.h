// A DRAM behind AXI4 ports, and what the protocol asks of a master.
//
// Each port serves its requests in the order in which it took them, reads and writes alike: a read's
// first beat comes latency + jitter cycles after its address at the earliest, then a beat in a cycle
// as far as the port's share of the bandwidth allows; a change of direction costs some cycles, and
// nothing moves while the memory refreshes. Jitter depends on the seed, the port and the cycle alone.
#pragma once
#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <deque>
#include <string>
#include <vector>

struct MemoryTiming {
  uint64_t latency, jitter;            // cycles to a read's first beat, and at most so many more
  uint64_t refresh, refresh_interval;  // cycles of each refresh, and from one to the next; 0 none
  uint64_t turnaround;                 // cycles between reads and writes
  double beats_per_cycle;              // of a port, at most 1
};

struct Fault {
  uint64_t address, bytes;  // where an access is answered with an error
  int response;             // 2 SLVERR, 3 DECERR
  bool write;
  int64_t times;            // beats or bursts that are answered so
};

struct Memory {
  uint64_t base = 0;
  std::vector<uint8_t> bytes;
  MemoryTiming timing{};
  uint64_t seed = 0;
  uint64_t frozen_from = ~0ull, frozen_until = 0;
  std::vector<Fault> faults;

  bool holds(uint64_t address, uint64_t count) const {
    return address >= base && address - base + count <= bytes.size();
  }
  bool rests(uint64_t cycle) const {
    if (cycle >= frozen_from && cycle < frozen_until) return true;
    return timing.refresh_interval && cycle % timing.refresh_interval < timing.refresh;
  }
  int response(uint64_t address, uint64_t count, bool write) {
    for (Fault& fault : faults)
      if (fault.write == write && fault.times && address + count > fault.address &&
          address < fault.address + fault.bytes) {
        fault.times--;
        return fault.response;
      }
    return holds(address, count) ? 0 : 3;
  }
};

static uint64_t mixed(uint64_t x) {
  x += 0x9e3779b97f4a7c15ull;
  x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9ull;
  x = (x ^ x >> 27) * 0x94d049bb133111ebull;
  return x ^ x >> 31;
}

// One channel from the master: what it holds while it waits must stay.
struct Held {
  bool waiting = false;
  std::vector<uint32_t> payload;

  bool check(bool valid, bool ready, std::vector<uint32_t> now) {
    const bool kept = !waiting || (valid && now == payload);
    waiting = valid && !ready;
    payload = std::move(now);
    return kept;
  }
};

struct AxiPort {
  struct Request {
    bool write;
    uint64_t address, beats, earliest, moved;
    int response;
    int flow = -1;  // whose it is, as the harness counts them
  };
  struct Answer {
    uint64_t cycle;
    int response;
  };

  int number = 0;
  uint64_t word = 8, longest = 256;  // bytes of a beat, beats of a burst
  std::deque<Request> requests;
  std::deque<Answer> answers;  // to writes
  double credit = 1;
  uint64_t free_from = 0;      // cycle from which the bus is free again after a turn
  bool last_write = false;
  bool moves = false;          // whether the head's beat may move in this cycle
  uint64_t read_bytes = 0, written_bytes = 0;
  uint64_t refused = 0;        // cycles in which a read's beat was not taken at once
  uint64_t violations = 0;
  bool answered = false;       // whether the offered beat's response is fixed
  int response = 0;
  Held ar, aw, w;

  void complain(uint64_t cycle, const char* what) {
    if (violations++ < 5) printf("violation %d %llu %s\n", number, (unsigned long long)cycle, what);
  }

  // Before the cycle: whether a beat may move.
  void prepare(const Memory& memory, uint64_t cycle) {
    credit = std::min(credit + memory.timing.beats_per_cycle, 1.0 + memory.timing.beats_per_cycle);
    moves = false;
    if (requests.empty() || memory.rests(cycle)) return;
    const Request& head = requests.front();
    if (head.write != last_write) {
      last_write = head.write;
      free_from = cycle + memory.timing.turnaround;
    }
    moves = cycle >= free_from && cycle >= head.earliest && credit >= 1;
  }
  bool gives() const { return moves && !requests.front().write; }
  bool takes() const { return moves && requests.front().write; }
  bool answers_at(uint64_t cycle) const {
    return !answers.empty() && answers.front().cycle <= cycle;
  }

  void ask(Memory& memory, uint64_t cycle, bool write, uint64_t address, unsigned len, unsigned size,
           unsigned burst) {
    const uint64_t beats = len + 1, count = beats * word;
    if (burst != 1) complain(cycle, "a burst that is not INCR");
    if (1ull << size != word) complain(cycle, "a size that is not the bus's");
    if (beats > longest) complain(cycle, "a burst that is too long");
    if (address % word) complain(cycle, "an address that is not aligned");
    if (address / 4096 != (address + count - 1) / 4096) complain(cycle, "a burst across 4 KiB");
    uint64_t wait = 0;
    if (!write) {
      wait = memory.timing.latency;
      if (memory.timing.jitter)
        wait += mixed(memory.seed ^ mixed(number * 0x100000001ull + cycle)) %
                (memory.timing.jitter + 1);
    }
    requests.push_back({write, address, beats, cycle + wait, 0, 0});
  }

  // The head's beat moved.
  void move(Memory& memory, uint64_t cycle) {
    credit -= 1;
    Request& head = requests.front();
    (head.write ? written_bytes : read_bytes) += word;
    if (++head.moved < head.beats) return;
    if (head.write) answers.push_back({cycle + memory.timing.latency, head.response});
    requests.pop_front();
  }
};
