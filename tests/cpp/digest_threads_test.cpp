// Every thread hashes on a context of its own, and all of them fetch the algorithm once.

#include <atomic>
#include <string>
#include <thread>
#include <vector>

#include "check.hpp"
#include "core/digest.hpp"

using strandline::core::sha256;
using strandline::core::to_hex;

int main() {
  constexpr int kThreads = 8;
  constexpr int kRounds = 2000;
  std::atomic<bool> go{false};
  std::atomic<int> wrong{0};
  std::vector<std::thread> threads;
  threads.reserve(kThreads);
  for (int number = 0; number < kThreads; ++number) {
    threads.emplace_back([&go, &wrong] {
      while (!go.load()) std::this_thread::yield();  // the first use, all at once
      for (int round = 0; round < kRounds; ++round) {
        if (to_hex(sha256("abc")) != "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad") ++wrong;
      }
    });
  }
  go = true;
  for (std::thread& thread : threads) thread.join();
  CHECK(wrong.load() == 0);
  return 0;
}
