// SPDX-License-Identifier: Apache-2.0
#include "collectives/algorithms/planned_communicator.hpp"

#include <algorithm>
#include <cstdint>
#include <map>
#include <numeric>
#include <utility>

#include <fmt/format.h>

#include "collectives/algorithms/build_plan.hpp"
#include "collectives/algorithms/plan_run.hpp"
#include "emulator/base/error.hpp"

namespace traindyno {

namespace {

/// Plans of the sizes that come again every step; beyond that many the oldest knowledge is dropped.
constexpr std::size_t most_plans = 256;

/// MPI guarantees tags up to 32767.
constexpr std::int64_t tags = 32768;

class PlannedCommunicator final : public Communicator {
  public:
    PlannedCommunicator(std::unique_ptr<Communicator> over,
                        Algorithm algorithm,
                        ChunkingRule chunking,
                        std::shared_ptr<PlansInFlight> in_flight)
        : over_(std::move(over)),
          channel_(over_->split(0, over_->rank().value())),
          algorithm_(algorithm),
          chunking_(chunking),
          in_flight_(std::move(in_flight)) {}

    [[nodiscard]] GroupRank rank() const override { return over_->rank(); }

    [[nodiscard]] std::int64_t size() const override { return over_->size(); }

    Pending all_reduce(std::span<const std::byte> in,
                       std::span<std::byte> out,
                       DType type,
                       Reduction reduction,
                       Urgency urgency) override {
        TD_EXPECT(in.size() == out.size());
        PlanRequest request = request_for(CollectiveOp::all_reduce, in.size(), type);
        request.placement = in.data() == out.data() ? Placement::in_place : Placement::out_of_place;
        return run(request, reducing(in, out, type, reduction), urgency);
    }

    Pending reduce_scatter(std::span<const std::byte> in,
                           std::span<std::byte> out,
                           DType type,
                           Reduction reduction,
                           Urgency urgency) override {
        TD_EXPECT(in.size() == out.size() * parts());
        TD_EXPECT(out.size() % static_cast<std::size_t>(element_size(type)) == 0);
        PlanRequest request = request_for(CollectiveOp::reduce_scatter, in.size(), type);
        request.placement = placement_of(out, in);
        return run(request, reducing(in, out, type, reduction), urgency);
    }

    Pending all_gather(std::span<const std::byte> in,
                       std::span<std::byte> out,
                       Urgency urgency) override {
        TD_EXPECT(out.size() == in.size() * parts());
        PlanRequest request = request_for(CollectiveOp::all_gather, out.size());
        request.placement = placement_of(in, out);
        return run(request, moving(in, out), urgency);
    }

    Pending all_to_all(std::span<const std::byte> in,
                       std::span<std::byte> out,
                       const Exchange& exchange,
                       Urgency urgency) override {
        if (!exchange.sent.empty() || !exchange.received.empty()) {
            return exchange_unequal(in, out, exchange, urgency);
        }
        TD_EXPECT(in.size() == out.size() && in.size() % parts() == 0);
        return run(request_for(CollectiveOp::all_to_all, in.size()), moving(in, out), urgency);
    }

    Pending broadcast(std::span<std::byte> buffer, GroupRank root, Urgency urgency) override {
        TD_EXPECT(root.value() >= 0);
        if (root.value() >= size()) {
            throw LibraryError("planned communicator",
                               1,
                               fmt::format("there is no rank {} in a group of {}", root.value(), size()),
                               "broadcast",
                               Where::here());
        }
        PlanRequest request = request_for(CollectiveOp::broadcast, buffer.size());
        request.root = root.value();
        return run(request, moving({}, buffer), urgency);
    }

    Pending send(std::span<const std::byte> buffer, GroupRank peer, std::int32_t tag) override {
        return over_->send(buffer, peer, tag);
    }

    Pending recv(std::span<std::byte> buffer, GroupRank peer, std::int32_t tag) override {
        return over_->recv(buffer, peer, tag);
    }

    [[nodiscard]] std::unique_ptr<Communicator> split(std::int32_t color,
                                                      std::int32_t key) override {
        return std::make_unique<PlannedCommunicator>(
            over_->split(color, key), algorithm_, chunking_, in_flight_);
    }

    void abort(int exit_code, std::string_view reason) noexcept override {
        over_->abort(exit_code, reason);
    }

  private:
    [[nodiscard]] std::size_t parts() const { return static_cast<std::size_t>(size()); }

    /// In place if `part` is this rank's part of `whole`.
    [[nodiscard]] Placement placement_of(std::span<const std::byte> part,
                                         std::span<const std::byte> whole) const {
        const bool lies_there = part.data() == whole.data() + rank().index() * part.size();
        return lies_there ? Placement::in_place : Placement::out_of_place;
    }

    [[nodiscard]] PlanRequest request_for(CollectiveOp op,
                                          std::size_t bytes,
                                          std::optional<DType> type = std::nullopt) const {
        const std::int64_t size_each = type ? element_size(*type) : 1;
        const auto whole = static_cast<std::int64_t>(bytes);
        TD_EXPECT(whole % size_each == 0);
        const Algorithm algorithm = algorithm_for(algorithm_, op);
        return {.algorithm = algorithm,
                .op = op,
                .rank = rank().value(),
                .ranks = size(),
                .count = whole / size_each,
                .chunking = chunking_(algorithm, op, whole, size(), size_each)};
    }

    [[nodiscard]] static PlanTask reducing(std::span<const std::byte> in,
                                           std::span<std::byte> out,
                                           DType type,
                                           Reduction reduction) {
        PlanTask task = moving(in, out);
        task.element_size = element_size(type);
        task.type = type;
        task.reduction = reduction;
        return task;
    }

    [[nodiscard]] static PlanTask moving(std::span<const std::byte> in, std::span<std::byte> out) {
        PlanTask task;
        task.input = in;
        task.work = out;
        return task;
    }

    Pending exchange_unequal(std::span<const std::byte> in,
                             std::span<std::byte> out,
                             const Exchange& exchange,
                             Urgency urgency) {
        const auto adds_up = [&](std::span<const std::int64_t> sizes, std::size_t whole) {
            return sizes.size() == parts() &&
                   std::accumulate(sizes.begin(), sizes.end(), std::int64_t{0}) ==
                       static_cast<std::int64_t>(whole);
        };
        TD_EXPECT(adds_up(exchange.sent, in.size()) && adds_up(exchange.received, out.size()));
        TD_EXPECT(exchange.sent[rank().index()] == exchange.received[rank().index()]);
        PlanTask task = moving(in, out);
        task.plan = std::make_shared<const CollectivePlan>(
            build_exchange(rank().value(), exchange.sent, exchange.received));
        return start(std::move(task), urgency);
    }

    Pending run(const PlanRequest& request, PlanTask task, Urgency urgency) {
        const auto found = plans_.find(request);
        if (found != plans_.end()) {
            task.plan = found->second;
        } else {
            task.plan = std::make_shared<const CollectivePlan>(build_plan(request));
            if (plans_.size() == most_plans) {
                plans_.clear();
            }
            plans_.emplace(request, task.plan);
        }
        return start(std::move(task), urgency);
    }

    Pending start(PlanTask task, Urgency urgency) {
        if (next_tag_ + task.plan->lanes > tags) {
            next_tag_ = 0;
        }
        task.channel = channel_;
        task.first_tag = static_cast<std::int32_t>(next_tag_);
        next_tag_ += task.plan->lanes;
        Pending pending = PlansInFlight::begin(in_flight_, std::move(task));
        while (urgency == Urgency::immediate && !pending.done()) {
        }
        return pending;
    }

    std::unique_ptr<Communicator> over_;
    std::shared_ptr<Communicator> channel_;
    Algorithm algorithm_;
    ChunkingRule chunking_;
    std::shared_ptr<PlansInFlight> in_flight_;
    std::map<PlanRequest, std::shared_ptr<const CollectivePlan>> plans_;
    std::int64_t next_tag_ = 0;  ///< goes round; as many operations before are long complete
};

}  // namespace

std::unique_ptr<Communicator> make_planned_communicator(std::unique_ptr<Communicator> over,
                                                        Algorithm algorithm,
                                                        ChunkingRule chunking) {
    return std::make_unique<PlannedCommunicator>(
        std::move(over), algorithm, chunking, std::make_shared<PlansInFlight>());
}

}  // namespace traindyno
