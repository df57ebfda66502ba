// SPDX-License-Identifier: Apache-2.0
// Runs a graph for cuDNN on the host in double precision: what the graph means, without a GPU.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <span>
#include <stdexcept>
#include <vector>

#include "emulator/base/overloaded.hpp"
#include "emulator/device/cuda/attention/cudnn_graph.hpp"

namespace traindyno::cuda {

class GraphInterpreter {
  public:
    explicit GraphInterpreter(const CudnnGraph& graph)
        : graph_(graph), data_(graph.tensors.size()) {
        for (std::size_t i = 0; i < data_.size(); ++i) {
            const GraphTensor& tensor = graph.tensors[i];
            if (tensor.place != TensorPlace::device) {
                own_.push_back(std::vector<double>(elements(tensor), tensor.value));
                data_[i] = own_.back().data();
            }
        }
    }

    /// Where the tensor with this id begins; of the memory that its strides reach.
    void bind(std::int64_t id, double* data) {
        for (std::size_t i = 0; i < data_.size(); ++i) {
            if (graph_.tensors[i].id == id) {
                data_[i] = data;
            }
        }
    }

    void run() {
        for (const GraphNode& node : graph_.nodes) {
            std::visit([this](const auto& exact) { run_node(exact); }, node);
        }
    }

  private:
    static std::size_t elements(const GraphTensor& t) {
        std::int64_t last = 0;
        for (std::size_t axis = 0; axis < 4; ++axis) {
            last += (t.dims[axis] - 1) * t.strides[axis];
        }
        return static_cast<std::size_t>(last + 1);
    }

    /// Element `at`; along axes of extent 1 the only one, along shared heads the shared one.
    double& element(TensorIndex tensor, const Dims& at, const Dims& space) {
        const GraphTensor& t = graph_.tensors[tensor];
        std::int64_t offset = 0;
        for (std::size_t axis = 0; axis < 4; ++axis) {
            if (space[axis] % t.dims[axis] != 0) {
                throw std::logic_error("extents do not divide each other");
            }
            offset += at[axis] / (space[axis] / t.dims[axis]) * t.strides[axis];
        }
        return data_[tensor][offset];
    }

    template <class Action>
    static void for_each(const Dims& dims, const Action& action) {
        Dims at{};
        for (at[0] = 0; at[0] < dims[0]; ++at[0]) {
            for (at[1] = 0; at[1] < dims[1]; ++at[1]) {
                for (at[2] = 0; at[2] < dims[2]; ++at[2]) {
                    for (at[3] = 0; at[3] < dims[3]; ++at[3]) {
                        action(at);
                    }
                }
            }
        }
    }

    void run_node(const MatMulNode& node) {
        const Dims& dims = graph_.tensors[node.c].dims;
        const std::int64_t k = graph_.tensors[node.a].dims[3];
        for_each(dims, [&](const Dims& at) {
            double sum = 0;
            for (std::int64_t i = 0; i < k; ++i) {
                sum += element(node.a, {at[0], at[1], at[2], i}, {dims[0], dims[1], dims[2], k}) *
                       element(node.b, {at[0], at[1], i, at[3]}, {dims[0], dims[1], k, dims[3]});
            }
            element(node.c, at, dims) = sum;
        });
    }

    void run_node(const PointwiseNode& node) {
        const Dims& dims = graph_.tensors[node.y].dims;
        for_each(dims, [&](const Dims& at) {
            const double b = node.b ? element(*node.b, at, dims) : 0;
            const bool select = node.select && element(*node.select, at, dims) != 0;
            element(node.y, at, dims) =
                node.mode == CUDNN_POINTWISE_GEN_INDEX
                    ? static_cast<double>(at.at(static_cast<std::size_t>(node.axis)))
                    : apply(node.mode, element(node.x, at, dims), b, select);
        });
    }

    static double apply(cudnnPointwiseMode_t mode, double x, double b, bool select) {
        switch (mode) {
            case CUDNN_POINTWISE_ADD:
                return x + b;
            case CUDNN_POINTWISE_SUB:
                return x - b;
            case CUDNN_POINTWISE_MUL:
                return x * b;
            case CUDNN_POINTWISE_DIV:
                return x / b;
            case CUDNN_POINTWISE_EXP:
                return std::exp(x);
            case CUDNN_POINTWISE_LOG:
                return std::log(x);
            case CUDNN_POINTWISE_IDENTITY:
                return x;
            case CUDNN_POINTWISE_CMP_GE:
                return x >= b ? 1 : 0;
            case CUDNN_POINTWISE_BINARY_SELECT:
                return select ? x : b;
            default:
                throw std::logic_error("the interpreter does not know this mode");
        }
    }

    void run_node(const ReductionNode& node) {
        const Dims& whole = graph_.tensors[node.x].dims;
        const bool maximum = node.mode == CUDNN_REDUCE_TENSOR_MAX;
        for_each(graph_.tensors[node.y].dims, [&](const Dims& at) {
            element(node.y, at, graph_.tensors[node.y].dims) = maximum ? -HUGE_VAL : 0;
        });
        for_each(whole, [&](const Dims& at) {
            double& to = element(node.y, at, whole);
            const double x = element(node.x, at, whole);
            to = maximum ? std::max(to, x) : to + x;
        });
    }

    /// The same memory read with other extents and strides.
    void run_node(const ReshapeNode& node) {
        if (graph_.tensors[node.y].place != TensorPlace::inside) {
            throw std::logic_error("a reshape to memory is not a view");
        }
        data_[node.y] = data_[node.x];
    }

    const CudnnGraph& graph_;
    std::vector<double*> data_;  ///< of each tensor
    std::vector<std::vector<double>> own_;
};

}  // namespace traindyno::cuda
