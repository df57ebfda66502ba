// SPDX-License-Identifier: Apache-2.0
// The communications of a step program as work on CUDA streams, carried by NCCL.
#pragma once

#include <array>
#include <cstddef>
#include <functional>
#include <optional>
#include <span>
#include <vector>

#include <cuda_runtime_api.h>

#include "collectives/communicator.hpp"
#include "collectives/nccl/nccl_comm.hpp"
#include "emulator/engine/cuda/stream_runner_options.hpp"
#include "emulator/program/issue_order.hpp"

namespace traindyno {

/// All communicators are split from one over the point's ranks: one per group for reductions, and
/// for point-to-point lanes one per boundary between stages and direction. Operations of one NCCL
/// communicator run one after another, so a receive that waits for a late stage would hold back the
/// send behind it, up to a deadlock.
class StreamTraffic {
  public:
    using Options = std::array<GroupTraffic, enum_count<GroupKind>>;

    /// `ranks`, on the host, are the point's: rank r runs the program of WorldRank r. Collective;
    /// connects every communicator.
    StreamTraffic(const StepProgram& program, Communicator& ranks, const Options& options);

    /// Tells every communicator of group kinds that want it where its buffers lie. `memory_of`
    /// gives the device memory of a slice.
    using MemoryOf = std::function<std::span<std::byte>(const Slice&, const Task&)>;
    void register_buffers(const IssueOrder& order,
                          const Options& options,
                          const MemoryOf& memory_of);

    /// Enqueues `op`; `at` tells where a slice lies on this device. `lane` tells directions apart.
    using Address = std::function<std::byte*(const Slice&)>;
    void enqueue(const CommOp& op, Lane lane, const Address& at, cudaStream_t stream);

    [[nodiscard]] GroupRank rank_in(GroupId group) const { return comm(group).rank(); }

    [[nodiscard]] std::int64_t size_of(GroupId group) const { return comm(group).size(); }

    /// Throws LibraryError when NCCL reports that a communicator has failed.
    void check();

    /// Makes whatever hangs on the device end. The communicators are of no use afterwards.
    void abort() noexcept;

  private:
    void split_groups(const StepProgram& program, Communicator& ranks, const Options& options);
    void split_boundaries(const StepProgram& program, NcclOptions options);
    static void enqueue(const Collective& op,
                        NcclComm& comm,
                        const Address& at,
                        cudaStream_t stream);
    void connect(const StepProgram& program, SimTime timeout);
    void use_once(const StepProgram& program, std::byte* word, cudaStream_t stream);

    /// What carries `op`; none for a rank alone.
    [[nodiscard]] NcclComm* carrier(const CommOp& op, Lane lane);

    [[nodiscard]] const NcclComm& comm(GroupId id) const { return groups_[id.index()].value(); }

    template <class Visit>
    void for_each_comm(Visit&& visit);

    std::optional<NcclComm> world_;                                     ///< empty for a rank alone
    std::vector<std::optional<NcclComm>> groups_;                       ///< by GroupId; none for pp
    std::array<std::optional<NcclComm>, enum_count<Lane>> boundaries_;  ///< of pp lanes
};

}  // namespace traindyno
