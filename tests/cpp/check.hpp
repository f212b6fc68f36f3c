#pragma once
// The one assertion of the C++ tests: it says where it failed and ends the program, in every kind of build.

#include <cstdio>
#include <cstdlib>

#define CHECK(condition)                                                             \
  do {                                                                               \
    if (!(condition)) {                                                              \
      std::fprintf(stderr, "%s:%d: not true: %s\n", __FILE__, __LINE__, #condition); \
      std::exit(1);                                                                  \
    }                                                                                \
  } while (false)

// The statement throws what its type says, and nothing else.
#define CHECK_THROWS(type, ...)       \
  do {                                \
    bool thrown = false;              \
    try {                             \
      static_cast<void>(__VA_ARGS__); \
    } catch (const type&) {           \
      thrown = true;                  \
    }                                 \
    CHECK(thrown);                    \
  } while (false)
