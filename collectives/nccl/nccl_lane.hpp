// SPDX-License-Identifier: Apache-2.0
// Operations on one NCCL communicator, carried out in order on a stream of their own, unblocking.
#pragma once

#include <deque>
#include <exception>
#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include "collectives/nccl/nccl_comm.hpp"
#include "emulator/device/cuda/runtime.hpp"

namespace traindyno {

/// One operation on its way to the stream.
struct NcclTask {
    std::function<void(NcclComm&, cudaStream_t)> enqueue;
    CudaEvent launched;        ///< recorded behind the operation; empty: not in the stream yet
    std::exception_ptr error;  ///< why it could not be enqueued
};

/// Its communicator settles later (NcclOptions).
class NcclLane {
  public:
    explicit NcclLane(NcclComm comm) : comm_(std::move(comm)) {}

    /// One direction between two ranks. `control` carries NCCL's id from sender to receiver, and
    /// set-up goes on in advance(), since the peer may come much later.
    enum class End : std::uint8_t { sender, receiver };
    NcclLane(Communicator& control, GroupRank peer, End end, const NcclOptions& options);

    void submit(std::shared_ptr<NcclTask> task) { waiting_.push_back(std::move(task)); }

    /// Enqueues what can be. A task that fails keeps its error.
    void advance();
    /// True once the task is complete. Throws what went wrong with it or with the communicator.
    [[nodiscard]] bool complete(NcclTask& task);
    /// Takes back a task whose buffer is going away; stops everything if it runs already.
    void abandon(const NcclTask& task) noexcept;

    /// Nothing waits to be enqueued.
    [[nodiscard]] bool idle() const { return waiting_.empty(); }

    [[nodiscard]] NcclComm& comm() { return *comm_; }

    void abort() noexcept;

  private:
    [[nodiscard]] bool connected();
    void record(NcclTask& task);

    std::function<NcclComm()> make_comm_;  ///< once `id_sent_` is complete
    std::shared_ptr<ncclUniqueId> id_;     ///< used by `id_sent_`
    Pending id_sent_;
    std::optional<NcclComm> comm_;
    CudaStream stream_ = make_stream(StreamPriority::highest);
    std::vector<CudaEvent> spare_;
    std::deque<std::shared_ptr<NcclTask>> waiting_;  ///< only the first may have been started
    bool started_ = false;
};

}  // namespace traindyno
