#pragma once
// Strings as canonical JSON: RFC 8785 escaping (quote, backslash, \b \t \n \f \r, other controls as lower-case \u00xx,
// everything else as it is, no normalisation), and the order of keys.

#include <cstdint>
#include <string>
#include <string_view>

#include "core/text_buffer.hpp"

namespace strandline::core {

enum class StringForm {
  Plain,    // nothing escaped and nothing above U+DFFF: byte order of the text is the order of its UTF-16 code units
  Special,  // valid, but ordered only after decoding
  Invalid,  // not UTF-8 (a lone surrogate is not UTF-8 either); nothing was appended
};

// Appends `text` (UTF-8) with its quotes.
StringForm append_json_string(TextBuffer& buffer, std::string_view text);

// Orders two strings by UTF-16 code units, given as the text between the quotes that append_json_string wrote. Negative,
// zero or positive, as with memcmp.
[[nodiscard]] int compare_utf16(std::string_view left, std::string_view right);

// Appends a member to a JSON path: `.name` for an identifier, `["any name"]` for another key. `key` is the text between
// the quotes that append_json_string wrote.
void append_path_member(std::string& path, std::string_view key);

}  // namespace strandline::core
