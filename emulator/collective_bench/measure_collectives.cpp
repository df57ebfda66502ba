// SPDX-License-Identifier: Apache-2.0
#include "emulator/collective_bench/measure_collectives.hpp"

#include <algorithm>
#include <chrono>
#include <span>
#include <utility>

#include <fmt/format.h>

#include "collectives/control.hpp"
#include "collectives/patient_wait.hpp"
#include "emulator/base/error.hpp"
#include "emulator/base/quantity_text.hpp"
#include "emulator/collective_bench/bench_pattern.hpp"
#include "emulator/engine/watchdog.hpp"
#include "emulator/study/statistics.hpp"

namespace traindyno {

double BenchRow::algbw_gbs() const {
    return time.p50 > 0 ? static_cast<double>(bytes().value()) / time.p50 / 1e9 : 0;
}

double BenchRow::busbw_gbs() const {
    return algbw_gbs() * bus_factor(what.op, ranks);
}

namespace {

/// Turns of each contender per size, when there are several: what drifts, drifts for all.
constexpr std::int64_t turns_each = 5;

/// Past the deadline of those who can tell whom they miss.
constexpr auto grace = std::chrono::seconds{2};

std::int64_t sum_over_ranks(Communicator& control, std::int64_t value) {
    const std::span<std::byte> bytes = std::as_writable_bytes(std::span(&value, 1));
    Pending summed =
        control.all_reduce(bytes, bytes, DType::int64, Reduction::sum, Urgency::immediate);
    wait_patiently(summed);
    return value;
}

std::string describe(const BenchRow& row) {
    return fmt::format(
        "{} {} of {} bytes ({}{}, {})",
        row.backend,
        to_string(row.what.op),
        row.bytes().value(),
        to_string(row.what.type),
        reduces(row.what.op) ? fmt::format(", {}", to_string(row.what.reduction)) : std::string{},
        row.placement == Placement::in_place ? "in place" : "out of place");
}

/// Measures all contenders at one size and placement.
class Measurement {
  public:
    Measurement(Communicator& control,
                const std::vector<Contender>& contenders,
                const BenchPlan& plan,
                const BenchBuffers& memory,
                OperationWatch& watch,
                const OpShape& shape,
                Placement placement)
        : control_(control),
          contenders_(contenders),
          plan_(plan),
          watch_(watch),
          shape_(shape),
          placement_(placement),
          memory_(memory),
          buffers_(memory.of(plan.what, shape, placement, control.rank())),
          host_(memory.on_host(plan.what, shape, placement, control.rank())),
          seconds_(contenders.size()) {}

    [[nodiscard]] std::vector<BenchRow> rows(std::uint64_t& round,
                                             std::vector<std::string>& complaints) {
        time();
        std::vector<BenchRow> rows;
        for (std::size_t i = 0; i < contenders_.size(); ++i) {
            rows.push_back(row(i));
            check(contenders_[i], rows.back(), round, complaints);
        }
        return rows;
    }

  private:
    [[nodiscard]] std::string name_of(const Contender& contender) const {
        return fmt::format("{} {} of {}",
                           contender.name,
                           to_string(plan_.what.op),
                           format_bytes(size_of(shape_, plan_.what.type)));
    }

    void time() {
        // Zeros stay zeros however often they are summed.
        std::fill(host_.in.begin(), host_.in.end(), std::byte{0});
        std::fill(host_.out.begin(), host_.out.end(), std::byte{0});
        memory_.to_operation(host_, buffers_);
        for (const Contender& contender : contenders_) {
            watch_.name(name_of(contender));
            for (std::int64_t i = 0; i < plan_.warm_up; ++i) {
                run_once(*contender.communicator, plan_.what, buffers_, watch_);
            }
        }
        const std::int64_t turns =
            contenders_.size() > 1 ? std::min(turns_each, plan_.iterations) : 1;
        for (std::int64_t turn = 0; turn < turns; ++turn) {
            const std::int64_t iterations =
                plan_.iterations * (turn + 1) / turns - plan_.iterations * turn / turns;
            for (std::size_t i = 0; i < contenders_.size(); ++i) {
                take_turn(contenders_[i], iterations, seconds_[i]);
            }
        }
    }

    void take_turn(const Contender& contender,
                   std::int64_t iterations,
                   std::vector<double>& seconds) {
        watch_.name(name_of(contender));
        barrier(control_, Urgency::immediate);
        auto begin = std::chrono::steady_clock::now();
        for (std::int64_t i = 0; i < iterations; ++i) {
            run_once(*contender.communicator, plan_.what, buffers_, watch_);
            const auto end = std::chrono::steady_clock::now();
            seconds.push_back(std::chrono::duration<double>(end - begin).count());
            begin = end;
        }
    }

    [[nodiscard]] BenchRow row(std::size_t contender) {
        const Contender& measured = contenders_[contender];
        std::vector<double> slowest = seconds_[contender];
        take_largest(control_, slowest);
        BenchRow row{.backend = measured.name,
                     .what = plan_.what,
                     .placement = placement_,
                     .ranks = control_.size(),
                     .shape = shape_,
                     .iterations = plan_.iterations,
                     .time = summarize_iterations(slowest),
                     .wrong = std::nullopt};
        if (plan_.model) {
            row.predicted_s = plan_.model(carrier_of(measured, row.what.op, row.bytes()),
                                          row.what.op,
                                          row.bytes(),
                                          row.ranks);
        }
        return row;
    }

    void check(const Contender& contender,
               BenchRow& row,
               std::uint64_t& round,
               std::vector<std::string>& complaints) {
        if (plan_.checks == 0) {
            return;
        }
        row.wrong = 0;
        watch_.name(name_of(contender));
        for (std::int64_t i = 0; i < plan_.checks; ++i) {
            const PatternVerdict own = checked(*contender.communicator, round++);
            const std::int64_t wrong = sum_over_ranks(control_, own.wrong);
            *row.wrong += wrong;
            if (wrong > 0) {
                complain(row, own, complaints);
            }
        }
    }

    [[nodiscard]] PatternVerdict checked(Communicator& group, std::uint64_t round) const {
        const BenchPattern pattern(plan_.what, control_.size(), round);
        BenchPattern::poison(host_.out);
        if (plan_.what.op != BenchOp::broadcast) {
            pattern.fill(host_.in, control_.rank());
        } else if (control_.rank() == plan_.what.root) {
            pattern.fill(host_.out, control_.rank());
        }
        memory_.to_operation(host_, buffers_);
        run_once(group, plan_.what, buffers_, watch_);
        memory_.to_host(buffers_, host_);
        return pattern.check(host_.out, control_.rank(), shape_.count);
    }

    void complain(const BenchRow& row,
                  const PatternVerdict& own,
                  std::vector<std::string>& complaints) const {
        const std::string text = own.wrong == 0
                                     ? std::string{}
                                     : fmt::format(
                                           "{}: {} wrong values on rank {}, first element {}: {}, "
                                           "expected {}",
                                           describe(row),
                                           own.wrong,
                                           control_.rank().value(),
                                           own.first,
                                           own.found,
                                           own.expected);
        for (std::string& each : all_gather_text(control_, text)) {
            if (!each.empty()) {
                complaints.push_back(std::move(each));
            }
        }
    }

    Communicator& control_;
    const std::vector<Contender>& contenders_;
    const BenchPlan& plan_;
    OperationWatch& watch_;
    OpShape shape_;
    Placement placement_;
    const BenchBuffers& memory_;
    OpBuffers buffers_;
    OpBuffers host_;                            ///< where the host writes and reads buffers_
    std::vector<std::vector<double>> seconds_;  ///< by contender and iteration, on this rank
};

/// Contender by contender, out of place before in place.
std::vector<BenchRow> merged(const std::vector<std::vector<BenchRow>>& by_placement,
                             std::size_t contenders) {
    std::vector<BenchRow> rows;
    for (std::size_t i = 0; i < contenders; ++i) {
        for (const std::vector<BenchRow>& placement : by_placement) {
            rows.push_back(placement[i]);
        }
    }
    return rows;
}

}  // namespace

void run_once(Communicator& group,
              const BenchCase& what,
              const OpBuffers& buffers,
              OperationWatch& watch) {
    constexpr Urgency urgency = Urgency::immediate;
    const std::span<const std::byte> in = buffers.in;
    const std::span<std::byte> out = buffers.out;
    const auto run = [&watch](auto&& begin) { watch.finish(watch.begin(begin)); };
    switch (what.op) {
        case BenchOp::all_reduce:
            return run(
                [&] { return group.all_reduce(in, out, what.type, what.reduction, urgency); });
        case BenchOp::reduce_scatter:
            return run(
                [&] { return group.reduce_scatter(in, out, what.type, what.reduction, urgency); });
        case BenchOp::all_gather:
            return run([&] { return group.all_gather(in, out, urgency); });
        case BenchOp::all_to_all:
            return run([&] { return group.all_to_all(in, out, {}, urgency); });
        case BenchOp::broadcast:
            return run([&] { return group.broadcast(out, what.root, urgency); });
        case BenchOp::sendrecv: {
            const std::int64_t rank = group.rank().value();
            const std::int64_t size = group.size();
            Pending received = group.recv(out, GroupRank{(rank + size - 1) % size}, 0);
            run([&] { return group.send(in, GroupRank{(rank + 1) % size}, 0); });
            return watch.finish(std::move(received));
        }
    }
}

std::string_view carrier_of(const Contender& contender, BenchOp op, Bytes bytes) {
    const auto collective = parse_enum<CollectiveOp>(to_string(op));
    const std::string_view chosen =
        collective ? contender.communicator->carrier(
                         *collective, static_cast<std::size_t>(bytes.value()), Urgency::immediate)
                   : std::string_view{};
    return chosen.empty() ? contender.name : chosen;
}

BenchTime summarize_iterations(const std::vector<double>& seconds) {
    TD_EXPECT(!seconds.empty());
    return {.min = percentile(seconds, 0),
            .p50 = percentile(seconds, 0.5),
            .p95 = percentile(seconds, 0.95),
            .max = percentile(seconds, 1)};
}

std::vector<std::string> measure_collectives(Communicator& control,
                                             const std::vector<Contender>& contenders,
                                             const BenchPlan& plan,
                                             const BenchListener& listener) {
    TD_EXPECT(!contenders.empty() && !plan.shapes.empty() && plan.iterations > 0);
    const BenchBuffers buffers(plan.shapes.back(), plan.what.type, plan.memory);
    OperationWatch watch(plan.timeout);
    const Watchdog watchdog(
        watch, plan.timeout + grace, fmt::format("rank {}", control.rank().value()));
    std::vector<std::string> complaints;
    std::uint64_t round = 0;
    for (const OpShape& shape : plan.shapes) {
        std::vector<std::vector<BenchRow>> by_placement;
        for (const Placement placement : {Placement::apart, Placement::in_place}) {
            if (has(plan.what.op, placement)) {
                listener.on_progress(
                    fmt::format("{} {}",
                                format_bytes(size_of(shape, plan.what.type)),
                                placement == Placement::apart ? "out of place" : "in place"));
                Measurement measurement(
                    control, contenders, plan, buffers, watch, shape, placement);
                by_placement.push_back(measurement.rows(round, complaints));
            }
        }
        listener.on_rows(merged(by_placement, contenders.size()));
    }
    return complaints;
}

}  // namespace traindyno
