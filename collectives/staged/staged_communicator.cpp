// SPDX-License-Identifier: Apache-2.0
#include "collectives/staged/staged_communicator.hpp"

#include <algorithm>
#include <cstdint>
#include <deque>
#include <exception>
#include <functional>
#include <utility>
#include <vector>

#include "collectives/arguments.hpp"
#include "collectives/drain.hpp"

namespace traindyno {

namespace {

/// One operation on its way: copy down, host operation, copy up. Copies of nothing are left out.
struct Transfer {
    enum class Stage : std::uint8_t { copying_down, on_the_wire, copying_up, complete, failed };

    std::shared_ptr<std::byte> block;  ///< holds `down` and `up`
    std::span<std::byte> down;         ///< what the host operation reads
    std::span<std::byte> up;           ///< what it writes, or empty
    std::span<std::byte> device;       ///< where `up` goes
    std::function<Pending()> begin;    ///< posts the host operation
    Stage stage = Stage::copying_down;
    std::exception_ptr error;  ///< why it failed, for its own Pending
    // Destroyed before the block they use.
    Pending copy;
    Pending host;
};

/// The operations of a communicator and of all that were split from it. Host operations are posted
/// in the order of the calls, which is the same on every member, and whichever Pending is asked
/// posts them all: a rank that waits for one must not withhold another from its peers.
class TransferQueue {
  public:
    explicit TransferQueue(std::shared_ptr<HostStaging> staging) : staging_(std::move(staging)) {}

    [[nodiscard]] HostStaging& staging() const { return *staging_; }

    void add(const std::shared_ptr<Transfer>& transfer) {
        waiting_.push_back(transfer);
        post_ready();
    }

    void drop(const Transfer& transfer) {
        std::erase_if(waiting_, [&](const auto& each) { return each.get() == &transfer; });
    }

    void post_ready() {
        while (!waiting_.empty()) {
            const std::shared_ptr<Transfer> first = waiting_.front();
            try {
                if (!first->copy.done()) {
                    return;
                }
                first->host = first->begin();
                first->stage = Transfer::Stage::on_the_wire;
            } catch (...) {
                first->error = std::current_exception();
                first->stage = Transfer::Stage::failed;
            }
            waiting_.pop_front();
        }
    }

  private:
    std::shared_ptr<HostStaging> staging_;
    std::deque<std::shared_ptr<Transfer>> waiting_;  ///< not posted to the host communicator yet
};

class StagedOperation final : public Pending::Operation {
  public:
    StagedOperation(std::shared_ptr<TransferQueue> queue, std::shared_ptr<Transfer> transfer)
        : queue_(std::move(queue)), transfer_(std::move(transfer)) {}

    ~StagedOperation() override {
        drain(*this);
        queue_->drop(*transfer_);
    }

    StagedOperation(const StagedOperation&) = delete;
    StagedOperation& operator=(const StagedOperation&) = delete;
    StagedOperation(StagedOperation&&) = delete;
    StagedOperation& operator=(StagedOperation&&) = delete;

    [[nodiscard]] bool advance() override {
        queue_->post_ready();
        Transfer& transfer = *transfer_;
        if (transfer.stage == Transfer::Stage::failed) {
            std::rethrow_exception(transfer.error);
        }
        if (transfer.stage == Transfer::Stage::on_the_wire && transfer.host.done()) {
            if (!transfer.up.empty()) {
                transfer.copy = queue_->staging().to_device(transfer.up, transfer.device);
            }
            transfer.stage = Transfer::Stage::copying_up;
        }
        if (transfer.stage == Transfer::Stage::copying_up && transfer.copy.done()) {
            transfer.block.reset();
            transfer.stage = Transfer::Stage::complete;
        }
        return transfer.stage == Transfer::Stage::complete;
    }

  private:
    std::shared_ptr<TransferQueue> queue_;
    std::shared_ptr<Transfer> transfer_;
};

class StagedCommunicator final : public Communicator {
  public:
    StagedCommunicator(std::unique_ptr<Communicator> host, std::shared_ptr<TransferQueue> queue)
        : host_(std::move(host)), queue_(std::move(queue)) {}

    [[nodiscard]] GroupRank rank() const override { return host_->rank(); }

    [[nodiscard]] std::int64_t size() const override { return host_->size(); }

    Pending all_reduce(std::span<const std::byte> in,
                       std::span<std::byte> out,
                       DType type,
                       Reduction reduction,
                       Urgency urgency) override {
        const auto transfer = check_all_reduce(in, out, type) == Placement::in_place
                                  ? in_place(in, out)
                                  : two_buffers(in, out);
        transfer->begin =
            [this, type, reduction, urgency, from = transfer->down, to = transfer->up] {
                return host_->all_reduce(from, to, type, reduction, urgency);
            };
        return post(transfer, urgency);
    }

    Pending reduce_scatter(std::span<const std::byte> in,
                           std::span<std::byte> out,
                           DType type,
                           Reduction reduction,
                           Urgency urgency) override {
        (void)check_reduce_scatter(in, out, type, *this);
        const auto transfer = two_buffers(in, out);
        transfer->begin =
            [this, type, reduction, urgency, from = transfer->down, to = transfer->up] {
                return host_->reduce_scatter(from, to, type, reduction, urgency);
            };
        return post(transfer, urgency);
    }

    Pending all_gather(std::span<const std::byte> in,
                       std::span<std::byte> out,
                       Urgency urgency) override {
        (void)check_all_gather(in, out, *this);
        const auto transfer = two_buffers(in, out);
        transfer->begin = [this, urgency, from = transfer->down, to = transfer->up] {
            return host_->all_gather(from, to, urgency);
        };
        return post(transfer, urgency);
    }

    Pending all_to_all(std::span<const std::byte> in,
                       std::span<std::byte> out,
                       const Exchange& parts,
                       Urgency urgency) override {
        check_all_to_all(in, out, parts, *this);
        const auto transfer = two_buffers(in, out);
        const auto copy = [](std::span<const std::int64_t> sizes) {
            return std::vector<std::int64_t>(sizes.begin(), sizes.end());
        };
        transfer->begin = [this,
                           urgency,
                           sent = copy(parts.sent),
                           received = copy(parts.received),
                           from = transfer->down,
                           to = transfer->up] {
            return host_->all_to_all(from, to, {.sent = sent, .received = received}, urgency);
        };
        return post(transfer, urgency);
    }

    Pending broadcast(std::span<std::byte> buffer, GroupRank root, Urgency urgency) override {
        const std::span<std::byte> none;
        const auto transfer = rank() == root ? in_place(buffer, none) : in_place(none, buffer);
        transfer->begin =
            [this, root, urgency, bytes = rank() == root ? transfer->down : transfer->up] {
                return host_->broadcast(bytes, root, urgency);
            };
        return post(transfer, urgency);
    }

    Pending send(std::span<const std::byte> buffer, GroupRank peer, std::int32_t tag) override {
        const auto transfer = in_place(buffer, {});
        transfer->begin = [this, peer, tag, bytes = transfer->down] {
            return host_->send(bytes, peer, tag);
        };
        return post(transfer, Urgency::background);
    }

    Pending recv(std::span<std::byte> buffer, GroupRank peer, std::int32_t tag) override {
        const auto transfer = in_place({}, buffer);
        transfer->begin = [this, peer, tag, bytes = transfer->up] {
            return host_->recv(bytes, peer, tag);
        };
        return post(transfer, Urgency::background);
    }

    [[nodiscard]] std::unique_ptr<Communicator> split(std::int32_t color,
                                                      std::int32_t key) override {
        return std::make_unique<StagedCommunicator>(host_->split(color, key), queue_);
    }

    [[nodiscard]] std::string_view carrier(CollectiveOp op,
                                           std::size_t bytes,
                                           Urgency urgency) const override {
        return host_->carrier(op, bytes, urgency);
    }

    void abort(int exit_code, std::string_view reason) noexcept override {
        host_->abort(exit_code, reason);
    }

  private:
    /// Both ways through the same host memory; either may be empty.
    [[nodiscard]] std::shared_ptr<Transfer> in_place(std::span<const std::byte> in,
                                                     std::span<std::byte> out) const {
        auto transfer = std::make_shared<Transfer>();
        transfer->block = queue_->staging().lend(std::max(in.size(), out.size()));
        transfer->down = {transfer->block.get(), in.size()};
        transfer->up = {transfer->block.get(), out.size()};
        begin_copy(*transfer, in, out);
        return transfer;
    }

    [[nodiscard]] std::shared_ptr<Transfer> two_buffers(std::span<const std::byte> in,
                                                        std::span<std::byte> out) const {
        auto transfer = std::make_shared<Transfer>();
        // The second buffer begins where any element type may.
        const std::size_t second = (in.size() + 63) / 64 * 64;
        transfer->block = queue_->staging().lend(second + out.size());
        transfer->down = {transfer->block.get(), in.size()};
        transfer->up = {transfer->block.get() + second, out.size()};
        begin_copy(*transfer, in, out);
        return transfer;
    }

    void begin_copy(Transfer& transfer,
                    std::span<const std::byte> in,
                    std::span<std::byte> out) const {
        transfer.device = out;
        if (!in.empty()) {
            transfer.copy = queue_->staging().to_host(in, transfer.down);
        }
    }

    [[nodiscard]] Pending post(const std::shared_ptr<Transfer>& transfer, Urgency urgency) const {
        queue_->add(transfer);
        Pending pending{std::make_unique<StagedOperation>(queue_, transfer)};
        while (urgency == Urgency::immediate && !pending.done()) {
        }
        return pending;
    }

    std::unique_ptr<Communicator> host_;
    std::shared_ptr<TransferQueue> queue_;
};

}  // namespace

std::unique_ptr<Communicator> make_staged_communicator(std::unique_ptr<Communicator> host,
                                                       std::shared_ptr<HostStaging> staging) {
    return std::make_unique<StagedCommunicator>(
        std::move(host), std::make_shared<TransferQueue>(std::move(staging)));
}

}  // namespace traindyno
