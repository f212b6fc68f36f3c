#include "core/quote.hpp"

#include <nlohmann/json.hpp>

namespace strandline::core {

std::string quote(std::string_view text) {
  constexpr std::size_t kLongest = 80;
  const bool whole = text.size() <= kLongest;
  std::string shown{text.substr(0, kLongest)};
  if (!whole) {
    while (!shown.empty() && (static_cast<unsigned char>(shown.back()) & 0xC0U) == 0x80U) shown.pop_back();
    if (!shown.empty() && static_cast<unsigned char>(shown.back()) >= 0xC0U) shown.pop_back();
    shown += "...";
  }
  return nlohmann::json(shown).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

}  // namespace strandline::core
