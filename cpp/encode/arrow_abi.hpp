#pragma once
// The Arrow C data and stream interfaces, as https://arrow.apache.org/docs/format/CDataInterface.html publishes them. The
// structs and guards are the specification's: an implementation that has already defined them shares its definition.

#include <cstdint>

// NOLINTBEGIN: names and layout are the specification's
extern "C" {

#ifndef ARROW_C_DATA_INTERFACE
#define ARROW_C_DATA_INTERFACE

#define ARROW_FLAG_DICTIONARY_ORDERED 1
#define ARROW_FLAG_NULLABLE 2
#define ARROW_FLAG_MAP_KEYS_SORTED 4

struct ArrowSchema {
  const char* format;
  const char* name;
  const char* metadata;
  int64_t flags;
  int64_t n_children;
  struct ArrowSchema** children;
  struct ArrowSchema* dictionary;

  void (*release)(struct ArrowSchema*);
  void* private_data;
};

struct ArrowArray {
  int64_t length;
  int64_t null_count;
  int64_t offset;
  int64_t n_buffers;
  int64_t n_children;
  const void** buffers;
  struct ArrowArray** children;
  struct ArrowArray* dictionary;

  void (*release)(struct ArrowArray*);
  void* private_data;
};

#endif  // ARROW_C_DATA_INTERFACE

#ifndef ARROW_C_STREAM_INTERFACE
#define ARROW_C_STREAM_INTERFACE

struct ArrowArrayStream {
  int (*get_schema)(struct ArrowArrayStream*, struct ArrowSchema* out);
  int (*get_next)(struct ArrowArrayStream*, struct ArrowArray* out);
  const char* (*get_last_error)(struct ArrowArrayStream*);
  void (*release)(struct ArrowArrayStream*);
  void* private_data;
};

#endif  // ARROW_C_STREAM_INTERFACE

}  // extern "C"
// NOLINTEND

namespace strandline::encode {

// Owns one of the three structs. Taking one over empties the source, as the specification asks of a consumer.
template <typename Struct>
class ArrowOwned {
 public:
  ArrowOwned() = default;
  explicit ArrowOwned(Struct* source) noexcept : value_{*source} { source->release = nullptr; }
  ArrowOwned(ArrowOwned&& other) noexcept : value_{other.value_} { other.value_.release = nullptr; }
  ArrowOwned& operator=(ArrowOwned&& other) noexcept {
    if (this != &other) {
      reset();
      value_ = other.value_;
      other.value_.release = nullptr;
    }
    return *this;
  }
  ArrowOwned(const ArrowOwned&) = delete;
  ArrowOwned& operator=(const ArrowOwned&) = delete;
  ~ArrowOwned() { reset(); }

  // An empty struct for a producer to fill.
  [[nodiscard]] Struct* fill() noexcept {
    reset();
    return &value_;
  }
  void reset() noexcept {
    if (value_.release != nullptr) value_.release(&value_);
    value_.release = nullptr;
  }
  [[nodiscard]] explicit operator bool() const noexcept { return value_.release != nullptr; }
  [[nodiscard]] Struct& operator*() noexcept { return value_; }
  [[nodiscard]] const Struct& operator*() const noexcept { return value_; }
  [[nodiscard]] Struct* operator->() noexcept { return &value_; }
  [[nodiscard]] const Struct* operator->() const noexcept { return &value_; }

 private:
  Struct value_{};
};

}  // namespace strandline::encode
