// SPDX-License-Identifier: Apache-2.0
#include "tests/gpu/nccl/mirrored_communicator.hpp"

#include <cstdint>
#include <exception>
#include <utility>

#include "collectives/arguments.hpp"
#include "collectives/followed_by.hpp"
#include "emulator/device/cuda/runtime.hpp"

namespace traindyno::test {

class MirrorMemory {
  public:
    explicit MirrorMemory(Bytes size) : memory_(size) {}

    /// Device memory for a buffer. Starts over once nothing is in flight.
    [[nodiscard]] std::span<std::byte> take(std::size_t size) {
        constexpr std::size_t alignment = 256;
        used_ = users_ == 0 ? 0 : (used_ + alignment - 1) / alignment * alignment;
        TD_EXPECT(used_ + size <= static_cast<std::size_t>(memory_.size().value()));
        const std::span<std::byte> taken{memory_.data() + used_, size};
        used_ += size;
        ++users_;
        return taken;
    }

    void give_back() { --users_; }

    void copy(std::span<const std::byte> from, std::span<std::byte> to, cudaMemcpyKind kind) {
        TD_CUDA(cudaMemcpyAsync(to.data(), from.data(), to.size(), kind, stream_.get()));
        TD_CUDA(cudaStreamSynchronize(stream_.get()));
    }

  private:
    DeviceBytes memory_;
    CudaStream stream_ = make_stream();
    std::size_t used_ = 0;
    int users_ = 0;
};

namespace {

/// Device memory in place of one host buffer.
class Mirror {
  public:
    Mirror(std::span<const std::byte> host, std::shared_ptr<MirrorMemory> memory)
        : memory_(std::move(memory)), device_(memory_->take(host.size())) {
        memory_->copy(host, device_, cudaMemcpyHostToDevice);
    }

    ~Mirror() { memory_->give_back(); }

    Mirror(const Mirror&) = delete;
    Mirror& operator=(const Mirror&) = delete;
    Mirror(Mirror&&) = delete;
    Mirror& operator=(Mirror&&) = delete;

    [[nodiscard]] std::span<std::byte> device() const { return device_; }

    void copy_to(std::span<std::byte> host) const {
        memory_->copy(device_, host, cudaMemcpyDeviceToHost);
    }

  private:
    std::shared_ptr<MirrorMemory> memory_;
    std::span<std::byte> device_;
};

class MirroredOperation final : public Pending::Operation {
  public:
    MirroredOperation(Pending pending,
                      std::unique_ptr<Mirror> in,
                      std::unique_ptr<Mirror> out,
                      std::span<std::byte> host)
        : in_(std::move(in)), out_(std::move(out)), host_(host), pending_(std::move(pending)) {}

    ~MirroredOperation() override {
        if (std::uncaught_exceptions() == 0 && !complete_) {
            { const Pending waited_for = std::move(pending_); }
            out_->copy_to(host_);
        }
    }

    MirroredOperation(const MirroredOperation&) = delete;
    MirroredOperation& operator=(const MirroredOperation&) = delete;
    MirroredOperation(MirroredOperation&&) = delete;
    MirroredOperation& operator=(MirroredOperation&&) = delete;

    [[nodiscard]] bool advance() override {
        if (!pending_.done()) {
            return false;
        }
        out_->copy_to(host_);
        complete_ = true;
        return true;
    }

  private:
    std::unique_ptr<Mirror> in_;
    std::unique_ptr<Mirror> out_;
    std::span<std::byte> host_;  ///< what `out_` is copied to
    Pending pending_;            ///< destroyed before the memory it uses
    bool complete_ = false;
};

class MirroredCommunicator final : public Communicator {
  public:
    MirroredCommunicator(std::shared_ptr<Communicator> inner, std::shared_ptr<MirrorMemory> memory)
        : inner_(std::move(inner)), memory_(std::move(memory)) {}

    [[nodiscard]] GroupRank rank() const override { return inner_->rank(); }

    [[nodiscard]] std::int64_t size() const override { return inner_->size(); }

    Pending all_reduce(std::span<const std::byte> in,
                       std::span<std::byte> out,
                       DType type,
                       Reduction reduction,
                       Urgency urgency) override {
        if (check_all_reduce(in, out, type) == Placement::in_place) {
            return mirrored({}, out, [&](auto /*from*/, auto to) {
                return inner_->all_reduce(to, to, type, reduction, urgency);
            });
        }
        return mirrored(in, out, [&](auto from, auto to) {
            return inner_->all_reduce(from, to, type, reduction, urgency);
        });
    }

    Pending reduce_scatter(std::span<const std::byte> in,
                           std::span<std::byte> out,
                           DType type,
                           Reduction reduction,
                           Urgency urgency) override {
        const Placement placement = check_reduce_scatter(in, out, type, *this);
        return mirrored(in, out, [&](auto from, auto to) {
            if (placement == Placement::apart) {
                return inner_->reduce_scatter(from, to, type, reduction, urgency);
            }
            return copied_back(
                inner_->reduce_scatter(from, own_part(from, to.size()), type, reduction, urgency),
                own_part(from, to.size()),
                to);
        });
    }

    Pending all_gather(std::span<const std::byte> in,
                       std::span<std::byte> out,
                       Urgency urgency) override {
        if (check_all_gather(in, out, *this) == Placement::in_place) {
            return mirrored({}, out, [&](auto /*from*/, auto to) {
                return inner_->all_gather(own_part(to, in.size()), to, urgency);
            });
        }
        return mirrored(
            in, out, [&](auto from, auto to) { return inner_->all_gather(from, to, urgency); });
    }

    Pending all_to_all(std::span<const std::byte> in,
                       std::span<std::byte> out,
                       const Exchange& parts,
                       Urgency urgency) override {
        check_all_to_all(in, out, parts, *this);
        return mirrored(in, out, [&](auto from, auto to) {
            return inner_->all_to_all(from, to, parts, urgency);
        });
    }

    Pending broadcast(std::span<std::byte> buffer, GroupRank root, Urgency urgency) override {
        return mirrored({}, buffer, [&](auto /*in*/, auto out) {
            return inner_->broadcast(out, root, urgency);
        });
    }

    Pending send(std::span<const std::byte> buffer, GroupRank peer, std::int32_t tag) override {
        return mirrored(
            buffer, {}, [&](auto in, auto /*out*/) { return inner_->send(in, peer, tag); });
    }

    Pending recv(std::span<std::byte> buffer, GroupRank peer, std::int32_t tag) override {
        return mirrored(
            {}, buffer, [&](auto /*in*/, auto out) { return inner_->recv(out, peer, tag); });
    }

    [[nodiscard]] std::unique_ptr<Communicator> split(std::int32_t color,
                                                      std::int32_t key) override {
        return std::make_unique<MirroredCommunicator>(inner_->split(color, key), memory_);
    }

    void abort(int exit_code, std::string_view reason) noexcept override {
        inner_->abort(exit_code, reason);
    }

  private:
    [[nodiscard]] std::span<std::byte> own_part(std::span<std::byte> whole,
                                                std::size_t size) const {
        return whole.subspan(rank().index() * size, size);
    }

    /// `from` holds the result of `pending`; both are device memory.
    [[nodiscard]] Pending copied_back(Pending pending,
                                      std::span<const std::byte> from,
                                      std::span<std::byte> to) const {
        return followed_by(std::move(pending), [memory = memory_, from, to] {
            memory->copy(from, to, cudaMemcpyDeviceToDevice);
        });
    }

    template <class Post>
    Pending mirrored(std::span<const std::byte> in, std::span<std::byte> out, Post&& post) {
        auto from = std::make_unique<Mirror>(in, memory_);
        auto to = std::make_unique<Mirror>(out, memory_);
        Pending pending = post(from->device(), to->device());
        return Pending{std::make_unique<MirroredOperation>(
            std::move(pending), std::move(from), std::move(to), out)};
    }

    std::shared_ptr<Communicator> inner_;
    std::shared_ptr<MirrorMemory> memory_;
};

}  // namespace

std::shared_ptr<MirrorMemory> make_mirror_memory(Bytes size) {
    return std::make_shared<MirrorMemory>(size);
}

std::unique_ptr<Communicator> make_mirrored_communicator(std::shared_ptr<Communicator> device,
                                                         std::shared_ptr<MirrorMemory> memory) {
    return std::make_unique<MirroredCommunicator>(std::move(device), std::move(memory));
}

}  // namespace traindyno::test
