#!/usr/bin/env python3
"""Computes the golden cases of Stable Diffusion 2.x (tests/golden/cases/sd2_*) with PyTorch, in double precision.

usage: make_sd2_cases.py --out DIR [--device cpu|cuda]

The networks are written here straight from the equations and the tensor names of single-file models: OpenCLIP's
text encoder with torch's own multi-head attention, the UNet with linear projections and head size 64, and the VAE's
decoder. Their weights follow from the tensors' names (the hash rule of src/models/hash_model.h), so nothing but the
results is stored; `lora_make_model --family sd21-mini` writes the same model as a file. Where the package
transformers is installed, its CLIPTextModel is held against the text encoder here.
Needs torch. Formats: tests/golden/README.md.
"""
import argparse
import json
import math
import os

import torch
import torch.nn.functional as F

from torch_files import write_safetensors

# The mini model: sizes as models::sd21_mini_info().
CHANNELS = (64, 64, 128, 128)
HAS_ATTENTION = (True, True, True, False)
CONTEXT, TEXT_HEADS, TEXT_LAYERS, TEXT_HIDDEN = 128, 2, 3, 512
HEAD_SIZE = 64
VAE_CHANNELS = (32, 32, 64, 64)
LATENT_SCALE = 0.18215
BEGIN, END, PAD = 49406, 49407, 0
UNET, TEXT, DECODER = "model.diffusion_model.", "cond_stage_model.model.", "first_stage_model."
REAL = torch.float64
DEVICE = "cpu"


def wrapped(value):
    """A 64-bit word as torch's signed integers hold it."""
    value &= (1 << 64) - 1
    return value - (1 << 64) if value >> 63 else value


def shifted_right(words, bits):
    return (words >> bits) & ((1 << (64 - bits)) - 1)


def hash_numbers(name, count):
    """Element i: splitmix64's finaliser of fnv1a64(name) + (i + 1) golden gamma; its top 24 bits as -1..1, float32."""
    base = 0xCBF29CE484222325
    for byte in name.encode():
        base = ((base ^ byte) * 0x100000001B3) & ((1 << 64) - 1)
    words = torch.arange(1, count + 1, dtype=torch.int64) * wrapped(0x9E3779B97F4A7C15) + wrapped(base)
    words = (words ^ shifted_right(words, 30)) * wrapped(0xBF58476D1CE4E5B9)
    words = (words ^ shifted_right(words, 27)) * wrapped(0x94D049BB133111EB)
    words = words ^ shifted_right(words, 31)
    return shifted_right(words, 40).float() * (2.0 / 16777216.0) - 1.0


def hash_tensor(name, shape, scale):
    return (hash_numbers(name, math.prod(shape)).reshape(shape) * scale).to(REAL).to(DEVICE)


class Weights:
    """The model's tensors, computed when they are asked for."""

    def __init__(self):
        self.known = {}

    def __call__(self, name, *shape):
        if name not in self.known:
            numbers = hash_numbers(name, math.prod(shape)).reshape(shape)
            if len(shape) >= 2:
                numbers = numbers * math.sqrt(3.0 / math.prod(shape[1:]))
            elif name.endswith(".weight"):
                numbers = 0.1 * numbers + 1.0
            else:
                numbers = 0.05 * numbers
            self.known[name] = numbers.half().to(REAL).to(DEVICE)
        return self.known[name]


class Model:
    """`lora[layer] = (down, up, scale)` adds scale * up(down(x)) to the linear layer or 1x1 convolution of that name."""

    def __init__(self):
        self.weights = Weights()
        self.lora = {}

    # Layers.
    def branch(self, layer, x):
        down, up, scale = self.lora[layer]
        return F.linear(F.linear(x, down.flatten(1)), up.flatten(1)) * scale

    def linear(self, layer, x, out, bias=True):
        y = F.linear(x, self.weights(layer + ".weight", out, x.shape[-1]))
        if bias:
            y = y + self.weights(layer + ".bias", out)
        return y + self.branch(layer, x) if layer in self.lora else y

    def conv(self, layer, x, out, stride=1, kernel=3):
        weight = self.weights(layer + ".weight", out, x.shape[1], kernel, kernel)
        return F.conv2d(x, weight, self.weights(layer + ".bias", out), stride, kernel // 2)

    def group_norm(self, layer, x, eps=1e-5):
        width = x.shape[1]
        return F.group_norm(x, 32, self.weights(layer + ".weight", width), self.weights(layer + ".bias", width), eps)

    def layer_norm(self, layer, x):
        width = x.shape[-1]
        return F.layer_norm(x, (width,), self.weights(layer + ".weight", width), self.weights(layer + ".bias", width))

    # OpenCLIP's text encoder, the last block left out: [M, 77] -> [M, 77, D].
    def text(self, ids, clip_skip=1):
        width = CONTEXT
        x = self.weights(TEXT + "token_embedding.weight", 49408, width)[ids]
        x = x + self.weights(TEXT + "positional_embedding", 77, width)
        for i in range(TEXT_LAYERS - (clip_skip - 1)):
            block = f"{TEXT}transformer.resblocks.{i}."
            x = x + self.text_attention(block + "attn", self.layer_norm(block + "ln_1", x))
            hidden = F.gelu(self.linear(block + "mlp.c_fc", self.layer_norm(block + "ln_2", x), TEXT_HIDDEN))
            x = x + self.linear(block + "mlp.c_proj", hidden, width)
        return self.layer_norm(TEXT + "ln_final", x)

    def text_attention(self, name, x):
        width, length = x.shape[-1], x.shape[1]
        weight = self.weights(name + ".in_proj_weight", 3 * width, width)
        bias = self.weights(name + ".in_proj_bias", 3 * width)
        joined = F.linear(x, weight, bias)
        parts = list(joined.chunk(3, -1))
        for i, letter in enumerate("qkv"):
            if f"{name}.{letter}_proj" in self.lora:
                parts[i] = parts[i] + self.branch(f"{name}.{letter}_proj", x)
        mask = torch.full((length, length), -math.inf, dtype=REAL, device=x.device).triu(1)
        mixed = heads_apart(parts, TEXT_HEADS, mask)
        return self.linear(name + ".out_proj", mixed, width)

    # The UNet: prediction of v or of the noise.
    def unet(self, x, timesteps, context):
        first, time_size = CHANNELS[0], 4 * CHANNELS[0]
        half = first // 2
        steps = torch.arange(half, dtype=torch.float32, device=x.device)
        angles = timesteps.float()[:, None] * torch.exp(-math.log(10000) * steps / half)
        time = torch.cat([angles.cos(), angles.sin()], -1).to(REAL)
        time = self.linear(UNET + "time_embed.2", F.silu(self.linear(UNET + "time_embed.0", time, time_size)), time_size)
        time = F.silu(time)
        kept = [self.conv(UNET + "input_blocks.0.0", x, first)]
        for level, width in enumerate(CHANNELS):
            for _ in range(2):
                kept.append(self.unet_block(f"{UNET}input_blocks.{len(kept)}", kept[-1], time, context, level))
            if level + 1 < len(CHANNELS):
                kept.append(self.conv(f"{UNET}input_blocks.{len(kept)}.0.op", kept[-1], width, stride=2))
        x = self.residual(UNET + "middle_block.0", kept[-1], time, CHANNELS[-1])
        x = self.transformer(UNET + "middle_block.1", x, context)
        x = self.residual(UNET + "middle_block.2", x, time, CHANNELS[-1])
        index = 0
        for level in reversed(range(len(CHANNELS))):
            for i in range(3):
                block = f"{UNET}output_blocks.{index}"
                x = self.unet_block(block, torch.cat([x, kept.pop()], 1), time, context, level)
                if i == 2 and level > 0:
                    wide = F.interpolate(x, scale_factor=2.0, mode="nearest")
                    x = self.conv(f"{block}.{2 if HAS_ATTENTION[level] else 1}.conv", wide, x.shape[1])
                index += 1
        return self.conv(UNET + "out.2", F.silu(self.group_norm(UNET + "out.0", x)), 4)

    def unet_block(self, name, x, time, context, level):
        x = self.residual(name + ".0", x, time, CHANNELS[level])
        return self.transformer(name + ".1", x, context) if HAS_ATTENTION[level] else x

    def residual(self, name, x, time, out):
        h = self.conv(name + ".in_layers.2", F.silu(self.group_norm(name + ".in_layers.0", x)), out)
        h = h + self.linear(name + ".emb_layers.1", time, out)[:, :, None, None]
        h = self.conv(name + ".out_layers.3", F.silu(self.group_norm(name + ".out_layers.0", h)), out)
        return h + (x if x.shape[1] == out else self.conv(name + ".skip_connection", x, out, kernel=1))

    def transformer(self, name, x, context):
        n, width, height, length = x.shape
        tokens = self.group_norm(name + ".norm", x, 1e-6).flatten(2).transpose(1, 2)
        h = self.linear(name + ".proj_in", tokens, width)
        inner = name + ".transformer_blocks.0."
        y = self.layer_norm(inner + "norm1", h)
        h = h + self.cross(inner + "attn1", y, y)
        h = h + self.cross(inner + "attn2", self.layer_norm(inner + "norm2", h), context)
        value, gate = self.linear(inner + "ff.net.0.proj", self.layer_norm(inner + "norm3", h), 8 * width).chunk(2, -1)
        h = h + self.linear(inner + "ff.net.2", value * F.gelu(gate), width)
        h = self.linear(name + ".proj_out", h, width)
        return x + h.transpose(1, 2).reshape(n, width, height, length)

    def cross(self, name, x, source):
        width = x.shape[-1]
        q = self.linear(name + ".to_q", x, width, bias=False)
        k = self.linear(name + ".to_k", source, width, bias=False)
        v = self.linear(name + ".to_v", source, width, bias=False)
        return self.linear(name + ".to_out.0", heads_apart((q, k, v), width // HEAD_SIZE), width)

    # The VAE's decoder: scaled latents -> pictures.
    def decode(self, latents):
        name = DECODER + "decoder."
        x = self.conv(DECODER + "post_quant_conv", latents / LATENT_SCALE, 4, kernel=1)
        x = self.conv(name + "conv_in", x, VAE_CHANNELS[-1])
        x = self.vae_residual(name + "mid.block_1", x, VAE_CHANNELS[-1])
        x = self.vae_attention(name + "mid.attn_1", x)
        x = self.vae_residual(name + "mid.block_2", x, VAE_CHANNELS[-1])
        for level in (3, 2, 1, 0):
            for i in range(3):
                x = self.vae_residual(f"{name}up.{level}.block.{i}", x, VAE_CHANNELS[level])
            if level > 0:
                wide = F.interpolate(x, scale_factor=2.0, mode="nearest")
                x = self.conv(f"{name}up.{level}.upsample.conv", wide, x.shape[1])
        return self.conv(name + "conv_out", F.silu(self.group_norm(name + "norm_out", x, 1e-6)), 3)

    def vae_residual(self, name, x, out):
        h = self.conv(name + ".conv1", F.silu(self.group_norm(name + ".norm1", x, 1e-6)), out)
        h = self.conv(name + ".conv2", F.silu(self.group_norm(name + ".norm2", h, 1e-6)), out)
        return h + (x if x.shape[1] == out else self.conv(name + ".nin_shortcut", x, out, kernel=1))

    def vae_attention(self, name, x):
        h = self.group_norm(name + ".norm", x, 1e-6)
        parts = [self.conv(f"{name}.{i}", h, x.shape[1], kernel=1).flatten(2).transpose(1, 2) for i in "qkv"]
        mixed = heads_apart(parts, 1).transpose(1, 2).reshape(x.shape)
        return x + self.conv(name + ".proj_out", mixed, x.shape[1], kernel=1)


def heads_apart(parts, heads, mask=None):
    """softmax(q k / sqrt(head size) + mask) v, head by head: [N, T, C] each."""
    n, _, width = parts[0].shape
    q, k, v = (part.reshape(n, part.shape[1], heads, width // heads).transpose(1, 2) for part in parts)
    scores = q @ k.transpose(-1, -2) / math.sqrt(width // heads)
    if mask is not None:
        scores = scores + mask
    return (scores.softmax(-1) @ v).transpose(1, 2).reshape(n, -1, width)


def joined_context(model, ids, clip_skip=1):
    """Training: [N, C, 77] -> [N, 75 C + 2, D], first of the first window, 75 of each, last of the last."""
    n, count, _ = ids.shape
    states = model.text(ids.reshape(-1, 77), clip_skip).reshape(n, count, 77, -1)
    pieces = [states[:, 0, :1]] + [states[:, i, 1:76] for i in range(count)] + [states[:, -1, 76:]]
    return torch.cat(pieces, 1)


def windows(tokens, count):
    """sd-scripts' windows of a caption for Stable Diffusion 2.x."""
    whole = [BEGIN] + tokens[:75 * count] + [END]
    whole += [PAD] * (75 * count + 2 - len(whole))
    if count == 1:
        return [whole]
    rows = []
    for i in range(count):
        row = [BEGIN] + whole[1 + 75 * i:76 + 75 * i] + [whole[-1]]
        if row[75] not in (END, PAD):
            row[76] = END
        if row[1] == PAD:
            row[1] = END
        rows.append(row)
    return rows


def made_up_tokens(seed, count):
    return [(7919 * (seed + 1) + 104729 * i) % 49000 for i in range(count)]


def batch_ids(lengths, count):
    rows = [windows(made_up_tokens(i, length), count) for i, length in enumerate(lengths)]
    return torch.tensor(rows, dtype=torch.int64, device=DEVICE)


def alphas_cumprod():
    betas = torch.linspace(0.00085 ** 0.5, 0.012 ** 0.5, 1000, dtype=torch.float64) ** 2
    return torch.cumprod(1 - betas, 0)


def zero_terminal(cumprod):
    """Lin et al., arXiv:2305.08891, algorithm 1."""
    root = cumprod.sqrt()
    root = (root - root[-1]) * root[0] / (root[0] - root[-1])
    return root ** 2


# The layers that take a LoRA: kohya's name, the layer's name here, and whether kohya sees a 1x1 convolution.
def text_layers():
    names = (("self_attn_k_proj", "attn.k_proj"), ("self_attn_v_proj", "attn.v_proj"), ("self_attn_q_proj", "attn.q_proj"),
             ("self_attn_out_proj", "attn.out_proj"), ("mlp_fc1", "mlp.c_fc"), ("mlp_fc2", "mlp.c_proj"))
    sizes = {"mlp_fc1": (TEXT_HIDDEN, CONTEXT), "mlp_fc2": (CONTEXT, TEXT_HIDDEN)}
    for i in range(TEXT_LAYERS):
        for kohya, own in names:
            yield (f"lora_te_text_model_encoder_layers_{i}_{kohya}", f"{TEXT}transformer.resblocks.{i}.{own}",
                   sizes.get(kohya, (CONTEXT, CONTEXT)), False)


def transformer_layers(kohya, own, width):
    yield f"{kohya}_proj_in", f"{own}.proj_in", (width, width), True
    parts = [("attn1.to_q", width, width), ("attn1.to_k", width, width), ("attn1.to_v", width, width),
             ("attn1.to_out.0", width, width), ("ff.net.0.proj", 8 * width, width), ("ff.net.2", width, 4 * width),
             ("attn2.to_q", width, width), ("attn2.to_k", width, CONTEXT), ("attn2.to_v", width, CONTEXT),
             ("attn2.to_out.0", width, width)]
    for part, rows, columns in parts:
        yield (f"{kohya}_transformer_blocks_0_{part.replace('.', '_')}", f"{own}.transformer_blocks.0.{part}",
               (rows, columns), False)
    yield f"{kohya}_proj_out", f"{own}.proj_out", (width, width), True


def unet_layers():
    for level, width in enumerate(CHANNELS):
        for i in range(2 if HAS_ATTENTION[level] else 0):
            yield from transformer_layers(f"lora_unet_down_blocks_{level}_attentions_{i}",
                                          f"{UNET}input_blocks.{1 + 3 * level + i}.1", width)
    for index, level in enumerate(reversed(range(len(CHANNELS)))):
        for i in range(3 if HAS_ATTENTION[level] else 0):
            yield from transformer_layers(f"lora_unet_up_blocks_{index}_attentions_{i}",
                                          f"{UNET}output_blocks.{3 * index + i}.1", CHANNELS[level])
    yield from transformer_layers("lora_unet_mid_block_attentions_0", UNET + "middle_block.1", CHANNELS[-1])


def attach_network(model, layers, rank, alpha):
    """Parameters by their keys in a LoRA file, attached to the model."""
    parameters = {}
    for kohya, own, (out, into), is_conv in layers:
        ones = (1, 1) if is_conv else ()
        down = hash_tensor(kohya + ".lora_down.weight", (rank, into) + ones, 0.15).requires_grad_()
        up = hash_tensor(kohya + ".lora_up.weight", (out, rank) + ones, 0.15).requires_grad_()
        parameters[kohya + ".lora_down.weight"], parameters[kohya + ".lora_up.weight"] = down, up
        model.lora[own] = (down, up, alpha / rank)
    return parameters


class Cases:
    """Writes safetensors files: tensors in.* and out.*, metadata `case`."""

    def __init__(self, folder):
        self.folder = folder

    def write(self, name, kind, tensors, **params):
        case = {"kind": kind, "model": "sd21-mini", **params, "oracle": f"make_sd2_cases.py, torch {torch.__version__}, float64"}
        path = os.path.join(self.folder, name + ".safetensors")
        write_safetensors(path, tensors, {"case": json.dumps(case)})
        print(f"{name}: {os.path.getsize(path) // 1024} KiB", flush=True)


def single(tensor):
    return tensor.detach().to(torch.float32)


def text_case(cases):
    model = Model()
    ids = batch_ids([80], 2)
    with torch.no_grad():
        outs = {f"out.context_skip{skip}": single(joined_context(model, ids, skip)) for skip in (1, 2)}
    cases.write("sd2_clip_text", "clip_text", {"in.input_ids": ids, **outs})


def unet_case(cases):
    model = Model()
    latents = hash_tensor("in.latents", (2, 4, 16, 8), 1.7)
    context = hash_tensor("in.context", (2, 10, CONTEXT), 1.7)
    timesteps = torch.tensor([437, 12], dtype=torch.int64, device=DEVICE)
    with torch.no_grad():
        prediction = model.unet(single(latents).to(REAL), timesteps, single(context).to(REAL))
    cases.write("sd2_unet", "unet", {"in.latents": single(latents), "in.timesteps": timesteps,
                                     "in.context": single(context), "out.prediction": single(prediction)})


class AdamW:
    """Loshchilov and Hutter, arXiv:1711.05101: decay 0.01, betas 0.9 and 0.999, epsilon 1e-8."""

    def __init__(self, parameters, rate):
        self.parameters, self.rate, self.count = parameters, rate, 0
        self.first = {k: torch.zeros_like(p) for k, p in parameters.items()}
        self.second = {k: torch.zeros_like(p) for k, p in parameters.items()}

    @torch.no_grad()
    def step(self):
        self.count += 1
        norm = math.sqrt(sum(p.grad.square().sum().item() for p in self.parameters.values()))
        clip = min(1.0, 1.0 / (norm + 1e-6))
        for key, p in self.parameters.items():
            gradient = p.grad * clip
            self.first[key].mul_(0.9).add_(gradient, alpha=0.1)
            self.second[key].mul_(0.999).add_(gradient.square(), alpha=0.001)
            mean = self.first[key] / (1 - 0.9 ** self.count)
            spread = self.second[key] / (1 - 0.999 ** self.count)
            p.mul_(1 - self.rate * 0.01).sub_(self.rate * mean / (spread.sqrt() + 1e-8))


def training_case(cases, name, layers, rank, alpha, timesteps, lengths, count, v_prediction, steps=0, rate=1e-3, zero_snr=False, gamma=0.0,
                  size=(8, 8)):
    model = Model()
    parameters = attach_network(model, layers, rank, alpha)
    n = len(timesteps)
    latents = single(hash_tensor("in.latents", (n, 4, *size), 1.7))
    noise = single(hash_tensor("in.noise", (n, 4, *size), 1.7))
    loss_weights = torch.tensor([1.0, 0.3, 1.0][:n], dtype=torch.float32, device=DEVICE)
    ids = batch_ids(lengths, count)
    t = torch.tensor(timesteps, dtype=torch.int64, device=DEVICE)
    plain = alphas_cumprod()
    table = zero_terminal(plain) if zero_snr else plain
    signal = table.to(DEVICE)[t].reshape(-1, 1, 1, 1)
    x0, eps = latents.to(REAL), noise.to(REAL)
    noisy = signal.sqrt() * x0 + (1 - signal).sqrt() * eps
    target = signal.sqrt() * eps - (1 - signal).sqrt() * x0 if v_prediction else eps
    weights = loss_weights.to(REAL)
    if gamma > 0:
        ratio = (plain / (1 - plain)).to(DEVICE)[t]
        weights = weights * ratio.clamp(max=gamma) / (ratio + 1 if v_prediction else ratio)
    tensors = {"in.latents": latents, "in.noise": noise, "in.timesteps": t, "in.input_ids": ids, "in.loss_weights": loss_weights}
    for key, p in parameters.items():
        tensors["in.net." + key] = single(p)
        if key.endswith(".lora_up.weight"):
            tensors["in.net." + key[:-len("lora_up.weight")] + "alpha"] = torch.tensor(alpha, dtype=torch.float32)
    optimizer, losses = AdamW(parameters, rate), []
    for step in range(max(1, steps)):
        for p in parameters.values():
            p.grad = None
        prediction = model.unet(noisy, t, joined_context(model, ids))
        loss = ((prediction - target).square().mean((1, 2, 3)) * weights).mean()
        loss.backward()
        losses.append(loss.item())
        if step == 0:
            tensors["out.prediction"] = single(prediction)
            square = 0.0
            for key, p in parameters.items():
                tensors["out.grad." + key] = single(p.grad)
                square += p.grad.square().sum().item()
            tensors["out.grad_norm"] = torch.tensor([math.sqrt(square)], dtype=torch.float32)
        if steps:
            optimizer.step()
    tensors["out.losses"] = torch.tensor(losses, dtype=torch.float64)
    if steps:
        for key, p in parameters.items():
            tensors["out.net." + key] = single(p)
            if key.endswith(".lora_up.weight"):
                tensors["out.net." + key[:-len("lora_up.weight")] + "alpha"] = torch.tensor(alpha, dtype=torch.float32)
    print(f"  losses {losses}, gradient {tensors['out.grad_norm'].item():.6g}")
    cases.write(name, "train_steps", tensors, network="lora", rank=rank, alpha=alpha, v_prediction=v_prediction, steps=steps,
                optimizer=f"AdamW lr={rate} betas=0.9,0.999 eps=1e-8 weight_decay=0.01 max_grad_norm=1",
                zero_terminal_snr=zero_snr, **({"min_snr_gamma": gamma} if gamma > 0 else {}))


def sampling_case(cases, sampler, steps=5, scale=4.0):
    model = Model()
    noise = single(hash_tensor("in.noise", (1, 4, 8, 8), 1.7))
    ids, negative = batch_ids([9], 1), torch.tensor([[windows(made_up_tokens(7, 3), 1)[0]]], device=DEVICE)
    table = alphas_cumprod().to(DEVICE)
    tensors = {"in.noise": noise, "in.step_noise": torch.zeros(steps, 1, 4, 8, 8), "in.input_ids": ids, "in.negative_ids": negative}
    with torch.no_grad():
        context = torch.cat([model.text(negative[:, 0]), model.text(ids[:, 0])])

        def velocity(x, t):
            answers = model.unet(torch.cat([x, x]), torch.full((2,), t, device=DEVICE), context)
            return answers[:1] + scale * (answers[1:] - answers[:1])

        x = noise.to(REAL)
        if sampler == "ddim":
            stride = 1000 // steps
            times = [stride * i + 1 for i in reversed(range(steps))]
            for t in times:
                now, then = table[t], table[max(t - stride, 0)]
                v = velocity(x, t)
                clean = now.sqrt() * x - (1 - now).sqrt() * v
                rest = now.sqrt() * v + (1 - now).sqrt() * x
                x = then.sqrt() * clean + (1 - then).sqrt() * rest
        else:
            sigma_table = ((1 - table) / table).sqrt()
            times = [999.0 * (steps - 1 - i) / (steps - 1) for i in range(steps)]
            sigmas = []
            for t in times:
                low = min(int(t), 998)
                sigmas.append((sigma_table[low] + (t - low) * (sigma_table[low + 1] - sigma_table[low])).item())
            sigmas.append(0.0)
            x = x * sigmas[0]
            for i, t in enumerate(times):
                sigma = sigmas[i]
                v = velocity(x / math.sqrt(sigma ** 2 + 1), t)
                clean = x / (sigma ** 2 + 1) - v * sigma / math.sqrt(sigma ** 2 + 1)
                x = x + (x - clean) / sigma * (sigmas[i + 1] - sigma)
            tensors["out.sigmas"] = torch.tensor(sigmas, dtype=torch.float64)
        tensors["out.timesteps"] = torch.tensor(times, dtype=torch.float64)
        tensors["out.latents"] = single(x)
        tensors["out.image"] = single(model.decode(single(x).to(REAL)))
    cases.write(f"sd2_sample_v_{sampler}", "sample", tensors, sampler=sampler, steps=steps, cfg_scale=scale, v_prediction=True)


def compare_with_transformers():
    """The same text encoder as transformers' class for Stable Diffusion 2.x; says how far apart they are."""
    try:
        from transformers import CLIPTextConfig, CLIPTextModel
    except ImportError:
        print("transformers is not installed: the text encoder stands alone")
        return
    model = Model()
    ids = batch_ids([80], 2).reshape(-1, 77)
    with torch.no_grad():
        ours = model.text(ids)
    config = CLIPTextConfig(vocab_size=49408, hidden_size=CONTEXT, intermediate_size=TEXT_HIDDEN, num_hidden_layers=TEXT_LAYERS,
                            num_attention_heads=TEXT_HEADS, max_position_embeddings=77, hidden_act="gelu", eos_token_id=2)
    theirs = CLIPTextModel(config).to(REAL).to(DEVICE).eval()
    known, values = model.weights.known, {}
    ends = {"layer_norm1": "ln_1", "layer_norm2": "ln_2", "mlp.fc1": "mlp.c_fc", "mlp.fc2": "mlp.c_proj", "self_attn.out_proj": "attn.out_proj"}
    for i in range(TEXT_LAYERS):
        block, layer = f"{TEXT}transformer.resblocks.{i}.", f"encoder.layers.{i}."
        for kind in ("weight", "bias"):
            for part, letter in zip(known[f"{block}attn.in_proj_{kind}"].chunk(3), "qkv"):
                values[f"{layer}self_attn.{letter}_proj.{kind}"] = part
            for end, own in ends.items():
                values[f"{layer}{end}.{kind}"] = known[f"{block}{own}.{kind}"]
    values["embeddings.token_embedding.weight"] = known[TEXT + "token_embedding.weight"]
    values["embeddings.position_embedding.weight"] = known[TEXT + "positional_embedding"]
    values["final_layer_norm.weight"], values["final_layer_norm.bias"] = known[TEXT + "ln_final.weight"], known[TEXT + "ln_final.bias"]
    own_keys = theirs.state_dict()
    prefix = "text_model." if any(k.startswith("text_model.") for k in own_keys) else ""
    missing, unexpected = theirs.load_state_dict({prefix + k: v for k, v in values.items()}, strict=False)
    if unexpected or any("position_ids" not in k for k in missing):
        print(f"transformers: missing {list(missing)[:3]}, unexpected {list(unexpected)[:3]}")
    with torch.no_grad():
        states = theirs(input_ids=ids).last_hidden_state
    print(f"text encoder against transformers: {((states - ours).norm() / states.norm()).item():.2e}")


def main():
    global DEVICE
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", required=True)
    parser.add_argument("--device", default="cpu")
    arguments = parser.parse_args()
    DEVICE = arguments.device
    os.makedirs(arguments.out, exist_ok=True)
    cases = Cases(arguments.out)
    compare_with_transformers()
    text_case(cases)
    unet_case(cases)
    training_case(cases, "sd2_train_v", [*text_layers(), *unet_layers()], 1, 0.5, [437, 871], [70, 0], 2, True, size=(8, 24))
    training_case(cases, "sd2_train_noise", list(text_layers()), 2, 2.0, [437, 12], [80, 3], 1, False, steps=3)
    training_case(cases, "sd2_train_zero_snr", list(text_layers()), 1, 1.0, [999, 300], [12, 140], 2, True, zero_snr=True, gamma=5.0)
    sampling_case(cases, "ddim")
    sampling_case(cases, "euler")


if __name__ == "__main__":
    main()
