#include "bindings/canonical_walk.hpp"

#include <datetime.h>

#include <date/date.h>

#include <string>

#include "core/error.hpp"

namespace py = pybind11;

namespace strandline::bindings {
namespace {

constexpr std::int64_t kSecond = 1'000'000;  // microseconds

struct Slot {
  core::CanonicalWriter writer;
  bool lent = false;
};

Slot& thread_slot() {
  thread_local Slot slot;
  return slot;
}

std::string type_name(PyObject* object) { return Py_TYPE(object)->tp_name; }

std::string text_of(PyObject* object) { return py::str{py::handle{object}}; }

// A class of a module that may never have been imported; then no value can be one of its instances.
class LazyType {
 public:
  LazyType(const char* module, const char* name) : module_{module}, name_{name} {}

  bool holds(PyObject* object) { return found() && PyObject_TypeCheck(object, type_) != 0; }

  // For abstract classes, which know their instances by more than inheritance.
  bool recognises(PyObject* object) {
    if (!found()) return false;
    const int answer = PyObject_IsInstance(object, reinterpret_cast<PyObject*>(type_));
    if (answer < 0) throw py::error_already_set{};
    return answer != 0;
  }

 private:
  bool found() {
    if (type_ != nullptr) return true;
    const auto name = py::reinterpret_steal<py::object>(PyUnicode_FromString(module_));
    const auto module = py::reinterpret_steal<py::object>(PyImport_GetModule(name.ptr()));
    if (!module) {
      if (PyErr_Occurred() != nullptr) throw py::error_already_set{};
      return false;
    }
    // The reference is kept for the life of the process, as the modules themselves are.
    py::object type = module.attr(name_);
    type_ = reinterpret_cast<PyTypeObject*>(type.release().ptr());
    return true;
  }

  const char* module_;
  const char* name_;
  PyTypeObject* type_ = nullptr;
};

// Walks one value. Exact types come first, by a pointer comparison each, in the order in which they are common.
// The recursion is bounded by CanonicalWriter::kMaxDepth.
class Walker {
 public:
  explicit Walker(core::CanonicalWriter& writer) : writer_{writer} {}

  void value(PyObject* object) {
    const PyTypeObject* const type = Py_TYPE(object);
    if (type == &PyUnicode_Type) return writer_.string(utf8(object, "string"));
    if (type == &PyLong_Type) return integer(object);
    if (type == &PyDict_Type) return dict(object);
    if (type == &PyFloat_Type) return writer_.number(PyFloat_AS_DOUBLE(object));
    if (object == Py_None) return writer_.null();
    if (type == &PyBool_Type) return writer_.boolean(object == Py_True);
    if (type == &PyList_Type) return list(object);
    if (type == &PyTuple_Type) return tuple(object);
    uncommon(object);
  }

 private:
  // The object's own bytes where it is ASCII, else the UTF-8 that it keeps beside its text.
  [[nodiscard]] std::string_view utf8(PyObject* text, const char* role) const {
    if (PyUnicode_IS_COMPACT_ASCII(text)) {
      return {reinterpret_cast<const char*>(PyUnicode_1BYTE_DATA(text)),
              static_cast<std::size_t>(PyUnicode_GET_LENGTH(text))};
    }
    Py_ssize_t size = 0;
    const char* const data = PyUnicode_AsUTF8AndSize(text, &size);
    if (data == nullptr) {
      if (PyErr_ExceptionMatches(PyExc_UnicodeEncodeError) == 0) throw py::error_already_set{};
      PyErr_Clear();
      writer_.fail(std::string{"a "} + role + " with a lone surrogate, which is no Unicode text");
    }
    return {data, static_cast<std::size_t>(size)};
  }

  void integer(PyObject* object) {
    int overflow = 0;
    const long long value = PyLong_AsLongLongAndOverflow(object, &overflow);
    if (overflow == 0) return writer_.integer(static_cast<std::int64_t>(value));
    // By way of hexadecimal: Python refuses decimal text of more than 4,300 digits.
    const auto hex = py::reinterpret_steal<py::object>(PyNumber_ToBase(object, 16));
    if (!hex) throw py::error_already_set{};
    writer_.hex_integer(utf8(hex.ptr(), "number"));
  }

  void key(PyObject* object) {
    if (Py_TYPE(object) != &PyUnicode_Type && !PyUnicode_Check(object)) {
      writer_.fail("the key " + std::string{py::repr(py::handle{object})} + " (" + type_name(object) +
                   ") is not a string; object keys are");
    }
    writer_.key(utf8(object, "key"));
  }

  // A reference is held while a value is written that may run Python code (a time zone, a mapping), which may let go of it.
  void held(PyObject* borrowed) {
    const PyTypeObject* const type = Py_TYPE(borrowed);
    if (type == &PyUnicode_Type) return writer_.string(utf8(borrowed, "string"));
    if (type == &PyLong_Type) return integer(borrowed);
    const auto object = py::reinterpret_borrow<py::object>(borrowed);
    value(object.ptr());
  }

  void dict(PyObject* object) {
    writer_.begin_object();
    const Py_ssize_t size = PyDict_GET_SIZE(object);
    PyObject* name = nullptr;
    PyObject* member = nullptr;
    for (Py_ssize_t at = 0; PyDict_Next(object, &at, &name, &member) != 0;) {
      key(name);
      held(member);
      if (PyDict_GET_SIZE(object) != size) writer_.fail("a dict that changed while it was read");
    }
    writer_.end_object();
  }

  void list(PyObject* object) {
    writer_.begin_array();
    for (Py_ssize_t i = 0; i < PyList_GET_SIZE(object); ++i) held(PyList_GET_ITEM(object, i));
    writer_.end_array();
  }

  void tuple(PyObject* object) {
    writer_.begin_array();
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(object); ++i) value(PyTuple_GET_ITEM(object, i));
    writer_.end_array();
  }

  void mapping(PyObject* object) {
    const auto items = py::reinterpret_steal<py::list>(PyMapping_Items(object));
    if (!items) throw py::error_already_set{};
    writer_.begin_object();
    for (const py::handle item : items) {
      const auto pair = py::cast<py::tuple>(item);
      const py::object name = pair[0];
      const py::object member = pair[1];
      key(name.ptr());
      value(member.ptr());
    }
    writer_.end_object();
  }

  void uncommon(PyObject* object) {
    static LazyType decimal{"decimal", "Decimal"};
    static LazyType uuid{"uuid", "UUID"};
    static LazyType abstract_mapping{"_collections_abc", "Mapping"};
    if (PyDateTime_Check(object)) return datetime(object);  // before date, its base class
    if (PyDate_Check(object)) return date(object);
    if (decimal.holds(object)) return writer_.decimal(text_of(object));
    if (uuid.holds(object)) return writer_.string(text_of(object));
    if (PyUnicode_Check(object)) return writer_.string(utf8(object, "string"));
    if (PyLong_Check(object)) return integer(object);
    if (PyFloat_Check(object)) return writer_.number(PyFloat_AS_DOUBLE(object));
    if (PyDict_Check(object)) return dict(object);
    if (PyList_Check(object)) return list(object);
    if (PyTuple_Check(object)) return tuple(object);
    if (abstract_mapping.recognises(object)) return mapping(object);
    refuse(object);
  }

  void date(PyObject* object) {
    writer_.date(PyDateTime_GET_YEAR(object), static_cast<unsigned>(PyDateTime_GET_MONTH(object)),
                 static_cast<unsigned>(PyDateTime_GET_DAY(object)));
  }

  void datetime(PyObject* object) {
    const std::int64_t offset = utc_offset(object);
    refuse_nanoseconds(object);
    const date::sys_days day{date::year{PyDateTime_GET_YEAR(object)} /
                             date::month{static_cast<unsigned>(PyDateTime_GET_MONTH(object))} /
                             date::day{static_cast<unsigned>(PyDateTime_GET_DAY(object))}};
    const std::int64_t seconds = std::int64_t{day.time_since_epoch().count()} * 86'400 +
                                 PyDateTime_DATE_GET_HOUR(object) * 3'600 + PyDateTime_DATE_GET_MINUTE(object) * 60 +
                                 PyDateTime_DATE_GET_SECOND(object);
    writer_.instant(seconds * kSecond + PyDateTime_DATE_GET_MICROSECOND(object) - offset);
  }

  // Microseconds east of UTC, as the value's own time zone says for that moment (its `fold` included).
  [[nodiscard]] std::int64_t utc_offset(PyObject* object) const {
    if (PyDateTime_DATE_GET_TZINFO(object) == PyDateTime_TimeZone_UTC) return 0;
    const py::object offset = py::handle{object}.attr("utcoffset")();
    if (offset.is_none()) {
      writer_.fail("the naive datetime " + text_of(object) + "; give it a time zone, such as datetime.timezone.utc");
    }
    const PyObject* const delta = offset.ptr();
    const std::int64_t seconds =
        std::int64_t{PyDateTime_DELTA_GET_DAYS(delta)} * 86'400 + PyDateTime_DELTA_GET_SECONDS(delta);
    return seconds * kSecond + PyDateTime_DELTA_GET_MICROSECONDS(delta);
  }

  // Subclasses (pandas.Timestamp) can be finer than microseconds; cutting that off would give two values one text.
  void refuse_nanoseconds(PyObject* object) const {
    if (PyDateTime_CheckExact(object)) return;
    const py::object finer = py::getattr(py::handle{object}, "nanosecond", py::none());
    if (!finer.is_none() && PyObject_IsTrue(finer.ptr()) != 0) {
      writer_.fail("a " + type_name(object) + " with nanoseconds; round it to microseconds");
    }
  }

  [[noreturn]] void refuse(PyObject* object) const {
    const std::string name = type_name(object);
    if (PyBytes_Check(object) || PyByteArray_Check(object) || PyMemoryView_Check(object)) {
      writer_.fail(name + " has no canonical form; decode it, or pass hexadecimal or base64 text");
    }
    if (PyAnySet_Check(object)) writer_.fail("a " + name + " has no order; pass a sorted list");
    if (PyObject_HasAttrString(object, "__dataclass_fields__") != 0) {
      writer_.fail("the dataclass " + name + " has no canonical form; pass dataclasses.asdict(value)");
    }
    if (PyDelta_Check(object)) writer_.fail(name + " has no canonical form; pass its seconds or ISO 8601 text");
    writer_.fail(
        name +
        " has no canonical form; pass None, bool, int, float, Decimal, str, an aware datetime, a date, a UUID, "
        "a list, a tuple or a dict with string keys");
  }

  core::CanonicalWriter& writer_;
};

}  // namespace

WriterLoan::WriterLoan() {
  Slot& slot = thread_slot();
  if (slot.lent) own_ = std::make_unique<core::CanonicalWriter>();
  slot.lent = true;
  writer_ = own_ ? own_.get() : &slot.writer;
}

WriterLoan::~WriterLoan() {
  if (!own_) thread_slot().lent = false;
}

void write_python(core::CanonicalWriter& writer, PyObject* value) { Walker{writer}.value(value); }

std::string_view python_text(PyObject* object, std::string_view what) {
  if (PyBytes_Check(object)) {
    return {PyBytes_AS_STRING(object), static_cast<std::size_t>(PyBytes_GET_SIZE(object))};
  }
  const std::string name{what};
  if (!PyUnicode_Check(object)) {
    throw core::Error{core::ErrorCode::DataError, name + " is str or bytes, not " + type_name(object)};
  }
  Py_ssize_t size = 0;
  const char* const data = PyUnicode_AsUTF8AndSize(object, &size);
  if (data == nullptr) {
    if (PyErr_ExceptionMatches(PyExc_UnicodeEncodeError) == 0) throw py::error_already_set{};
    PyErr_Clear();
    throw core::Error{core::ErrorCode::DataError, "$: " + name + " holds a lone surrogate, which is no Unicode text",
                      R"({"path":"$"})"};
  }
  return {data, static_cast<std::size_t>(size)};
}

void prepare_canonical_walk() {
  PyDateTime_IMPORT;
  if (PyDateTimeAPI == nullptr) throw py::error_already_set{};
}

}  // namespace strandline::bindings
