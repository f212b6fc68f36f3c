#pragma once
// The canonical form, version 1: one text for one value, whoever writes it. docs/canonical-form.md is the description for
// other languages; this header is the one writer behind every front end (Python objects, JSON text).
//
// A front end walks its value and calls the writer in whatever order members come; there is no tree in between. Members
// are written as they arrive, and when their object ends the writer puts their texts in order, refuses duplicates and
// leaves out what the profile drops. Every error names the JSON path of the offending value.

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/number.hpp"
#include "core/text_buffer.hpp"

namespace strandline::core {

enum class Profile {
  Exact,   // drops nothing
  Params,  // drops members that are null, "", {} or [] (after their own dropping) or equal to their declared default
};

// The declared defaults of the top-level members, as canonical texts.
class Defaults {
 public:
  Defaults() = default;
  // `object` is the canonical text of an object, in the params profile.
  explicit Defaults(std::string_view object);

  // Both arguments are canonical texts; the key is without its quotes.
  [[nodiscard]] bool holds(std::string_view key, std::string_view value) const noexcept;

 private:
  std::vector<std::pair<std::string, std::string>> members_;
};

class CanonicalWriter {
 public:
  static constexpr std::size_t kMaxDepth =
      64;  // containers inside each other; also what stops a value that holds itself

  // Forgets everything and begins a new text. `defaults` outlives the text; they count in the params profile only.
  void start(Profile profile, const Defaults* defaults = nullptr);

  void null() { literal("null"); }
  void boolean(bool value) {
    if (value) {
      literal("true");
    } else {
      literal("false");
    }
  }
  void integer(std::int64_t value) {
    char* const out = text_.reserve(kIntegerSize);
    text_.advance_to(write_integer(out, value));
    end_value();
  }
  // An integer of any size, as "[-]digits" without leading zeros. "-0" becomes 0.
  void integer(std::string_view digits);
  // The same from hexadecimal, "[-]0x..", where no decimal text is at hand.
  void hex_integer(std::string_view hex) {
    append_hex_integer(text_, hex);
    end_value();
  }
  void number(double value);
  // A decimal as text ("1.50", "-1E+3"), written as its exact normalised value.
  void decimal(std::string_view text);
  void string(std::string_view utf8);
  // An instant: microseconds since 1970-01-01T00:00:00Z.
  void instant(std::int64_t microseconds);
  // A date of the proleptic Gregorian calendar, years 1 to 9999.
  void date(int year, unsigned month, unsigned day);

  void begin_array() { open('[', false); }
  void end_array();
  void begin_object() { open('{', true); }
  void key(std::string_view utf8);
  void end_object();

  // The finished text. Valid until the next start().
  [[nodiscard]] std::string_view text() const noexcept { return text_.view(); }

  // The JSON path of the value that comes next: `$.filter.since[2]`.
  [[nodiscard]] std::string path() const;
  // Throws a DataError about the value that comes next: "<path>: <problem>".
  [[noreturn]] void fail(std::string_view problem) const;

 private:
  // One member of an open or just ended object: its text in text_, `"key":value,` with the comma.
  struct Member {
    std::uint64_t prefix = 0;  // of a plain key: its first eight bytes as a number that orders as they do
    std::size_t begin = 0;
    std::size_t size = 0;
    std::uint32_t key_size = 0;
    bool plain = false;  // see StringForm::Plain
    bool dropped = false;
  };
  // A member as it is sorted: the prefix beside the place, so that most comparisons touch nothing else.
  struct Place {
    std::uint64_t prefix = 0;
    std::uint32_t member = 0;  // in members_
  };
  struct Frame {
    std::size_t begin = 0;         // where the container's text begins
    std::size_t first_member = 0;  // of an object, in members_
    std::size_t count = 0;         // of an array: elements so far
    bool object = false;
    bool pending = false;  // of an object: a key is written, its value is not
    bool plain = true;     // of an object: every key is
  };

  template <std::size_t Size>
  void literal(const char (&text)[Size]) {
    char* const out = text_.reserve(Size);
    std::memcpy(out, text, Size);  // the size is a constant, so this is one or two stores
    text_.advance_to(out + Size - 1);
    end_value();
  }
  void open(char bracket, bool object);
  // Every value ends here: it belongs to the container that is open now.
  void end_value() {
    if (depth_ == 0) return;
    Frame& frame = frames_[depth_ - 1];
    if (frame.object) {
      end_member(frame);
    } else {
      ++frame.count;
    }
    text_.append(',');
  }
  void end_member(Frame& frame);
  [[nodiscard]] bool drops(const Member& member) const;
  [[nodiscard]] std::string_view key_text(const Member& member) const {
    return {text_.data() + member.begin + 1, member.key_size};
  }
  [[nodiscard]] bool less_by_text(std::uint32_t left, std::uint32_t right) const;
  [[nodiscard]] bool in_order(const Frame& frame);
  void sort_members(bool plain);
  void refuse_duplicates() const;
  void gather(std::size_t begin);

  TextBuffer text_;
  TextBuffer ordered_;  // the members of the object that just ended, in order
  std::vector<Member> members_;
  std::vector<Place> order_;
  std::array<Frame, kMaxDepth> frames_;
  std::size_t depth_ = 0;
  Profile profile_ = Profile::Exact;
  const Defaults* defaults_ = nullptr;
  DecimalText decimal_;
};

}  // namespace strandline::core
