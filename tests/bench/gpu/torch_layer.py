#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""torch_layer.py [--hidden 12288] [--heads 96] [--seq 2048] [--micro-batch 1] [--seconds 10]

The twin of `step_bench layer`: one GPT-3 layer, forward and backward, in PyTorch (bf16, torch.compile,
scaled_dot_product_attention) on the same GPU. Prints one JSON line: the median time of a step and its
TFLOP/s, matrix products 24 b s h^2 forward, causal attention counted half, backward twice the forward
(Narayanan et al., SC'21, appendix). Where torch is not installed it says so and exits with 77.
"""

import argparse
import json
import statistics
import sys

try:
    import torch
    from torch import nn
    from torch.nn import functional
except ImportError as error:
    print(f"torch_layer: no PyTorch here ({error})", file=sys.stderr)
    sys.exit(77)


class Layer(nn.Module):
    """Pre-norm transformer layer of GPT-2 and GPT-3: learned biases, GELU in its tanh form."""

    def __init__(self, hidden, heads):
        super().__init__()
        self.heads = heads
        self.norm1 = nn.LayerNorm(hidden)
        self.qkv = nn.Linear(hidden, 3 * hidden)
        self.projection = nn.Linear(hidden, hidden)
        self.norm2 = nn.LayerNorm(hidden)
        self.up = nn.Linear(hidden, 4 * hidden)
        self.down = nn.Linear(4 * hidden, hidden)

    def forward(self, x):
        batch, seq, hidden = x.shape
        qkv = self.qkv(self.norm1(x)).view(batch, seq, 3, self.heads, hidden // self.heads)
        query, key, value = qkv.permute(2, 0, 3, 1, 4)
        context = functional.scaled_dot_product_attention(query, key, value, is_causal=True)
        x = x + self.projection(context.transpose(1, 2).reshape(batch, seq, hidden))
        return x + self.down(functional.gelu(self.up(self.norm2(x)), approximate="tanh"))


def step_times(step, seconds):
    """CUDA-event times of `step` in milliseconds, after warm-up, for about `seconds`."""
    for _ in range(5):
        step()
    torch.cuda.synchronize()
    times, total = [], 0.0
    while total < seconds * 1000:
        begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        begin.record()
        step()
        end.record()
        end.synchronize()
        times.append(begin.elapsed_time(end))
        total += times[-1]
    return times


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, default in (("hidden", 12288), ("heads", 96), ("seq", 2048), ("micro-batch", 1), ("seconds", 10)):
        parser.add_argument(f"--{name}", type=int, default=default)
    options = parser.parse_args()
    if not torch.cuda.is_available():
        print("torch_layer: PyTorch finds no GPU", file=sys.stderr)
        sys.exit(77)

    torch.manual_seed(1)
    shape = (options.micro_batch, options.seq, options.hidden)
    with torch.device("cuda"):
        layer = Layer(options.hidden, options.heads).to(torch.bfloat16)
        x = torch.randn(shape, dtype=torch.bfloat16, requires_grad=True)
        gradient = torch.randn(shape, dtype=torch.bfloat16)
    compiled = torch.compile(layer)

    def step():
        # Gradients stay allocated and are added to, as over the micro-batches of a step.
        compiled(x).backward(gradient)

    milliseconds = statistics.median(step_times(step, options.seconds))
    tokens = options.micro_batch * options.seq
    forward = 24 * tokens * options.hidden**2 + 2 * tokens * options.seq * options.hidden
    print(json.dumps({
        "name": "torch layer, forward + backward",
        "value": 3 * forward / milliseconds / 1e9,
        "unit": "TFLOP/s",
        "milliseconds": milliseconds,
        "torch": torch.__version__,
        "device": torch.cuda.get_device_name(),
    }))


if __name__ == "__main__":
    main()
