// SPDX-License-Identifier: Apache-2.0
#include "collectives/auto/auto_communicator.hpp"

#include <algorithm>
#include <array>
#include <chrono>
#include <utility>

#include "collectives/auto/in_flight.hpp"
#include "collectives/auto/link_bound.hpp"
#include "collectives/control.hpp"
#include "collectives/hierarchical/node_map.hpp"
#include "collectives/patient_wait.hpp"
#include "emulator/base/error.hpp"

namespace traindyno {

namespace {

constexpr std::int64_t size_of_uneven_exchanges = 1 << 20;

/// Whether a carrier has anything to offer on such a group, or works there at all.
bool fits(Carrier carrier, const GroupShape& shape) {
    switch (carrier) {
        case Carrier::shm:
            return shape.nodes == 1;
        case Carrier::hierarchical:
            return shape.nodes > 1 && shape.most > 1;
        default:
            return true;
    }
}

/// The choices of one group.
using Choices =
    std::array<std::array<std::vector<SizeChoice>, enum_count<Urgency>>, enum_count<CollectiveOp>>;

/// Rows that the first member has; rows must be plain, since they travel as they are.
std::vector<TuningRow> rows_of_first(Communicator& group, const std::vector<TuningRow>& own) {
    static_assert(std::is_trivially_copyable_v<TuningRow>);
    std::array count{static_cast<std::int64_t>(own.size())};
    Pending announced = group.broadcast(
        std::as_writable_bytes(std::span{count}), GroupRank{0}, Urgency::background);
    wait_awake(announced);
    std::vector<TuningRow> rows = own;
    rows.resize(static_cast<std::size_t>(count.front()));
    Pending sent =
        group.broadcast(std::as_writable_bytes(std::span{rows}), GroupRank{0}, Urgency::background);
    wait_awake(sent);
    return rows;
}

class AutoCommunicator final : public Communicator {
  public:
    AutoCommunicator(std::unique_ptr<Communicator> plain,
                     std::shared_ptr<const AutoOptions> options,
                     std::shared_ptr<InFlight> in_flight)
        : plain_(std::move(plain)),
          options_(std::move(options)),
          in_flight_(std::move(in_flight)) {}

    /// Takes the choices for this group from the table, or measures them. Collective.
    void choose_carriers();

    [[nodiscard]] GroupRank rank() const override { return plain_->rank(); }

    [[nodiscard]] std::int64_t size() const override { return plain_->size(); }

    Pending all_reduce(std::span<const std::byte> in,
                       std::span<std::byte> out,
                       DType type,
                       Reduction reduction,
                       Urgency urgency) override {
        Communicator& chosen = carrier_of(CollectiveOp::all_reduce, urgency, out.size());
        return joined(chosen.all_reduce(in, out, type, reduction, urgency));
    }

    Pending reduce_scatter(std::span<const std::byte> in,
                           std::span<std::byte> out,
                           DType type,
                           Reduction reduction,
                           Urgency urgency) override {
        Communicator& chosen = carrier_of(CollectiveOp::reduce_scatter, urgency, in.size());
        return joined(chosen.reduce_scatter(in, out, type, reduction, urgency));
    }

    Pending all_gather(std::span<const std::byte> in,
                       std::span<std::byte> out,
                       Urgency urgency) override {
        Communicator& chosen = carrier_of(CollectiveOp::all_gather, urgency, out.size());
        return joined(chosen.all_gather(in, out, urgency));
    }

    Pending all_to_all(std::span<const std::byte> in,
                       std::span<std::byte> out,
                       const Exchange& parts,
                       Urgency urgency) override {
        const bool even = parts.sent.empty() && parts.received.empty();
        Communicator& chosen =
            carrier_of(CollectiveOp::all_to_all,
                       urgency,
                       even ? in.size() : static_cast<std::size_t>(size_of_uneven_exchanges));
        return joined(chosen.all_to_all(in, out, parts, urgency));
    }

    Pending broadcast(std::span<std::byte> buffer, GroupRank root, Urgency urgency) override {
        Communicator& chosen = carrier_of(CollectiveOp::broadcast, urgency, buffer.size());
        return joined(chosen.broadcast(buffer, root, urgency));
    }

    Pending send(std::span<const std::byte> buffer, GroupRank peer, std::int32_t tag) override {
        return joined(plain_->send(buffer, peer, tag));
    }

    Pending recv(std::span<std::byte> buffer, GroupRank peer, std::int32_t tag) override {
        return joined(plain_->recv(buffer, peer, tag));
    }

    [[nodiscard]] std::unique_ptr<Communicator> split(std::int32_t color,
                                                      std::int32_t key) override {
        std::unique_ptr<Communicator> part = plain_->split(color, key);
        if (part->size() == 1) {
            return part;
        }
        auto chooser = std::make_unique<AutoCommunicator>(std::move(part), options_, in_flight_);
        chooser->choose_carriers();
        return chooser;
    }

    [[nodiscard]] std::string_view carrier(CollectiveOp op,
                                           std::size_t bytes,
                                           Urgency urgency) const override {
        return to_string(chosen(op, urgency, bytes));
    }

    void abort(int exit_code, std::string_view reason) noexcept override {
        plain_->abort(exit_code, reason);
    }

  private:
    [[nodiscard]] Pending joined(Pending pending) const {
        return InFlight::add(in_flight_, std::move(pending));
    }

    [[nodiscard]] Carrier chosen(CollectiveOp op, Urgency urgency, std::size_t bytes) const {
        const std::vector<SizeChoice>& choices =
            choices_[static_cast<std::size_t>(op)][static_cast<std::size_t>(urgency)];
        return fixed_            ? *fixed_
               : choices.empty() ? Carrier::mpi
                                 : choose(choices, static_cast<std::int64_t>(bytes));
    }

    [[nodiscard]] Communicator& carrier_of(CollectiveOp op, Urgency urgency, std::size_t bytes) {
        return communicator(chosen(op, urgency, bytes));
    }

    [[nodiscard]] Communicator& communicator(Carrier carrier) {
        return carrier == Carrier::mpi ? *plain_ : *carriers_[static_cast<std::size_t>(carrier)];
    }

    [[nodiscard]] bool can_carry(Carrier carrier, const GroupShape& shape) const;
    void make(Carrier carrier);
    [[nodiscard]] bool try_to_make(Carrier carrier);
    [[nodiscard]] std::vector<TuningRow> measure(const NodeMap& map, const TuningLimits& limits);
    void keep_chosen(const GroupShape& shape, const TuningTable& table);

    std::unique_ptr<Communicator> plain_;
    std::shared_ptr<const AutoOptions> options_;
    std::shared_ptr<InFlight> in_flight_;
    std::array<std::unique_ptr<Communicator>, enum_count<Carrier>> carriers_;
    std::array<bool, enum_count<Carrier>> failed_{};
    std::optional<Carrier> fixed_;
    Choices choices_;  ///< where nothing is fixed
};

void AutoCommunicator::choose_carriers() {
    const NodeMap map = NodeMap::gather(*plain_, options_->node);
    const GroupShape shape = map.shape();
    if (options_->fixed) {
        fixed_ = can_carry(*options_->fixed, shape) ? *options_->fixed : Carrier::mpi;
        make(*fixed_);
        return;
    }
    TuningTable known;
    for (const TuningRow& row : rows_of_first(*plain_, options_->table->rows_of(shape))) {
        if (can_carry(row.carrier, shape) && try_to_make(row.carrier)) {
            known.add(row);
        }
    }
    TuningLimits limits = options_->limits;
    for (std::size_t op = 0; op < limits.largest.size(); ++op) {
        std::int64_t& largest = limits.largest[op];
        if (known.covers(static_cast<CollectiveOp>(op), shape, std::min(largest, largest_trial))) {
            largest = 0;
        }
    }
    if (limits.largest != LargestMessages{}) {
        for (const TuningRow& row : measure(map, limits)) {
            known.add(row);
        }
    }
    for (const TuningRow& row : known.rows()) {
        options_->table->add(row);
    }
    keep_chosen(shape, known);
}

bool AutoCommunicator::can_carry(Carrier carrier, const GroupShape& shape) const {
    return carrier == Carrier::mpi ||
           (fits(carrier, shape) &&
            std::any_of(options_->candidates.begin(),
                        options_->candidates.end(),
                        [&](const Candidate& each) { return each.carrier == carrier; }));
}

void AutoCommunicator::make(Carrier carrier) {
    std::unique_ptr<Communicator>& made = carriers_[static_cast<std::size_t>(carrier)];
    if (carrier == Carrier::mpi || made) {
        return;
    }
    const auto candidate = std::find_if(
        options_->candidates.begin(), options_->candidates.end(), [&](const Candidate& each) {
            return each.carrier == carrier;
        });
    made = candidate->make(plain_->split(0, rank().value()));
}

/// False where the carrier does not work here, as shared memory between containers: makers throw
/// that on all members.
bool AutoCommunicator::try_to_make(Carrier carrier) {
    bool& failed = failed_[static_cast<std::size_t>(carrier)];
    if (!failed) {
        try {
            make(carrier);
        } catch (const LibraryError&) {
            failed = true;
        }
    }
    return !failed;
}

/// The choices, and of the carriers those that they need.
void AutoCommunicator::keep_chosen(const GroupShape& shape, const TuningTable& table) {
    std::array<bool, enum_count<Carrier>> chosen{};
    for (std::size_t op = 0; op < choices_.size(); ++op) {
        for (std::size_t urgency = 0; urgency < enum_count<Urgency>; ++urgency) {
            choices_[op][urgency] =
                table.choices(static_cast<CollectiveOp>(op), static_cast<Urgency>(urgency), shape);
            for (const SizeChoice& choice : choices_[op][urgency]) {
                chosen[static_cast<std::size_t>(choice.carrier)] = true;
            }
        }
    }
    for (std::size_t i = 0; i < chosen.size(); ++i) {
        if (!chosen[i]) {
            carriers_[i].reset();
        }
    }
}

/// Buffers of trials.
class TrialBuffers {
  public:
    TrialBuffers(std::int64_t members, const AutoOptions& options)
        : members_(static_cast<std::size_t>(members)), options_(options) {}

    /// For trials of up to this size, before their time begins. Whether that took time.
    bool reserve(std::int64_t bytes) {
        const std::size_t needed = members_ * part_of(bytes);
        const bool grows = needed > whole_.bytes.size();
        if (grows) {
            whole_ = {};  // before more is lent
            other_ = {};
            whole_ = memory(needed);
            other_ = memory(needed);
        }
        return grows;
    }

    Pending run(Communicator& carrier, const Trial& trial) {
        const std::size_t part = part_of(trial.bytes);
        const std::span<std::byte> whole = whole_.bytes.first(part * members_);
        const std::span<std::byte> one = other_.bytes.first(part);
        switch (trial.op) {
            case CollectiveOp::all_reduce:
                return carrier.all_reduce(whole, whole, DType::fp32, Reduction::sum, trial.urgency);
            case CollectiveOp::reduce_scatter:
                return carrier.reduce_scatter(
                    whole, one, DType::fp32, Reduction::sum, trial.urgency);
            case CollectiveOp::all_gather:
                return carrier.all_gather(one, whole, trial.urgency);
            case CollectiveOp::all_to_all:
                return carrier.all_to_all(
                    whole, other_.bytes.first(whole.size()), {}, trial.urgency);
            case CollectiveOp::broadcast:
                return carrier.broadcast(whole, GroupRank{0}, trial.urgency);
        }
        return {};
    }

  private:
    /// One member's part, in whole cache lines.
    [[nodiscard]] std::size_t part_of(std::int64_t bytes) const {
        constexpr std::size_t line = 64;
        return (static_cast<std::size_t>(bytes) + members_ * line - 1) / (members_ * line) * line;
    }

    struct Memory {
        std::shared_ptr<std::byte> owner;
        std::span<std::byte> bytes;
    };

    [[nodiscard]] Memory memory(std::size_t bytes) const {
        std::shared_ptr<std::byte> lent = options_.lend ? options_.lend(bytes) : nullptr;
        if (!lent) {
            const auto own = std::make_shared<std::vector<std::byte>>(bytes);
            lent = {own, own->data()};
        }
        return {.owner = lent, .bytes = {lent.get(), bytes}};
    }

    std::size_t members_;
    const AutoOptions& options_;
    Memory whole_{};
    Memory other_{};
};

std::vector<TuningRow> AutoCommunicator::measure(const NodeMap& map, const TuningLimits& limits) {
    const GroupShape shape = map.shape();
    std::vector<Carrier> tried{Carrier::mpi};
    for (const Candidate& candidate : options_->candidates) {
        if (fits(candidate.carrier, shape) && try_to_make(candidate.carrier)) {
            tried.push_back(candidate.carrier);
        }
    }
    TrialBuffers buffers(size(), *options_);
    const auto run = [&](Carrier carrier, const Trial& trial) {
        if (buffers.reserve(trial.bytes)) {
            barrier(*plain_, Urgency::immediate);
        }
        const auto call = [&] {
            Pending pending = buffers.run(communicator(carrier), trial);
            wait_awake(pending);
        };
        if (trial.is_first) {
            call();
        }
        const auto start = std::chrono::steady_clock::now();
        for (int i = 0; i < trial.calls; ++i) {
            call();
        }
        return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count() /
               trial.calls;
    };
    const KnownCosts costs = shape.nodes > 1
                                 ? costs_on_links(shape, measure_links_of_nodes(*plain_, map))
                                 : KnownCosts{};
    return tune(*plain_, shape, tried, run, limits, costs);
}

}  // namespace

void share_rows(Communicator& group, TuningTable& table) {
    for (const TuningRow& row : rows_of_first(group, table.rows())) {
        table.add(row);
    }
}

std::unique_ptr<Communicator> make_auto_communicator(std::unique_ptr<Communicator> plain,
                                                     AutoOptions options) {
    TD_EXPECT(options.table != nullptr);
    return std::make_unique<AutoCommunicator>(
        std::move(plain),
        std::make_shared<const AutoOptions>(std::move(options)),
        std::make_shared<InFlight>());
}

}  // namespace traindyno
