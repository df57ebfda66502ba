// SPDX-License-Identifier: Apache-2.0
#include "collectives/nccl/nccl_lane.hpp"

#include <algorithm>
#include <span>
#include <utility>

#include <fmt/format.h>

#include "collectives/nccl/check.hpp"

namespace traindyno {

namespace {

/// On the control communicator, which carries nothing else with tags.
constexpr std::int32_t id_tag = 1;

std::span<std::byte> bytes_of(ncclUniqueId& id) {
    return std::as_writable_bytes(std::span{id.internal});
}

}  // namespace

NcclLane::NcclLane(Communicator& control, GroupRank peer, End end, const NcclOptions& options)
    : id_(std::make_shared<ncclUniqueId>()) {
    const bool sends = end == End::sender;
    if (sends) {
        TD_NCCL(ncclGetUniqueId(id_.get()));
        id_sent_ = control.send(bytes_of(*id_), peer, id_tag);
    } else {
        id_sent_ = control.recv(bytes_of(*id_), peer, id_tag);
    }
    const std::int64_t mine = control.rank().value();
    NcclOptions own = options;
    own.name += fmt::format("/{}-to-{}", sends ? mine : peer.value(), sends ? peer.value() : mine);
    make_comm_ = [id = id_, rank = GroupRank{sends ? 0 : 1}, own] {
        return NcclComm{*id, rank, 2, own};
    };
}

bool NcclLane::connected() {
    if (!comm_ && id_sent_.done()) {
        comm_.emplace(make_comm_());
    }
    return comm_ && comm_->settled();
}

void NcclLane::record(NcclTask& task) {
    CudaEvent event;
    if (spare_.empty()) {
        event = make_event(EventTiming::off);
    } else {
        event = std::move(spare_.back());
        spare_.pop_back();
    }
    TD_CUDA(cudaEventRecord(event.get(), stream_.get()));
    task.launched = std::move(event);
}

void NcclLane::advance() {
    while (!waiting_.empty()) {
        const std::shared_ptr<NcclTask> first = waiting_.front();
        try {
            if (!connected()) {
                return;
            }
            if (!started_) {
                started_ = true;
                first->enqueue(*comm_, stream_.get());
                continue;  // it may have settled at once
            }
            record(*first);
        } catch (...) {
            first->error = std::current_exception();
        }
        started_ = false;
        waiting_.pop_front();
    }
}

bool NcclLane::complete(NcclTask& task) {
    if (task.error) {
        std::rethrow_exception(task.error);
    }
    if (task.launched.empty()) {
        return false;
    }
    if (!is_complete(task.launched.get())) {
        (void)comm_
            ->settled();  // throws once NCCL has found an error; a later call may be on its way
        return false;
    }
    spare_.push_back(std::move(task.launched));
    return true;
}

void NcclLane::abandon(const NcclTask& task) noexcept {
    const bool untouched =
        task.launched.empty() && (waiting_.empty() || waiting_.front().get() != &task || !started_);
    if (!untouched) {
        abort();
        started_ = false;
    }
    waiting_.erase(std::remove_if(waiting_.begin(),
                                  waiting_.end(),
                                  [&](const auto& each) { return each.get() == &task; }),
                   waiting_.end());
}

void NcclLane::abort() noexcept {
    if (comm_) {
        comm_->abort();
    }
}

}  // namespace traindyno
