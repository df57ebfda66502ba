// SPDX-License-Identifier: Apache-2.0
// Collectives in shared memory against MPI's own and against plain copies, in one run:
// mpirun -n 4 shm_bench [--check] [--largest MIB].
#include <array>
#include <cstdint>
#include <cstring>
#include <exception>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <fmt/format.h>
#include <mpi.h>

#include "collectives/half_types.hpp"
#include "collectives/mpi/check.hpp"
#include "collectives/mpi/element_types.hpp"
#include "collectives/mpi/session.hpp"
#include "collectives/shm/shm_communicator.hpp"
#include "emulator/base/error.hpp"
#include "tests/bench/all_reduce_timing.hpp"

namespace traindyno::bench {

namespace {

constexpr std::int64_t kib = 1024;
constexpr std::int64_t mib = 1024 * kib;
constexpr int rounds = 10;

enum class Operation : std::uint8_t { all_reduce, reduce_scatter, all_gather };

/// One line of the table. `bytes` is the whole: an all-gather's output, a reduce-scatter's input.
struct Line {
    Operation operation = Operation::all_reduce;
    DType type = DType::fp32;
    std::int64_t bytes = 0;
};

struct Targets {
    double heap = 0;      ///< times faster than MPI
    double ordinary = 0;  ///< likewise; 0: none
    bool steady = false;  ///< ordinary buffers: slowest of ten runs below 1.5 times the fastest
};

/// Seconds per call, round by round, of the slowest rank.
struct Samples {
    std::vector<double> native;
    std::vector<double> heap;
    std::vector<double> ordinary;
    std::vector<double> copies;  ///< of the message, on all ranks at once
};

struct Buffers {
    std::span<std::byte> in;
    std::span<std::byte> out;
};

Targets targets_of(const Line& line) {
    const bool whole = line.operation == Operation::all_reduce;
    const double part = whole ? 1.0 : 0.5;
    if (line.bytes >= 64 * mib) {
        return {.heap = 6 * part, .ordinary = 3.5 * part, .steady = true};
    }
    if (line.bytes == 16 * mib) {
        return {.heap = 4 * part};
    }
    return {.heap = line.bytes == 4 * kib && whole ? 4.0 : 0.0};
}

/// Small integers, exact in every type.
void fill(std::span<std::byte> bytes, DType type, std::int64_t seed) {
    for (std::size_t i = 0; i < bytes.size() / static_cast<std::size_t>(element_size(type)); ++i) {
        const auto value = static_cast<float>((static_cast<std::int64_t>(i) + seed) % 5);
        if (type == DType::bf16) {
            reinterpret_cast<Bf16*>(bytes.data())[i] = to_bf16(value);
        } else {
            reinterpret_cast<float*>(bytes.data())[i] = value;
        }
    }
}

class Comparison {
  public:
    Comparison(Communicator& world, MPI_Comm raw, Communicator& shm, SharedHeap& heap, Line line)
        : world_(world), raw_(raw), shm_(shm), line_(line) {
        const std::int64_t part = line.bytes / world.size();
        const auto in =
            static_cast<std::size_t>(line.operation == Operation::all_gather ? part : line.bytes);
        const auto out = static_cast<std::size_t>(
            line.operation == Operation::reduce_scatter ? part : line.bytes);
        memory_ = std::make_unique<std::byte[]>(in + out + line_bytes);
        const std::size_t past = reinterpret_cast<std::uintptr_t>(memory_.get()) % line_bytes;
        std::byte* const start = memory_.get() + (line_bytes - past);
        ordinary_ = {.in = {start, in}, .out = {start + in, out}};
        lent_in_ = heap.lend(in);
        lent_out_ = heap.lend(out);
        TD_EXPECT(lent_in_ != nullptr && lent_out_ != nullptr);
        lent_ = {.in = {lent_in_.get(), in}, .out = {lent_out_.get(), out}};
        for (const Buffers& each : {ordinary_, lent_}) {
            fill(each.in, line.type, world.rank().value());
            std::memset(each.out.data(), 0xff, each.out.size());
        }
    }

    /// Every way once, then once more in the opposite order, ten times.
    [[nodiscard]] Samples measure() {
        const std::array<std::function<void()>, 4> ways{
            [this] { native(); },
            [this] { ours(lent_); },
            [this] { ours(ordinary_); },
            [this] { copy(); },
        };
        std::array<std::vector<double>, 4> samples;
        const std::int64_t batch = std::clamp<std::int64_t>(2 * mib / line_.bytes, 1, 200);
        for (int round = -1; round < rounds; ++round) {  // one to warm up
            std::array<double, 4> seconds{};
            for (const std::size_t way : {0U, 1U, 2U, 3U, 3U, 2U, 1U, 0U}) {
                seconds[way] += seconds_of(world_, [&] {
                    for (std::int64_t i = 0; i < batch; ++i) {
                        ways[way]();
                    }
                });
            }
            for (std::size_t way = 0; way < ways.size() && round >= 0; ++way) {
                samples[way].push_back(seconds[way] / static_cast<double>(2 * batch));
            }
        }
        check_result();
        return {.native = slowest(world_, samples[0]),
                .heap = slowest(world_, samples[1]),
                .ordinary = slowest(world_, samples[2]),
                .copies = slowest(world_, samples[3])};
    }

  private:
    static constexpr std::size_t line_bytes = 64;

    void native() {
        const auto elements = static_cast<int>(line_.bytes / element_size(line_.type));
        const auto part = static_cast<int>(elements / world_.size());
        MPI_Datatype type = types_.datatype(line_.type);
        MPI_Op sum = types_.operation(line_.type, Reduction::sum);
        const void* const in = ordinary_.in.data();
        void* const out = ordinary_.out.data();
        switch (line_.operation) {
            case Operation::all_reduce:
                TD_MPI(MPI_Allreduce(in, out, elements, type, sum, raw_));
                break;
            case Operation::reduce_scatter:
                TD_MPI(MPI_Reduce_scatter_block(in, out, part, type, sum, raw_));
                break;
            case Operation::all_gather:
                TD_MPI(MPI_Allgather(in, part, type, out, part, type, raw_));
                break;
        }
    }

    void ours(const Buffers& buffers) {
        Pending pending = [&] {
            switch (line_.operation) {
                case Operation::reduce_scatter:
                    return shm_.reduce_scatter(
                        buffers.in, buffers.out, line_.type, Reduction::sum, Urgency::immediate);
                case Operation::all_gather:
                    return shm_.all_gather(buffers.in, buffers.out, Urgency::immediate);
                case Operation::all_reduce:
                    break;
            }
            return shm_.all_reduce(
                buffers.in, buffers.out, line_.type, Reduction::sum, Urgency::immediate);
        }();
        TD_EXPECT(pending.done());
    }

    /// What all ranks must move at least: an all-reduce reads every input and writes every output
    /// once, and so does a copy.
    void copy() {
        std::byte* const to = ordinary_.out.data();
        const std::size_t bytes = std::min(ordinary_.in.size(), ordinary_.out.size());
        if (line_.operation == Operation::all_reduce) {
            std::memcpy(to, ordinary_.in.data(), bytes);
            return;
        }
        const bool scatter = line_.operation == Operation::reduce_scatter;
        for (std::int64_t i = 0; i < world_.size(); ++i) {
            const std::size_t offset = static_cast<std::size_t>(i) * bytes;
            std::memcpy(
                to + (scatter ? 0 : offset), ordinary_.in.data() + (scatter ? offset : 0), bytes);
        }
    }

    /// All ways leave the same bits: the values are small integers.
    void check_result() {
        native();
        const std::vector<std::byte> expected(ordinary_.out.begin(), ordinary_.out.end());
        for (const Buffers& each : {ordinary_, lent_}) {
            std::memset(each.out.data(), 0xff, each.out.size());
            ours(each);
            TD_EXPECT(std::memcmp(expected.data(), each.out.data(), expected.size()) == 0);
        }
    }

    Communicator& world_;
    MPI_Comm raw_;
    Communicator& shm_;
    Line line_;
    ElementTypes types_;
    std::unique_ptr<std::byte[]> memory_;
    std::shared_ptr<std::byte> lent_in_;
    std::shared_ptr<std::byte> lent_out_;
    Buffers ordinary_;
    Buffers lent_;
};

double spread(const std::vector<double>& samples) {
    const auto [fastest, slowest] = std::minmax_element(samples.begin(), samples.end());
    return *slowest / *fastest;
}

const char* name_of(Operation operation) {
    switch (operation) {
        case Operation::all_reduce:
            return "all-reduce";
        case Operation::reduce_scatter:
            return "reduce-scatter";
        case Operation::all_gather:
            break;
    }
    return "all-gather";
}

/// What is missed, or "". A ratio to MPI counts as reached where copies alone would not reach it:
/// within 1.2 times their time nothing faster can be expected.
std::string verdict(const Line& line, const Samples& samples, bool& missed) {
    const Targets targets = targets_of(line);
    const double to_copies = 1 / median_ratio(samples.copies, samples.heap);
    const bool at_bound = to_copies <= 1.2;
    std::string text;
    const auto require = [&](bool reached, const char* what) {
        if (!reached) {
            missed = true;
            text += fmt::format(" {}", what);
        }
    };
    const double heap = median_ratio(samples.native, samples.heap);
    const double ordinary = median_ratio(samples.native, samples.ordinary);
    require(heap >= targets.heap || (line.bytes >= 16 * mib && at_bound), "heap");
    require(line.bytes < 16 * mib || line.operation != Operation::all_reduce || at_bound, "bound");
    require(ordinary >= targets.ordinary, "ordinary");
    require(!targets.steady || spread(samples.ordinary) < 1.5, "spread");
    if (text.empty()) {
        return heap >= targets.heap ? "" : " (bound)";
    }
    return " missed:" + text;
}

std::vector<Line> lines(std::int64_t largest) {
    std::vector<Line> result;
    const auto add = [&](Operation operation, DType type, std::int64_t bytes) {
        if (bytes <= largest) {
            result.push_back({.operation = operation, .type = type, .bytes = bytes});
        }
    };
    for (const std::int64_t bytes : {4 * kib, 64 * kib, mib, 16 * mib, 64 * mib, 256 * mib}) {
        add(Operation::all_reduce, DType::fp32, bytes);
    }
    for (const std::int64_t bytes : {16 * mib, 64 * mib, 256 * mib}) {
        add(Operation::all_reduce, DType::bf16, bytes);
    }
    for (const Operation operation : {Operation::reduce_scatter, Operation::all_gather}) {
        for (const std::int64_t bytes : {64 * kib, 16 * mib, 64 * mib, 256 * mib}) {
            add(operation, DType::fp32, bytes);
        }
    }
    return result;
}

/// Whether a target was missed.
bool run(const MpiSession& session, std::int64_t largest) {
    const std::unique_ptr<Communicator> world = session.world();
    MPI_Comm raw = MPI_COMM_NULL;
    TD_MPI(MPI_Comm_dup(MPI_COMM_WORLD, &raw));
    const std::shared_ptr<SharedHeap> heap = SharedHeap::create(*world);
    const std::unique_ptr<Communicator> shm = make_shm_communicator(session.world(), heap);
    const bool prints = session.rank() == WorldRank{0};
    bool missed = false;
    if (prints) {
        fmt::print("{}, {} ranks, sum out of place\n", MpiSession::version(), session.size());
        fmt::print("{:<14} {:>4} {:>8} {:>11} {:>11} {:>11} {:>11} {:>7} {:>7} {:>7} {:>7}\n",
                   "operation",
                   "type",
                   "KiB",
                   "MPI, us",
                   "heap, us",
                   "ordin., us",
                   "copies, us",
                   "heap x",
                   "ordin x",
                   "spread",
                   "/copies");
    }
    for (const Line& line : lines(largest)) {
        Comparison comparison(*world, raw, *shm, *heap, line);
        const Samples samples = comparison.measure();
        const std::string text = verdict(line, samples, missed);
        if (prints) {
            fmt::print(
                "{:<14} {:>4} {:>8} {:>11.2f} {:>11.2f} {:>11.2f} {:>11.2f} {:>7.2f} {:>7.2f} "
                "{:>7.2f} {:>7.2f}{}\n",
                name_of(line.operation),
                to_string(line.type),
                line.bytes / kib,
                1e6 * median(samples.native),
                1e6 * median(samples.heap),
                1e6 * median(samples.ordinary),
                1e6 * median(samples.copies),
                median_ratio(samples.native, samples.heap),
                median_ratio(samples.native, samples.ordinary),
                spread(samples.ordinary),
                1 / median_ratio(samples.copies, samples.heap),
                text);
            std::fflush(stdout);
        }
    }
    TD_MPI(MPI_Comm_free(&raw));
    return missed;
}

}  // namespace

}  // namespace traindyno::bench

int main(int argc, char** argv) {
    traindyno::MpiSession session(argc, argv);
    try {
        bool checks = false;
        std::int64_t largest = 256;
        for (int i = 1; i < argc; ++i) {
            checks = checks || std::string{argv[i]} == "--check";
            if (std::string{argv[i]} == "--largest" && i + 1 < argc) {
                largest = std::stoll(argv[i + 1]);
            }
        }
        const bool missed = traindyno::bench::run(session, largest * traindyno::bench::mib);
        return checks && missed ? 1 : 0;
    } catch (const std::exception& error) {
        session.abort(static_cast<int>(traindyno::ExitCode::internal), error.what());
    }
}
