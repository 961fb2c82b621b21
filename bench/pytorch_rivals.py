"""Times PyTorch on the cases of `fastkron bench matmul attention block`; prints records in milliseconds for its option --rivals.

    python3 bench/pytorch_rivals.py > rivals.jsonl && fastkron bench matmul attention block --rivals rivals.jsonl --output gpu.jsonl
"""
import json
import sys

import torch
import torch.nn.functional as F
from torch.nn.attention import SDPBackend, sdpa_kernel

FLUSH = torch.empty(256 << 20, dtype=torch.uint8, device="cuda")


def milliseconds(run, runs=20):
    """Median of runs with cold caches, from events."""
    for _ in range(3):
        run()
    times = []
    for _ in range(runs):
        FLUSH.zero_()
        start, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
        start.record()
        run()
        end.record()
        end.synchronize()
        times.append(start.elapsed_time(end))
    return sorted(times)[runs // 2]


def record(suite, case, rival, value):
    print(json.dumps({
        "suite": suite, "case": case, "value": value, "unit": "ms", "rival": rival,
        "machine": torch.cuda.get_device_name(), "command": "python3 bench/pytorch_rivals.py"}), flush=True)


def normal(*shape, scale=1.0):
    return (torch.randn(*shape, device="cuda", dtype=torch.float32) * scale).to(torch.bfloat16)


def matmul():
    for tokens, outputs, inputs in [
            (8192, 8192, 8192), (8192, 4096, 4096), (8192, 1024, 4096), (8192, 14336, 4096), (8192, 4096, 14336),
            (8192, 576, 576), (8192, 1536, 576), (8192, 576, 1536)]:
        x, w = normal(tokens, inputs), normal(outputs, inputs)
        record("matmul", f"{tokens}x{outputs}x{inputs}", "PyTorch linear", milliseconds(lambda: F.linear(x, w)))


def attention():
    """The fastest of PyTorch's fused kernels, with grouped heads or expanded keys."""
    for sequences, length, heads, key_heads, d in [(4, 2048, 32, 8, 128), (1, 8192, 32, 8, 128), (16, 512, 32, 8, 128), (4, 2048, 9, 3, 64)]:
        shape = f"{sequences}x{length}/{heads}-{key_heads}x{d}"
        best = {}
        for backend in (SDPBackend.FLASH_ATTENTION, SDPBackend.CUDNN_ATTENTION):
            for grouped in (True, False):
                q = normal(sequences, heads, length, d).requires_grad_()
                k, v = (normal(sequences, key_heads if grouped else heads, length, d).requires_grad_() for _ in range(2))
                upstream = normal(sequences, heads, length, d)
                try:
                    with sdpa_kernel(backend):
                        forward = milliseconds(lambda: F.scaled_dot_product_attention(q, k, v, is_causal=True, enable_gqa=grouped))
                        output = F.scaled_dot_product_attention(q, k, v, is_causal=True, enable_gqa=grouped)
                        backward = milliseconds(lambda: torch.autograd.grad(output, (q, k, v), upstream, retain_graph=True))
                except RuntimeError as error:
                    print(f"{backend} grouped={grouped} {shape}: {str(error).splitlines()[0]}", file=sys.stderr)
                    continue
                name = f"PyTorch {backend.name}{', grouped' if grouped else ', expanded keys'}"
                print(f"{name} {shape}: forward {forward:.3f} ms, backward {backward:.3f} ms", file=sys.stderr)
                for direction, value in (("forward", forward), ("backward", backward)):
                    # Expanded keys would still need their gradients summed: the forward pass alone may use them.
                    if (grouped or direction == "forward") and value < best.get(direction, ("", 1e9))[1]:
                        best[direction] = (name, value)
        for direction, (name, value) in best.items():
            record("attention", f"{direction}/{shape}", name, value)


class Block(torch.nn.Module):
    """A LLaMA-3-8B-shaped decoder block in eager PyTorch."""

    def __init__(self, hidden=4096, inner=14336, heads=32, key_heads=8, d=128):
        super().__init__()
        self.heads, self.key_heads, self.d = heads, key_heads, d
        linear = lambda n, m: torch.nn.Linear(n, m, bias=False, device="cuda", dtype=torch.bfloat16)
        self.q, self.k, self.v, self.o = linear(hidden, heads * d), linear(hidden, key_heads * d), linear(hidden, key_heads * d), linear(heads * d, hidden)
        self.gate, self.up, self.down = linear(hidden, inner), linear(hidden, inner), linear(inner, hidden)
        self.norm1, self.norm2 = (torch.nn.RMSNorm(hidden, eps=1e-5, device="cuda", dtype=torch.bfloat16) for _ in range(2))

    def rotate(self, x, cos, sin):
        a, b = x.chunk(2, dim=-1)
        return torch.cat((a * cos - b * sin, b * cos + a * sin), dim=-1)

    def forward(self, x, cos, sin):
        b, t, _ = x.shape
        h = self.norm1(x)
        q = self.rotate(self.q(h).view(b, t, self.heads, self.d).transpose(1, 2), cos, sin)
        k = self.rotate(self.k(h).view(b, t, self.key_heads, self.d).transpose(1, 2), cos, sin)
        v = self.v(h).view(b, t, self.key_heads, self.d).transpose(1, 2)
        y = F.scaled_dot_product_attention(q, k, v, is_causal=True, enable_gqa=True)
        x = x + self.o(y.transpose(1, 2).reshape(b, t, -1))
        h = self.norm2(x)
        return x + self.down(F.silu(self.gate(h)) * self.up(h))


def block():
    sequences, length, d = 4, 2048, 128
    model = Block()
    angles = torch.arange(length, device="cuda").float()[:, None] * 500000.0 ** (-torch.arange(0, d, 2, device="cuda").float() / d)
    cos, sin = angles.cos().to(torch.bfloat16), angles.sin().to(torch.bfloat16)
    x, upstream = normal(sequences, length, 4096).requires_grad_(), normal(sequences, length, 4096)
    parameters = [x, *model.parameters()]
    shape = f"llama-3-8b/{sequences}x{length}"
    for name, context in (("PyTorch eager", None), ("PyTorch eager, CUDNN_ATTENTION", SDPBackend.CUDNN_ATTENTION)):
        def forward():
            if context is None:
                return model(x, cos, sin)
            with sdpa_kernel(context):
                return model(x, cos, sin)
        values = (milliseconds(forward), milliseconds(lambda: torch.autograd.grad(forward(), parameters, upstream)))
        print(f"{name} {shape}: forward {values[0]:.3f} ms, forward+backward {values[1]:.3f} ms", file=sys.stderr)
        if context is None:
            record("block", f"forward/{shape}", name, values[0])
            record("block", f"forward+backward/{shape}", name, values[1])


if __name__ == "__main__":
    torch.manual_seed(0)
    for suite in sys.argv[1:] or ["matmul", "attention", "block"]:
        {"matmul": matmul, "attention": attention, "block": block}[suite]()
