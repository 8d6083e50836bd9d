"""The network of doc/network.md in PyTorch, to compare speed with: tools/bench train --pytorch PYTHON.

It needs nothing but `torch`, is run by itself with that Python, and is told what to do in one line of JSON on standard
input. `check` loads weights and inputs of the reference file and answers how far outputs, loss and gradients are from
those in it; `time` answers the samples per second of the fastest training step like that of nephrite-train.
"""

import json
import math
import sys
import time

import torch
import torch.nn.functional as F
from torch import nn


class Norm(nn.Module):
    def __init__(self, width, epsilon):
        super().__init__()
        self.weight, self.epsilon = nn.Parameter(torch.ones(width)), epsilon

    def forward(self, x):
        return F.rms_norm(x, (x.shape[-1],), self.weight, self.epsilon)


def rotation(shape, observed):
    """cos and sin of the angles of each token's pairs, [tokens, width of a head / 2]."""
    grid, rows, columns = (
        shape["grid"],
        [torch.zeros(shape["cosmology_tokens"])],
        [torch.zeros(shape["cosmology_tokens"])],
    )
    for name in ["observation_grid"] * observed + ["grid"]:
        ratio = [grid[axis] / shape[name][axis] for axis in (0, 1)]
        centres = [torch.arange(shape[name][axis]) * ratio[axis] + (ratio[axis] - 1) / 2 for axis in (0, 1)]
        y, x = torch.meshgrid(*centres, indexing="ij")
        rows.append(y.reshape(-1))
        columns.append(x.reshape(-1))
    pairs = shape["width"] // shape["heads"] // 2
    frequency = shape["rope_base"] ** (-2 * torch.arange(pairs // 2) / pairs)
    angle = torch.cat([torch.cat(rows)[:, None] * frequency, torch.cat(columns)[:, None] * frequency], 1)
    return angle.cos(), angle.sin()


def rotate(x, cos, sin):
    u, v = x[..., 0::2], x[..., 1::2]
    return torch.stack([u * cos - v * sin, v * cos + u * sin], -1).flatten(-2)


class Attention(nn.Module):
    def __init__(self, width, heads, epsilon):
        super().__init__()
        self.heads = heads
        self.qkv, self.proj = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.q_norm, self.k_norm = Norm(width // heads, epsilon), Norm(width // heads, epsilon)

    def forward(self, h, cos, sin):
        batch, tokens, width = h.shape
        q, k, v = self.qkv(h).view(batch, tokens, 3, self.heads, width // self.heads).permute(2, 0, 3, 1, 4)
        o = F.scaled_dot_product_attention(rotate(self.q_norm(q), cos, sin), rotate(self.k_norm(k), cos, sin), v)
        return self.proj(o.transpose(1, 2).reshape(h.shape))


class Mlp(nn.Module):
    def __init__(self, width, hidden):
        super().__init__()
        self.w12, self.w3 = nn.Linear(width, 2 * hidden), nn.Linear(hidden, width)

    def forward(self, h):
        g, u = self.w12(h).chunk(2, -1)
        return self.w3(F.silu(g) * u)


class Block(nn.Module):
    def __init__(self, shape):
        super().__init__()
        width, epsilon = shape["width"], shape["rms_epsilon"]
        self.norm1, self.norm2 = Norm(width, epsilon), Norm(width, epsilon)
        self.attention, self.mlp = Attention(width, shape["heads"], epsilon), Mlp(width, shape["mlp_hidden"])
        self.modulation = nn.Linear(width, 6 * width)

    def forward(self, x, c, cos, sin):
        b1, g1, a1, b2, g2, a2 = self.modulation(c)[:, None].chunk(6, -1)
        x = x + a1 * self.attention(self.norm1(x) * (1 + g1) + b1, cos, sin)
        return x + a2 * self.mlp(self.norm2(x) * (1 + g2) + b2)


def patches(x, p):
    """[batch, channel, y, x] as [batch, patch, pixel and channel]."""
    batch, channels, ny, nx = x.shape
    x = x.view(batch, channels, ny // p, p, nx // p, p).permute(0, 2, 4, 3, 5, 1)
    return x.reshape(batch, (ny // p) * (nx // p), p * p * channels)


def part(**members):
    """A module of these members, so that parameters have the names of the reference file."""
    module = nn.Module()
    for name, member in members.items():
        setattr(module, name, nn.Parameter(member) if isinstance(member, torch.Tensor) else member)
    return module


class Network(nn.Module):
    def __init__(self, shape):
        super().__init__()
        self.shape = shape
        W, p, C, bottleneck = shape["width"], shape["patch"], shape["bins"], shape["bottleneck"]
        values, observed = p * p * C, shape["observation_patch"] ** 2 * shape["observation_channels"]
        tokens, told = shape["tokens_of_observation"], shape.get("told", 0)
        maps = 5 * values if shape.get("output") == "wiener" else values  # the guess is shown, too, and products
        seen = maps if tokens else maps + p * p * shape["observation_channels"]
        K, P, epsilon = shape["cosmology_tokens"], shape["parameters"], shape["rms_epsilon"]
        self.time = part(linear1=nn.Linear(shape["time_frequencies"], W), linear2=nn.Linear(W, W))
        if shape.get("modulated"):
            self.time.cosmology = nn.Linear(P, W, bias=False)
        self.cosmology = part(embed=nn.Linear(P, K * W), token=0.02 * torch.randn(K, W))
        self.field = part(
            embed1=nn.Linear(seen, bottleneck, bias=False),
            embed2=nn.Linear(bottleneck, W),
            position=0.02 * torch.randn(math.prod(shape["grid"]), W),
        )
        if told:
            self.cosmology.summaries = nn.Linear(told, K * W, bias=False)
        if tokens:
            self.observation = part(embed1=nn.Linear(observed, bottleneck, bias=False), embed2=nn.Linear(bottleneck, W))
        self.block = nn.ModuleList(Block(shape) for _ in range(shape["depth"]))
        self.head = part(
            field=part(norm=Norm(W, epsilon), modulation=nn.Linear(W, 2 * W), linear=nn.Linear(W, values)),
            cosmology=part(norm=Norm(W, epsilon), linear=nn.Linear(W, P)),
        )
        for name, observation in (("without", False), ("with", tokens)):
            for table, value in zip(("cos", "sin"), rotation(shape, observation)):
                self.register_buffer(f"{table}_{name}", value, persistent=False)

    def embedded_time(self, t):
        half = self.shape["time_frequencies"] // 2
        angle = t[:, None] * torch.exp(
            -math.log(self.shape["time_max_period"]) * torch.arange(half, dtype=t.dtype) / half
        )
        return self.time.linear2(F.silu(self.time.linear1(torch.cat([angle.cos(), angle.sin()], -1))))

    def heads(self, x, c):
        shape, p = self.shape, self.shape["patch"]
        rows, columns = shape["grid"]
        field, cosmology = self.head.field, self.head.cosmology
        beta, gamma = field.modulation(c)[:, None].chunk(2, -1)
        y = field.linear(field.norm(x[:, -rows * columns :]) * (1 + gamma) + beta)
        y = y.view(-1, rows, columns, p, p, shape["bins"]).permute(0, 5, 1, 3, 2, 4)
        theta = cosmology.linear(cosmology.norm(x[:, : shape["cosmology_tokens"]].mean(1)))
        return y.reshape(-1, shape["bins"], rows * p, columns * p), theta

    def complete(self, z, t, answer):
        """What the heads say, added to the best linear guess from z alone where it is the rest."""
        t = t.view(-1, *[1] * (z.ndim - 1))
        square = t**2 + (1 - t) ** 2
        return t / square * z + (1 - t) / square.sqrt() * answer

    def forward(self, z, z_theta, observation, t, summaries=None, t_theta=None):
        shape, K = self.shape, self.shape["cosmology_tokens"]
        t_theta = t if t_theta is None else t_theta
        c = self.embedded_time((t + t_theta) / 2)
        c = F.silu(c + self.time.cosmology(z_theta) if shape.get("modulated") else c)
        cosmology = self.cosmology.embed(z_theta)
        if shape.get("told"):
            cosmology = cosmology + self.cosmology.summaries(summaries)
        cosmology = cosmology.view(z.shape[0], K, -1) + self.cosmology.token
        tokens = shape["tokens_of_observation"]
        field = self.field.embed1(patches(z if tokens else torch.cat([z, observation], 1), shape["patch"]))
        field = self.field.embed2(field) + self.field.position
        if tokens:
            observed = patches(observation, shape["observation_patch"])
            observed = self.observation.embed2(self.observation.embed1(observed))
        x, cos, sin = torch.cat([cosmology, field], 1), self.cos_without, self.sin_without
        for number, block in enumerate(self.block):
            if tokens and number == shape["observation_start"]:
                x, cos, sin = torch.cat([x[:, :K], observed, x[:, K:]], 1), self.cos_with, self.sin_with
            x = block(x, c, cos, sin)
        x, theta = self.heads(x, c)
        output = shape.get("output", "clean")  # with "wiener" maps are completed by doc/network.md, section 4
        x = self.complete(z, t, x) if output == "residual" else x
        return x, theta if output == "clean" else self.complete(z_theta, t_theta, theta)


def objective(shape, x, theta, t, x_hat, theta_hat):
    d = (1 - t).clamp(min=shape["time_floor"])
    field, parameters = ((x_hat - x) / d[:, None, None, None]) ** 2, ((theta_hat - theta) / d[:, None]) ** 2
    return (field.sum() + parameters.sum()) / (x[0].numel() + theta.shape[1]) / x.shape[0]


def check(task):
    """{what: the largest difference from the reference file over its largest value}, in float64."""
    torch.set_default_dtype(torch.float64)
    with open(task["data"], "rb") as file:
        data = bytearray(file.read())
    entries = task["arrays"].items()
    all_values = torch.frombuffer(data, dtype=torch.float64)
    value = {name: all_values[at : at + math.prod(size)].view(size) for name, (at, size) in entries}
    network = Network(task["shape"])
    weights = {name[len("weights/") :]: array for name, array in value.items() if name.startswith("weights/")}
    network.load_state_dict(weights)
    inputs = {name: value["inputs/" + name] for name in ("x", "theta", "z", "z_theta", "observation", "t")}
    x, theta = network(*(inputs[name] for name in ("z", "z_theta", "observation", "t")))
    loss = objective(task["shape"], inputs["x"], inputs["theta"], inputs["t"], x, theta)
    loss.backward()
    found = {"forward/x": x, "forward/theta": theta, "loss/total": loss}
    found.update({f"gradient/{name}": parameter.grad for name, parameter in network.named_parameters()})
    worst = {}
    for name, array in found.items():
        difference = (array.detach() - value[name]).abs().max() / value[name].abs().max()
        group = name.split("/")[0]
        worst[group] = max(worst.get(group, 0.0), float(difference))
    return worst


def training_step(network, function, batch):
    """What nephrite-train does in a step, with PyTorch's own fused and foreach parts."""
    shape = network.shape
    x, theta = torch.randn(batch, shape["bins"], *shape["map"]), torch.randn(batch, shape["parameters"])
    observation = torch.randn(batch, shape["observation_channels"], *shape["map"])
    average = [parameter.detach().clone() for parameter in network.parameters()]
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-4, betas=(0.9, 0.95), weight_decay=0, fused=True)

    def step():
        t = torch.sigmoid((torch.randn(batch) - 0.8) * 0.8)
        mix = t[:, None, None, None]
        z = mix * x + (1 - mix) * torch.randn_like(x)
        z_theta = t[:, None] * theta + (1 - t[:, None]) * torch.randn_like(theta)
        objective(shape, x, theta, t, *function(z, z_theta, observation, t)).backward()
        nn.utils.clip_grad_norm_(network.parameters(), 1.0, foreach=True)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        with torch.no_grad():
            torch._foreach_lerp_(average, list(network.parameters()), 0.0004)

    return step


def measure(task):
    torch.set_num_threads(task["threads"])
    torch.manual_seed(0)
    network = Network(task["shape"])
    step = training_step(network, torch.compile(network) if task["mode"] == "compiled" else network, task["batch"])
    seconds = []
    for number in range(4 + task["steps"]):  # the first compile, allocate and warm up
        begun = time.perf_counter()
        step()
        seconds.append(time.perf_counter() - begun)
    parameters = sum(parameter.numel() for parameter in network.parameters())
    return {"samples_per_second": task["batch"] / min(seconds[4:]), "parameters": parameters}


if __name__ == "__main__":
    order = json.load(sys.stdin)
    answer = check(order) if order["do"] == "check" else measure(order)
    print(json.dumps({**answer, "version": torch.__version__}))
