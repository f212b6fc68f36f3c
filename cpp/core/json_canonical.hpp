#pragma once
// JSON text into the canonical form, without a tree. A reader of our own, and not a library's, because the form needs what
// libraries give away: the text of integers beyond every machine type, duplicate keys, lone surrogates, and the path of
// what is wrong.

#include <string_view>

#include "core/canonical.hpp"

namespace strandline::core {

// Reads one JSON value (RFC 8259, UTF-8) into `writer`, between start() and text(). Numbers without a fraction and an
// exponent are integers of any size; all others are the nearest double. Throws a DataError that names the path and the byte.
void write_json(CanonicalWriter& writer, std::string_view json);

}  // namespace strandline::core
