// SPDX-License-Identifier: Apache-2.0
#include "collectives/mpi/mpi_communicator.hpp"

#include <algorithm>
#include <cstring>
#include <memory>
#include <type_traits>
#include <utility>
#include <vector>

#include "collectives/arguments.hpp"
#include "collectives/divide.hpp"
#include "collectives/followed_by.hpp"
#include "collectives/mpi/abort_job.hpp"
#include "collectives/mpi/byte_layout.hpp"
#include "collectives/mpi/check.hpp"
#include "collectives/mpi/element_types.hpp"
#include "collectives/mpi/exchange_layout.hpp"
#include "collectives/mpi/messages_in_flight.hpp"
#include "collectives/mpi/request_operation.hpp"
#include "collectives/serial/serial_communicator.hpp"
#include "emulator/base/unique_handle.hpp"

namespace traindyno {

namespace {

struct CommTraits {
    using Handle = MPI_Comm;

    static Handle null() { return MPI_COMM_NULL; }

    static void destroy(Handle comm) noexcept {
        detail::report_mpi(MPI_Comm_free(&comm), "MPI_Comm_free");
    }
};

using UniqueComm = UniqueHandle<CommTraits>;

std::int64_t elements_in(std::span<const std::byte> buffer, DType type) {
    return static_cast<std::int64_t>(buffer.size()) / element_size(type);
}

/// The calls of one operation, all blocking or all not.
class Requests {
  public:
    explicit Requests(Urgency urgency) : urgency_(urgency) {}

    /// Calls one of both forms of an MPI function.
    template <class... Arguments>
    [[nodiscard]] int call(int (*blocking)(Arguments...),
                           std::type_identity_t<int (*)(Arguments..., MPI_Request*)> non_blocking,
                           std::type_identity_t<Arguments>... arguments) {
        return urgency_ == Urgency::immediate ? blocking(arguments...)
                                              : non_blocking(arguments..., add());
    }

    /// What the calls so far are; already complete if they were blocking.
    [[nodiscard]] Pending pending() && {
        return operation_ ? Pending{std::move(operation_)} : Pending{};
    }

  private:
    [[nodiscard]] MPI_Request* add() {
        if (!operation_) {
            operation_ = std::make_unique<RequestOperation>();
        }
        return operation_->add();
    }

    Urgency urgency_;
    std::unique_ptr<RequestOperation> operation_;
};

/// Calls `post(first, count)` for consecutive pieces of at most `largest` elements; once, with 0,
/// when there are none, since every member must take part in the call.
template <class Post>
void for_each_piece(std::int64_t elements, std::int64_t largest, Post&& post) {
    std::int64_t first = 0;
    do {
        const std::int64_t count = std::min(elements - first, largest);
        post(first, static_cast<int>(count));
        first += count;
    } while (first < elements);
}

class MpiCommunicator final : public Communicator {
  public:
    MpiCommunicator(UniqueComm comm,
                    GroupRank rank,
                    std::int64_t size,
                    std::shared_ptr<const ElementTypes> types,
                    std::shared_ptr<MessagesInFlight> messages,
                    MpiLimits limits)
        : comm_(std::move(comm)),
          rank_(rank),
          size_(size),
          types_(std::move(types)),
          messages_(std::move(messages)),
          limits_(limits) {}

    [[nodiscard]] GroupRank rank() const override { return rank_; }

    [[nodiscard]] std::int64_t size() const override { return size_; }

    Pending all_reduce(std::span<const std::byte> in,
                       std::span<std::byte> out,
                       DType type,
                       Reduction reduction,
                       Urgency urgency) override;
    Pending reduce_scatter(std::span<const std::byte> in,
                           std::span<std::byte> out,
                           DType type,
                           Reduction reduction,
                           Urgency urgency) override;
    Pending all_gather(std::span<const std::byte> in,
                       std::span<std::byte> out,
                       Urgency urgency) override;
    Pending all_to_all(std::span<const std::byte> in,
                       std::span<std::byte> out,
                       const Exchange& parts,
                       Urgency urgency) override;
    Pending broadcast(std::span<std::byte> buffer, GroupRank root, Urgency urgency) override;
    Pending send(std::span<const std::byte> buffer, GroupRank peer, std::int32_t tag) override;
    Pending recv(std::span<std::byte> buffer, GroupRank peer, std::int32_t tag) override;
    [[nodiscard]] std::unique_ptr<Communicator> split(std::int32_t color,
                                                      std::int32_t key) override;
    void abort(int exit_code, std::string_view reason) noexcept override;

    [[nodiscard]] std::string_view carrier(CollectiveOp /*op*/,
                                           std::size_t /*bytes*/,
                                           Urgency /*urgency*/) const override {
        return "mpi";
    }

  private:
    Pending scatter_reduced(std::span<const std::byte> in,
                            std::span<std::byte> out,
                            DType type,
                            Reduction reduction,
                            Urgency urgency);
    [[nodiscard]] Pending averaged(Pending sum,
                                   std::span<std::byte> out,
                                   DType type,
                                   Reduction reduction) const;

    UniqueComm comm_;
    GroupRank rank_;
    std::int64_t size_;
    std::shared_ptr<const ElementTypes> types_;
    std::shared_ptr<MessagesInFlight> messages_;
    MpiLimits limits_;
};

std::unique_ptr<Communicator> wrap(UniqueComm comm,
                                   const std::shared_ptr<const ElementTypes>& types,
                                   const std::shared_ptr<MessagesInFlight>& messages,
                                   MpiLimits limits) {
    int rank = 0;
    int size = 0;
    TD_MPI(MPI_Comm_rank(comm.get(), &rank));
    TD_MPI(MPI_Comm_size(comm.get(), &size));
    if (size == 1) {
        return std::make_unique<SerialCommunicator>(&abort_mpi_job);
    }
    return std::make_unique<MpiCommunicator>(
        std::move(comm), GroupRank{rank}, size, types, messages, limits);
}

Pending MpiCommunicator::all_reduce(std::span<const std::byte> in,
                                    std::span<std::byte> out,
                                    DType type,
                                    Reduction reduction,
                                    Urgency urgency) {
    const bool in_place = check_all_reduce(in, out, type) == Placement::in_place;
    Requests requests{urgency};
    for_each_piece(elements_in(out, type), limits_.largest_count, [&](auto first, int count) {
        const std::int64_t offset = first * element_size(type);
        TD_MPI(requests.call(MPI_Allreduce,
                             MPI_Iallreduce,
                             in_place ? MPI_IN_PLACE : in.data() + offset,
                             out.data() + offset,
                             count,
                             types_->datatype(type),
                             types_->operation(type, reduction),
                             comm_.get()));
    });
    return averaged(std::move(requests).pending(), out, type, reduction);
}

Pending MpiCommunicator::reduce_scatter(std::span<const std::byte> in,
                                        std::span<std::byte> out,
                                        DType type,
                                        Reduction reduction,
                                        Urgency urgency) {
    if (check_reduce_scatter(in, out, type, *this) == Placement::apart) {
        return averaged(scatter_reduced(in, out, type, reduction, urgency), out, type, reduction);
    }
    // MPI's own "in place" leaves the result at the front, where another part was.
    const auto apart = std::make_shared<std::vector<std::byte>>(out.size());
    Pending pending = scatter_reduced(in, std::span{*apart}, type, reduction, urgency);
    return averaged(
        followed_by(std::move(pending),
                    [apart, out] { std::memcpy(out.data(), apart->data(), out.size()); }),
        out,
        type,
        reduction);
}

/// Sums where an average is asked for.
Pending MpiCommunicator::scatter_reduced(std::span<const std::byte> in,
                                         std::span<std::byte> out,
                                         DType type,
                                         Reduction reduction,
                                         Urgency urgency) {
    MPI_Datatype datatype = types_->datatype(type);
    MPI_Op op = types_->operation(type, reduction);
    const std::int64_t elements = elements_in(out, type);
    Requests requests{urgency};
    if (elements * size_ <= limits_.largest_count) {
        TD_MPI(requests.call(MPI_Reduce_scatter_block,
                             MPI_Ireduce_scatter_block,
                             in.data(),
                             out.data(),
                             static_cast<int>(elements),
                             datatype,
                             op,
                             comm_.get()));
        return std::move(requests).pending();
    }
    // Reductions take no derived types, so a piece of every part cannot be described at once.
    for (int root = 0; root < size_; ++root) {
        const std::byte* const part = in.data() + root * elements * element_size(type);
        for_each_piece(elements, limits_.largest_count, [&](std::int64_t first, int count) {
            const std::int64_t offset = first * element_size(type);
            TD_MPI(requests.call(MPI_Reduce,
                                 MPI_Ireduce,
                                 part + offset,
                                 out.data() + offset,
                                 count,
                                 datatype,
                                 op,
                                 root,
                                 comm_.get()));
        });
    }
    return std::move(requests).pending();
}

Pending MpiCommunicator::all_gather(std::span<const std::byte> in,
                                    std::span<std::byte> out,
                                    Urgency urgency) {
    const bool in_place = check_all_gather(in, out, *this) == Placement::in_place;
    const ByteLayout part{out.size(), size_, limits_.largest_count};
    Requests requests{urgency};
    TD_MPI(requests.call(MPI_Allgather,
                         MPI_Iallgather,
                         in_place ? MPI_IN_PLACE : in.data(),
                         part.count(),
                         part.type(),
                         out.data(),
                         part.count(),
                         part.type(),
                         comm_.get()));
    return std::move(requests).pending();
}

Pending MpiCommunicator::all_to_all(std::span<const std::byte> in,
                                    std::span<std::byte> out,
                                    const Exchange& parts,
                                    Urgency urgency) {
    check_all_to_all(in, out, parts, *this);
    Requests requests{urgency};
    if (!parts.sent.empty()) {
        const auto sent = std::make_shared<const ExchangeLayout>(parts.sent, limits_.largest_count);
        const auto received =
            std::make_shared<const ExchangeLayout>(parts.received, limits_.largest_count);
        // Open MPI 4.1's MPI_Ialltoallv takes equal addresses for MPI_IN_PLACE (NBC_IN_PLACE),
        // which a member that sends nothing may have by chance: the others would wait for ever.
        static constexpr std::byte nothing{};
        TD_MPI(requests.call(MPI_Alltoallv,
                             MPI_Ialltoallv,
                             in.empty() ? &nothing : in.data(),
                             sent->counts(),
                             sent->offsets(),
                             sent->type(),
                             out.data(),
                             received->counts(),
                             received->offsets(),
                             received->type(),
                             comm_.get()));
        // MPI reads the arrays until it is done.
        return followed_by(std::move(requests).pending(), [sent, received] {});
    }
    const ByteLayout part{in.size(), size_, limits_.largest_count};
    TD_MPI(requests.call(MPI_Alltoall,
                         MPI_Ialltoall,
                         in.data(),
                         part.count(),
                         part.type(),
                         out.data(),
                         part.count(),
                         part.type(),
                         comm_.get()));
    return std::move(requests).pending();
}

Pending MpiCommunicator::broadcast(std::span<std::byte> buffer, GroupRank root, Urgency urgency) {
    const ByteLayout layout{buffer.size(), 1, limits_.largest_count};
    Requests requests{urgency};
    TD_MPI(requests.call(MPI_Bcast,
                         MPI_Ibcast,
                         buffer.data(),
                         layout.count(),
                         layout.type(),
                         root.value(),
                         comm_.get()));
    return std::move(requests).pending();
}

Pending MpiCommunicator::averaged(Pending sum,
                                  std::span<std::byte> out,
                                  DType type,
                                  Reduction reduction) const {
    if (reduction != Reduction::average) {
        return sum;
    }
    return followed_by(std::move(sum),
                       [out, type, size = size_] { divide_elements(out, type, size); });
}

Pending MpiCommunicator::send(std::span<const std::byte> buffer, GroupRank peer, std::int32_t tag) {
    TD_EXPECT(peer.value() >= 0);  // MPI gives negative ranks meanings of their own
    const ByteLayout layout{buffer.size(), 1, limits_.largest_count};
    MPI_Request request = MPI_REQUEST_NULL;
    TD_MPI(MPI_Isend(
        buffer.data(), layout.count(), layout.type(), peer.value(), tag, comm_.get(), &request));
    return MessagesInFlight::add(messages_, request);
}

Pending MpiCommunicator::recv(std::span<std::byte> buffer, GroupRank peer, std::int32_t tag) {
    TD_EXPECT(peer.value() >= 0 && tag >= 0);
    const ByteLayout layout{buffer.size(), 1, limits_.largest_count};
    MPI_Request request = MPI_REQUEST_NULL;
    TD_MPI(MPI_Irecv(
        buffer.data(), layout.count(), layout.type(), peer.value(), tag, comm_.get(), &request));
    return MessagesInFlight::add(messages_, request);
}

std::unique_ptr<Communicator> MpiCommunicator::split(std::int32_t color, std::int32_t key) {
    TD_EXPECT(color >= 0);
    MPI_Comm part = MPI_COMM_NULL;
    TD_MPI(MPI_Comm_split(comm_.get(), color, key, &part));
    return wrap(UniqueComm{part}, types_, messages_, limits_);
}

void MpiCommunicator::abort(int exit_code, std::string_view reason) noexcept {
    abort_mpi_job(exit_code, reason);
}

}  // namespace

std::unique_ptr<Communicator> make_mpi_communicator(MPI_Comm handle, MpiLimits limits) {
    return wrap(UniqueComm{handle},
                std::make_shared<const ElementTypes>(),
                std::make_shared<MessagesInFlight>(),
                limits);
}

}  // namespace traindyno
