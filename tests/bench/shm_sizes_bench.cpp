// SPDX-License-Identifier: Apache-2.0
// The sizes that collectives in shared memory choose, swept: chunks of messages between ordinary
// buffers, and when results go past the caches. mpirun -n 2 shm_sizes_bench [MiB].
#include <array>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <functional>
#include <memory>
#include <numeric>
#include <string>
#include <vector>

#include <fmt/format.h>

#include "collectives/mpi/session.hpp"
#include "collectives/reduce/reduce.hpp"
#include "collectives/shm/shm_communicator.hpp"
#include "emulator/base/error.hpp"
#include "tests/bench/all_reduce_timing.hpp"

namespace traindyno::bench {

namespace {

constexpr int rounds = 7;

struct Way {
    std::string name;
    std::function<void()> call;
    std::vector<double> seconds{};
};

/// All ways in turn, again and again; prints each one's time over the first one's.
void compare(const MpiSession& session, Communicator& world, std::vector<Way> all) {
    for (int round = -1; round < rounds; ++round) {  // one to warm up
        for (Way& way : all) {
            const double seconds = seconds_of(world, way.call);
            if (round >= 0) {
                way.seconds.push_back(seconds);
            }
        }
    }
    for (Way& way : all) {
        way.seconds = slowest(world, way.seconds);
        if (session.rank() == WorldRank{0}) {
            fmt::print("  {:<10} {:>10.0f} us  {:>5.2f}\n",
                       way.name,
                       1e6 * median(way.seconds),
                       median_ratio(way.seconds, all.front().seconds));
        }
    }
    std::fflush(stdout);
}

void sweep_chunks(const MpiSession& session,
                  Communicator& world,
                  const std::shared_ptr<SharedHeap>& heap,
                  std::size_t bytes) {
    std::vector<float> in(bytes / sizeof(float), 1.0F);
    std::vector<float> out(in.size());
    std::vector<std::unique_ptr<Communicator>> groups;
    std::vector<Way> all{
        {.name = "copies", .call = [&] { std::memcpy(out.data(), in.data(), bytes); }}};
    for (std::size_t chunk = std::size_t{16} << 10; chunk <= std::size_t{1} << 20; chunk *= 2) {
        groups.push_back(
            make_shm_communicator(session.world(), heap, ShmOptions{.chunk_bytes = chunk}));
        all.push_back(
            {.name = fmt::format("{} KiB", chunk >> 10), .call = [&, shm = groups.back().get()] {
                 Pending pending = shm->all_reduce(std::as_bytes(std::span{in}),
                                                   std::as_writable_bytes(std::span{out}),
                                                   DType::fp32,
                                                   Reduction::sum,
                                                   Urgency::immediate);
                 TD_EXPECT(pending.done());
             }});
    }
    compare(session, world, std::move(all));
}

/// What a member of an all-reduce in the heap does, on buffers of its own: it sums a part of each
/// input and writes it into each output. Then it uses the outputs, as whoever wanted them would.
void compare_stores(const MpiSession& session,
                    Communicator& world,
                    SharedHeap& heap,
                    std::size_t bytes) {
    const auto members = static_cast<std::size_t>(world.size());
    const std::size_t part = bytes / members;
    const std::shared_ptr<std::byte> memory = heap.lend(2 * bytes);
    TD_EXPECT(memory != nullptr);
    std::memset(memory.get(), 0, 2 * bytes);
    std::vector<const std::byte*> inputs;
    std::vector<std::byte*> outputs;
    for (std::size_t i = 0; i < members; ++i) {
        inputs.push_back(memory.get() + i * part);
        outputs.push_back(memory.get() + bytes + i * part);
    }
    const std::span used{reinterpret_cast<const std::uint64_t*>(memory.get() + bytes),
                         bytes / sizeof(std::uint64_t)};
    const auto run = [&](Stores stores) {
        reduce(inputs, outputs, part, {.members = world.size()}, stores);
        TD_EXPECT(std::accumulate(used.begin(), used.end(), std::uint64_t{0}) == 0);
    };
    compare(session,
            world,
            {{.name = "cached", .call = [&] { run(Stores::cached); }},
             {.name = "streamed", .call = [&] { run(Stores::streamed); }}});
}

void run(const MpiSession& session, std::size_t mib) {
    const std::unique_ptr<Communicator> world = session.world();
    const std::shared_ptr<SharedHeap> heap = SharedHeap::create(*world);
    const auto say = [&](const std::string& what) {
        if (session.rank() == WorldRank{0}) {
            fmt::print(
                "{}, {} ranks; median time, and over the first line's\n", what, world->size());
        }
    };
    say(fmt::format("all-reduce of {} MiB between ordinary buffers, by chunk", mib));
    sweep_chunks(session, *world, heap, mib << 20);
    for (std::size_t kib = 256; kib <= mib << 10; kib *= 4) {
        say(fmt::format("sums of {} KiB written and read again, by stores", kib));
        compare_stores(session, *world, *heap, kib << 10);
    }
}

}  // namespace

}  // namespace traindyno::bench

int main(int argc, char** argv) {
    traindyno::MpiSession session(argc, argv);
    try {
        traindyno::bench::run(session, argc > 1 ? std::strtoull(argv[1], nullptr, 10) : 64);
    } catch (const std::exception& error) {
        session.abort(static_cast<int>(traindyno::ExitCode::internal), error.what());
    }
}
