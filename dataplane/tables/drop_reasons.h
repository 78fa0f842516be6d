#pragma once

#include "dataplane/packet/parsed.h"
#include "dataplane/packet/types.h"

// The drop reasons of drop_reasons.def as numbers both worlds share: FL_DROP_<NAME>.

FL_BEGIN

enum fl_drop_reason {
#define FL_DROP(name, sentence) FL_DROP_##name,
#include "dataplane/tables/drop_reasons.def"
#undef FL_DROP
  FL_DROP_COUNT
};

// The reason a frame is dropped for when the parser returned `error`.
FL_INLINE __u8 drop_reason_of_parse(int error) {
  switch (error) {
#define FL_PARSE_CASE(name) \
  case FL_PARSE_##name:     \
    return FL_DROP_##name;
    FL_PARSE_ERRORS(FL_PARSE_CASE)
#undef FL_PARSE_CASE
    default:
      return FL_DROP_NONE;
  }
}

FL_END
