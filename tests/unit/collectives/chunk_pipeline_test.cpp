// SPDX-License-Identifier: Apache-2.0
#include "collectives/hierarchical/chunk_pipeline.hpp"

#include <algorithm>
#include <stdexcept>
#include <utility>

#include <gtest/gtest.h>

namespace traindyno {
namespace {

/// What happened when: legs post and complete as the test lets them.
class Recorder {
  public:
    struct Event {
        std::size_t leg = 0;
        std::size_t chunk = 0;

        friend bool operator==(const Event&, const Event&) = default;
    };

    /// Legs that complete when `release` is called for them.
    [[nodiscard]] ChunkSteps chunk(std::size_t number) {
        ChunkSteps steps;
        for (std::size_t leg = 0; leg < leg_count; ++leg) {
            steps[leg] = [this, leg, number] {
                posted_.push_back({.leg = leg, .chunk = number});
                return Pending{std::make_unique<Held>(*this, Event{.leg = leg, .chunk = number})};
            };
        }
        return steps;
    }

    [[nodiscard]] std::vector<ChunkSteps> chunks(std::size_t count) {
        std::vector<ChunkSteps> result;
        for (std::size_t i = 0; i < count; ++i) {
            result.push_back(chunk(i));
        }
        return result;
    }

    void release(Event event) { released_.push_back(event); }

    [[nodiscard]] const std::vector<Event>& posted() const { return posted_; }

    [[nodiscard]] std::vector<std::size_t> posted_in(Leg leg) const {
        std::vector<std::size_t> chunks;
        for (const Event& event : posted_) {
            if (event.leg == static_cast<std::size_t>(leg)) {
                chunks.push_back(event.chunk);
            }
        }
        return chunks;
    }

  private:
    class Held final : public Pending::Operation {
      public:
        Held(const Recorder& recorder, Event event) : recorder_(recorder), event_(event) {}

        [[nodiscard]] bool advance() override {
            const auto& released = recorder_.released_;
            return std::find(released.begin(), released.end(), event_) != released.end();
        }

      private:
        const Recorder& recorder_;
        Event event_;
    };

    std::vector<Event> posted_;
    std::vector<Event> released_;
};

using Chunks = std::vector<std::size_t>;

TEST(ChunkPipeline, a_leg_posts_chunks_in_order_whichever_arrives_first) {
    Recorder recorder;
    ChunkPipeline pipeline(4);
    const auto batch = pipeline.add(recorder.chunks(3));
    EXPECT_EQ(recorder.posted_in(Leg::inside_first), (Chunks{0, 1, 2}));
    recorder.release({.leg = 0, .chunk = 2});
    recorder.release({.leg = 0, .chunk = 1});
    pipeline.advance();
    EXPECT_TRUE(recorder.posted_in(Leg::across).empty());
    recorder.release({.leg = 0, .chunk = 0});
    pipeline.advance();
    EXPECT_EQ(recorder.posted_in(Leg::across), (Chunks{0, 1, 2}));
    EXPECT_EQ(batch->incomplete, 3U);
}

TEST(ChunkPipeline, the_wire_carries_as_many_chunks_as_it_is_deep) {
    Recorder recorder;
    ChunkPipeline pipeline(2);
    const auto batch = pipeline.add(recorder.chunks(8));
    EXPECT_EQ(recorder.posted_in(Leg::inside_first).size(), 4U);
    for (std::size_t chunk = 0; chunk < 8; ++chunk) {
        recorder.release({.leg = 0, .chunk = chunk});
    }
    pipeline.advance();
    pipeline.advance();
    EXPECT_EQ(recorder.posted_in(Leg::across), (Chunks{0, 1}));
    recorder.release({.leg = 1, .chunk = 0});
    pipeline.advance();
    EXPECT_EQ(recorder.posted_in(Leg::across), (Chunks{0, 1, 2}));
    EXPECT_EQ(recorder.posted_in(Leg::inside_last), (Chunks{0}));
    EXPECT_EQ(batch->incomplete, 8U);
}

TEST(ChunkPipeline, batches_follow_each_other_in_every_leg) {
    Recorder recorder;
    ChunkPipeline pipeline(4);
    const auto first = pipeline.add({recorder.chunk(0)});
    const auto second = pipeline.add({recorder.chunk(1)});
    for (std::size_t leg = 0; leg < leg_count; ++leg) {
        recorder.release({.leg = leg, .chunk = 1});
    }
    for (int look = 0; look < 10; ++look) {
        pipeline.advance();
    }
    EXPECT_EQ(second->incomplete, 1U);
    for (std::size_t leg = 0; leg < leg_count; ++leg) {
        recorder.release({.leg = leg, .chunk = 0});
    }
    for (int look = 0; look < 10; ++look) {
        pipeline.advance();
    }
    EXPECT_EQ(first->incomplete, 0U);
    EXPECT_EQ(second->incomplete, 0U);
    EXPECT_TRUE(pipeline.empty());
}

TEST(ChunkPipeline, a_failure_belongs_to_its_batch) {
    Recorder recorder;
    ChunkPipeline pipeline(4);
    ChunkSteps failing;
    failing[1] = []() -> Pending { throw std::runtime_error("cut"); };
    const auto bad = pipeline.add({failing});
    const auto good = pipeline.add({ChunkSteps{}});
    for (int look = 0; look < 10; ++look) {
        pipeline.advance();
    }
    EXPECT_THROW(std::rethrow_exception(bad->error), std::runtime_error);
    EXPECT_FALSE(good->error);
    EXPECT_EQ(good->incomplete, 0U);
}

TEST(ChunkPipeline, a_dropped_batch_posts_nothing_more) {
    Recorder recorder;
    ChunkPipeline pipeline(1);
    const auto batch = pipeline.add(recorder.chunks(5));
    const std::size_t before = recorder.posted().size();
    pipeline.drop(*batch);
    pipeline.advance();
    EXPECT_EQ(recorder.posted().size(), before);
    EXPECT_TRUE(pipeline.empty());
}

}  // namespace
}  // namespace traindyno
