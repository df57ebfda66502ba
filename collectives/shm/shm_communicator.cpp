// SPDX-License-Identifier: Apache-2.0
#include "collectives/shm/shm_communicator.hpp"

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <exception>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "collectives/arguments.hpp"
#include "collectives/control.hpp"
#include "collectives/cost/shared_memory_cost.hpp"
#include "collectives/drain.hpp"
#include "collectives/patient_wait.hpp"
#include "collectives/shm/large_call.hpp"
#include "collectives/shm/one_shot.hpp"
#include "collectives/shm/progress.hpp"
#include "emulator/base/error.hpp"

namespace traindyno {

namespace {

/// Of the message that a rank sends itself (ProgressMessage).
constexpr std::int32_t progress_tag = control_tag - 1;

constexpr std::size_t longest_read_by_all = SharedLimits::read_by_all;
/// Of a message between ordinary buffers, shown to each member at a time.
constexpr std::size_t short_chunk = SharedLimits::chunk;
/// Where ranks share processors or compute between two looks each phase takes a while, and fewer
/// are better (measured likewise, 4 and 8 ranks on 2 processors).
constexpr std::size_t long_chunk = std::size_t{512} << 10;
/// For all members together, where their chunks would be longer.
constexpr std::size_t longest_window = std::size_t{2} << 20;

/// Fruitless looks between two looks at the clock.
constexpr std::int64_t looks_per_clock = 1024;

/// A receive that only the destructor lets complete. Asking for it lets the library below move what
/// else it has under way.
class ProgressMessage {
  public:
    explicit ProgressMessage(Communicator& over)
        : over_(over),
          received_(std::make_shared<Pending>(over.recv(landing_, over.rank(), progress_tag))) {}

    ~ProgressMessage() {
        if (std::uncaught_exceptions() > 0) {
            return;
        }
        try {
            Pending sent = over_.send(std::array<std::byte, 1>{}, over_.rank(), progress_tag);
            while (!sent.done() || !received_->done()) {
            }
        } catch (const std::exception& error) {
            std::fprintf(stderr, "traindyno: %s\n", error.what());
        }
    }

    ProgressMessage(const ProgressMessage&) = delete;
    ProgressMessage& operator=(const ProgressMessage&) = delete;
    ProgressMessage(ProgressMessage&&) = delete;
    ProgressMessage& operator=(ProgressMessage&&) = delete;

    [[nodiscard]] const std::shared_ptr<Pending>& pending() const { return received_; }

  private:
    Communicator& over_;
    std::array<std::byte, 1> landing_{};
    std::shared_ptr<Pending> received_;
};

/// One of ours.
class SharedOperation final : public Pending::Operation {
  public:
    SharedOperation(std::unique_ptr<PhasedOperation> operation,
                    std::shared_ptr<GroupQueue> queue,
                    std::shared_ptr<HeapProgress> progress)
        : operation_(std::move(operation)),
          queue_(std::move(queue)),
          progress_(std::move(progress)) {
        queue_->add(*operation_);
    }

    ~SharedOperation() override {
        drain(*this);
        queue_->abandon(*operation_);
    }

    SharedOperation(const SharedOperation&) = delete;
    SharedOperation& operator=(const SharedOperation&) = delete;
    SharedOperation(SharedOperation&&) = delete;
    SharedOperation& operator=(SharedOperation&&) = delete;

    [[nodiscard]] bool advance() override {
        if (queue_->holds(*operation_)) {
            progress_->advance();
        }
        return !queue_->holds(*operation_);
    }

    [[nodiscard]] std::vector<GroupRank> waiting_for() const override {
        return queue_->waiting_for();
    }

  private:
    std::unique_ptr<PhasedOperation> operation_;
    std::shared_ptr<GroupQueue> queue_;
    std::shared_ptr<HeapProgress> progress_;
};

/// A message below: while this rank waits for it, peers may wait for this rank's part in ours.
class CarriedOperation final : public Pending::Operation {
  public:
    CarriedOperation(Pending below, std::shared_ptr<HeapProgress> progress)
        : below_(std::move(below)), progress_(std::move(progress)) {}

    [[nodiscard]] bool advance() override {
        progress_->advance();
        return below_.done();
    }

  private:
    Pending below_;
    std::shared_ptr<HeapProgress> progress_;
};

/// Keeps the call that it carries out.
class BackgroundOneShot final : public PhasedOperation {
  public:
    BackgroundOneShot(Call call, OneShot::Showing showing)
        : call_(std::move(call)), operation_(call_, showing) {}

    void write(Board& board, Board::Phase phase) override { operation_.write(board, phase); }

    [[nodiscard]] Outcome read(Board& board, Board::Phase phase) override {
        return operation_.read(board, phase);
    }

  private:
    Call call_;
    OneShot operation_;
};

class ShmCommunicator final : public Communicator {
  public:
    ShmCommunicator(std::unique_ptr<Communicator> over,
                    std::shared_ptr<SharedHeap> heap,
                    ShmOptions options)
        : over_(std::move(over)),
          heap_(std::move(heap)),
          progress_(heap_->progress()),
          options_(options),
          message_(*over_),
          queue_(std::make_shared<GroupQueue>(*over_, heap_, longest_chunk())) {
        progress_->also_ask(message_.pending());
    }

    [[nodiscard]] GroupRank rank() const override { return over_->rank(); }

    [[nodiscard]] std::int64_t size() const override { return over_->size(); }

    Pending all_reduce(std::span<const std::byte> in,
                       std::span<std::byte> out,
                       DType type,
                       Reduction reduction,
                       Urgency urgency) override {
        (void)check_all_reduce(in, out, type);
        return start({.kind = CallKind::all_reduce,
                      .in = in,
                      .out = out,
                      .rule = {.type = type, .reduction = reduction, .members = size()}},
                     in.size(),
                     urgency);
    }

    Pending reduce_scatter(std::span<const std::byte> in,
                           std::span<std::byte> out,
                           DType type,
                           Reduction reduction,
                           Urgency urgency) override {
        (void)check_reduce_scatter(in, out, type, *this);
        return start({.kind = CallKind::reduce_scatter,
                      .in = in,
                      .out = out,
                      .rule = {.type = type, .reduction = reduction, .members = size()}},
                     in.size(),
                     urgency);
    }

    Pending all_gather(std::span<const std::byte> in,
                       std::span<std::byte> out,
                       Urgency urgency) override {
        (void)check_all_gather(in, out, *this);
        return start({.kind = CallKind::all_gather, .in = in, .out = out}, in.size(), urgency);
    }

    Pending all_to_all(std::span<const std::byte> in,
                       std::span<std::byte> out,
                       const Exchange& parts,
                       Urgency urgency) override {
        check_all_to_all(in, out, parts, *this);
        Call call{.kind = CallKind::all_to_all,
                  .in = in,
                  .out = out,
                  .sent = part_ranges(parts.sent, in.size(), size()),
                  .taken = part_ranges(parts.received, out.size(), size())};
        // Only equal parts are known to be short on every member.
        const bool equal = parts.sent.empty() && parts.received.empty();
        return start(std::move(call), equal ? in.size() : any_size, urgency);
    }

    Pending broadcast(std::span<std::byte> buffer, GroupRank root, Urgency urgency) override {
        if (root.value() < 0 || root.value() >= size()) {
            throw LibraryError("shared memory",
                               1,
                               fmt::format("there is no rank {} in the group", root.value()),
                               "broadcast",
                               Where::here());
        }
        Call call{.kind = CallKind::broadcast, .root = root.value()};
        if (root == rank()) {
            call.in = buffer;
        } else {
            call.out = buffer;
        }
        return start(std::move(call), buffer.size(), urgency);
    }

    Pending send(std::span<const std::byte> buffer, GroupRank peer, std::int32_t tag) override {
        return carried(over_->send(buffer, peer, tag));
    }

    Pending recv(std::span<std::byte> buffer, GroupRank peer, std::int32_t tag) override {
        return carried(over_->recv(buffer, peer, tag));
    }

    [[nodiscard]] std::unique_ptr<Communicator> split(std::int32_t color,
                                                      std::int32_t key) override;

    void abort(int exit_code, std::string_view reason) noexcept override {
        over_->abort(exit_code, reason);
    }

  private:
    static constexpr std::size_t any_size = SIZE_MAX;

    [[nodiscard]] OneShot::Showing showing() const {
        return progress_->crowded() ? OneShot::Showing::copies : OneShot::Showing::places;
    }

    [[nodiscard]] std::size_t longest_chunk() const {
        const std::size_t room = longest_window / static_cast<std::size_t>(size());
        return std::max({short_chunk, std::min(long_chunk, room), options_.chunk_bytes});
    }

    [[nodiscard]] std::size_t chunk_for(Urgency urgency) const {
        if (options_.chunk_bytes > 0) {
            return options_.chunk_bytes;
        }
        const bool waits = urgency == Urgency::immediate && !progress_->crowded();
        return waits ? short_chunk : longest_chunk();
    }

    /// `shown`: bytes that a member would show of itself, the same on all members.
    Pending start(Call call, std::size_t shown, Urgency urgency);
    void finish(PhasedOperation& operation);
    [[nodiscard]] Pending carried(Pending below) const;

    std::unique_ptr<Communicator> over_;
    std::shared_ptr<SharedHeap> heap_;
    std::shared_ptr<HeapProgress> progress_;
    ShmOptions options_;
    ProgressMessage message_;
    std::shared_ptr<GroupQueue> queue_;
};

Pending ShmCommunicator::start(Call call, std::size_t shown, Urgency urgency) {
    const std::size_t slot = queue_->board().slot_bytes() - OneShot::header_bytes;
    const bool reads_all = call.kind == CallKind::all_reduce;
    const bool is_short = shown <= (reads_all ? std::min(slot, longest_read_by_all) : slot);
    progress_->add(queue_);
    if (urgency == Urgency::immediate && is_short) {
        OneShot operation{call, showing()};
        finish(operation);
        return {};
    }
    std::unique_ptr<PhasedOperation> operation;
    if (is_short) {
        operation = std::make_unique<BackgroundOneShot>(std::move(call), showing());
    } else {
        operation = std::make_unique<LargeCall>(std::move(call), chunk_for(urgency));
    }
    if (urgency == Urgency::immediate) {
        finish(*operation);
        return {};
    }
    return Pending{std::make_unique<SharedOperation>(std::move(operation), queue_, progress_)};
}

void ShmCommunicator::finish(PhasedOperation& operation) {
    queue_->add(operation);
    std::optional<std::chrono::steady_clock::time_point> start;
    while (queue_->holds(operation)) {
        progress_->advance();
        if (progress_->fruitless() % looks_per_clock != looks_per_clock - 1) {
            continue;
        }
        const auto now = std::chrono::steady_clock::now();
        start = start.value_or(now);
        if (now - *start > options_.timeout) {
            const std::string missing = members_text(queue_->waiting_for());
            queue_->abandon(operation);
            throw HangError(fmt::format(
                "a collective of {} ranks did not complete within {:.1f} s (it waits for {}) look "
                "at their output",
                size(),
                to_seconds(options_.timeout),
                missing));
        }
    }
}

Pending ShmCommunicator::carried(Pending below) const {
    // Not asked here: an error belongs to whoever waits, and the caller has more to post.
    return Pending{std::make_unique<CarriedOperation>(std::move(below), progress_)};
}

std::unique_ptr<Communicator> ShmCommunicator::split(std::int32_t color, std::int32_t key) {
    // Until all are here, others may wait for what this rank has under way.
    const std::array<std::byte, 1> here{};
    std::vector<std::byte> all(static_cast<std::size_t>(size()));
    Pending gathered = over_->all_gather(here, all, Urgency::background);
    while (!gathered.done()) {
        progress_->advance();
    }
    std::unique_ptr<Communicator> part = over_->split(color, key);
    if (part->size() == 1) {
        return part;
    }
    return std::make_unique<ShmCommunicator>(std::move(part), heap_, options_);
}

}  // namespace

std::unique_ptr<Communicator> make_shm_communicator(std::unique_ptr<Communicator> over,
                                                    std::shared_ptr<SharedHeap> heap,
                                                    ShmOptions options) {
    if (over->size() == 1) {
        return over;
    }
    return std::make_unique<ShmCommunicator>(std::move(over), std::move(heap), options);
}

}  // namespace traindyno
