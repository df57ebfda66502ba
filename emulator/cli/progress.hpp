// SPDX-License-Identifier: Apache-2.0
// Where a long run stands: one line that rewrites itself on a terminal, plain lines in a log.
#pragma once

#include <set>
#include <string>

#include "emulator/base/units.hpp"

namespace traindyno {

class ProgressLine {
  public:
    ProgressLine();
    ProgressLine(const ProgressLine&) = delete;
    ProgressLine& operator=(const ProgressLine&) = delete;
    ProgressLine(ProgressLine&&) = delete;
    ProgressLine& operator=(ProgressLine&&) = delete;
    ~ProgressLine();

    /// Shows `text` on standard error. In a log, at most one line every few seconds.
    void show(const std::string& text);
    /// A log gets the next text too, however soon it comes.
    void begin_part();
    /// Shows `text` and keeps it, in a log too.
    void keep(const std::string& text);
    /// The same, unless that text has been kept before.
    void keep_once(const std::string& text);

  private:
    std::set<std::string> kept_;
    bool terminal_;
    bool unfinished_ = false;  ///< a line without its end is on the terminal
    SimTime last_{0};
};

}  // namespace traindyno
