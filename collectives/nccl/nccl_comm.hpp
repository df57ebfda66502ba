// SPDX-License-Identifier: Apache-2.0
// One NCCL communicator: operations on device memory, enqueued on the caller's streams.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>

#include <cuda_runtime_api.h>
#include <nccl.h>

#include "collectives/arguments.hpp"
#include "collectives/communicator.hpp"
#include "collectives/nccl/nccl_options.hpp"

namespace traindyno {

/// For the device that is current. Its operations run one after the other, on whatever streams:
/// traffic that must overlap needs communicators of its own. They may be captured into a graph, on
/// all members alike, after one use outside; destroy the graph first. Aborted instead of destroyed
/// after an error and while an exception is in flight: kernels without a peer spin for ever.
/// Messages match in order; each blocks its stream until the peer has come, unless grouped.
class NcclComm {
  public:
    /// All members of `control`, which carries the set-up. Collective; blocks.
    [[nodiscard]] static NcclComm across(Communicator& control, const NcclOptions& options);
    /// Begins set-up with those who hold the same `id`; it is done once settled.
    NcclComm(const ncclUniqueId& id, GroupRank rank, std::int64_t size, const NcclOptions& options);
    /// As Communicator::split. Nothing may be in flight. Shares no resources, hence overlaps.
    [[nodiscard]] NcclComm split(std::int32_t color, std::int32_t key, const NcclOptions& options);
    [[nodiscard]] GroupRank rank() const;
    [[nodiscard]] std::int64_t size() const;

    // Lengths are of what each member gives, or gets.
    void all_reduce(const std::byte* in,
                    std::byte* out,
                    std::int64_t elements,
                    DType type,
                    Reduction reduction,
                    cudaStream_t stream);
    void reduce_scatter(const std::byte* in,
                        std::byte* out,
                        std::int64_t elements,
                        DType type,
                        Reduction reduction,
                        cudaStream_t stream);
    void all_gather(const std::byte* in, std::byte* out, std::int64_t bytes, cudaStream_t stream);
    void all_to_all(const std::byte* in, std::byte* out, std::int64_t bytes, cudaStream_t stream);
    /// Part i of `in` to member i, part i of `out` from it. Empty parts send nothing.
    void exchange(const std::byte* in,
                  std::byte* out,
                  std::span<const PartRange> sent,
                  std::span<const PartRange> received,
                  cudaStream_t stream);
    void broadcast(std::byte* buffer, std::int64_t bytes, GroupRank root, cudaStream_t stream);
    void send(const std::byte* buffer, std::int64_t bytes, GroupRank peer, cudaStream_t stream);
    void recv(std::byte* buffer, std::int64_t bytes, GroupRank peer, cudaStream_t stream);
    /// What `issue` calls makes progress together. Other communicators used in it must be settled.
    void grouped(const std::function<void()>& issue);
    /// Until the communicator ends. NVLS and InfiniBand then move it uncopied; others ignore it.
    void register_buffer(std::byte* buffer, std::int64_t bytes);

    /// True once the last call's work is in its stream. Throws LibraryError for any error that
    /// NCCL has found since the last look, so ask while waiting for a stream too.
    [[nodiscard]] bool settled();
    void settle();          ///< waits for settled(), at most the options' timeout: HangError
    void abort() noexcept;  ///< stops what runs, here; later calls fail
    /// "ncclSend of 96 bytes by rank 1 of 4 in dp"
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
