#include "core/json_canonical.hpp"

#include <charconv>
#include <cstdint>
#include <string>

namespace strandline::core {
namespace {

constexpr char32_t kFirstHighSurrogate = 0xD800;
constexpr char32_t kFirstLowSurrogate = 0xDC00;
constexpr char32_t kLastLowSurrogate = 0xDFFF;

bool is_digit(char byte) noexcept { return byte >= '0' && byte <= '9'; }

void append_utf8(std::string& out, char32_t point) {
  const auto put = [&](char32_t byte) { out.push_back(static_cast<char>(byte)); };
  if (point < 0x80) {
    put(point);
  } else if (point < 0x800) {
    put(0xC0U | (point >> 6U));
    put(0x80U | (point & 0x3FU));
  } else if (point < 0x10000) {
    put(0xE0U | (point >> 12U));
    put(0x80U | ((point >> 6U) & 0x3FU));
    put(0x80U | (point & 0x3FU));
  } else {
    put(0xF0U | (point >> 18U));
    put(0x80U | ((point >> 12U) & 0x3FU));
    put(0x80U | ((point >> 6U) & 0x3FU));
    put(0x80U | (point & 0x3FU));
  }
}

class Reader {
 public:
  Reader(CanonicalWriter& writer, std::string_view json)
      : writer_{writer}, begin_{json.data()}, at_{begin_}, end_{begin_ + json.size()} {}

  void document() {
    value();
    skip_space();
    if (at_ != end_) fail("text behind the end of the value");
  }

 private:
  [[noreturn]] void fail(const std::string& problem) const {
    writer_.fail("not valid JSON at byte " + std::to_string(at_ - begin_) + ": " + problem);
  }

  void skip_space() noexcept {
    while (at_ != end_ && (*at_ == ' ' || *at_ == '\n' || *at_ == '\r' || *at_ == '\t')) ++at_;
  }

  [[nodiscard]] char peek() const noexcept { return at_ == end_ ? '\0' : *at_; }

  bool take(char byte) noexcept {
    if (at_ == end_ || *at_ != byte) return false;
    ++at_;
    return true;
  }

  // The writer's depth limit is what ends a hostile nesting, so recursion is safe here.
  void value() {
    skip_space();
    switch (peek()) {
      case '{':
        return object();
      case '[':
        return array();
      case '"':
        return writer_.string(string());
      case 't':
        return word("true", [this] { writer_.boolean(true); });
      case 'f':
        return word("false", [this] { writer_.boolean(false); });
      case 'n':
        return word("null", [this] { writer_.null(); });
      default:
        return number();
    }
  }

  void object() {
    writer_.begin_object();
    ++at_;
    skip_space();
    if (!take('}')) {
      do {
        skip_space();
        if (peek() != '"') fail("expected a key in quotes");
        writer_.key(string());
        skip_space();
        if (!take(':')) fail("expected ':' behind a key");
        value();
        skip_space();
      } while (take(','));
      if (!take('}')) fail("expected ',' or '}'");
    }
    writer_.end_object();
  }

  void array() {
    writer_.begin_array();
    ++at_;
    skip_space();
    if (!take(']')) {
      do {
        value();
        skip_space();
      } while (take(','));
      if (!take(']')) fail("expected ',' or ']'");
    }
    writer_.end_array();
  }

  template <typename Write>
  void word(std::string_view expected, Write write) {
    if (std::string_view{at_, static_cast<std::size_t>(end_ - at_)}.substr(0, expected.size()) != expected) {
      fail("expected a value");
    }
    at_ += expected.size();
    write();
  }

  bool digits() noexcept {
    const char* const first = at_;
    while (at_ != end_ && is_digit(*at_)) ++at_;
    return at_ != first;
  }

  void number() {
    const char* const first = at_;
    take('-');
    const char* const leading = at_;
    if (!digits()) {
      at_ = first;
      fail(at_ == end_ ? "the text ends where a value should be" : "expected a value (NaN and infinities are none)");
    }
    if (*leading == '0' && at_ - leading > 1) fail("a number with a leading zero");
    bool integral = true;
    if (take('.')) {
      integral = false;
      if (!digits()) fail("expected a digit behind the decimal point");
    }
    if (take('e') || take('E')) {
      integral = false;
      if (!take('+')) take('-');
      if (!digits()) fail("expected a digit in the exponent");
    }
    const std::string_view text{first, static_cast<std::size_t>(at_ - first)};
    if (integral) return writer_.integer(text);
    double value = 0;
    if (std::from_chars(first, at_, value).ec == std::errc::result_out_of_range) value = beyond_range(text);
    writer_.number(value);
  }

  // from_chars does not say on which side a number left the range of doubles: below it is zero, above it is an error.
  double beyond_range(std::string_view text) {
    DecimalText decimal;
    if (!decimal.read(text)) fail("an exponent beyond 64 bits");
    if (!decimal.zero() && decimal.point() > 0) {
      writer_.fail("the number " + std::string{text.substr(0, 40)} + " is beyond the range of doubles");
    }
    return 0;
  }

  // The string that begins at the quote under at_. The view ends with the next call.
  std::string_view string() {
    const char* const first = ++at_;
    while (at_ != end_ && *at_ != '"' && *at_ != '\\' && static_cast<unsigned char>(*at_) >= 0x20) ++at_;
    if (peek() == '"' && at_ != end_) return {first, static_cast<std::size_t>(at_++ - first)};
    decoded_.assign(first, at_);
    while (at_ != end_ && *at_ != '"') {
      if (static_cast<unsigned char>(*at_) < 0x20) fail("a control character that is not escaped in a string");
      if (*at_ == '\\') {
        ++at_;
        escape();
      } else {
        decoded_.push_back(*at_++);
      }
    }
    if (!take('"')) fail("a string without its closing quote");
    return decoded_;
  }

  void escape() {
    switch (peek()) {
      case '"':
      case '\\':
      case '/':
        decoded_.push_back(*at_);
        break;
      case 'b':
        decoded_.push_back('\b');
        break;
      case 'f':
        decoded_.push_back('\f');
        break;
      case 'n':
        decoded_.push_back('\n');
        break;
      case 'r':
        decoded_.push_back('\r');
        break;
      case 't':
        decoded_.push_back('\t');
        break;
      case 'u':
        ++at_;
        return append_utf8(decoded_, code_point());
      default:
        fail("an unknown escape in a string");
    }
    ++at_;
  }

  char32_t code_point() {
    const char32_t first = unit();
    if (first < kFirstHighSurrogate || first > kLastLowSurrogate) return first;
    if (first < kFirstLowSurrogate && take('\\') && take('u')) {
      const char32_t second = unit();
      if (second >= kFirstLowSurrogate && second <= kLastLowSurrogate) {
        return 0x10000U + ((first - kFirstHighSurrogate) << 10U) + (second - kFirstLowSurrogate);
      }
    }
    fail("a lone surrogate in a string");
  }

  char32_t unit() {
    std::uint32_t value = 0;
    constexpr std::ptrdiff_t kDigits = 4;
    if (end_ - at_ < kDigits) fail("expected four hexadecimal digits");
    const auto [rest, error] = std::from_chars(at_, at_ + kDigits, value, 16);
    if (error != std::errc{} || rest != at_ + kDigits) fail("expected four hexadecimal digits");
    at_ = rest;
    return value;
  }

  CanonicalWriter& writer_;
  const char* begin_;
  const char* at_;
  const char* end_;
  std::string decoded_;
};

}  // namespace

void write_json(CanonicalWriter& writer, std::string_view json) { Reader{writer, json}.document(); }

}  // namespace strandline::core
