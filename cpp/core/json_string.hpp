#pragma once
// Strings as canonical JSON: RFC 8785 escaping (quote, backslash, \b \t \n \f \r, other controls as lower-case \u00xx,
// everything else as it is, no normalisation), and the order of keys.

#include <cstdint>
#include <string>
#include <string_view>

#include "core/text_buffer.hpp"
#include "core/word.hpp"

namespace strandline::core {

enum class StringForm {
  Plain,    // nothing escaped and nothing above U+DFFF: byte order of the text is the order of its UTF-16 code units
  Special,  // valid, but ordered only after decoding
  Invalid,  // not UTF-8 (a lone surrogate is not UTF-8 either); nothing was appended
};

namespace detail {

constexpr std::uint64_t kOnes = 0x0101010101010101U;
constexpr std::uint64_t kHighBits = 0x8080808080808080U;
constexpr std::uint64_t kSpaces = 0x2020202020202020U;  // harmless filling behind a short word

// Whether any of the eight bytes is a control, a quote, a backslash or not ASCII: those end a span that is copied as it
// is. A byte is zero where (byte - 1) borrows into the high bit that the byte itself does not have. A borrow can raise a
// false alarm in a neighbour, never hide a byte, and the careful loop that follows an alarm looks at every byte.
inline bool has_special(std::uint64_t word) noexcept {
  const std::uint64_t quote = word ^ (kOnes * '"');
  const std::uint64_t backslash = word ^ (kOnes * '\\');
  const std::uint64_t control = word - kOnes * 0x20U;
  return (((quote - kOnes) | (backslash - kOnes) | control | word) & kHighBits) != 0;
}

// Everything that the fast path below does not do: escapes, characters that are not ASCII, checks. `out` and `from` are
// where the fast path stopped, in the buffer and in the text. Room for escapes is asked for in chunks: most text needs none,
// and six times a large text would be a lot of memory.
StringForm append_json_string_rest(TextBuffer& buffer, const char* out, std::string_view text, std::size_t from);

}  // namespace detail

// Appends `text` (UTF-8) with its quotes. Inline, because a document is mostly short strings.
inline StringForm append_json_string(TextBuffer& buffer, std::string_view text) {
  char* out = buffer.reserve(text.size() + 2);
  *out++ = '"';
  // Copy first, look afterwards: the buffer's slack makes an eight-byte store always allowed, and most words are clean.
  // Nothing is committed before the end: where this stops, append_json_string_rest goes on.
  std::size_t i = 0;
  for (; i + kWordSize <= text.size(); i += kWordSize) {
    const std::uint64_t word = load_word(text.data() + i, kWordSize);
    if (detail::has_special(word)) return detail::append_json_string_rest(buffer, out, text, i);
    store_word(out, word);
    out += kWordSize;
  }
  if (const std::size_t rest = text.size() - i; rest != 0) {
    const std::uint64_t word = load_word(text.data() + i, rest) | detail::kSpaces << (8 * rest);
    if (detail::has_special(word)) return detail::append_json_string_rest(buffer, out, text, i);
    store_word(out, word);
    out += rest;
  }
  *out++ = '"';
  buffer.advance_to(out);
  return StringForm::Plain;
}

// Orders two strings by UTF-16 code units, given as the text between the quotes that append_json_string wrote. Negative,
// zero or positive, as with memcmp.
[[nodiscard]] int compare_utf16(std::string_view left, std::string_view right);

// Appends a member to a JSON path: `.name` for an identifier, `["any name"]` for another key. `key` is the text between
// the quotes that append_json_string wrote.
void append_path_member(std::string& path, std::string_view key);

}  // namespace strandline::core
