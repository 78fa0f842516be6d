#include "tests/golden/rows.hpp"

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <stdexcept>

namespace fairlead::golden {
namespace {

// Reads one file, line by line.
class Reader {
 public:
  Reader(std::string file, Rows& rows) : file_(std::move(file)), rows_(rows) {}

  void read(std::istream& stream) {
    for (std::string line; std::getline(stream, line);) {
      ++number_;
      const size_t begin = line.find_first_not_of(" \t");
      if (begin == std::string::npos || line[begin] == '#') continue;
      try {
        read_line(line.substr(begin));
      } catch (const std::out_of_range&) {
        refuse("unknown name in: " + line);
      } catch (const std::invalid_argument& wrong) {
        refuse(wrong.what());
      }
    }
    if (in_world_) refuse("the world " + world_ + " has no end");
  }

 private:
  [[noreturn]] void refuse(const std::string& what) const {
    throw std::invalid_argument(file_ + ":" + std::to_string(number_) + ": " + what);
  }

  void read_line(const std::string& line) {
    const size_t space = line.find(' ');
    const std::string verb = line.substr(0, space);
    std::string rest = space == std::string::npos ? "" : line.substr(space);
    rest.erase(0, std::min(rest.find_first_not_of(' '), rest.size()));
    if (in_world_) {
      if (verb == "end") {
        in_world_ = false;
      } else {
        read_world_line(rows_.states.at(world_), line);
      }
    } else if (verb == "world") {
      std::stringstream words(rest);
      std::string extends, base;
      words >> world_ >> extends >> base;
      rows_.states[world_] = base.empty() ? World{} : rows_.states.at(base);
      in_world_ = true;
    } else if (verb == "row") {
      Row row;
      row.name = rest;
      row.file = file_;
      rows_.rows.push_back(row);
      in_row_ = true;
    } else if (!in_row_) {
      throw std::invalid_argument("expected row or world, found " + verb);
    } else {
      read_row_line(rows_.rows.back(), verb, rest);
    }
  }

  void read_row_line(Row& row, const std::string& verb, const std::string& rest) {
    if (verb == "state") {
      if (!rows_.states.contains(rest)) throw std::invalid_argument("no world is called " + rest);
      row.state = rest;
    } else if (verb == "in" || verb == "change" || verb == "count" || verb == "wait") {
      row.stimuli.push_back(stimulus(verb, rest));
      row.stimuli.back().line = number_;
    } else {
      if (row.stimuli.empty() || row.stimuli.back().frame.empty())
        throw std::invalid_argument(verb + " without a packet before it");
      read_expectation(row.stimuli.back().expected, verb, rest);
    }
  }

  Stimulus stimulus(const std::string& verb, const std::string& rest) const {
    Stimulus made;
    if (verb == "in") {
      read_packet(made, rest);
    } else if (verb == "change") {
      if (!rows_.states.contains(rest)) throw std::invalid_argument("no world is called " + rest);
      made.change_to = rest;
    } else if (verb == "wait") {
      made.wait_seconds = static_cast<uint32_t>(std::stoul(rest));
      if (made.wait_seconds == 0) throw std::invalid_argument("wait how long?");
    } else {
      std::stringstream words(rest);
      for (std::string word; words >> word;) {
        made.counted[word.substr(0, word.find('='))] = std::stoull(word.substr(word.find('=') + 1));
      }
    }
    return made;
  }

  // PORT [partial] [gso=SIZE] FRAME
  static void read_packet(Stimulus& made, std::string rest) {
    size_t space = rest.find(' ');
    made.port = port_named(rest.substr(0, space));
    for (rest = rest.substr(space + 1);; rest = rest.substr(space + 1)) {
      space = rest.find(' ');
      const std::string word = rest.substr(0, space);
      if (word == "partial") {
        made.partial = true;
      } else if (word.starts_with("gso=")) {
        made.segment_size = static_cast<uint32_t>(std::stoul(word.substr(4)));
      } else {
        break;
      }
      if (space == std::string::npos) throw std::invalid_argument("a packet without a frame");
    }
    made.frame = rest;
  }

  static void read_expectation(std::vector<Expectation>& expected, const std::string& verb,
                               const std::string& rest) {
    using Kind = Expectation::Kind;
    const auto out = [&]() -> Expectation::Out {
      const size_t space = rest.find(' ');
      return {port_named(rest.substr(0, space)), rest.substr(space + 1)};
    };
    if (verb == "out") {
      expected.push_back({Kind::kOut, {out()}, ""});
    } else if (verb == "or") {
      if (expected.empty() || expected.back().kind != Kind::kOut)
        throw std::invalid_argument("or without an out before it");
      expected.back().any_of.push_back(out());
    } else if (verb == "drop") {
      expected.push_back({Kind::kDrop, {}, rest});
    } else if (verb == "for") {
      expected.push_back({Kind::kAnswerFor, {}, rest});
    } else if (verb == "hold") {
      expected.push_back({Kind::kHold, {}, ""});
    } else {
      throw std::invalid_argument("unknown line: " + verb);
    }
  }

  static uint32_t port_named(const std::string& name) {
    static const std::map<std::string, uint32_t> ports{
        {"uplink", kUplinkPort}, {"trunk", kTrunkPort}, {"host", kHostPort}};
    const auto found = ports.find(name);
    if (found == ports.end()) throw std::invalid_argument("no port is called " + name);
    return found->second;
  }

  std::string file_, world_;
  Rows& rows_;
  bool in_world_ = false, in_row_ = false;
  int number_ = 0;
};

}  // namespace

void read_rows(const std::string& text, const std::string& name, Rows& rows) {
  std::stringstream stream(text);
  Reader(name, rows).read(stream);
}

Rows load_rows(const std::string& directory) {
  Rows rows;
  std::vector<std::filesystem::path> files;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(directory)) {
    if (entry.path().extension() == ".rows") files.push_back(entry.path());
  }
  std::sort(files.begin(), files.end());
  for (const auto& path : files) {
    std::ifstream stream(path);
    Reader(std::filesystem::relative(path, directory).string(), rows).read(stream);
  }
  return rows;
}

}  // namespace fairlead::golden
