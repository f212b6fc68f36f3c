#pragma once
// What a user typed, inside an error message.

#include <string>
#include <string_view>

namespace strandline::core {

// In double quotes, control characters and quotes escaped, cut after 80 bytes, so that a message stays one readable
// line whatever came in.
[[nodiscard]] std::string quote(std::string_view text);

}  // namespace strandline::core
