// SPDX-License-Identifier: Apache-2.0
#include "collectives/hierarchical/chunk_pipeline.hpp"

#include <algorithm>
#include <utility>

namespace traindyno {

namespace {

constexpr std::size_t index_of(Leg leg) {
    return static_cast<std::size_t>(leg);
}

/// The wire first: it is what must not idle. New chunks last: they only wait for it.
constexpr std::array posting_order{Leg::across, Leg::inside_last, Leg::finish, Leg::inside_first};

constexpr bool is_complete(std::size_t legs_done) {
    return legs_done == leg_count;
}

}  // namespace

std::shared_ptr<ChunkPipeline::Batch> ChunkPipeline::add(std::vector<ChunkSteps> chunks) {
    auto batch =
        std::make_shared<Batch>(Batch{.incomplete = chunks.size(), .error = {}, .failed = {}});
    for (ChunkSteps& steps : chunks) {
        chunks_.push_back({.steps = std::move(steps), .batch = batch, .pending = {}});
    }
    advance();
    return batch;
}

void ChunkPipeline::advance() {
    for (Chunk& chunk : chunks_) {
        if (chunk.legs_posted == 0) {
            break;
        }
        if (chunk.legs_posted > chunk.legs_done) {
            attempt(chunk, [&chunk] { chunk.legs_done += chunk.pending.done() ? 1U : 0U; });
        }
    }
    for (const Leg leg : posting_order) {
        post_in_order(index_of(leg));
    }
    for (const Chunk& chunk : chunks_) {
        chunk.batch->incomplete -= is_complete(chunk.legs_done) ? 1U : 0U;
    }
    std::erase_if(chunks_, [](const Chunk& chunk) { return is_complete(chunk.legs_done); });
}

void ChunkPipeline::drop(const Batch& batch) {
    std::erase_if(chunks_, [&](const Chunk& chunk) { return chunk.batch.get() == &batch; });
}

bool ChunkPipeline::may_post(std::size_t leg) const {
    // A chunk counts from the leg's beginning until the wire has carried it, so that reduction
    // runs ahead of the wire by the depth.
    const std::size_t until = std::max(leg + 1, index_of(Leg::across) + 1);
    const auto busy = std::count_if(chunks_.begin(), chunks_.end(), [&](const Chunk& chunk) {
        return chunk.legs_posted > leg && chunk.legs_done < until;
    });
    const std::size_t allowed = leg == index_of(Leg::inside_first) ? 2 * depth_ : depth_;
    return static_cast<std::size_t>(busy) < allowed;
}

void ChunkPipeline::post_in_order(std::size_t leg) {
    for (Chunk& chunk : chunks_) {
        if (chunk.legs_posted > leg) {
            continue;
        }
        if (chunk.legs_done < leg || !may_post(leg)) {
            return;
        }
        chunk.legs_posted = leg + 1;
        attempt(chunk, [&chunk, leg] {
            if (chunk.steps[leg]) {
                chunk.pending = chunk.steps[leg]();
            }
            chunk.legs_done += chunk.pending.done() ? 1U : 0U;
        });
    }
}

void ChunkPipeline::attempt(Chunk& chunk, const std::function<void()>& step) {
    try {
        step();
    } catch (...) {
        if (!chunk.batch->error) {
            chunk.batch->error = std::current_exception();
        }
        chunk.batch->failed.push_back(std::move(chunk.pending));
        chunk.legs_posted = chunk.legs_done = leg_count;
    }
}

}  // namespace traindyno
