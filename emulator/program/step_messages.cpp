// SPDX-License-Identifier: Apache-2.0
// The messages between pipeline stages of a step program.
#include "emulator/program/blocks.hpp"
#include "emulator/program/step_builder.hpp"

namespace traindyno {

void StepBuilder::receive(const Pass& pass) {
    if (pass.direction == Direction::forward && is_fed(pass.visit)) {
        milestones(pass.visit).receive_forward = receive_input(pass.visit);
    } else if (pass.direction == Direction::backward && feeds(pass.visit)) {
        milestones(pass.visit).receive_backward = receive_gradient(pass.visit);
    }
}

void StepBuilder::send(const Pass& pass) {
    if (pass.direction == Direction::forward && feeds(pass.visit)) {
        send_output(pass.visit);
    } else if (pass.direction == Direction::backward && is_fed(pass.visit)) {
        send_gradient(pass.visit);
    }
}

std::optional<TaskId> StepBuilder::receive_input(const Visit& visit) {
    const Recv recv{.group = *pp_,
                    .peer = neighbour(-1),
                    .tag = tag_above(part_of(visit) - 1, Direction::forward),
                    .buffer = buffers_.ends_of(visit, 0).input,
                    .dtype = context_.storage};
    Task task = message_task(Lane::pp_recv_forward, recv, visit);
    task.saved_base = buffers_.saved_base(visit, 0);
    return tasks_.point_to_point(
        std::move(task),
        {buffers_.input_in_slot() ? before(buffers_.slot_of(visit)).slot_free
                                  : before(buffers_.input_of(visit)).first_layer_backward});
}

std::optional<TaskId> StepBuilder::receive_gradient(const Visit& visit) {
    const std::int64_t top = chunk_of(visit).layers - 1;
    const Recv recv{.group = *pp_,
                    .peer = neighbour(1),
                    .tag = tag_above(part_of(visit), Direction::backward),
                    .buffer = buffers_.ends_of(visit, top).grad_output,
                    .dtype = context_.storage};
    Task task = message_task(Lane::pp_recv_backward, recv, visit);
    if (!buffers_.gradient_in_slot()) {
        return tasks_.point_to_point(std::move(task),
                                     {before(buffers_.grad_output_of(visit)).last_layer_backward});
    }
    task.saved_base = buffers_.saved_base(visit, top);
    return tasks_.point_to_point(std::move(task), {before(buffers_.slot_of(visit)).slot_free});
}

void StepBuilder::send_output(const Visit& visit) {
    const Send send{.group = *pp_,
                    .peer = neighbour(1),
                    .tag = tag_above(part_of(visit), Direction::forward),
                    .buffer = buffers_.ends_of(visit, chunk_of(visit).layers - 1).output,
                    .dtype = context_.storage};
    milestones(visit).send_forward = tasks_.point_to_point(
        message_task(Lane::pp_send_forward, send, visit), {tasks_.last_compute()});
}

void StepBuilder::send_gradient(const Visit& visit) {
    const Send send{.group = *pp_,
                    .peer = neighbour(-1),
                    .tag = tag_above(part_of(visit) - 1, Direction::backward),
                    .buffer = buffers_.ends_of(visit, 0).grad_input,
                    .dtype = context_.storage};
    milestones(visit).send_backward = tasks_.point_to_point(
        message_task(Lane::pp_send_backward, send, visit), {tasks_.last_compute()});
}

std::int32_t StepBuilder::tag_above(std::int64_t part, Direction direction) {
    return static_cast<std::int32_t>(2 * part + (direction == Direction::backward ? 1 : 0));
}

std::int32_t StepBuilder::tag_base_of(std::int64_t micro_batch) const {
    return static_cast<std::int32_t>(2 * (pipeline_.stages * pipeline_.chunks - 1) * micro_batch);
}

Task StepBuilder::message_task(Lane lane, const CommOp& op, const Visit& visit) {
    const bool forward = lane == Lane::pp_recv_forward || lane == Lane::pp_send_forward;
    BlockWriter block(
        std::string(to_string(lane)), forward ? Phase::forward : Phase::backward, context_);
    block.communicate(lane, op);
    Task task = task_of(add_block_once(program_, block.take()), visit.micro_batch);
    task.tag_base = tag_base_of(visit.micro_batch);
    return task;
}

}  // namespace traindyno
