// SPDX-License-Identifier: Apache-2.0
#include "emulator/trace/clock_sync.hpp"

#include <algorithm>
#include <array>
#include <chrono>
#include <cmath>
#include <cstddef>
#include <filesystem>
#include <fstream>
#include <map>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

#include <unistd.h>

#include "collectives/control.hpp"
#include "collectives/patient_wait.hpp"
#include "emulator/base/error.hpp"

namespace traindyno {

namespace {

using Word = std::array<std::int64_t, 1>;

/// The fastest of these decides; the first few pay for the wake-up of the other side.
constexpr int rounds = 64;

/// Others wait while rank 0 asks one after another, so the pauses stay short.
constexpr Patience soon{.longest_pause = std::chrono::milliseconds{1}};

std::span<std::byte> bytes(Word& word) {
    return std::as_writable_bytes(std::span{word});
}

/// Latency is what is measured here: look without pause, but let the other side run where ranks
/// share a core.
void finish_now(Pending pending) {
    while (!pending.done()) {
        std::this_thread::yield();
    }
}

std::vector<Ping> ask(Communicator& world, GroupRank peer, const ClockSource& clock) {
    std::vector<Ping> pings(rounds);
    for (Ping& ping : pings) {
        Word question{};
        Word answer{};
        Pending heard = world.recv(bytes(answer), peer, control_tag);
        ping.asked = clock();
        finish_now(world.send(bytes(question), peer, control_tag));
        finish_now(std::move(heard));
        ping.heard = clock();
        ping.answered = SimTime{answer.front()};
    }
    return pings;
}

void answer(Communicator& world, const ClockSource& clock) {
    const GroupRank asking{0};
    for (int round = 0; round < rounds; ++round) {
        Word question{};
        Pending asked = world.recv(bytes(question), asking, control_tag);
        if (round == 0) {
            wait_patiently(asked, soon);
        }
        finish_now(std::move(asked));
        Word time{clock().count()};
        finish_now(world.send(bytes(time), asking, control_tag));
    }
}

/// For each rank the lowest rank whose clock has the same name.
std::vector<GroupRank> speakers(const std::vector<std::string>& names) {
    std::map<std::string, GroupRank> first;
    std::vector<GroupRank> result;
    for (std::size_t rank = 0; rank < names.size(); ++rank) {
        result.push_back(
            first.try_emplace(names[rank], static_cast<std::int64_t>(rank)).first->second);
    }
    return result;
}

std::string first_line(const std::filesystem::path& path) {
    std::ifstream file(path);
    std::string line;
    std::getline(file, line);
    return line;
}

std::string host_name() {
    std::array<char, 256> name{};
    return gethostname(name.data(), name.size() - 1) == 0 ? name.data() : "";
}

}  // namespace

ClockReading read_clock(std::span<const Ping> pings) {
    TD_EXPECT(!pings.empty());
    const Ping& fastest =
        *std::min_element(pings.begin(), pings.end(), [](const Ping& a, const Ping& b) {
            return a.heard - a.asked < b.heard - b.asked;
        });
    const SimTime half = (fastest.heard - fastest.asked) / 2;
    const SimTime at = fastest.asked + half;
    return {.method = ClockMethod::ping_pong,
            .at = at,
            .offset = fastest.answered - at,
            .error = half + SimTime{1}};
}

ClockSync::ClockSync(const ClockReading& reading)
    : method_(reading.method),
      at_(reading.at + reading.offset),
      offset_(reading.offset),
      error_(reading.error) {}

ClockSync::ClockSync(const ClockReading& before, const ClockReading& after) : ClockSync(before) {
    TD_EXPECT(before.method == after.method);
    if (method_ == ClockMethod::shared) {
        return;
    }
    const SimTime elapsed = after.at + after.offset - at_;
    TD_EXPECT(elapsed > SimTime{0});
    drift_ = to_seconds(after.offset - before.offset) / to_seconds(elapsed);
    error_ = std::max(before.error, after.error);
}

SimTime ClockSync::to_common(SimTime local) const {
    const double gained = drift_ * static_cast<double>((local - at_).count());
    return local - offset_ - SimTime{std::llround(gained)};
}

std::string clock_name() {
    const std::string boot = first_line("/proc/sys/kernel/random/boot_id");
    std::error_code missing;
    const std::string time_namespace =
        std::filesystem::read_symlink("/proc/self/ns/time", missing).string();
    return (boot.empty() ? host_name() : boot) + " " + time_namespace;
}

ClockReading synchronize(Communicator& world, const ClockSource& clock, const std::string& name) {
    const std::vector<GroupRank> speaker = speakers(all_gather_text(world, name));
    // at, offset, error of each rank that speaks, in picoseconds
    std::vector<std::array<std::int64_t, 3>> table(speaker.size());
    const GroupRank me = world.rank();
    for (std::size_t rank = 1; rank < speaker.size() && me == GroupRank{0}; ++rank) {
        if (speaker[rank].index() == rank) {
            const ClockReading reading = read_clock(ask(world, speaker[rank], clock));
            table[rank] = {reading.at.count(), reading.offset.count(), reading.error.count()};
        }
    }
    if (me != GroupRank{0} && speaker[me.index()] == me) {
        answer(world, clock);
    }
    Pending told = world.broadcast(
        std::as_writable_bytes(std::span{table}), GroupRank{0}, Urgency::background);
    wait_patiently(told, soon);
    const auto& [at, offset, error] = table[speaker[me.index()].index()];
    const bool shared = speaker[me.index()] == GroupRank{0};
    return {.method = shared ? ClockMethod::shared : ClockMethod::ping_pong,
            .at = SimTime{at},
            .offset = SimTime{offset},
            .error = SimTime{error}};
}

}  // namespace traindyno
