// SPDX-License-Identifier: Apache-2.0
#include "collectives/mpi/mpi_communicator.hpp"

#include <algorithm>
#include <utility>

#include "collectives/mpi/abort_job.hpp"
#include "collectives/mpi/byte_layout.hpp"
#include "collectives/mpi/check.hpp"
#include "collectives/mpi/element_types.hpp"
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

std::int64_t elements_in(std::size_t bytes, DType type) {
    const auto count = static_cast<std::int64_t>(bytes);
    TD_EXPECT(count % element_size(type) == 0);
    return count / element_size(type);
}

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
                    MpiLimits limits)
        : comm_(std::move(comm)),
          rank_(rank),
          size_(size),
          types_(std::move(types)),
          limits_(limits) {}

    [[nodiscard]] GroupRank rank() const override { return rank_; }

    [[nodiscard]] std::int64_t size() const override { return size_; }

    Pending all_reduce(std::span<std::byte> buffer,
                       DType type,
                       Reduction reduction,
                       Urgency urgency) override;
    Pending reduce_scatter(std::span<const std::byte> in,
                           std::span<std::byte> out,
                           DType type,
                           Reduction reduction) override;
    Pending all_gather(std::span<const std::byte> in, std::span<std::byte> out) override;
    Pending all_to_all(std::span<const std::byte> in, std::span<std::byte> out) override;
    Pending broadcast(std::span<std::byte> buffer, GroupRank root) override;
    Pending send(std::span<const std::byte> buffer, GroupRank peer, std::int32_t tag) override;
    Pending recv(std::span<std::byte> buffer, GroupRank peer, std::int32_t tag) override;
    [[nodiscard]] std::unique_ptr<Communicator> split(std::int32_t color,
                                                      std::int32_t key) override;
    void abort(int exit_code, std::string_view reason) noexcept override;

  private:
    UniqueComm comm_;
    GroupRank rank_;
    std::int64_t size_;
    std::shared_ptr<const ElementTypes> types_;
    MpiLimits limits_;
};

std::unique_ptr<Communicator> wrap(UniqueComm comm,
                                   const std::shared_ptr<const ElementTypes>& types,
                                   MpiLimits limits) {
    int rank = 0;
    int size = 0;
    TD_MPI(MPI_Comm_rank(comm.get(), &rank));
    TD_MPI(MPI_Comm_size(comm.get(), &size));
    if (size == 1) {
        return std::make_unique<SerialCommunicator>(&abort_mpi_job);
    }
    return std::make_unique<MpiCommunicator>(std::move(comm), GroupRank{rank}, size, types, limits);
}

Pending MpiCommunicator::all_reduce(std::span<std::byte> buffer,
                                    DType type,
                                    Reduction reduction,
                                    Urgency urgency) {
    MPI_Datatype datatype = types_->datatype(type);
    MPI_Op op = types_->operation(type, reduction);
    const std::int64_t elements = elements_in(buffer.size(), type);
    const auto at = [&](std::int64_t first) { return buffer.data() + first * element_size(type); };
    if (urgency == Urgency::immediate) {
        for_each_piece(elements, limits_.largest_count, [&](std::int64_t first, int count) {
            TD_MPI(MPI_Allreduce(MPI_IN_PLACE, at(first), count, datatype, op, comm_.get()));
        });
        return {};
    }
    auto operation = std::make_unique<RequestOperation>();
    for_each_piece(elements, limits_.largest_count, [&](std::int64_t first, int count) {
        TD_MPI(MPI_Iallreduce(
            MPI_IN_PLACE, at(first), count, datatype, op, comm_.get(), operation->add()));
    });
    return Pending{std::move(operation)};
}

Pending MpiCommunicator::reduce_scatter(std::span<const std::byte> in,
                                        std::span<std::byte> out,
                                        DType type,
                                        Reduction reduction) {
    TD_EXPECT(in.size() == out.size() * static_cast<std::size_t>(size_));
    MPI_Datatype datatype = types_->datatype(type);
    MPI_Op op = types_->operation(type, reduction);
    const std::int64_t elements = elements_in(out.size(), type);
    auto operation = std::make_unique<RequestOperation>();
    if (elements * size_ <= limits_.largest_count) {
        TD_MPI(MPI_Ireduce_scatter_block(in.data(),
                                         out.data(),
                                         static_cast<int>(elements),
                                         datatype,
                                         op,
                                         comm_.get(),
                                         operation->add()));
        return Pending{std::move(operation)};
    }
    // Reductions take no derived types, so a piece of every part cannot be described at once.
    for (int root = 0; root < size_; ++root) {
        const std::byte* const part = in.data() + root * elements * element_size(type);
        for_each_piece(elements, limits_.largest_count, [&](std::int64_t first, int count) {
            const std::int64_t offset = first * element_size(type);
            TD_MPI(MPI_Ireduce(part + offset,
                               out.data() + offset,
                               count,
                               datatype,
                               op,
                               root,
                               comm_.get(),
                               operation->add()));
        });
    }
    return Pending{std::move(operation)};
}

Pending MpiCommunicator::all_gather(std::span<const std::byte> in, std::span<std::byte> out) {
    TD_EXPECT(out.size() == in.size() * static_cast<std::size_t>(size_));
    const ByteLayout part{out.size(), size_, limits_.largest_count};
    auto operation = std::make_unique<RequestOperation>();
    TD_MPI(MPI_Iallgather(in.data(),
                          part.count(),
                          part.type(),
                          out.data(),
                          part.count(),
                          part.type(),
                          comm_.get(),
                          operation->add()));
    return Pending{std::move(operation)};
}

Pending MpiCommunicator::all_to_all(std::span<const std::byte> in, std::span<std::byte> out) {
    TD_EXPECT(in.size() == out.size() && in.size() % static_cast<std::size_t>(size_) == 0);
    const ByteLayout part{in.size(), size_, limits_.largest_count};
    auto operation = std::make_unique<RequestOperation>();
    TD_MPI(MPI_Ialltoall(in.data(),
                         part.count(),
                         part.type(),
                         out.data(),
                         part.count(),
                         part.type(),
                         comm_.get(),
                         operation->add()));
    return Pending{std::move(operation)};
}

Pending MpiCommunicator::broadcast(std::span<std::byte> buffer, GroupRank root) {
    const ByteLayout layout{buffer.size(), 1, limits_.largest_count};
    auto operation = std::make_unique<RequestOperation>();
    TD_MPI(MPI_Ibcast(
        buffer.data(), layout.count(), layout.type(), root.value(), comm_.get(), operation->add()));
    return Pending{std::move(operation)};
}

Pending MpiCommunicator::send(std::span<const std::byte> buffer, GroupRank peer, std::int32_t tag) {
    TD_EXPECT(peer.value() >= 0);  // MPI gives negative ranks meanings of their own
    const ByteLayout layout{buffer.size(), 1, limits_.largest_count};
    auto operation = std::make_unique<RequestOperation>();
    TD_MPI(MPI_Isend(buffer.data(),
                     layout.count(),
                     layout.type(),
                     peer.value(),
                     tag,
                     comm_.get(),
                     operation->add()));
    return Pending{std::move(operation)};
}

Pending MpiCommunicator::recv(std::span<std::byte> buffer, GroupRank peer, std::int32_t tag) {
    TD_EXPECT(peer.value() >= 0 && tag >= 0);
    const ByteLayout layout{buffer.size(), 1, limits_.largest_count};
    auto operation = std::make_unique<RequestOperation>();
    TD_MPI(MPI_Irecv(buffer.data(),
                     layout.count(),
                     layout.type(),
                     peer.value(),
                     tag,
                     comm_.get(),
                     operation->add()));
    return Pending{std::move(operation)};
}

std::unique_ptr<Communicator> MpiCommunicator::split(std::int32_t color, std::int32_t key) {
    TD_EXPECT(color >= 0);
    MPI_Comm part = MPI_COMM_NULL;
    TD_MPI(MPI_Comm_split(comm_.get(), color, key, &part));
    return wrap(UniqueComm{part}, types_, limits_);
}

void MpiCommunicator::abort(int exit_code, std::string_view reason) noexcept {
    abort_mpi_job(exit_code, reason);
}

}  // namespace

std::unique_ptr<Communicator> make_mpi_communicator(MPI_Comm handle, MpiLimits limits) {
    return wrap(UniqueComm{handle}, std::make_shared<const ElementTypes>(), limits);
}

}  // namespace traindyno
