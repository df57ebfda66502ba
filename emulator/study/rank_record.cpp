// SPDX-License-Identifier: Apache-2.0
// Rank records on the wire: text fields and numbers, each preceded by its length.
#include <cstring>
#include <type_traits>

#include "emulator/base/error.hpp"
#include "emulator/study/point_summary.hpp"

namespace traindyno {

namespace {

class Packer {
  public:
    template <class Plain>
    requires std::is_trivially_copyable_v<Plain>

    void put(const Plain& value) {
        text_.append(reinterpret_cast<const char*>(&value), sizeof value);
    }

    void put(const std::string& value) {
        put(value.size());
        text_ += value;
    }

    template <class Plain>
    void put(const std::vector<Plain>& values) {
        put(values.size());
        for (const Plain& value : values) {
            put(value);
        }
    }

    [[nodiscard]] std::string take() { return std::move(text_); }

  private:
    std::string text_;
};

class Unpacker {
  public:
    explicit Unpacker(const std::string& text) : text_(text) {}

    template <class Plain>
    requires std::is_trivially_copyable_v<Plain>

    void get(Plain& value) { std::memcpy(&value, take(sizeof value), sizeof value); }

    void get(std::string& value) {
        std::size_t size = 0;
        get(size);
        value.assign(take(size), size);
    }

    template <class Plain>
    void get(std::vector<Plain>& values) {
        std::size_t size = 0;
        get(size);
        values.resize(size);
        for (Plain& value : values) {
            get(value);
        }
    }

    [[nodiscard]] bool at_end() const { return position_ == text_.size(); }

  private:
    const char* take(std::size_t size) {
        TD_EXPECT(size <= text_.size() - position_);
        const char* const from = text_.data() + position_;
        position_ += size;
        return from;
    }

    const std::string& text_;
    std::size_t position_ = 0;
};

}  // namespace

std::string pack(const RankRecord& record) {
    Packer packer;
    packer.put(record.host);
    packer.put(record.device);
    packer.put(record.peak);
    packer.put(record.resident_bytes);
    packer.put(record.checks);
    const RankSamples& samples = record.samples;
    packer.put(samples.step_seconds);
    packer.put(samples.budgets);
    packer.put(samples.traffic.size());
    for (const auto& [key, total] : samples.traffic) {
        packer.put(key.group);
        packer.put(key.kind);
        packer.put(key.carrier);
        packer.put(total);
    }
    packer.put(samples.lateness_seconds);
    packer.put(samples.removed_step_seconds);
    packer.put(samples.warmup_steps);
    packer.put(samples.verdict);
    packer.put(samples.gpu ? to_text(*samples.gpu) : std::string());
    return packer.take();
}

RankRecord unpack(const std::string& text) {
    RankRecord record;
    Unpacker unpacker(text);
    unpacker.get(record.host);
    unpacker.get(record.device);
    unpacker.get(record.peak);
    unpacker.get(record.resident_bytes);
    unpacker.get(record.checks);
    RankSamples& samples = record.samples;
    unpacker.get(samples.step_seconds);
    unpacker.get(samples.budgets);
    std::size_t rows = 0;
    unpacker.get(rows);
    for (; rows > 0; --rows) {
        TrafficKey key;
        unpacker.get(key.group);
        unpacker.get(key.kind);
        unpacker.get(key.carrier);
        unpacker.get(samples.traffic[key]);
    }
    unpacker.get(samples.lateness_seconds);
    unpacker.get(samples.removed_step_seconds);
    unpacker.get(samples.warmup_steps);
    unpacker.get(samples.verdict);
    std::string gpu;
    unpacker.get(gpu);
    if (!gpu.empty()) {
        samples.gpu = telemetry_summary_from_text(gpu);
    }
    TD_EXPECT(unpacker.at_end());
    return record;
}

}  // namespace traindyno
