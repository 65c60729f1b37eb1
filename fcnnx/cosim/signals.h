// Verilator's signals of any width, as 32-bit words.
#pragma once
#include <cstdint>
#include <vector>

#include "verilated.h"

template <class T> void put(T& signal, const uint32_t* words) {
  signal = sizeof(T) > 4 ? T(words[0] | uint64_t(words[1]) << 32) : T(words[0]);
}
template <std::size_t N> void put(VlWide<N>& signal, const uint32_t* words) {
  for (std::size_t k = 0; k < N; k++) signal[k] = words[k];
}
template <class T> void get(const T& signal, std::vector<uint32_t>& words, std::size_t count) {
  words.push_back(uint32_t(signal));
  if (count > 1) words.push_back(uint32_t(uint64_t(signal) >> 32));
}
template <std::size_t N> void get(const VlWide<N>& signal, std::vector<uint32_t>& words, std::size_t) {
  for (std::size_t k = 0; k < N; k++) words.push_back(signal[k]);
}
