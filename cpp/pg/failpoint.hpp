#pragma once
// Places where a process can be told to die, so that recovery is tested in the build that users run. Armed only by the
// environment: STRANDLINE_FAILPOINT="NAME" or "NAME:N" ends the process with SIGKILL when the point is reached for the
// N-th time. Unarmed, a point costs one comparison.
//
// Points: page.before, copy.during, copy.after, commit.before, commit.after, fold.during.

#include <string_view>

namespace strandline::pg {

void failpoint(std::string_view name);

}  // namespace strandline::pg
