// SPDX-License-Identifier: Apache-2.0
#include "collectives/control.hpp"

#include <cstddef>
#include <numeric>
#include <span>

#include "collectives/patient_wait.hpp"

namespace traindyno {

namespace {

std::span<std::byte> bytes_of(std::string& text) {
    return std::as_writable_bytes(std::span{text});
}

std::vector<std::int64_t> lengths_of(Communicator& group, const std::string& text) {
    const std::vector<std::int64_t> mine{static_cast<std::int64_t>(text.size())};
    std::vector<std::int64_t> all(static_cast<std::size_t>(group.size()));
    Pending pending = group.all_gather(std::as_bytes(std::span{mine}),
                                       std::as_writable_bytes(std::span{all}),
                                       Urgency::background);
    wait_patiently(pending);
    return all;
}

}  // namespace

std::vector<std::string> gather_text(Communicator& group, GroupRank root, const std::string& text) {
    const std::vector<std::int64_t> lengths = lengths_of(group, text);
    if (group.rank() != root) {
        Pending sent = group.send(std::as_bytes(std::span{text}), root, control_tag);
        wait_patiently(sent);
        return {};
    }
    std::vector<std::string> texts(lengths.size());
    std::vector<Pending> received;
    for (std::size_t peer = 0; peer < texts.size(); ++peer) {
        if (peer == root.index()) {
            texts[peer] = text;
            continue;
        }
        texts[peer].resize(static_cast<std::size_t>(lengths[peer]));
        received.push_back(group.recv(
            bytes_of(texts[peer]), GroupRank{static_cast<std::int64_t>(peer)}, control_tag));
    }
    for (Pending& pending : received) {
        wait_patiently(pending);
    }
    return texts;
}

std::vector<std::string> all_gather_text(Communicator& group, const std::string& text) {
    const GroupRank root{0};
    const std::vector<std::string> at_root = gather_text(group, root, text);
    const std::string joined =
        broadcast_text(group, root, std::accumulate(at_root.begin(), at_root.end(), std::string{}));
    std::vector<std::string> texts;
    std::size_t begin = 0;
    for (const std::int64_t length : lengths_of(group, text)) {
        texts.push_back(joined.substr(begin, static_cast<std::size_t>(length)));
        begin += static_cast<std::size_t>(length);
    }
    return texts;
}

std::string broadcast_text(Communicator& group, GroupRank root, const std::string& text) {
    std::vector<std::int64_t> length{static_cast<std::int64_t>(text.size())};
    Pending announced =
        group.broadcast(std::as_writable_bytes(std::span{length}), root, Urgency::background);
    wait_patiently(announced);
    std::string result = group.rank() == root ? text : std::string{};
    result.resize(static_cast<std::size_t>(length.front()));
    Pending sent = group.broadcast(bytes_of(result), root, Urgency::background);
    wait_patiently(sent);
    return result;
}

void take_largest(Communicator& group, std::span<double> values) {
    const std::span<std::byte> bytes = std::as_writable_bytes(values);
    Pending pending =
        group.all_reduce(bytes, bytes, DType::fp64, Reduction::max, Urgency::immediate);
    wait_patiently(pending);
}

void barrier(Communicator& group, Urgency urgency) {
    std::vector<std::int64_t> arrived{1};
    const std::span<std::byte> bytes = std::as_writable_bytes(std::span{arrived});
    Pending pending = group.all_reduce(bytes, bytes, DType::int64, Reduction::sum, urgency);
    wait_patiently(pending);
}

}  // namespace traindyno
