// SPDX-License-Identifier: Apache-2.0
#include "collectives/nccl/nccl_communicator.hpp"

#include <chrono>
#include <cstdio>
#include <deque>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include <fmt/format.h>
#include <sched.h>

#include "collectives/arguments.hpp"
#include "collectives/nccl/nccl_lane.hpp"

namespace traindyno {

namespace {

/// The lanes of a communicator and of all that were split from it. Whichever Pending is asked
/// advances them all: a rank that waits for one operation must not withhold another from its peers.
class LaneFamily {
  public:
    void add(const std::shared_ptr<NcclLane>& lane) { lanes_.push_back(lane); }

    void advance() {
        for (const std::weak_ptr<NcclLane>& each : lanes_) {
            if (const std::shared_ptr<NcclLane> lane = each.lock()) {
                lane->advance();
            }
        }
    }

    void forget_ended() {
        std::erase_if(lanes_, [](const std::weak_ptr<NcclLane>& each) { return each.expired(); });
    }

  private:
    std::vector<std::weak_ptr<NcclLane>> lanes_;
};

class LaneOperation final : public Pending::Operation {
  public:
    LaneOperation(std::shared_ptr<LaneFamily> family,
                  std::shared_ptr<NcclLane> lane,
                  std::shared_ptr<NcclTask> task)
        : family_(std::move(family)), lane_(std::move(lane)), task_(std::move(task)) {}

    ~LaneOperation() override {
        try {
            while (std::uncaught_exceptions() == 0 && !complete_ && !advance()) {
                sched_yield();
            }
        } catch (const std::exception& error) {
            std::fprintf(stderr, "traindyno: %s\n", error.what());
        }
        if (!complete_) {
            lane_->abandon(*task_);
        }
    }

    LaneOperation(const LaneOperation&) = delete;
    LaneOperation& operator=(const LaneOperation&) = delete;
    LaneOperation(LaneOperation&&) = delete;
    LaneOperation& operator=(LaneOperation&&) = delete;

    [[nodiscard]] bool advance() override {
        family_->advance();
        complete_ = lane_->complete(*task_);
        return complete_;
    }

  private:
    std::shared_ptr<LaneFamily> family_;
    std::shared_ptr<NcclLane> lane_;
    std::shared_ptr<NcclTask> task_;
    bool complete_ = false;
};

/// One side of a message to oneself: NCCL takes both sides in one group only.
template <class Byte>
struct SelfSide {
    std::span<Byte> buffer;
    std::weak_ptr<NcclTask> task;
};

class NcclCommunicator final : public Communicator {
  public:
    NcclCommunicator(std::unique_ptr<Communicator> control,
                     NcclComm comm,
                     NcclOptions options,
                     std::shared_ptr<LaneFamily> family)
        : control_(std::move(control)),
          options_(std::move(options)),
          family_(std::move(family)),
          group_(std::make_shared<NcclLane>(std::move(comm))) {
        family_->add(group_);
    }

    [[nodiscard]] GroupRank rank() const override { return control_->rank(); }

    [[nodiscard]] std::int64_t size() const override { return control_->size(); }

    Pending all_reduce(std::span<const std::byte> in,
                       std::span<std::byte> out,
                       DType type,
                       Reduction reduction,
                       Urgency /*urgency*/) override {
        (void)check_all_reduce(in, out, type);
        const std::int64_t elements = length(out) / element_size(type);
        return post(group_, [=](NcclComm& comm, cudaStream_t stream) {
            comm.all_reduce(in.data(), out.data(), elements, type, reduction, stream);
        });
    }

    Pending reduce_scatter(std::span<const std::byte> in,
                           std::span<std::byte> out,
                           DType type,
                           Reduction reduction,
                           Urgency /*urgency*/) override {
        (void)check_reduce_scatter(in, out, type, *this);
        const std::int64_t elements = length(out) / element_size(type);
        return post(group_, [=](NcclComm& comm, cudaStream_t stream) {
            comm.reduce_scatter(in.data(), out.data(), elements, type, reduction, stream);
        });
    }

    Pending all_gather(std::span<const std::byte> in,
                       std::span<std::byte> out,
                       Urgency /*urgency*/) override {
        (void)check_all_gather(in, out, *this);
        return post(group_, [=](NcclComm& comm, cudaStream_t stream) {
            comm.all_gather(in.data(), out.data(), length(in), stream);
        });
    }

    Pending all_to_all(std::span<const std::byte> in,
                       std::span<std::byte> out,
                       const Exchange& parts,
                       Urgency /*urgency*/) override {
        check_all_to_all(in, out, parts, *this);
        if (parts.sent.empty()) {
            return post(group_, [=, size = size()](NcclComm& comm, cudaStream_t stream) {
                comm.all_to_all(in.data(), out.data(), length(in) / size, stream);
            });
        }
        return post(group_,
                    [from = in.data(),
                     to = out.data(),
                     sent = part_ranges(parts.sent, in.size(), size()),
                     received = part_ranges(parts.received, out.size(), size())](
                        NcclComm& comm, cudaStream_t stream) {
                        comm.exchange(from, to, sent, received, stream);
                    });
    }

    Pending broadcast(std::span<std::byte> buffer, GroupRank root, Urgency /*urgency*/) override {
        expect_member(root, "ncclBroadcast");
        return post(group_, [=](NcclComm& comm, cudaStream_t stream) {
            comm.broadcast(buffer.data(), length(buffer), root, stream);
        });
    }

    Pending send(std::span<const std::byte> buffer, GroupRank peer, std::int32_t /*tag*/) override {
        expect_member(peer, "ncclSend");
        if (peer == rank()) {
            return post_side(self_sends_, buffer);
        }
        return post(lane(peer, NcclLane::End::sender), [=](NcclComm& comm, cudaStream_t stream) {
            comm.send(buffer.data(), length(buffer), GroupRank{1}, stream);
        });
    }

    Pending recv(std::span<std::byte> buffer, GroupRank peer, std::int32_t /*tag*/) override {
        expect_member(peer, "ncclRecv");
        if (peer == rank()) {
            return post_side(self_receives_, buffer);
        }
        return post(lane(peer, NcclLane::End::receiver), [=](NcclComm& comm, cudaStream_t stream) {
            comm.recv(buffer.data(), length(buffer), GroupRank{0}, stream);
        });
    }

    [[nodiscard]] std::unique_ptr<Communicator> split(std::int32_t color,
                                                      std::int32_t key) override {
        finish_enqueuing();
        NcclOptions own = options_;
        own.name += fmt::format("/{}", color);
        NcclComm part = group_->comm().split(color, key, own);
        return std::make_unique<NcclCommunicator>(
            control_->split(color, key), std::move(part), own, family_);
    }

    void abort(int exit_code, std::string_view reason) noexcept override {
        control_->abort(exit_code, reason);
    }

  private:
    using Lanes = std::map<std::pair<GroupRank, NcclLane::End>, std::shared_ptr<NcclLane>>;

    [[nodiscard]] static std::int64_t length(std::span<const std::byte> buffer) {
        return static_cast<std::int64_t>(buffer.size());
    }

    /// An error that NCCL finds would be the end of the communicator.
    void expect_member(GroupRank peer, const char* call, Where where = Where::here()) const {
        TD_EXPECT(peer.value() >= 0);
        if (peer.value() >= size()) {
            throw LibraryError(
                "NCCL",
                ncclInvalidArgument,
                fmt::format("there is no rank {} in a group of {}", peer.value(), size()),
                call,
                where);
        }
    }

    [[nodiscard]] Pending pending_on(const std::shared_ptr<NcclLane>& lane,
                                     std::shared_ptr<NcclTask> task) const {
        lane->advance();
        return Pending{std::make_unique<LaneOperation>(family_, lane, std::move(task))};
    }

    Pending post(const std::shared_ptr<NcclLane>& lane,
                 std::function<void(NcclComm&, cudaStream_t)> enqueue) const {
        auto task = std::make_shared<NcclTask>();
        task->enqueue = std::move(enqueue);
        lane->submit(task);
        return pending_on(lane, std::move(task));
    }

    /// Every direction between two ranks has a communicator of its own: a message that waits for
    /// its peer must hold up neither collectives nor messages with others.
    [[nodiscard]] const std::shared_ptr<NcclLane>& lane(GroupRank peer, NcclLane::End end) {
        std::shared_ptr<NcclLane>& lane = messages_[{peer, end}];
        if (lane == nullptr) {
            lane = std::make_shared<NcclLane>(*control_, peer, end, options_);
            family_->add(lane);
        }
        return lane;
    }

    template <class Byte>
    Pending post_side(std::deque<SelfSide<Byte>>& sides, std::span<Byte> buffer) {
        auto task = std::make_shared<NcclTask>();
        sides.push_back({.buffer = buffer, .task = task});
        match_sides();
        return pending_on(group_, std::move(task));
    }

    void match_sides() {
        const auto drop_abandoned = [](auto& sides) {
            while (!sides.empty() && sides.front().task.expired()) {
                sides.pop_front();
            }
        };
        drop_abandoned(self_sends_);
        drop_abandoned(self_receives_);
        if (self_sends_.empty() || self_receives_.empty()) {
            return;
        }
        const SelfSide<const std::byte> sent = self_sends_.front();
        const SelfSide<std::byte> received = self_receives_.front();
        self_sends_.pop_front();
        self_receives_.pop_front();
        TD_EXPECT(sent.buffer.size() == received.buffer.size());
        const std::shared_ptr<NcclTask> both = sent.task.lock();
        both->enqueue = [from = sent.buffer, to = received.buffer, self = rank()](
                            NcclComm& comm, cudaStream_t stream) {
            comm.grouped([&] {
                comm.send(from.data(), length(from), self, stream);
                comm.recv(to.data(), length(to), self, stream);
            });
        };
        group_->submit(both);
        const std::shared_ptr<NcclTask> behind = received.task.lock();
        behind->enqueue = [](NcclComm& /*comm*/, cudaStream_t /*stream*/) {};
        group_->submit(behind);
    }

    void finish_enqueuing() {
        family_->forget_ended();
        const auto deadline = std::chrono::steady_clock::now() + options_.timeout;
        while (!group_->idle()) {
            family_->advance();
            if (std::chrono::steady_clock::now() > deadline) {
                throw HangError(
                    fmt::format("NCCL did not begin {} in time (a rank is lost or "
                                "still busy) look at the other ranks' output",
                                group_->comm().last_call()));
            }
        }
    }

    std::unique_ptr<Communicator> control_;
    NcclOptions options_;
    std::shared_ptr<LaneFamily> family_;
    std::shared_ptr<NcclLane> group_;  ///< collectives
    Lanes messages_;
    std::deque<SelfSide<const std::byte>> self_sends_;
    std::deque<SelfSide<std::byte>> self_receives_;
};

}  // namespace

std::unique_ptr<Communicator> make_nccl_communicator(std::unique_ptr<Communicator> control,
                                                     const NcclOptions& options) {
    NcclOptions for_lanes = options;
    for_lanes.settling = Settling::later;
    NcclComm comm = NcclComm::across(*control, for_lanes);
    return std::make_unique<NcclCommunicator>(
        std::move(control), std::move(comm), for_lanes, std::make_shared<LaneFamily>());
}

}  // namespace traindyno
