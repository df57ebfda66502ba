// SPDX-License-Identifier: Apache-2.0
// One NCCL communicator: operations on device memory, enqueued on the caller's streams.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include <cuda_runtime_api.h>
#include <nccl.h>

#include "collectives/communicator.hpp"
#include "collectives/nccl/nccl_options.hpp"

namespace traindyno {

/// For the device that is current. Its operations run one after the other in the order of the
/// calls, on whatever streams: traffic that must overlap needs communicators of its own. They may
/// be captured into a graph, on all members alike, after one use outside; the graph must be
/// destroyed first. Aborted instead of destroyed after an error and while an exception is in
/// flight: a kernel whose peer is gone spins for ever.
class NcclComm {
  public:
    /// All members of `control`, which carries the set-up. Collective; blocks.
    [[nodiscard]] static NcclComm across(Communicator& control,
                                         const NcclOptions&,
                                         const std::string& name);
    /// Begins set-up with those who hold the same `id`; it is done once settled.
    NcclComm(const ncclUniqueId& id,
             GroupRank,
             std::int64_t size,
             const NcclOptions&,
             const std::string& name);
    /// As Communicator::split. Nothing may be in flight. Shares no resources, hence overlaps.
    [[nodiscard]] NcclComm split(std::int32_t color,
                                 std::int32_t key,
                                 const NcclOptions&,
                                 const std::string& name);

    [[nodiscard]] GroupRank rank() const;
    [[nodiscard]] std::int64_t size() const;
    void all_reduce(std::byte* buffer, std::int64_t elements, DType, Reduction, cudaStream_t);
    /// `elements` is what each member gets, `bytes` what it gives to, or gets from, each member.
    void reduce_scatter(
        const std::byte* in, std::byte* out, std::int64_t elements, DType, Reduction, cudaStream_t);
    void all_gather(const std::byte* in, std::byte* out, std::int64_t bytes, cudaStream_t);
    void all_to_all(const std::byte* in, std::byte* out, std::int64_t bytes, cudaStream_t);
    void broadcast(std::byte* buffer, std::int64_t bytes, GroupRank root, cudaStream_t);
    // Messages match in order. Each blocks its stream until the peer has come, unless grouped.
    void send(const std::byte* buffer, std::int64_t bytes, GroupRank peer, cudaStream_t);
    void recv(std::byte* buffer, std::int64_t bytes, GroupRank peer, cudaStream_t);
    /// What `issue` calls makes progress together. Other communicators used in it must be settled.
    void grouped(const std::function<void()>& issue);
    /// Registers device memory until the communicator ends. NCCL gains on NVLink with NVLS and on
    /// InfiniBand, where it then moves user buffers without a copy; elsewhere nothing changes.
    void register_buffer(std::byte* buffer, std::int64_t bytes);
    /// True once the last call's work is in its stream. Throws LibraryError for any error that
    /// NCCL has found since the last look, so ask while waiting for a stream too.
    [[nodiscard]] bool settled();
    /// Waits for settled(), at most the options' timeout: HangError.
    void settle();
    /// Stops what runs, here. Later calls fail.
    void abort() noexcept;
    /// "ncclAllReduce of 4096 bytes by rank 1 of 4 in dp": the last call.
    [[nodiscard]] std::string last_call() const;

  private:
    struct State;

    struct Deleter {
        void operator()(State* state) const noexcept;
    };

    NcclComm() = default;
    void issued(const char* call, std::int64_t bytes, ncclResult_t result);

    std::unique_ptr<State, Deleter> state_;
};

}  // namespace traindyno
