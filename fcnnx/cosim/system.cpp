// Drives an accelerator that has memory ports as a board would: a host writes its registers and
// fills and empties the buffers of its frames in a memory, which every AXI port reaches.
// What depends on the accelerator is in ports.h (TOP, PORTS, NETWORKS, INPUTS, OUTPUTS, visit()) and in the file
// that is named on the command line.
#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <string>
#include <vector>

#include "verilated.h"
#if VM_TRACE_FST
#include "verilated_fst_c.h"
#endif

#include "dram.h"
#include "levels.h"
#include "signals.h"

// The signals of one port of the accelerator.
template <class A, class D, class S> struct Axi {
  A& araddr;
  CData &arlen, &arsize, &arburst, &arvalid, &arready;
  D& rdata;
  CData &rresp, &rlast, &rvalid, &rready;
  A& awaddr;
  CData &awlen, &awsize, &awburst, &awvalid, &awready;
  D& wdata;
  S& wstrb;
  CData &wlast, &wvalid, &wready, &bresp, &bvalid, &bready;
};

template <class A, class D, class S>
Axi<A, D, S> axi(A& araddr, CData& arlen, CData& arsize, CData& arburst, CData& arvalid,
                 CData& arready, D& rdata, CData& rresp, CData& rlast, CData& rvalid, CData& rready,
                 A& awaddr, CData& awlen, CData& awsize, CData& awburst, CData& awvalid,
                 CData& awready, D& wdata, S& wstrb, CData& wlast, CData& wvalid, CData& wready,
                 CData& bresp, CData& bvalid, CData& bready) {
  return {araddr, arlen,   arsize,  arburst, arvalid, arready, rdata, rresp, rlast,
          rvalid, rready,  awaddr,  awlen,   awsize,  awburst, awvalid, awready, wdata,
          wstrb,  wlast,   wvalid,  wready,  bresp,   bvalid,  bready};
}

#include "ports.h"

struct Stream {
  bool input;
  uint64_t base_register, base, stride, bytes;  // of its first buffer; of each buffer and frame
  std::vector<uint8_t> data;                    // frames that go in, or came out
};

struct Network {
  uint64_t control, start, released, done;  // addresses of registers; the bit that starts it
  uint64_t buffers, frames;                 // of each stream; that are wanted
  uint64_t weights_register, weights;       // base of the region of its weights, 0 for none
  bool starts;                              // by the host's first steps, or by an event
  std::vector<Stream> streams;
  uint64_t away_from = 0, away_until = 0;         // cycles in which the host lets its frames lie
  uint64_t collected = 0, let = 0, moved_at = 0;  // let: frames that were released
  bool running = false;
};

struct Event {
  uint64_t cycle, address, value;
  int starts;  // the network that it starts, or -1
};

static Memory memory;
static AxiPort ports[PORTS];
static std::vector<Network> networks(NETWORKS);
static std::vector<Event> events;
static uint64_t reset_at = 0;  // cycle; 0 for none
static std::vector<Flow> flows;
static uint64_t sample_cycles = 1, samples = 0, sampled_from = 0;  // of each level
static uint64_t moved_before = 0;  // bytes, until they are sampled
static std::vector<uint64_t> watched;  // registers that are read at the end
static std::vector<uint64_t> begins[INPUTS], ends[OUTPUTS];  // cycles of frames
static std::string folder;

static void fail(const std::string& what) {
  printf("%%%s\n", what.c_str());
  exit(4);
}

static std::vector<uint8_t> read_bytes(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) fail(path + " cannot be read");
  return {std::istreambuf_iterator<char>(file), {}};
}

template <class T> void write_values(const std::string& path, const std::vector<T>& values) {
  std::ofstream file(path, std::ios::binary);
  file.write(reinterpret_cast<const char*>(values.data()), sizeof(T) * values.size());
  if (!file.flush()) fail(path + " cannot be written");
}

// Lines of a word that says what they are, and numbers.
static void read_description(const std::string& path) {
  std::ifstream file(path);
  std::string word;
  while (file >> word) {
    if (word == "memory") {
      uint64_t size;
      std::string image;
      file >> memory.base >> size >> image;
      memory.bytes = read_bytes(folder + image);
      memory.bytes.resize(size);
    } else if (word == "timing") {
      MemoryTiming& timing = memory.timing;
      file >> timing.latency >> timing.jitter >> timing.refresh >> timing.refresh_interval >>
          timing.turnaround >> timing.beats_per_cycle >> memory.seed;
    } else if (word == "freeze") {
      file >> memory.frozen_from >> memory.frozen_until;
    } else if (word == "reset") {
      file >> reset_at;
    } else if (word == "away") {
      int number;
      file >> number;
      file >> networks[number].away_from >> networks[number].away_until;
    } else if (word == "fault") {
      Fault fault;
      file >> fault.address >> fault.bytes >> fault.response >> fault.write >> fault.times;
      memory.faults.push_back(fault);
    } else if (word == "port") {
      int number;
      file >> number;
      ports[number].number = number;
      file >> ports[number].word >> ports[number].longest;
    } else if (word == "network") {
      int number;
      file >> number;
      Network& network = networks[number];
      file >> network.control >> network.start >> network.released >> network.done >>
          network.buffers >> network.frames >> network.weights_register >> network.weights >>
          network.starts;
    } else if (word == "stream") {
      int number;
      std::string data;
      Stream stream;
      file >> number >> stream.input >> stream.base_register >> stream.base >> stream.stride >>
          stream.bytes >> data;
      if (stream.input) stream.data = read_bytes(folder + data);
      networks[number].streams.push_back(stream);
    } else if (word == "event") {
      Event event;
      file >> event.cycle >> event.address >> event.value >> event.starts;
      events.push_back(event);
    } else if (word == "flow") {
      Flow flow;
      std::string scope, stream;
      file >> flow.network >> flow.input >> flow.port >> flow.read >> flow.base >> flow.bytes >>
          flow.words >> flow.burst >> flow.stripe >> flow.stripes >> flow.beats >>
          flow.beats_per_word >> flow.words_per_beat >> scope >> stream;
      if (flow.beats) {
        flow.valid = signal_of(scope, stream + "__valid");
        flow.ready = signal_of(scope, stream + "__ready");
        if (!flow.valid || !flow.ready) fail(scope + " has no " + stream);
      }
      flows.push_back(flow);
    } else if (word == "sample") {
      file >> sample_cycles >> samples;
    } else if (word == "watch") {
      uint64_t address;
      file >> address;
      watched.push_back(address);
    } else {
      fail(path + ": there is no " + word);
    }
    if (!file) fail(path + ": " + word + " is not complete");
  }
}

static TOP& top = *new TOP;  // never destroyed: what Verilator holds may be gone by then
static uint64_t cycle;

// What the memory gives in a cycle, known before its edge.
struct Drive {
  template <class A, class D, class S> void operator()(AxiPort& port, Axi<A, D, S> axi) {
    port.prepare(memory, cycle);
    axi.arready = port.requests.size() < 64;
    axi.awready = port.requests.size() < 64;
    axi.wready = port.takes();
    axi.rvalid = port.gives();
    if (port.gives()) {
      AxiPort::Request& head = port.requests.front();
      const uint64_t address = head.address + head.moved * port.word;
      uint32_t words[5] = {};
      if (!port.answered) {
        port.answered = true;
        port.response = memory.response(address, port.word, false);
      }
      if (memory.holds(address, port.word))
        memcpy(words, &memory.bytes[address - memory.base], port.word);
      put(axi.rdata, words);
      axi.rresp = port.response;
      axi.rlast = head.moved + 1 == head.beats;
    }
    axi.bvalid = port.answers_at(cycle);
    axi.bresp = port.answers.empty() ? 0 : port.answers.front().response;
  }
};

struct Sample {
  template <class A, class D, class S> void operator()(AxiPort& port, Axi<A, D, S> axi) {
    check(port, axi);
    if (axi.arvalid && axi.arready)
      ask(port, false, axi.araddr, axi.arlen, axi.arsize, axi.arburst);
    if (axi.awvalid && axi.awready)
      ask(port, true, axi.awaddr, axi.awlen, axi.awsize, axi.awburst);
    if (axi.rvalid && axi.rready) {
      port.answered = false;
      move(port);
    } else if (axi.wvalid && axi.wready) {
      write(port, axi);
    }
    if (axi.bvalid && axi.bready) port.answers.pop_front();
  }

  template <class A> static void write(AxiPort& port, A& axi) {
    AxiPort::Request& head = port.requests.front();
    const uint64_t address = head.address + head.moved * port.word;
    if (bool(axi.wlast) != (head.moved + 1 == head.beats))
      port.complain(cycle, "WLAST that is not with the last beat");
    std::vector<uint32_t> words;
    get(axi.wdata, words, port.word / 4);
    const auto* bytes = reinterpret_cast<const uint8_t*>(words.data());
    const int response = memory.response(address, port.word, true);
    head.response = std::max(head.response, response);
    if (!response)
      for (uint64_t k = 0; k < port.word; k++)
        if (axi.wstrb >> k & 1) memory.bytes[address - memory.base + k] = bytes[k];
    move(port);
  }

  static void ask(AxiPort& port, bool write, uint64_t address, unsigned len, unsigned size,
                  unsigned burst) {
    port.ask(memory, cycle, write, address, len, size, burst);
    for (size_t k = 0; k < flows.size(); k++)
      if (flows[k].port == port.number && flows[k].read == !write && address >= flows[k].base &&
          address < flows[k].base + flows[k].bytes)
        port.requests.back().flow = int(k);
  }

  static void move(AxiPort& port) {
    const int flow = port.requests.front().flow;
    if (flow >= 0) flows[flow].moved++;
    port.move(memory, cycle);
  }

  template <class A> static void check(AxiPort& port, A& axi) {
    std::vector<uint32_t> data;
    get(axi.wdata, data, port.word / 4);
    data.push_back(axi.wstrb);
    data.push_back(axi.wlast);
    const bool kept =
        port.ar.check(axi.arvalid, axi.arready, address_of(axi.araddr, axi.arlen)) &
        port.aw.check(axi.awvalid, axi.awready, address_of(axi.awaddr, axi.awlen)) &
        port.w.check(axi.wvalid, axi.wready, data);
    if (!kept) port.complain(cycle, "VALID or what it is for that did not wait for READY");
    if (port.gives() && !axi.rready) port.refused++;
  }

  static std::vector<uint32_t> address_of(uint64_t address, uint32_t len) {
    return {uint32_t(address), uint32_t(address >> 32), len};
  }
};

#if VM_TRACE_FST
static VerilatedFstC& waves = *new VerilatedFstC;
static uint64_t wave_time = 0;
#endif

static void edge(bool clk) {
  top.clk = clk;
  top.eval();
#if VM_TRACE_FST
  waves.dump(wave_time++);
#endif
}

static auto told = std::chrono::steady_clock::now();

static void tell_progress() {
  const auto now = std::chrono::steady_clock::now();
  if (now - told < std::chrono::milliseconds(200)) return;
  told = now;
  uint64_t frames = 0;
  for (const Network& network : networks) frames += std::min(network.collected, network.frames);
  printf("frames %llu\n", (unsigned long long)frames);
  fflush(stdout);
}

static uint64_t moved_bytes() {
  uint64_t bytes = 0;
  for (const AxiPort& port : ports) bytes += port.read_bytes + port.written_bytes;
  return bytes;
}

// Levels of the queues; they are sampled from when a frame of every network is done.
static void watch_levels() {
  for (Flow& flow : flows) {
    if (!flow.beats) continue;
    flow.see();
    flow.record(begins[flow.input].size(), networks[flow.network].let);
  }
  if (!sampled_from) {
    for (const Network& network : networks)
      if (network.frames && !network.collected) return;
    sampled_from = cycle;
    moved_before = moved_bytes();
  }
  const uint64_t since = cycle - sampled_from;
  if (since >= samples * sample_cycles) return;
  for (Flow& flow : flows)
    if (flow.beats) flow.sample(since % sample_cycles == 0, (since + 1) % sample_cycles == 0);
}

// One cycle of everything but the host, whose signals are as it left them.
static void tick() {
  static Drive drive;
  static Sample sample;
  visit(top, ports, drive);
  edge(0);
  visit(top, ports, sample);
  for (int k = 0; k < INPUTS; k++)
    if (top.frame_begin >> k & 1) begins[k].push_back(cycle);
  for (int k = 0; k < OUTPUTS; k++)
    if (top.frame_end >> k & 1) ends[k].push_back(cycle);
  watch_levels();
}

static void next() {
  edge(1);
  cycle++;
  if (cycle % 4096 == 0) tell_progress();
}

static void pass() {
  tick();
  next();
}

static const int LITE_PATIENCE = 1000, RESET_CYCLES = 8;

static void write_register(uint64_t address, uint32_t value) {
  bool address_up = true, data_up = true;
  top.s_axi_awaddr = address;
  top.s_axi_wdata = value;
  top.s_axi_wstrb = 15;
  top.s_axi_bready = 1;
  for (int k = 0;; k++) {
    if (k > LITE_PATIENCE) fail("the register file does not answer a write");
    top.s_axi_awvalid = address_up;
    top.s_axi_wvalid = data_up;
    tick();
    if (top.s_axi_awready) address_up = false;
    if (top.s_axi_wready) data_up = false;
    const bool done = top.s_axi_bvalid;
    next();
    if (done) break;
  }
  top.s_axi_awvalid = top.s_axi_wvalid = 0;
}

static uint32_t read_register(uint64_t address) {
  bool up = true;
  uint32_t value = 0;
  top.s_axi_araddr = address;
  top.s_axi_rready = 1;
  for (int k = 0;; k++) {
    if (k > LITE_PATIENCE) fail("the register file does not answer a read");
    top.s_axi_arvalid = up;
    tick();
    if (top.s_axi_arready) up = false;
    const bool done = top.s_axi_rvalid;
    value = top.s_axi_rdata;
    next();
    if (done) break;
  }
  top.s_axi_arvalid = 0;
  return value;
}

static void write_address(uint64_t address, uint64_t value) {
  write_register(address, uint32_t(value));
  write_register(address + 4, uint32_t(value >> 32));
}

// A frame into its buffer; frames come again when they are used up.
static void load_frame(Network& network, uint64_t frame) {
  for (Stream& stream : network.streams) {
    if (!stream.input) continue;
    const uint64_t given = stream.data.size() / stream.bytes;
    const uint64_t place = stream.base + frame % network.buffers * stream.stride;
    memcpy(&memory.bytes[place - memory.base], &stream.data[frame % given * stream.bytes],
           stream.bytes);
  }
}

static void collect_frame(Network& network, uint64_t frame) {
  for (Stream& stream : network.streams) {
    if (stream.input) continue;
    const uint64_t place = stream.base + frame % network.buffers * stream.stride - memory.base;
    stream.data.insert(stream.data.end(), &memory.bytes[place], &memory.bytes[place] + stream.bytes);
  }
}

static void set_up(Network& network) {
  for (const Stream& stream : network.streams)
    for (uint64_t k = 0; k < network.buffers; k++)
      write_address(stream.base_register + 8 * k, stream.base + k * stream.stride);
  if (network.weights) write_address(network.weights_register, network.weights);
  for (uint64_t frame = 0; frame < network.buffers; frame++) load_frame(network, frame);
  network.let = network.buffers;
  write_register(network.released, network.let);
}

static void start(Network& network) {
  write_register(network.control, network.start);
  network.running = true;
  network.moved_at = cycle;
}

static void run_events() {
  while (!events.empty() && events.front().cycle <= cycle) {
    const Event event = events.front();
    events.erase(events.begin());
    write_register(event.address, event.value);
    if (event.starts >= 0) {
      networks[event.starts].running = true;
      networks[event.starts].moved_at = cycle;
    }
  }
}

// Every network from its first frame on.
static void begin() {
  for (Network& network : networks) set_up(network);
  for (Network& network : networks)
    if (network.starts) start(network);
}

// Nothing is asked or answered meanwhile.
static void hold_reset() {
  static Drive drive;
  top.rst = 1;
  for (int k = 0; k < RESET_CYCLES; k++) {
    visit(top, ports, drive);
    edge(0);
    next();
  }
  top.rst = 0;
}

// All is reset, the memory's ports with it, and begins anew; what was in the memory stays.
static void reset() {
  for (AxiPort& port : ports) {
    port.requests.clear();
    port.answers.clear();
    port.ar = port.aw = port.w = Held{};
    port.moves = port.answered = false;
  }
  hold_reset();
  for (auto& cycles : begins) cycles.clear();
  for (auto& cycles : ends) cycles.clear();
  for (Flow& flow : flows) flow.restart();
  for (Network& network : networks) {
    for (Stream& stream : network.streams)
      if (!stream.input) stream.data.clear();
    network.collected = 0;
    network.running = false;
  }
  begin();
}

// Empty and refill the buffers of the frames that are done.
static void serve(Network& network) {
  if (cycle >= network.away_from && cycle < network.away_until) {
    network.moved_at = cycle;
    return;
  }
  const uint64_t done = read_register(network.done);
  if (done == network.collected) return;
  while (network.collected < done) {
    collect_frame(network, network.collected);
    load_frame(network, network.collected + network.buffers);
    network.collected++;
  }
  network.moved_at = cycle;
  network.let = network.collected + network.buffers;
  write_register(network.released, network.let);
}

static bool all_done() {
  for (const Network& network : networks)
    if (network.collected < network.frames) return false;
  return events.empty() && !reset_at;
}

// FOLDER DESCRIPTION PATIENCE WAVES
int main(int, char** arguments) {
  folder = std::string(arguments[1]) + "/";
  read_description(folder + arguments[2]);
  const uint64_t patience = strtoull(arguments[3], nullptr, 10);
#if VM_TRACE_FST
  Verilated::traceEverOn(true);
  top.trace(&waves, 99);
  waves.open(arguments[4]);
#endif
  hold_reset();
  cycle = 0;
  begin();
  bool hangs = false;
  while (!hangs && !all_done()) {
    if (reset_at && cycle >= reset_at) {
      reset_at = 0;
      reset();
    }
    run_events();
    for (Network& network : networks) {
      serve(network);
      if (!network.running || network.collected >= network.frames ||
          cycle - network.moved_at <= patience)
        continue;
      printf("hangs %d %llu\n", int(&network - networks.data()),
             (unsigned long long)network.moved_at);
      hangs = true;
    }
  }
  for (uint64_t address : watched)
    printf("register %llu %u\n", (unsigned long long)address, read_register(address));
#if VM_TRACE_FST
  waves.close();
#endif
  top.final();
  for (int k = 0; k < PORTS; k++)
    printf("port %d %llu %llu %llu %llu\n", k, (unsigned long long)ports[k].read_bytes,
           (unsigned long long)ports[k].written_bytes, (unsigned long long)ports[k].refused,
           (unsigned long long)ports[k].violations);
  for (int k = 0; k < NETWORKS; k++) {
    const std::string name = folder + std::to_string(k);
    int number = 0;
    for (const Stream& stream : networks[k].streams) {
      if (!stream.input) write_values(name + "." + std::to_string(number) + ".out", stream.data);
      number++;
    }
    printf("network %d %llu\n", k, (unsigned long long)networks[k].collected);
  }
  for (int k = 0; k < INPUTS; k++)
    write_values(folder + std::to_string(k) + ".begins", begins[k]);
  for (int k = 0; k < OUTPUTS; k++) write_values(folder + std::to_string(k) + ".ends", ends[k]);
  for (size_t k = 0; k < flows.size(); k++) {
    write_values(folder + std::to_string(k) + ".levels", flows[k].samples);
    printf("flow %d %llu %lld %lld\n", int(k), (unsigned long long)flows[k].moved,
           (long long)flows[k].least, (long long)flows[k].greatest);
  }
  printf("sampled %llu %llu\n", (unsigned long long)sampled_from,
         (unsigned long long)moved_before);
  printf("cycles %llu\n", (unsigned long long)cycle);
  return hangs ? 3 : 0;
}
