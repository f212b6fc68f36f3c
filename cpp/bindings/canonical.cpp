// The canonical form and digests. These functions are plain CPython functions (METH_FASTCALL) and not pybind11's: a digest
// takes half a microsecond, and the dispatcher alone would add half of that again.

#include <charconv>
#include <cmath>
#include <cstring>
#include <optional>
#include <string>

#include "bindings/canonical_walk.hpp"
#include "bindings/errors.hpp"
#include "bindings/register.hpp"
#include "core/digest.hpp"
#include "core/error.hpp"
#include "core/json_canonical.hpp"

namespace py = pybind11;

namespace strandline::bindings {
namespace {

using core::CanonicalWriter;
using core::Profile;

// Runs `body` and turns what it throws into a Python exception.
template <typename Body>
PyObject* guarded(Body body) noexcept {
  try {
    return body();
  } catch (py::error_already_set& error) {
    error.restore();
  } catch (const core::Error& error) {
    try {
      raise_python(error);
    } catch (py::error_already_set& second) {  // the error class itself could not be made
      second.restore();
    }
  } catch (const std::bad_alloc&) {
    PyErr_NoMemory();
  } catch (const std::exception& error) {
    PyErr_SetString(PyExc_RuntimeError, error.what());
  }
  return nullptr;
}

// The arguments of `f(value, profile="exact", defaults=None)`, borrowed.
struct Arguments {
  PyObject* value = nullptr;
  PyObject* profile = nullptr;
  PyObject* defaults = nullptr;
};

[[noreturn]] void type_error(const std::string& message) {
  PyErr_SetString(PyExc_TypeError, message.c_str());
  throw py::error_already_set{};
}

void read_keywords(const char* function, const char* first, PyObject* const* args, Py_ssize_t count, PyObject* names,
                   Arguments& into) {
  for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(names); ++i) {
    PyObject* const name = PyTuple_GET_ITEM(names, i);
    PyObject** place = nullptr;
    if (PyUnicode_CompareWithASCIIString(name, first) == 0) place = &into.value;
    if (PyUnicode_CompareWithASCIIString(name, "profile") == 0) place = &into.profile;
    if (PyUnicode_CompareWithASCIIString(name, "defaults") == 0) place = &into.defaults;
    const std::string text{py::str{py::handle{name}}};
    if (place == nullptr) type_error(std::string{function} + "() got an unexpected keyword argument '" + text + "'");
    if (*place != nullptr) type_error(std::string{function} + "() got multiple values for argument '" + text + "'");
    *place = args[count + i];
  }
}

Arguments read_arguments(const char* function, const char* first, PyObject* const* args, Py_ssize_t count,
                         PyObject* names) {
  Arguments into;
  if (count > 3) type_error(std::string{function} + "() takes at most 3 arguments");
  if (count > 0) into.value = args[0];
  if (count > 1) into.profile = args[1];
  if (count > 2) into.defaults = args[2];
  if (names != nullptr) read_keywords(function, first, args, count, names, into);
  if (into.value == nullptr) type_error(std::string{function} + "() misses its argument '" + first + "'");
  return into;
}

Profile read_profile(PyObject* profile) {
  if (profile == nullptr) return Profile::Exact;
  if (PyUnicode_Check(profile)) {
    if (PyUnicode_CompareWithASCIIString(profile, "exact") == 0) return Profile::Exact;
    if (PyUnicode_CompareWithASCIIString(profile, "params") == 0) return Profile::Params;
  }
  throw core::Error{core::ErrorCode::ConfigError,
                    "the profile is 'exact' or 'params', not " + std::string{py::repr(py::handle{profile})}};
}

core::Defaults read_defaults(PyObject* defaults) {
  try {
    WriterLoan writer;
    writer->start(Profile::Params);
    write_python(*writer, defaults);
    return core::Defaults{writer->text()};
  } catch (const core::Error& error) {
    throw core::Error{error.code(), "in the defaults, " + std::string{error.what()}, error.context()};
  }
}

// Writes the canonical form of `arguments.value` by `write` and gives its text to `finish`.
template <typename Write, typename Finish>
PyObject* canonicalise(const Arguments& arguments, Write write, Finish finish) {
  const Profile profile = read_profile(arguments.profile);
  std::optional<core::Defaults> defaults;
  if (arguments.defaults != nullptr && arguments.defaults != Py_None) {
    if (profile == Profile::Exact) {
      throw core::Error{core::ErrorCode::ConfigError,
                        "defaults need profile='params'; the exact profile drops nothing"};
    }
    defaults = read_defaults(arguments.defaults);
  }
  WriterLoan writer;
  writer->start(profile, defaults ? &*defaults : nullptr);
  write(*writer, arguments.value);
  return finish(writer->text());
}

void write_text(CanonicalWriter& writer, PyObject* text) {
  core::write_json(writer, python_text(text, "the JSON text"));
}

PyObject* to_bytes(std::string_view text) {
  return PyBytes_FromStringAndSize(text.data(), static_cast<Py_ssize_t>(text.size()));
}

PyObject* to_digest(std::string_view text) {
  const core::Digest digest = core::sha256(text);
  return PyBytes_FromStringAndSize(reinterpret_cast<const char*>(digest.data()),
                                   static_cast<Py_ssize_t>(digest.size()));
}

PyObject* canonical(PyObject* /*module*/, PyObject* const* args, Py_ssize_t count, PyObject* names) {
  return guarded(
      [&] { return canonicalise(read_arguments("canonical", "value", args, count, names), write_python, to_bytes); });
}

PyObject* digest(PyObject* /*module*/, PyObject* const* args, Py_ssize_t count, PyObject* names) {
  return guarded(
      [&] { return canonicalise(read_arguments("digest", "value", args, count, names), write_python, to_digest); });
}

PyObject* canonical_json(PyObject* /*module*/, PyObject* const* args, Py_ssize_t count, PyObject* names) {
  return guarded(
      [&] { return canonicalise(read_arguments("canonical_json", "text", args, count, names), write_text, to_bytes); });
}

PyObject* digest_json(PyObject* /*module*/, PyObject* const* args, Py_ssize_t count, PyObject* names) {
  return guarded(
      [&] { return canonicalise(read_arguments("digest_json", "text", args, count, names), write_text, to_digest); });
}

// Read access to anything with the buffer protocol, for as long as this lives.
class Bytes {
 public:
  explicit Bytes(PyObject* object) {
    if (PyObject_GetBuffer(object, &buffer_, PyBUF_SIMPLE) != 0) throw py::error_already_set{};
  }
  ~Bytes() { PyBuffer_Release(&buffer_); }
  Bytes(const Bytes&) = delete;
  Bytes& operator=(const Bytes&) = delete;

  [[nodiscard]] std::string_view view() const noexcept {
    return {static_cast<const char*>(buffer_.buf), static_cast<std::size_t>(buffer_.len)};
  }

 private:
  Py_buffer buffer_{};
};

PyObject* sha256(PyObject* /*module*/, PyObject* data) {
  return guarded([&] { return to_digest(Bytes{data}.view()); });
}

PyObject* number(PyObject* /*module*/, PyObject* value) {
  return guarded([&]() -> PyObject* {
    const double number = PyFloat_AsDouble(value);
    if (number == -1.0 && PyErr_Occurred() != nullptr) throw py::error_already_set{};
    WriterLoan writer;
    writer->start(Profile::Exact);
    writer->number(number);
    return PyUnicode_FromStringAndSize(writer->text().data(), static_cast<Py_ssize_t>(writer->text().size()));
  });
}

// The bit patterns are taken in the machine's byte order, as a buffer of doubles has them.
PyObject* number_lines(PyObject* /*module*/, PyObject* bits) {
  return guarded([&] {
    const Bytes source{bits};
    const std::string_view view = source.view();
    core::TextBuffer lines;
    for (std::size_t at = 0; at + sizeof(double) <= view.size(); at += sizeof(double)) {
      std::uint64_t pattern = 0;
      double value = 0;
      std::memcpy(&pattern, view.data() + at, sizeof pattern);
      std::memcpy(&value, view.data() + at, sizeof value);
      if (!std::isfinite(value)) continue;
      char* out = lines.reserve(16 + core::kDoubleSize + 2);
      out = std::to_chars(out, out + 16, pattern, 16).ptr;
      *out++ = ',';
      out = core::write_double(out, value);
      *out++ = '\n';
      lines.advance_to(out);
    }
    return to_bytes(lines.view());
  });
}

// CPython stores functions of every signature as PyCFunction and calls them by their flags.
template <typename Function>
PyCFunction as_method(Function* function) noexcept {
  return reinterpret_cast<PyCFunction>(reinterpret_cast<void (*)()>(function));
}

constexpr int kFast = METH_FASTCALL | METH_KEYWORDS;

// NOLINTNEXTLINE(cppcoreguidelines-avoid-non-const-global-variables): CPython wants it writable and keeps a pointer
PyMethodDef methods[] = {
    {"canonical", as_method(canonical), kFast,
     "canonical(value, profile='exact', defaults=None)\n--\n\n"
     "The canonical form of a Python value, as UTF-8 JSON text. DataError names the JSON path of what has none."},
    {"digest", as_method(digest), kFast,
     "digest(value, profile='exact', defaults=None)\n--\n\nSHA-256 of canonical(value, ...): 32 bytes."},
    {"canonical_json", as_method(canonical_json), kFast,
     "canonical_json(text, profile='exact', defaults=None)\n--\n\nThe canonical form of JSON text (str, or bytes of "
     "UTF-8)."},
    {"digest_json", as_method(digest_json), kFast,
     "digest_json(text, profile='exact', defaults=None)\n--\n\nSHA-256 of canonical_json(text, ...): 32 bytes."},
    {"sha256", as_method(sha256), METH_O, "sha256(data, /)\n--\n\nSHA-256 of bytes: 32 bytes."},
    {"number", as_method(number), METH_O,
     "number(value, /)\n--\n\nThe text of a double in the canonical form (ECMAScript's shortest)."},
    {"number_lines", as_method(number_lines), METH_O,
     "number_lines(bits, /)\n--\n\n"
     "One line 'hexadecimal bit pattern,number' for each eight bytes that are a finite double: the format in which "
     "the\n"
     "reference checksums of ECMAScript numbers are published."},
    {nullptr, nullptr, 0, nullptr},
};

}  // namespace

void register_canonical(py::module_& module) {
  prepare_canonical_walk();
  if (PyModule_AddFunctions(module.ptr(), methods) != 0) throw py::error_already_set{};
}

}  // namespace strandline::bindings
