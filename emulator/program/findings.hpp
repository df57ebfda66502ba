// SPDX-License-Identifier: Apache-2.0
// What verification finds, cut off where a broken set of programs would repeat itself.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include <fmt/format.h>

namespace traindyno {

class Findings {
  public:
    void add(std::string finding) {
        if (list_.size() < most) {
            list_.push_back(std::move(finding));
        } else {
            ++left_out_;
        }
    }

    [[nodiscard]] bool empty() const { return list_.empty(); }

    [[nodiscard]] std::vector<std::string> take() {
        if (left_out_ > 0) {
            list_.push_back(fmt::format("... and {} more", left_out_));
        }
        return std::move(list_);
    }

  private:
    static constexpr std::size_t most = 50;
    std::vector<std::string> list_;
    std::size_t left_out_ = 0;
};

}  // namespace traindyno
