#pragma once
// A growing text without the per-append bookkeeping of std::string: reserve once, then write through a raw pointer.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <string_view>
#include <utility>

namespace strandline::core {

class TextBuffer {
 public:
  // Bytes behind end() that may be overwritten at any time without asking, for copies in words of eight.
  static constexpr std::size_t kSlack = 16;

  [[nodiscard]] std::size_t size() const noexcept { return size_; }
  [[nodiscard]] const char* data() const noexcept { return data_.get(); }
  [[nodiscard]] char* data() noexcept { return data_.get(); }
  [[nodiscard]] std::string_view view() const noexcept { return {data_.get(), size_}; }
  [[nodiscard]] std::string_view view(std::size_t begin, std::size_t end) const noexcept {
    return {data_.get() + begin, end - begin};
  }

  // Room for `count` more bytes (and the slack); returns where they go. Commit them with advance_to().
  char* reserve(std::size_t count) {
    if (capacity_ - size_ < count + kSlack) grow(count + kSlack);
    return data_.get() + size_;
  }
  void advance_to(const char* end) noexcept { size_ = static_cast<std::size_t>(end - data_.get()); }

  void append(char byte) {
    *reserve(1) = byte;
    ++size_;
  }
  void append(std::string_view text) {
    std::memcpy(reserve(text.size()), text.data(), text.size());
    size_ += text.size();
  }

  void truncate(std::size_t size) noexcept { size_ = size; }

  // Forgets the text. Memory above `keep` is given back, so that one huge value does not stay with a thread for ever.
  void clear(std::size_t keep = std::size_t{1} << 20) noexcept {
    size_ = 0;
    if (capacity_ > keep) {
      data_.reset();
      capacity_ = 0;
    }
  }

 private:
  void grow(std::size_t count) {
    const std::size_t capacity = std::max({std::size_t{1024}, capacity_ * 2, size_ + count});
    std::unique_ptr<char[]> data{new char[capacity]};  // not make_unique: that would zero memory about to be written
    if (size_ != 0) std::memcpy(data.get(), data_.get(), size_);
    data_ = std::move(data);
    capacity_ = capacity;
  }

  std::unique_ptr<char[]> data_;
  std::size_t size_ = 0;
  std::size_t capacity_ = 0;
};

}  // namespace strandline::core
