"""How many samples a second: WaveGAN's generator against WaveNet with caches, at equal length and batch, on the same processor.

WaveNet (van den Oord et al. 2016, arXiv 1609.03499) makes one sample after another. With a queue for every layer (Paine et al.
2016, arXiv 1611.09482) a sample costs one small product a layer, whatever the receptive field: the fastest known way to
draw from it exactly. Written here with torch, in the size of `SIZE`; its steps are checked against the convolutions on a short
input. One hand-written kernel would save it the time between operators: the operations that both need for a sample are
reported, so that the reader can judge.
Both run on one thread in full precision, WaveGAN with the preset `paper` and with the width that `auto` takes on a CPU.

A prefix of the WaveNet is timed and its time taken to grow with the length, since every step does the same; that it does is
checked on a prefix of twice the length. Aim: WaveGAN makes at least 50 times as many samples a second.

    python benchmarks/speed/wavenet.py --out benchmarks/results/wavenet_speed.json
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import one_hot, pad

from ganvas.batches import Noise
from ganvas.doctor import keep_memory, machine
from ganvas.kinds.sound.spec import SoundSpec
from ganvas.presets import Situation
from ganvas.systems.sound.wavegan import PRESETS, Config, WaveGan

AIM = 50.0
BATCH, LENGTHS, RATE = 16, (4096, 16384), 16000
SIZE = {"stacks": 3, "layers": 10, "residual": 64, "skip": 256, "values": 256}
SIZE_FROM = (
    "30 layers, dilations 1 to 512 three times over: arXiv 1609.03499, section 2.1; kernels of 2, 64 residual, 256 skip and "
    "256 output channels: the larger size of NVIDIA's nv-wavenet, after Deep Voice (arXiv 1702.07825)"
)


class WaveNet(nn.Module):
    """Values 0 .. 255 of mu-law sound -> logits of the value that follows. Kernels of two samples, dilations 1, 2 ... 512."""

    def __init__(self, stacks: int, layers: int, residual: int, skip: int, values: int) -> None:
        super().__init__()
        self.residual, self.values = residual, values
        self.dilations = [2**k for k in range(layers)] * stacks
        self.first = nn.Conv1d(values, residual, 1)
        self.gates = nn.ModuleList(nn.Conv1d(residual, 2 * residual, 2, dilation=d) for d in self.dilations)
        self.onwards = nn.ModuleList(nn.Conv1d(residual, residual, 1) for _ in self.dilations)
        self.skips = nn.ModuleList(nn.Conv1d(residual, skip, 1) for _ in self.dilations)
        self.last = nn.Sequential(nn.ReLU(), nn.Conv1d(skip, skip, 1), nn.ReLU(), nn.Conv1d(skip, values, 1))

    def forward(self, sounds: Tensor) -> Tensor:
        """(B, T) values -> (B, values, T): logits at a moment see that value and those before it."""
        x = self.first(one_hot(sounds, self.values).transpose(1, 2).float())
        total: Any = 0
        for gate, onward, skip, dilation in zip(self.gates, self.onwards, self.skips, self.dilations, strict=True):
            tanh, sigmoid = gate(pad(x, (dilation, 0))).chunk(2, dim=1)
            made = tanh.tanh() * sigmoid.sigmoid()
            total = total + skip(made)
            x = x + onward(made)
        return self.last(total)


class Stepper:
    """A WaveNet, one sample at a time: every layer keeps what it heard in a ring as long as its dilation."""

    def __init__(self, net: WaveNet, batch: int) -> None:
        self.net, self.moment = net, 0
        self.embedding = (net.first.weight[..., 0].T + net.first.bias).contiguous()  # a value's row: no product with zeros
        self.rings = [torch.zeros(d, batch, net.residual) for d in net.dilations]
        # The two taps as one matrix, and what goes on and what is heard as another: two products a layer.
        self.gates = [(torch.cat([g.weight[..., 0], g.weight[..., 1]], 1).T.contiguous(), g.bias) for g in net.gates]
        both = zip(net.onwards, net.skips, strict=True)
        self.outs = [
            (torch.cat([o.weight[..., 0], s.weight[..., 0]]).T.contiguous(), torch.cat([o.bias, s.bias])) for o, s in both
        ]
        self.tail = [(c.weight[..., 0].T.contiguous(), c.bias) for c in (net.last[1], net.last[3])]
        # Before the first sample there is silence (zeros) on every layer, as the padding of the convolutions has it.

    def step(self, values: Tensor) -> Tensor:
        """(B,) values of this moment -> (B, values) logits of the next."""
        residual = self.net.residual
        x = self.embedding[values]
        total: Any = None
        for ring, (gate, gate_bias), (out, out_bias) in zip(self.rings, self.gates, self.outs, strict=True):
            place = self.moment % len(ring)
            heard = torch.addmm(gate_bias, torch.cat([ring[place], x], 1), gate)
            ring[place] = x
            made = heard[:, :residual].tanh() * heard[:, residual:].sigmoid()
            both = torch.addmm(out_bias, made, out)
            x = x + both[:, :residual]
            total = both[:, residual:] if total is None else total + both[:, residual:]
        self.moment += 1
        (middle, middle_bias), (end, end_bias) = self.tail
        return torch.addmm(end_bias, torch.addmm(middle_bias, total.relu(), middle).relu(), end)

    def draw(self, length: int, generator: torch.Generator) -> Tensor:
        """(B, length) values, each drawn from what the net says of it."""
        values = torch.full((len(self.rings[0][0]),), self.net.values // 2)
        drawn = []
        for _ in range(length):
            # The largest of logits plus Gumbel noise is a draw from their softmax, and cheaper than torch.multinomial.
            logits = self.step(values)
            noise = torch.rand(logits.shape, generator=generator).clamp_(1e-12).log_().neg_().log_()
            values = (logits - noise).argmax(1)
            drawn.append(values)
        return torch.stack(drawn, 1)


def difference(net: WaveNet, length: int) -> float:
    """The largest difference of steps and convolutions, in units of the logits' spread."""
    generator = torch.Generator().manual_seed(1)
    sounds = torch.randint(net.values, (3, length), generator=generator)
    stepper = Stepper(net, 3)
    stepped = torch.stack([stepper.step(sounds[:, k]) for k in range(length)], 2)
    whole = net(sounds)
    return float((stepped - whole).abs().max() / whole.std())


def operations(work: Callable[[], Any], samples: int) -> int:
    """Floating-point operations of products and convolutions for one sample of sound."""
    from torch.utils.flop_counter import FlopCounterMode

    with FlopCounterMode(display=False) as counter:
        work()
    return round(counter.get_total_flops() / samples)


def seconds(work: Callable[[], Any], repeats: int) -> float:
    """Median wall time."""
    found = []
    for _ in range(repeats):
        begin = time.perf_counter()
        work()
        found.append(time.perf_counter() - begin)
    return statistics.median(found)


def wavegan(length: int, preset: str) -> WaveGan:
    spec = SoundSpec(length, RATE)
    chosen = PRESETS[preset]
    values = chosen(Situation(spec, 2000, 3600.0, 70.0, "cpu")) if callable(chosen) else chosen
    return WaveGan(spec, Config(**values)).eval()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--prefix", type=int, default=200, help="samples of the WaveNet that are timed")
    options = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    keep_memory()
    generator = torch.Generator().manual_seed(0)
    result: dict[str, Any] = {
        "what": "samples a second: WaveGAN's generator against WaveNet with a queue for every layer",
        "aim": f"at least {AIM:g} times as many with the preset `auto` and `paper` alike",
        "batch": BATCH,
        "wavenet": {**SIZE, "size from": SIZE_FROM},
        "lengths": {},
    }
    with torch.inference_mode():
        net = WaveNet(**SIZE)
        result["wavenet"]["weights"] = sum(p.numel() for p in net.parameters())
        result["wavenet"]["steps against convolutions"] = apart = difference(net, 1100)  # longer than the longest dilation
        if not apart < 1e-5:
            raise SystemExit(f"the steps differ from the convolutions by {apart}")
        stepper = Stepper(net, BATCH)
        stepper.draw(50, generator)
        once = seconds(lambda: stepper.draw(options.prefix, generator), 5)
        twice = seconds(lambda: stepper.draw(2 * options.prefix, generator), 5)
        a_step = once / options.prefix
        result["wavenet"] |= {
            "prefix": options.prefix,
            "milliseconds a step": round(1e3 * a_step, 3),
            "twice the prefix takes": round(twice / once, 3),
            "how": "the prefix is timed and its time multiplied by length / prefix; twice the prefix must take 1.8 to 2.2 "
            "times as long",
            "linear": 1.8 <= twice / once <= 2.2,
            "operations a sample": operations(lambda: stepper.step(torch.zeros(BATCH, dtype=torch.long)), BATCH),
        }
        for length in LENGTHS:
            theirs = BATCH / a_step
            row: dict[str, Any] = {
                "wavenet": {"samples_a_second": round(theirs), "seconds_extrapolated": round(a_step * length, 2)}
            }
            for preset in ("auto", "paper"):
                system = wavegan(length, preset)
                noise = Noise(torch.Generator().manual_seed(0))
                system.sample(BATCH, noise)
                taken = seconds(lambda system=system, noise=noise: system.sample(BATCH, noise), 5)  # type: ignore[misc]
                ours = BATCH * length / taken
                row[f"wavegan, {preset}"] = {
                    "width": system.config.width,
                    "weights": sum(p.numel() for p in system.generator.parameters()),
                    "operations_a_sample": operations(
                        lambda system=system, noise=noise: system.sample(BATCH, noise),  # type: ignore[misc]
                        BATCH * length,
                    ),
                    "seconds": round(taken, 4),
                    "samples_a_second": round(ours),
                    "times_wavenet": round(ours / theirs, 1),
                }
            result["lengths"][str(length)] = row
            print(length, json.dumps(row), flush=True)
    ratios = [row[f"wavegan, {p}"]["times_wavenet"] for row in result["lengths"].values() for p in ("auto", "paper")]
    result["least_ratio"] = min(ratios)
    result["met"] = min(ratios) >= AIM and result["wavenet"]["linear"]
    result["command"] = "python benchmarks/speed/wavenet.py --out benchmarks/results/wavenet_speed.json"
    result["machine"] = machine()
    if options.out is not None:
        options.out.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
