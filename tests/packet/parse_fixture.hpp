#pragma once

#include "dataplane/packet/parse.h"
#include "tests/packet/frames.hpp"

#include <gtest/gtest.h>

namespace fairlead::test {

struct Parsed : parsed {
  int error = 0;
};

inline Parsed parse(const Bytes& frame, uint32_t flags = 0) {
  GuardedFrame guarded(frame);
  Parsed out;
  out.error = parse_frame(guarded.begin(), guarded.end(), flags, &out);
  return out;
}

inline const char* name(int error) {
  static constexpr const char* kNames[] = {"OK",
#define FL_NAME(name) #name,
                                           FL_PARSE_ERRORS(FL_NAME)
#undef FL_NAME
  };
  return kNames[error];
}

#define EXPECT_PARSE(expected, frame) EXPECT_STREQ(#expected, name(parse(frame).error))

// A good frame of every kind: what is cut, flipped and compared.
inline std::vector<Bytes> good_frames() {
  std::vector<Bytes> frames;
  const std::vector<std::pair<uint8_t, Bytes>> segments = {{6, tcp(pattern(30), 0x10, Bytes(12, 1))},
                                                           {17, udp(pattern(30))},
                                                           {132, sctp(pattern(20))},
                                                           {99, pattern(20)}};
  for (const auto& [protocol, segment] : segments) {
    frames.push_back(frame4({.protocol = protocol}, segment));
    frames.push_back(frame6({.protocol = protocol}, segment));
    frames.push_back(frame6({.protocol = protocol,
                             .extensions = {{0, options_header(8)},
                                            {60, options_header(24)},
                                            {51, ah_header(16)},
                                            {44, fragment_header(0, false)},
                                            {60, options_header(8)}}},
                            segment));
  }
  frames.push_back(frame4({.protocol = 1}, icmp(8, 0, 1, 1, pattern(20))));
  frames.push_back(frame6({.protocol = 58}, icmp(128, 0, 1, 1, pattern(20))));
  frames.push_back(frame4({.protocol = 17, .fragment = 0x2000}, udp(pattern(40))));
  frames.push_back(frame4({.protocol = 17, .fragment = 0x0010}, pattern(40)));
  return frames;
}

}  // namespace fairlead::test
