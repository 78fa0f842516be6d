#pragma once

#include "tools/cli/bench_result.hpp"
#include "tools/cli/session.hpp"

namespace fairlead::cli {

// As -o asks: the object itself, or for people the machine, what the figures of a family have in common, a
// table, what limits a target that is not held, and notes.
void print_bench_result(Session& session, const Json& result);
void print_comparison(Session& session, const Comparison& comparison);

}  // namespace fairlead::cli
