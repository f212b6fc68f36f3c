#pragma once
// One column of an Arrow batch on its way into one column of a page.

#include "core/text_buffer.hpp"
#include "encode/arrow_layout.hpp"
#include "encode/column.hpp"

namespace strandline::encode {

struct ArrowTarget {
  Column column;
  bool parse = false;  // the type was declared: text in its standard form is read
};

// Appends the value at `index`, which is not null, as one field. Throws Misfit.
using PutCell = void (*)(core::TextBuffer& out, const View& view, const Column& column, std::int64_t index);

// The conversion from a layout into a column. ConfigError when there is none that keeps the value exactly.
[[nodiscard]] PutCell put_cell(const Layout& layout, const ArrowTarget& target);

// Appends a value of any layout, null included, as compact JSON text.
void write_json(core::TextBuffer& out, const View& view, std::int64_t index);

}  // namespace strandline::encode
