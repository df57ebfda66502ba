// SPDX-License-Identifier: Apache-2.0
// Collective and point-to-point traffic of one group of ranks, whatever library carries it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string_view>
#include <utility>
#include <vector>

#include "collectives/cost/algorithm.hpp"
#include "emulator/base/dtype.hpp"
#include "emulator/base/ids.hpp"
#include "emulator/base/reduction.hpp"

namespace traindyno {

/// A communication under way. Default-constructed or moved-from: already complete. Destroying an
/// incomplete one waits for it, because it still uses the caller's buffers; while an exception is
/// in flight it is abandoned instead, since its peers may never come.
class Pending {
  public:
    class Operation {
      public:
        virtual ~Operation() = default;
        /// Advances the operation; true once it is complete. Throws LibraryError.
        [[nodiscard]] virtual bool advance() = 0;

        /// Members whose messages it lacks, as far as it knows: any of them may be the one that
        /// never came.
        [[nodiscard]] virtual std::vector<GroupRank> waiting_for() const { return {}; }
    };

    Pending() = default;

    explicit Pending(std::unique_ptr<Operation> operation) : operation_(std::move(operation)) {}

    /// True once complete; the buffers may be used again from then on.
    [[nodiscard]] bool done() {
        if (operation_ && operation_->advance()) {
            operation_.reset();
        }
        return operation_ == nullptr;
    }

    [[nodiscard]] std::vector<GroupRank> waiting_for() const {
        return operation_ ? operation_->waiting_for() : std::vector<GroupRank>{};
    }

  private:
    std::unique_ptr<Operation> operation_;
};

/// Whether the caller has other work while the operation runs. `immediate` lets the implementation
/// complete the operation before it returns, on its fastest path. All members must say the same:
/// MPI does not match a blocking collective with one that is not (MPI 3.1, section 5.12).
enum class Urgency : std::uint8_t { background, immediate };

/// Bytes that go to and come from each member, in rank order; both empty: equal parts. Read before
/// the call returns.
struct Exchange {
    std::span<const std::int64_t> sent;
    std::span<const std::int64_t> received;
};

/// One group of ranks. Calls on one communicator must come in the same order on every member, from
/// one thread. Buffers are memory of the kind the implementation carries, host or device, and must
/// outlive the Pending. Sizes are in bytes, whole elements of `type`. Sums of 16-bit types are
/// accumulated in fp32 per hop. Messages between two ranks match by tag and, among equal tags, in
/// order. NCCL has no tags: what must run over it too posts receives in the order of the sends.
/// Buffers of one call do not overlap except where "in place" is spelt out.
class Communicator {
  public:
    virtual ~Communicator() = default;

    [[nodiscard]] virtual GroupRank rank() const = 0;
    [[nodiscard]] virtual std::int64_t size() const = 0;

    /// out <- reduction of every member's `in`. In place: `in` is `out`.
    virtual Pending all_reduce(std::span<const std::byte> in,
                               std::span<std::byte> out,
                               DType type,
                               Reduction reduction,
                               Urgency urgency) = 0;
    /// out <- this rank's part of the reduction; in is size() parts long. In place: `out` is this
    /// rank's part of `in`.
    virtual Pending reduce_scatter(std::span<const std::byte> in,
                                   std::span<std::byte> out,
                                   DType type,
                                   Reduction reduction,
                                   Urgency urgency) = 0;
    /// out <- every member's `in`, in rank order. In place: `in` is this rank's part of `out`.
    virtual Pending all_gather(std::span<const std::byte> in,
                               std::span<std::byte> out,
                               Urgency urgency) = 0;
    /// Part i of `in` goes to member i; part i of `out` comes from it.
    virtual Pending all_to_all(std::span<const std::byte> in,
                               std::span<std::byte> out,
                               const Exchange& parts,
                               Urgency urgency) = 0;
    virtual Pending broadcast(std::span<std::byte> buffer, GroupRank root, Urgency urgency) = 0;
    virtual Pending send(std::span<const std::byte> buffer, GroupRank peer, std::int32_t tag) = 0;
    virtual Pending recv(std::span<std::byte> buffer, GroupRank peer, std::int32_t tag) = 0;
    /// Members with equal `color` form a new communicator, ordered by `key`. Collective; blocks.
    [[nodiscard]] virtual std::unique_ptr<Communicator> split(std::int32_t color,
                                                              std::int32_t key) = 0;

    /// What carries such a call, for reports: "mpi", "ring" ... `bytes` are the longer buffer's.
    /// Empty where nobody chose.
    [[nodiscard]] virtual std::string_view carrier(CollectiveOp /*op*/,
                                                   std::size_t /*bytes*/,
                                                   Urgency /*urgency*/) const {
        return {};
    }

    /// Ends every process of the job with `exit_code`. Does not return in practice.
    virtual void abort(int exit_code, std::string_view reason) noexcept = 0;

    /// The group of one: every operation is a local copy. Needs no MPI.
    [[nodiscard]] static std::unique_ptr<Communicator> serial();
};

}  // namespace traindyno
