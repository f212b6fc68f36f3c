#include "pg/failpoint.hpp"

#include <atomic>
#include <charconv>
#include <csignal>
#include <cstdlib>
#include <string>

namespace strandline::pg {
namespace {

struct Armed {
  std::string name;
  int count = 1;
};

// Read once: a process that was not armed when it started cannot be armed later.
const Armed& armed() {
  static const Armed value = [] {
    Armed read;
    const char* text =
        std::getenv("STRANDLINE_FAILPOINT");  // NOLINT(concurrency-mt-unsafe): read once, before any thread of ours
    if (text == nullptr) return read;
    read.name = text;
    if (const auto colon = read.name.rfind(':'); colon != std::string::npos) {
      std::from_chars(read.name.data() + colon + 1, read.name.data() + read.name.size(), read.count);
      read.name.resize(colon);
    }
    return read;
  }();
  return value;
}

}  // namespace

void failpoint(std::string_view name) {
  const Armed& point = armed();
  if (point.name.empty() || point.name != name) return;
  static std::atomic<int> reached{0};
  if (++reached >= point.count) std::raise(SIGKILL);
}

}  // namespace strandline::pg
