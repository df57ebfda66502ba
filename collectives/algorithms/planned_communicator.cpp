// SPDX-License-Identifier: Apache-2.0
#include "collectives/algorithms/planned_communicator.hpp"

#include <cstdint>
#include <map>
#include <utility>

#include <fmt/format.h>

#include "collectives/algorithms/build_plan.hpp"
#include "collectives/algorithms/plans_in_flight.hpp"
#include "emulator/base/error.hpp"

namespace traindyno {

namespace {

/// Plans are kept for the sizes that come again every step; beyond that many all are forgotten.
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
                       Urgency /*urgency*/) override {
        const Placement placement = check_all_reduce(in, out, type);
        PlanRequest request = request_for(CollectiveOp::all_reduce, in.size(), element_size(type));
        request.placement = placement;
        return run(request, reducing(in, out, type, reduction));
    }

    Pending reduce_scatter(std::span<const std::byte> in,
                           std::span<std::byte> out,
                           DType type,
                           Reduction reduction,
                           Urgency /*urgency*/) override {
        const Placement placement = check_reduce_scatter(in, out, type, *this);
        PlanRequest request =
            request_for(CollectiveOp::reduce_scatter, in.size(), element_size(type));
        request.placement = placement;
        return run(request, reducing(in, out, type, reduction));
    }

    Pending all_gather(std::span<const std::byte> in,
                       std::span<std::byte> out,
                       Urgency /*urgency*/) override {
        PlanRequest request = request_for(CollectiveOp::all_gather, out.size(), 1);
        request.placement = check_all_gather(in, out, *this);
        return run(request, moving(in, out));
    }

    Pending all_to_all(std::span<const std::byte> in,
                       std::span<std::byte> out,
                       const Exchange& parts,
                       Urgency /*urgency*/) override {
        check_all_to_all(in, out, parts, *this);
        if (parts.sent.empty() && parts.received.empty()) {
            return run(request_for(CollectiveOp::all_to_all, in.size(), 1), moving(in, out));
        }
        TD_EXPECT(parts.sent[rank().index()] == parts.received[rank().index()]);
        PlanTask task = moving(in, out);
        task.plan = std::make_shared<const CollectivePlan>(
            build_exchange(rank().value(), parts.sent, parts.received));
        return start(std::move(task));
    }

    Pending broadcast(std::span<std::byte> buffer, GroupRank root, Urgency /*urgency*/) override {
        TD_EXPECT(root.value() >= 0);
        if (root.value() >= size()) {
            throw LibraryError(
                "planned communicator",
                1,
                fmt::format("there is no rank {} in a group of {}", root.value(), size()),
                "broadcast",
                Where::here());
        }
        PlanRequest request = request_for(CollectiveOp::broadcast, buffer.size(), 1);
        request.root = root.value();
        return run(request, moving({}, buffer));
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
    [[nodiscard]] PlanRequest request_for(CollectiveOp op,
                                          std::size_t size_in_bytes,
                                          std::int64_t element_size_each) const {
        const auto whole = static_cast<std::int64_t>(size_in_bytes);
        const Algorithm algorithm = algorithm_for(algorithm_, op);
        return {.algorithm = algorithm,
                .op = op,
                .rank = rank().value(),
                .ranks = size(),
                .count = whole / element_size_each,
                .chunking = chunking_(algorithm, op, whole, size(), element_size_each)};
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

    Pending run(const PlanRequest& request, PlanTask task) {
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
        return start(std::move(task));
    }

    Pending start(PlanTask task) {
        if (next_tag_ + task.plan->lanes > tags) {
            next_tag_ = 0;
        }
        task.channel = channel_;
        task.first_tag = static_cast<std::int32_t>(next_tag_);
        next_tag_ += task.plan->lanes;
        return PlansInFlight::begin(in_flight_, std::move(task));
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
