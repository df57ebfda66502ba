// SPDX-License-Identifier: Apache-2.0
#include "collectives/hierarchical/hierarchical_communicator.hpp"

#include <algorithm>
#include <utility>
#include <vector>

#include <sched.h>

#include "collectives/arguments.hpp"
#include "collectives/drain.hpp"
#include "collectives/hierarchical/chunk_pipeline.hpp"
#include "collectives/hierarchical/chunk_plans.hpp"
#include "emulator/base/error.hpp"

namespace traindyno {

namespace {

/// The pipelines of a communicator and of all that were split from it: whoever waits for one
/// advances all, or a rank would withhold from its peers what it does not wait for yet.
class Pipelines {
  public:
    [[nodiscard]] std::shared_ptr<ChunkPipeline> make(std::size_t depth) {
        auto pipeline = std::make_shared<ChunkPipeline>(depth);
        all_.push_back(pipeline);
        return pipeline;
    }

    void advance() {
        std::erase_if(all_, [](const auto& each) { return each.expired(); });
        for (const std::weak_ptr<ChunkPipeline>& each : all_) {
            each.lock()->advance();
        }
    }

  private:
    std::vector<std::weak_ptr<ChunkPipeline>> all_;
};

class PipelinedOperation final : public Pending::Operation {
  public:
    PipelinedOperation(std::shared_ptr<Pipelines> all,
                       std::shared_ptr<ChunkPipeline> pipeline,
                       std::shared_ptr<ChunkPipeline::Batch> batch)
        : all_(std::move(all)), pipeline_(std::move(pipeline)), batch_(std::move(batch)) {}

    ~PipelinedOperation() override {
        drain(*this);
        pipeline_->drop(*batch_);
    }

    PipelinedOperation(const PipelinedOperation&) = delete;
    PipelinedOperation& operator=(const PipelinedOperation&) = delete;
    PipelinedOperation(PipelinedOperation&&) = delete;
    PipelinedOperation& operator=(PipelinedOperation&&) = delete;

    [[nodiscard]] bool advance() override {
        all_->advance();
        if (batch_->error) {
            std::rethrow_exception(batch_->error);
        }
        return batch_->incomplete == 0;
    }

  private:
    std::shared_ptr<Pipelines> all_;
    std::shared_ptr<ChunkPipeline> pipeline_;
    std::shared_ptr<ChunkPipeline::Batch> batch_;
};

std::unique_ptr<Communicator> made(const MakeCommunicator& make,
                                   std::unique_ptr<Communicator> plain) {
    return make ? make(std::move(plain)) : std::move(plain);
}

std::unique_ptr<const Levels> split_levels(Communicator& flat, const HierarchicalOptions& options) {
    const GroupRank rank = flat.rank();
    NodeMap map = NodeMap::gather(flat, options.node);
    const GroupShape shape = map.shape();
    const std::int32_t node = map.node(rank);
    const std::int32_t local = map.local_rank(rank);
    // On uneven nodes those that do not lead are alone: colors beyond every local rank.
    const bool crosses = shape.fewest == shape.most || local == 0;
    const auto lane = static_cast<std::int32_t>(crosses ? local : shape.most + rank.value());
    auto inside_first = made(options.inside, flat.split(node, rank.value()));
    auto across = made(options.across, flat.split(lane, node));
    auto inside_last = made(options.inside, flat.split(node, rank.value()));
    return std::make_unique<const Levels>(Levels{.map = std::move(map),
                                                 .shape = shape,
                                                 .rank = rank,
                                                 .inside_first = std::move(inside_first),
                                                 .across = std::move(across),
                                                 .inside_last = std::move(inside_last)});
}

class HierarchicalCommunicator final : public Communicator {
  public:
    HierarchicalCommunicator(std::unique_ptr<Communicator> flat,
                             HierarchicalOptions options,
                             std::shared_ptr<Pipelines> all)
        : flat_(std::move(flat)),
          options_(std::move(options)),
          all_(std::move(all)),
          sizes_{.smallest = options_.smallest_chunk,
                 .largest = options_.largest_chunk,
                 .depth = options_.depth},
          levels_(split_levels(*flat_, options_)),
          pipeline_(all_->make(options_.depth)) {}

    [[nodiscard]] GroupRank rank() const override { return flat_->rank(); }

    [[nodiscard]] std::int64_t size() const override { return flat_->size(); }

    Pending all_reduce(std::span<const std::byte> in,
                       std::span<std::byte> out,
                       DType type,
                       Reduction reduction,
                       Urgency urgency) override {
        [[maybe_unused]] const auto where = check_all_reduce(in, out, type);
        if (!has_two_levels()) {
            return one_level().all_reduce(in, out, type, reduction, urgency);
        }
        return run(plan_all_reduce(*levels_,
                                   {.in = in, .out = out, .type = type, .reduction = reduction},
                                   sizes_,
                                   urgency),
                   urgency);
    }

    Pending reduce_scatter(std::span<const std::byte> in,
                           std::span<std::byte> out,
                           DType type,
                           Reduction reduction,
                           Urgency urgency) override {
        [[maybe_unused]] const auto where = check_reduce_scatter(in, out, type, *this);
        if (!slices()) {
            return one_level().reduce_scatter(in, out, type, reduction, urgency);
        }
        return run(plan_reduce_scatter(*levels_,
                                       {.in = in, .out = out, .type = type, .reduction = reduction},
                                       sizes_,
                                       urgency),
                   urgency);
    }

    Pending all_gather(std::span<const std::byte> in,
                       std::span<std::byte> out,
                       Urgency urgency) override {
        [[maybe_unused]] const auto where = check_all_gather(in, out, *this);
        if (!slices()) {
            return one_level().all_gather(in, out, urgency);
        }
        return run(plan_all_gather(*levels_, in, out, sizes_, urgency), urgency);
    }

    Pending all_to_all(std::span<const std::byte> in,
                       std::span<std::byte> out,
                       const Exchange& parts,
                       Urgency urgency) override {
        return flat_->all_to_all(in, out, parts, urgency);
    }

    Pending broadcast(std::span<std::byte> buffer, GroupRank root, Urgency urgency) override {
        const bool is_member = root.value() >= 0 && root.value() < size();
        if (!slices() || !is_member) {
            return one_level().broadcast(buffer, root, urgency);  // which knows how to refuse
        }
        return run(plan_broadcast(*levels_, buffer, root, sizes_, urgency), urgency);
    }

    Pending send(std::span<const std::byte> buffer, GroupRank peer, std::int32_t tag) override {
        return flat_->send(buffer, peer, tag);
    }

    Pending recv(std::span<std::byte> buffer, GroupRank peer, std::int32_t tag) override {
        return flat_->recv(buffer, peer, tag);
    }

    [[nodiscard]] std::unique_ptr<Communicator> split(std::int32_t color,
                                                      std::int32_t key) override {
        return std::make_unique<HierarchicalCommunicator>(flat_->split(color, key), options_, all_);
    }

    void abort(int exit_code, std::string_view reason) noexcept override {
        flat_->abort(exit_code, reason);
    }

  private:
    [[nodiscard]] bool has_two_levels() const {
        return levels_->shape.nodes > 1 && levels_->shape.most > 1;
    }

    /// Whether each rank of a node has one of the same local rank on every other.
    [[nodiscard]] bool slices() const { return has_two_levels() && levels_->is_even(); }

    /// What carries operations that do not go in two levels; its ranks are the group's.
    [[nodiscard]] Communicator& one_level() const {
        return levels_->shape.nodes == 1  ? *levels_->inside_first
               : levels_->shape.most == 1 ? *levels_->across
                                          : *flat_;
    }

    [[nodiscard]] Pending run(std::vector<ChunkSteps> chunks, Urgency urgency) {
        // What was begun before goes first: a member that had completed it already would otherwise
        // call the levels in another order than one that had not.
        if (urgency == Urgency::immediate && chunks.size() == 1) {
            while (!pipeline_->empty()) {
                all_->advance();
                sched_yield();
            }
        }
        return Pending{std::make_unique<PipelinedOperation>(
            all_, pipeline_, pipeline_->add(std::move(chunks)))};
    }

    std::unique_ptr<Communicator> flat_;
    HierarchicalOptions options_;
    std::shared_ptr<Pipelines> all_;
    ChunkSizes sizes_;
    std::unique_ptr<const Levels> levels_;
    std::shared_ptr<ChunkPipeline> pipeline_;
};

}  // namespace

std::unique_ptr<Communicator> make_hierarchical_communicator(std::unique_ptr<Communicator> flat,
                                                             HierarchicalOptions options) {
    return std::make_unique<HierarchicalCommunicator>(
        std::move(flat), std::move(options), std::make_shared<Pipelines>());
}

}  // namespace traindyno
