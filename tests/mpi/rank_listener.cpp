// SPDX-License-Identifier: Apache-2.0
#include "tests/mpi/rank_listener.hpp"

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <span>
#include <utility>

#include <fmt/format.h>

#include "collectives/control.hpp"
#include "emulator/base/error.hpp"

namespace traindyno::test {

namespace {

std::string name_of(const testing::TestInfo& test) {
    return fmt::format("{}.{}", test.test_suite_name(), test.name());
}

std::string who(const Communicator& world) {
    return fmt::format("[rank {}/{}]", world.rank().value(), world.size());
}

}  // namespace

RankListener::RankListener(std::unique_ptr<Communicator> world, std::chrono::seconds limit)
    : world_(std::move(world)), who_(who(*world_)), watchdog_(who_, limit) {}

void RankListener::OnTestStart(const testing::TestInfo& test) {
    watchdog_.start(name_of(test));
    failures_.clear();
    if (prints()) {
        fmt::print("[ RUN      ] {}\n", name_of(test));
        std::fflush(stdout);
    }
}

void RankListener::OnTestPartResult(const testing::TestPartResult& result) {
    if (result.failed()) {
        const char* const file = result.file_name() == nullptr ? "?" : result.file_name();
        const std::string text =
            fmt::format("{} {}:{}: {}\n", who_, file, result.line_number(), result.message());
        failures_ += text;
        watchdog_.note(text);
    }
    if (result.skipped() && prints()) {
        fmt::print("{}\n", result.message());
    }
}

void RankListener::OnTestEnd(const testing::TestInfo& test) {
    const std::vector<std::string> failures = gather_text(*world_, GroupRank{0}, failures_);
    watchdog_.stop();
    ++ran_;
    if (!prints()) {
        return;
    }
    std::string all;
    for (const std::string& text : failures) {
        all += text;
    }
    if (!all.empty()) {
        failed_.push_back(name_of(test));
    }
    const bool skipped = test.result()->Skipped();
    fmt::print("{}[{}] {} ({} ms)\n",
               all,
               !all.empty() ? "  FAILED  "
               : skipped    ? "  SKIPPED "
                            : "       OK ",
               name_of(test),
               test.result()->elapsed_time());
}

int RankListener::exit_code(int result) {
    std::array<std::int64_t, 1> worst{ran_ == 0 ? 1 : result};
    const std::span<std::byte> bytes = std::as_writable_bytes(std::span{worst});
    Pending reduced =
        world_->all_reduce(bytes, bytes, DType::int64, Reduction::max, Urgency::immediate);
    TD_EXPECT(reduced.done());
    if (prints()) {
        fmt::print("{} tests on {} ranks, {} failed\n", ran_, world_->size(), failed_.size());
        for (const std::string& name : failed_) {
            fmt::print("[  FAILED  ] {}\n", name);
        }
    }
    return static_cast<int>(worst.front());
}

}  // namespace traindyno::test
