#include "core/canonical.hpp"

#include <date/date.h>

#include <algorithm>
#include <cmath>
#include <cstring>

#include "core/error.hpp"
#include "core/json_string.hpp"
#include "core/word.hpp"

namespace strandline::core {
namespace {

constexpr std::size_t kKeyOverhead = 3;      // the quotes around a key and its colon
constexpr std::size_t kFewMembers = 24;      // up to here insertion beats std::sort
constexpr std::size_t kInstantSize = 30;     // "0001-01-01T00:00:00.000001Z" and its quotes
constexpr std::int64_t kSecond = 1'000'000;  // microseconds
constexpr std::int64_t kDay = 86'400 * kSecond;

// The first eight bytes of a plain key as a number that orders as they do. Bytes behind a shorter key count as zero; no
// plain key holds a zero byte, so a key sorts before every longer key that begins with it.
std::uint64_t key_prefix(std::string_view key) noexcept {
  return key.empty() ? 0 : __builtin_bswap64(load_word(&key.front(), std::min(key.size(), kWordSize)));
}

// Short copies in words: a call to memcpy costs more than the bytes of most members. Both sides have the buffer's slack.
char* copy_member(char* out, const char* from, std::size_t size) noexcept {
  constexpr std::size_t kStep = TextBuffer::kSlack;
  for (std::size_t i = 0; i < size; i += kStep) std::memcpy(out + i, from + i, kStep);
  return out + size;
}

char* write_padded(char* out, unsigned value, std::size_t width) noexcept {
  for (char* at = out + width; at != out; value /= 10) *--at = static_cast<char>('0' + value % 10);
  return out + width;
}

char* write_date(char* out, unsigned year, unsigned month, unsigned day) noexcept {
  out = write_padded(out, year, 4);
  *out++ = '-';
  out = write_padded(out, month, 2);
  *out++ = '-';
  return write_padded(out, day, 2);
}

char* write_time(char* out, std::int64_t microseconds) noexcept {
  const auto seconds = static_cast<unsigned>(microseconds / kSecond);
  out = write_padded(out, seconds / 3600, 2);
  *out++ = ':';
  out = write_padded(out, seconds / 60 % 60, 2);
  *out++ = ':';
  out = write_padded(out, seconds % 60, 2);
  const auto fraction = static_cast<unsigned>(microseconds % kSecond);
  if (fraction == 0) return out;
  *out++ = '.';
  out = write_padded(out, fraction, 6);
  while (out[-1] == '0') --out;
  return out;
}

// The end of the string or of the bracket that begins at `at`, in canonical text.
std::size_t skip_value(std::string_view text, std::size_t at) noexcept {
  std::size_t depth = 0;
  for (; at < text.size(); ++at) {
    const char byte = text[at];
    if (byte == '"') {
      while (text[++at] != '"') at += text[at] == '\\' ? 1 : 0;
    } else if (byte == '{' || byte == '[') {
      ++depth;
    } else if (depth == 0 && (byte == ',' || byte == '}')) {
      break;
    } else if (byte == '}' || byte == ']') {
      --depth;
    }
  }
  return at;
}

}  // namespace

Defaults::Defaults(std::string_view object) {
  if (object.size() < 2 || object.front() != '{') {
    throw Error{ErrorCode::ConfigError, "defaults are an object: member names and their default values"};
  }
  for (std::size_t at = 1; at + 1 < object.size(); ++at) {
    const std::size_t key_begin = at + 1;
    std::size_t key_end = key_begin;
    while (object[key_end] != '"') key_end += object[key_end] == '\\' ? 2 : 1;
    const std::size_t begin = key_end + 2;
    at = skip_value(object, begin);
    members_.emplace_back(object.substr(key_begin, key_end - key_begin), object.substr(begin, at - begin));
  }
}

bool Defaults::holds(std::string_view key, std::string_view value) const noexcept {
  return std::any_of(members_.begin(), members_.end(),
                     [&](const auto& member) { return member.first == key && member.second == value; });
}

void CanonicalWriter::start(Profile profile, const Defaults* defaults) {
  text_.clear();
  ordered_.clear();
  members_.clear();
  depth_ = 0;
  profile_ = profile;
  defaults_ = profile == Profile::Params ? defaults : nullptr;
}

void CanonicalWriter::integer(std::string_view digits) {
  text_.append(digits == "-0" ? std::string_view{"0"} : digits);
  end_value();
}

void CanonicalWriter::number(double value) {
  if (!std::isfinite(value)) {
    fail("a number that is not finite (NaN or an infinity) has no canonical form; use null or leave it out");
  }
  char* const out = text_.reserve(kDoubleSize);
  text_.advance_to(write_double(out, value));
  end_value();
}

void CanonicalWriter::decimal(std::string_view text) {
  if (!decimal_.read(text)) {
    fail("a decimal that is not finite (NaN or an infinity) has no canonical form; use null or leave it out");
  }
  decimal_.append_to(text_);
  end_value();
}

void CanonicalWriter::string(std::string_view utf8) {
  if (append_json_string(text_, utf8) == StringForm::Invalid) fail("a string that is not valid Unicode (UTF-8)");
  end_value();
}

void CanonicalWriter::date(int year, unsigned month, unsigned day) {
  char* out = text_.reserve(kInstantSize);
  *out++ = '"';
  out = write_date(out, static_cast<unsigned>(year), month, day);
  *out++ = '"';
  text_.advance_to(out);
  end_value();
}

void CanonicalWriter::instant(std::int64_t microseconds) {
  std::int64_t days = microseconds / kDay;
  std::int64_t time = microseconds % kDay;
  if (time < 0) {
    --days;
    time += kDay;
  }
  // Bounds first: the calendar's arithmetic is defined for years that fit 16 bits only.
  constexpr auto kFirst = date::sys_days{date::year{1} / 1 / 1}.time_since_epoch().count();
  constexpr auto kLast = date::sys_days{date::year{9999} / 12 / 31}.time_since_epoch().count();
  if (days < kFirst || days > kLast) fail("a datetime that leaves the years 0001 to 9999 when it is converted to UTC");
  const date::year_month_day day{date::sys_days{date::days{static_cast<int>(days)}}};
  char* out = text_.reserve(kInstantSize);
  *out++ = '"';
  out = write_date(out, static_cast<unsigned>(static_cast<int>(day.year())), static_cast<unsigned>(day.month()),
                   static_cast<unsigned>(day.day()));
  *out++ = 'T';
  out = write_time(out, time);
  *out++ = 'Z';
  *out++ = '"';
  text_.advance_to(out);
  end_value();
}

void CanonicalWriter::open(char bracket, bool object) {
  if (depth_ == kMaxDepth) fail("nested deeper than 64 levels, or a value that holds itself");
  Frame& frame = frames_[depth_++];
  frame.begin = text_.size();
  frame.first_member = members_.size();
  frame.count = 0;
  frame.object = object;
  frame.pending = false;
  frame.plain = true;
  text_.append(bracket);
}

void CanonicalWriter::end_array() {
  const Frame& frame = frames_[--depth_];
  if (frame.count != 0) text_.truncate(text_.size() - 1);  // the comma behind the last element
  text_.append(']');
  end_value();
}

void CanonicalWriter::key(std::string_view utf8) {
  const std::size_t begin = text_.size();
  const StringForm form = append_json_string(text_, utf8);
  if (form == StringForm::Invalid) fail("a key that is not valid Unicode (UTF-8)");
  const std::size_t size = text_.size() - begin - 2;
  if (size > UINT32_MAX || members_.size() == UINT32_MAX)
    fail("a key of more than 4 GiB, or more than 4 billion members");
  const bool plain = form == StringForm::Plain;
  // The prefix comes from the source and not from the text just written: reading that back would wait for the stores.
  // Field by field for the same reason: a finished struct would be read back to be copied into the vector.
  Member& member = members_.emplace_back();
  member.prefix = plain ? key_prefix(utf8) : 0;
  member.begin = begin;
  member.key_size = static_cast<std::uint32_t>(size);
  member.plain = plain;
  text_.append(':');
  Frame& frame = frames_[depth_ - 1];
  frame.pending = true;
  frame.plain = frame.plain && plain;
}

void CanonicalWriter::end_member(Frame& frame) {
  Member& member = members_.back();
  member.size = text_.size() + 1 - member.begin;  // with the comma that end_value() appends
  if (profile_ == Profile::Params) member.dropped = drops(member);
  frame.pending = false;
}

bool CanonicalWriter::drops(const Member& member) const {
  const std::string_view value = text_.view(member.begin + member.key_size + kKeyOverhead, text_.size());
  if (value == "null" || value == "\"\"" || value == "{}" || value == "[]") return true;
  return depth_ == 1 && defaults_ != nullptr && defaults_->holds(key_text(member), value);
}

bool CanonicalWriter::less_by_text(std::uint32_t left, std::uint32_t right) const {
  const Member& a = members_[left];
  const Member& b = members_[right];
  if (a.plain && b.plain) return key_text(a) < key_text(b);
  return compare_utf16(key_text(a), key_text(b)) < 0;
}

// Lists the members in order_ as they came, and says whether that is their order already.
bool CanonicalWriter::in_order(const Frame& frame) {
  const std::size_t count = members_.size() - frame.first_member;
  order_.resize(count);
  bool ordered = frame.plain;
  std::uint64_t last = 0;
  for (std::size_t i = 0; i < count; ++i) {
    const Member& member = members_[frame.first_member + i];
    order_[i] = {member.prefix, static_cast<std::uint32_t>(frame.first_member + i)};
    ordered = ordered && !member.dropped && (i == 0 || last < member.prefix);
    last = member.prefix;
  }
  return ordered;
}

// Few members are sorted by insertion: keys mostly differ in their first eight bytes, so a step is one comparison.
void CanonicalWriter::sort_members(bool plain) {
  const auto less = [&](const Place& left, const Place& right) {
    if (plain && left.prefix != right.prefix) return left.prefix < right.prefix;
    return less_by_text(left.member, right.member);
  };
  if (order_.size() > kFewMembers) {
    std::sort(order_.begin(), order_.end(), less);
    return;
  }
  Place* const order = order_.data();
  for (std::size_t next = 1; next < order_.size(); ++next) {
    const Place moved = order[next];
    std::size_t place = next;
    for (; place > 0 && less(moved, order[place - 1]); --place) order[place] = order[place - 1];
    order[place] = moved;
  }
}

// Also among dropped members: an object that says a thing twice is wrong whatever it says.
void CanonicalWriter::refuse_duplicates() const {
  for (std::size_t i = 1; i < order_.size(); ++i) {
    if (order_[i - 1].prefix != order_[i].prefix) continue;
    const std::string_view key = key_text(members_[order_[i].member]);
    if (key_text(members_[order_[i - 1].member]) != key) continue;
    fail("the key \"" + std::string{key} + "\" appears twice in one object");
  }
}

// Puts the texts of the members, which begin at `begin`, in order.
void CanonicalWriter::gather(std::size_t begin) {
  text_.reserve(0);  // the copies below read up to the slack behind the text
  ordered_.clear();
  char* const first = ordered_.reserve(text_.size() - begin);
  char* out = first;
  for (const Place& place : order_) {
    const Member& member = members_[place.member];
    if (!member.dropped) out = copy_member(out, text_.data() + member.begin, member.size);
  }
  const auto kept = static_cast<std::size_t>(out - first);
  std::memcpy(text_.data() + begin, first, kept);
  text_.truncate(begin + kept);
}

void CanonicalWriter::end_object() {
  const Frame& frame = frames_[depth_ - 1];
  const std::size_t begin = frame.begin + 1;
  if (!in_order(frame)) {
    sort_members(frame.plain);
    refuse_duplicates();
    gather(begin);
  }
  if (text_.size() > begin) text_.truncate(text_.size() - 1);  // the comma behind the last member
  text_.append('}');
  members_.resize(frame.first_member);
  --depth_;
  end_value();
}

std::string CanonicalWriter::path() const {
  std::string path = "$";
  for (std::size_t i = 0; i < depth_; ++i) {
    const Frame& frame = frames_[i];
    if (!frame.object) {
      path.append("[").append(std::to_string(frame.count)).append("]");
    } else if (frame.pending) {
      // The last member that this frame began is the one before the next object's first, or the last of all.
      std::size_t next = i + 1;
      while (next < depth_ && !frames_[next].object) ++next;
      const std::size_t end = next < depth_ ? frames_[next].first_member : members_.size();
      append_path_member(path, key_text(members_[end - 1]));
    }
  }
  return path;
}

void CanonicalWriter::fail(std::string_view problem) const {
  const std::string where = path();
  TextBuffer context;
  context.append("{\"path\":");
  append_json_string(context, where);
  context.append('}');
  throw Error{ErrorCode::DataError, where + ": " + std::string{problem}, std::string{context.view()}};
}

}  // namespace strandline::core
