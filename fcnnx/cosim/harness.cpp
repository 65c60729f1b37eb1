// Drives the streams of one accelerator, and writes down every transfer.
// What depends on the accelerator is in ports.h: TOP, NETWORKS, PORTS, networks, ports, visit().
#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#include "verilated.h"
#if VM_TRACE_FST
#include "verilated_fst_c.h"
#endif

#include "signals.h"

struct Network {
  const char* name;
  uint64_t frames;            // wanted
  uint64_t last;              // cycle of the last output
};

struct Port {
  int network;
  bool input;
  std::size_t words;          // of a beat
  std::size_t beats;          // of a frame
  std::vector<uint32_t> data;
  std::vector<uint64_t> cycles;
  std::size_t given;          // beats of an input, which come again and again
  std::size_t at;             // beat that is offered
  bool up;                    // whether it is
  uint32_t random;
};

#include "ports.h"

static uint32_t stall_below;  // of 2 ** 32

static bool stalls(Port& port) {
  if (!stall_below) return false;
  uint32_t& x = port.random;
  x ^= x << 13;
  x ^= x >> 17;
  x ^= x << 5;
  return x < stall_below;
}

static void read_beats(Port& port, const std::string& path) {
  FILE* file = fopen(path.c_str(), "rb");
  if (!file) exit(4);
  fseek(file, 0, SEEK_END);
  port.data.resize(ftell(file) / 4);
  rewind(file);
  if (fread(port.data.data(), 4, port.data.size(), file) != port.data.size()) exit(4);
  fclose(file);
  port.given = port.data.size() / port.words;
  port.data.push_back(0);  // put() may look at one word more
}

template <class T> void write(const std::string& path, const std::vector<T>& values) {
  FILE* file = fopen(path.c_str(), "wb");
  if (!file || fwrite(values.data(), sizeof(T), values.size(), file) != values.size() ||
      fclose(file))
    exit(4);
}

struct Drive {
  template <class P, class S> void operator()(Port& port, P& payload, S& valid, S& ready) {
    if (!port.input) {
      ready = !stalls(port);
      return;
    }
    if (!port.up && !stalls(port)) {
      port.up = true;
      put(payload, &port.data[port.at * port.words]);
    }
    valid = port.up;
  }
};

struct Sample {
  uint64_t cycle;
  template <class P, class S> void operator()(Port& port, P& payload, S& valid, S& ready) {
    if (!valid || !ready) return;
    port.cycles.push_back(cycle);
    if (!port.input) {
      networks[port.network].last = cycle;
      get(payload, port.data, port.words);
    } else {
      port.up = false;
      if (++port.at == port.given) port.at = 0;
    }
  }
};

// Whole frames that have left a network, at most those that are wanted.
static uint64_t frames_of(int network) {
  uint64_t frames = networks[network].frames;
  for (const Port& port : ports)
    if (port.network == network && !port.input)
      frames = std::min<uint64_t>(frames, port.cycles.size() / port.beats);
  return frames;
}

static bool all_done() {
  for (const Port& port : ports)
    if (!port.input && port.cycles.size() < networks[port.network].frames * port.beats)
      return false;
  return true;
}

// A line for each network that has gone without an output for too long.
static bool any_hangs(uint64_t cycle, uint64_t patience) {
  bool hangs = false;
  for (int k = 0; k < NETWORKS; k++) {
    if (frames_of(k) == networks[k].frames || cycle - networks[k].last <= patience) continue;
    printf("hangs %d %llu\n", k, (unsigned long long)networks[k].last);
    hangs = true;
  }
  return hangs;
}

static void tell_progress() {
  uint64_t frames = 0;
  for (int k = 0; k < NETWORKS; k++) frames += frames_of(k);
  printf("frames %llu\n", (unsigned long long)frames);
  fflush(stdout);
}

// FOLDER PATIENCE STALL_BELOW SEED WAVES FRAMES...
int main(int, char** arguments) {
  const std::string folder = std::string(arguments[1]) + "/";
  const uint64_t patience = strtoull(arguments[2], nullptr, 10);
  stall_below = uint32_t(strtoul(arguments[3], nullptr, 10));
  const uint32_t seed = uint32_t(strtoul(arguments[4], nullptr, 10));
  for (int k = 0; k < NETWORKS; k++)
    networks[k].frames = strtoull(arguments[6 + k], nullptr, 10);
  for (int k = 0; k < PORTS; k++) {
    ports[k].random = ((seed + 1) * 2654435761u ^ (k + 1) * 2246822519u) | 1;
    if (ports[k].input) read_beats(ports[k], folder + std::to_string(k) + ".in");
  }

  static TOP top;
#if VM_TRACE_FST
  VerilatedFstC waves;
  uint64_t time = 0;
  Verilated::traceEverOn(true);
  top.trace(&waves, 99);
  waves.open(arguments[5]);
#endif
  auto edge = [&](bool clk) {
    top.clk = clk;
    top.eval();
#if VM_TRACE_FST
    waves.dump(time++);
#endif
  };
  top.rst = 1;
  for (int k = 0; k < 8; k++) {
    edge(0);
    edge(1);
  }
  top.rst = 0;

  Drive drive;
  Sample sample{0};
  bool hangs = false;
  auto told = std::chrono::steady_clock::now();
  for (uint64_t& cycle = sample.cycle; !hangs && !all_done(); cycle++) {
    visit(top, drive);
    edge(0);
    visit(top, sample);
    edge(1);
    if (cycle % 1024) continue;
    hangs = any_hangs(cycle, patience);
    const auto now = std::chrono::steady_clock::now();
    if (now - told < std::chrono::milliseconds(200)) continue;
    told = now;
    tell_progress();
  }
#if VM_TRACE_FST
  waves.close();
#endif
  top.final();
  if (hangs) return 3;
  for (int k = 0; k < PORTS; k++) {
    write(folder + std::to_string(k) + ".cycles", ports[k].cycles);
    if (!ports[k].input) write(folder + std::to_string(k) + ".out", ports[k].data);
  }
  printf("cycles %llu\n", (unsigned long long)sample.cycle);
  return 0;
}
