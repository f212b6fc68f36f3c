#include "core/json_string.hpp"

#include <algorithm>

#include "core/word.hpp"

namespace strandline::core {
namespace {

constexpr std::uint64_t kOnes = 0x0101010101010101U;
constexpr std::uint64_t kHighBits = 0x8080808080808080U;
constexpr std::uint64_t kSpaces = 0x2020202020202020U;  // harmless filling behind a short word
constexpr std::size_t kMaxEscape = 6;                   // \u00xx
constexpr std::size_t kMaxSequence = 4;                 // bytes of one code point
constexpr std::size_t kChunk = 4096;                    // bytes of source between two requests for room
constexpr unsigned char kFirstUnordered = 0xEE;  // lead byte of U+E000: from here UTF-8 and UTF-16 order may differ
constexpr std::string_view kHexDigits = "0123456789abcdef";

// Whether any of the eight bytes is a control, a quote, a backslash or not ASCII: those end a span that is copied as it
// is. A byte is zero where (byte - 1) borrows into the high bit that the byte itself does not have. A borrow can raise a
// false alarm in a neighbour, never hide a byte, and the careful loop that follows an alarm looks at every byte.
bool has_special(std::uint64_t word) noexcept {
  const std::uint64_t quote = word ^ (kOnes * '"');
  const std::uint64_t backslash = word ^ (kOnes * '\\');
  const std::uint64_t control = word - kOnes * 0x20U;
  return (((quote - kOnes) | (backslash - kOnes) | control | word) & kHighBits) != 0;
}

// Length of the valid UTF-8 sequence at `at`, 0 if there is none (overlong forms, surrogates and values above U+10FFFF
// are none).
std::size_t sequence_length(const unsigned char* at, std::size_t left) noexcept {
  const auto continues = [&](std::size_t i) { return i < left && (at[i] & 0xC0U) == 0x80U; };
  const unsigned char lead = at[0];
  if (lead < 0x80) return 1;
  if (lead < 0xC2) return 0;
  if (lead < 0xE0) return continues(1) ? 2 : 0;
  if (lead < 0xF0) {
    if (!continues(1) || !continues(2)) return 0;
    if (lead == 0xE0 && at[1] < 0xA0) return 0;
    if (lead == 0xED && at[1] >= 0xA0) return 0;
    return 3;
  }
  if (lead > 0xF4 || !continues(1) || !continues(2) || !continues(3)) return 0;
  if (lead == 0xF0 && at[1] < 0x90) return 0;
  if (lead == 0xF4 && at[1] >= 0x90) return 0;
  return 4;
}

char* write_escape(char* out, unsigned char byte) noexcept {
  *out++ = '\\';
  switch (byte) {
    case '"':
    case '\\':
      *out++ = static_cast<char>(byte);
      return out;
    case '\b':
      *out++ = 'b';
      return out;
    case '\t':
      *out++ = 't';
      return out;
    case '\n':
      *out++ = 'n';
      return out;
    case '\f':
      *out++ = 'f';
      return out;
    case '\r':
      *out++ = 'r';
      return out;
    default:
      break;
  }
  *out++ = 'u';
  *out++ = '0';
  *out++ = '0';
  *out++ = kHexDigits[byte >> 4U];
  *out++ = kHexDigits[byte & 15U];
  return out;
}

// Reads one code point of text that append_json_string wrote, so without any check.
char32_t next_code_point(std::string_view text, std::size_t& at) {
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned char lead = byte(at++);
  if (lead == '\\') {
    switch (const char escape = text[at++]) {
      case 'b':
        return '\b';
      case 't':
        return '\t';
      case 'n':
        return '\n';
      case 'f':
        return '\f';
      case 'r':
        return '\r';
      case 'u': {
        at += 4;
        const std::size_t high = kHexDigits.find(text[at - 2]);
        const std::size_t low = kHexDigits.find(text[at - 1]);
        return static_cast<char32_t>(high * 16 + low);
      }
      default:
        return static_cast<unsigned char>(escape);
    }
  }
  if (lead < 0x80) return lead;
  const std::size_t more = lead < 0xE0 ? 1 : lead < 0xF0 ? 2 : 3;
  char32_t point = lead & (0x3FU >> more);
  for (std::size_t i = 0; i < more; ++i) point = (point << 6U) | (byte(at++) & 0x3FU);
  return point;
}

std::u16string utf16_units(std::string_view text) {
  std::u16string units;
  units.reserve(text.size());
  for (std::size_t at = 0; at < text.size();) {
    const char32_t point = next_code_point(text, at);
    if (point < 0x10000) {
      units.push_back(static_cast<char16_t>(point));
    } else {
      units.push_back(static_cast<char16_t>(0xD800U + ((point - 0x10000) >> 10U)));
      units.push_back(static_cast<char16_t>(0xDC00U + ((point - 0x10000) & 0x3FFU)));
    }
  }
  return units;
}

// Everything that the fast path does not do: escapes, characters that are not ASCII, checks. `out` and `from` are
// where the fast path stopped, in the buffer and in the text. Room for escapes is asked for in chunks: most text needs none,
// and six times a large text would be a lot of memory.
StringForm append_carefully(TextBuffer& buffer, const char* out, std::string_view text, std::size_t from) {
  const std::size_t begin = buffer.size();
  buffer.advance_to(out);
  StringForm form = StringForm::Plain;
  const auto* const bytes = reinterpret_cast<const unsigned char*>(text.data());
  for (std::size_t i = from; i < text.size();) {
    const std::size_t chunk = std::min(text.size(), i + kChunk);
    char* at = buffer.reserve((chunk - i) * kMaxEscape + kMaxSequence);
    while (i < chunk) {
      const unsigned char byte = bytes[i];
      if (byte < 0x20 || byte == '"' || byte == '\\') {
        at = write_escape(at, byte);
        form = StringForm::Special;
        ++i;
        continue;
      }
      const std::size_t length = sequence_length(bytes + i, text.size() - i);
      if (length == 0) {
        buffer.truncate(begin);
        return StringForm::Invalid;
      }
      if (byte >= kFirstUnordered) form = StringForm::Special;
      for (const std::size_t end = i + length; i < end; ++i) *at++ = text[i];
    }
    buffer.advance_to(at);
  }
  buffer.append('"');
  return form;
}

}  // namespace

StringForm append_json_string(TextBuffer& buffer, std::string_view text) {
  char* out = buffer.reserve(text.size() + 2);
  *out++ = '"';
  // Copy first, look afterwards: the buffer's slack makes an eight-byte store always allowed, and most words are clean.
  // Nothing is committed before the end: where this stops, append_carefully goes on.
  std::size_t i = 0;
  for (; i + kWordSize <= text.size(); i += kWordSize) {
    const std::uint64_t word = load_word(text.data() + i, kWordSize);
    if (has_special(word)) return append_carefully(buffer, out, text, i);
    store_word(out, word);
    out += kWordSize;
  }
  if (const std::size_t rest = text.size() - i; rest != 0) {
    const std::uint64_t word = load_word(text.data() + i, rest) | kSpaces << (8 * rest);
    if (has_special(word)) return append_carefully(buffer, out, text, i);
    store_word(out, word);
    out += rest;
  }
  *out++ = '"';
  buffer.advance_to(out);
  return StringForm::Plain;
}

int compare_utf16(std::string_view left, std::string_view right) {
  return utf16_units(left).compare(utf16_units(right));
}

void append_path_member(std::string& path, std::string_view key) {
  const auto starts = [](char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; };
  const auto goes_on = [&](char c) { return starts(c) || (c >= '0' && c <= '9'); };
  if (!key.empty() && starts(key.front()) && std::all_of(key.begin(), key.end(), goes_on)) {
    path.append(".").append(key);
  } else {
    path.append("[\"").append(key).append("\"]");
  }
}

}  // namespace strandline::core
