#!/usr/bin/env python3
"""Loads LoRA files of this program with sd-scripts, LyCORIS and diffusers, and compares what they compute.

usage: check_loading.py [--sd_scripts DIR] [--lycoris DIR] [--diffusers DIR] [--bin build/bin] [--backend cpu]
                        [--model assets/mini/mini-sd.safetensors] [--out check-loading] [FILE...]

The directories hold the sources of those programs; one that is not given is left out. Without FILEs it first trains
a LoRA, LoCon, LyCORIS LoCon and LoHa of a few steps. Each program's own code reads a file and hooks itself into a
model in PyTorch: the UNet of sd-scripts or diffusers where it can be imported, else the one written here under the
same module names; the text encoder is written here. Compared are the change of one linear layer of UNet and text
encoder with the formula of docs/formats/lora_file.md, and the context and prediction with what lora_parity computes
from the same file (kind "network" in tests/golden/README.md). Prints a line for each, exits with 1 if one is off.
Needs torch; other Python packages that those sources import are replaced by empty ones when they are missing.
"""
import argparse
import importlib
import importlib.abc
import importlib.machinery
import importlib.util
import json
import logging
import math
import os
import subprocess
import sys
import types

import torch
import torch.nn as nn
import torch.nn.functional as F

BOUND = 1e-4
ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, os.path.join(ROOT, "tests", "golden"))
from torch_files import read_safetensors, write_safetensors  # noqa: E402
LAYERS = ("lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn2_to_k",
          "lora_te_text_model_encoder_layers_0_mlp_fc1")
TRAINED = {  # name: further options of lora train
    "lora": [],
    "locon": ["--network_args", "conv_dim=2", "conv_alpha=1"],
    "lycoris_locon": ["--network_module", "lycoris.kohya", "--network_args", "algo=locon", "conv_dim=2", "conv_alpha=1"],
    "loha": ["--network_module", "lycoris.kohya", "--network_args", "algo=loha", "conv_dim=2", "conv_alpha=1"],
}


# A model with the module names and class names that the programs look for.
class CrossAttention(nn.Module):
    def __init__(self, width, source, heads):
        super().__init__()
        self.heads = heads
        self.to_q = nn.Linear(width, width, bias=False)
        self.to_k = nn.Linear(source, width, bias=False)
        self.to_v = nn.Linear(source, width, bias=False)
        self.to_out = nn.ModuleList([nn.Linear(width, width)])

    def forward(self, x, source):
        return self.to_out[0](mixed(self.to_q(x), self.to_k(source), self.to_v(source), self.heads))


class GEGLU(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.proj = nn.Linear(width, 8 * width)

    def forward(self, x):
        value, gate = self.proj(x).chunk(2, -1)
        return value * F.gelu(gate)


class FeedForward(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.net = nn.ModuleList([GEGLU(width), nn.Identity(), nn.Linear(4 * width, width)])

    def forward(self, x):
        return self.net[2](self.net[0](x))


class BasicTransformerBlock(nn.Module):
    def __init__(self, width, source, heads):
        super().__init__()
        self.norm1, self.norm2, self.norm3 = nn.LayerNorm(width), nn.LayerNorm(width), nn.LayerNorm(width)
        self.attn1 = CrossAttention(width, width, heads)
        self.attn2 = CrossAttention(width, source, heads)
        self.ff = FeedForward(width)

    def forward(self, x, context):
        y = self.norm1(x)
        x = x + self.attn1(y, y)
        x = x + self.attn2(self.norm2(x), context)
        return x + self.ff(self.norm3(x))


class Transformer2DModel(nn.Module):
    def __init__(self, width, source, heads):
        super().__init__()
        self.norm = nn.GroupNorm(32, width, eps=1e-6)
        self.proj_in = nn.Conv2d(width, width, 1)
        self.transformer_blocks = nn.ModuleList([BasicTransformerBlock(width, source, heads)])
        self.proj_out = nn.Conv2d(width, width, 1)

    def forward(self, x, context):
        n, c, h, w = x.shape
        tokens = self.proj_in(self.norm(x)).flatten(2).transpose(1, 2)
        tokens = self.transformer_blocks[0](tokens, context)
        return x + self.proj_out(tokens.transpose(1, 2).reshape(n, c, h, w))


class ResnetBlock2D(nn.Module):
    def __init__(self, into, out, time):
        super().__init__()
        self.norm1, self.conv1 = nn.GroupNorm(32, into), nn.Conv2d(into, out, 3, padding=1)
        self.time_emb_proj = nn.Linear(time, out)
        self.norm2, self.conv2 = nn.GroupNorm(32, out), nn.Conv2d(out, out, 3, padding=1)
        if into != out:
            self.conv_shortcut = nn.Conv2d(into, out, 1)

    def forward(self, x, time):
        h = self.conv1(F.silu(self.norm1(x))) + self.time_emb_proj(F.silu(time))[:, :, None, None]
        h = self.conv2(F.silu(self.norm2(h)))
        return h + (self.conv_shortcut(x) if hasattr(self, "conv_shortcut") else x)


class Downsample2D(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.conv = nn.Conv2d(width, width, 3, stride=2, padding=1)

    def forward(self, x):
        return self.conv(x)


class Upsample2D(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.conv = nn.Conv2d(width, width, 3, padding=1)

    def forward(self, x):
        return self.conv(F.interpolate(x, scale_factor=2.0, mode="nearest"))


class TimeEmbedding(nn.Module):
    def __init__(self, first):
        super().__init__()
        self.linear_1, self.linear_2 = nn.Linear(first, 4 * first), nn.Linear(4 * first, 4 * first)

    def forward(self, x):
        return self.linear_2(F.silu(self.linear_1(x)))


class Block(nn.Module):
    def __init__(self, resnets, attentions, downsampler=None, upsampler=None):
        super().__init__()
        if attentions:
            self.attentions = nn.ModuleList(attentions)
        self.resnets = nn.ModuleList(resnets)
        if downsampler:
            self.downsamplers = nn.ModuleList([downsampler])
        if upsampler:
            self.upsamplers = nn.ModuleList([upsampler])

    def layer(self, i, x, time, context):
        x = self.resnets[i](x, time)
        return self.attentions[i](x, context) if hasattr(self, "attentions") else x


class OwnUNet(nn.Module):
    def __init__(self, channels, context, heads):
        super().__init__()
        self.first = channels[0]
        time, last = 4 * channels[0], len(channels) - 1
        self.conv_in = nn.Conv2d(4, channels[0], 3, padding=1)
        self.time_embedding = TimeEmbedding(channels[0])
        self.down_blocks, self.up_blocks = nn.ModuleList(), nn.ModuleList()
        kept, before = [channels[0]], channels[0]
        for level, width in enumerate(channels):
            resnets = [ResnetBlock2D(before, width, time), ResnetBlock2D(width, width, time)]
            attentions = [Transformer2DModel(width, context, heads) for _ in range(2)] if level < last else []
            self.down_blocks.append(Block(resnets, attentions, Downsample2D(width) if level < last else None))
            kept += [width] * (3 if level < last else 2)
            before = width
        self.mid_block = Block([ResnetBlock2D(before, before, time) for _ in range(2)], [Transformer2DModel(before, context, heads)])
        for level in reversed(range(len(channels))):
            width, resnets = channels[level], []
            for _ in range(3):
                resnets.append(ResnetBlock2D(before + kept.pop(), width, time))
                before = width
            attentions = [Transformer2DModel(width, context, heads) for _ in range(3)] if level < last else []
            self.up_blocks.append(Block(resnets, attentions, None, Upsample2D(width) if level > 0 else None))
        self.conv_norm_out = nn.GroupNorm(32, channels[0])
        self.conv_out = nn.Conv2d(channels[0], 4, 3, padding=1)

    def forward(self, x, timesteps, context):
        half = self.first // 2
        angles = timesteps[:, None].float() * torch.exp(-math.log(10000) * torch.arange(half) / half)
        time = self.time_embedding(torch.cat([angles.cos(), angles.sin()], -1))
        kept = [self.conv_in(x)]
        for block in self.down_blocks:
            for i in range(2):
                kept.append(block.layer(i, kept[-1], time, context))
            if hasattr(block, "downsamplers"):
                kept.append(block.downsamplers[0](kept[-1]))
        x = self.mid_block.resnets[0](kept[-1], time)
        x = self.mid_block.resnets[1](self.mid_block.attentions[0](x, context), time)
        for block in self.up_blocks:
            for i in range(3):
                x = block.layer(i, torch.cat([x, kept.pop()], 1), time, context)
            if hasattr(block, "upsamplers"):
                x = block.upsamplers[0](x)
        return types.SimpleNamespace(sample=self.conv_out(F.silu(self.conv_norm_out(x))))


class CLIPAttention(nn.Module):
    def __init__(self, width, heads):
        super().__init__()
        self.heads = heads
        self.k_proj, self.v_proj, self.q_proj, self.out_proj = (nn.Linear(width, width) for _ in range(4))

    def forward(self, x):
        mask = torch.full((x.shape[1],) * 2, -math.inf).triu(1)
        return self.out_proj(mixed(self.q_proj(x), self.k_proj(x), self.v_proj(x), self.heads, mask))


class CLIPMLP(nn.Module):
    def __init__(self, width, hidden):
        super().__init__()
        self.fc1, self.fc2 = nn.Linear(width, hidden), nn.Linear(hidden, width)

    def forward(self, x):
        h = self.fc1(x)
        return self.fc2(h * torch.sigmoid(1.702 * h))


class CLIPEncoderLayer(nn.Module):
    def __init__(self, width, hidden, heads):
        super().__init__()
        self.self_attn, self.mlp = CLIPAttention(width, heads), CLIPMLP(width, hidden)
        self.layer_norm1, self.layer_norm2 = nn.LayerNorm(width), nn.LayerNorm(width)

    def forward(self, x):
        x = x + self.self_attn(self.layer_norm1(x))
        return x + self.mlp(self.layer_norm2(x))


class OwnText(nn.Module):
    def __init__(self, width, hidden, layers, heads):
        super().__init__()
        model, model.embeddings, model.encoder = nn.Module(), nn.Module(), nn.Module()
        model.embeddings.token_embedding = nn.Embedding(49408, width)
        model.embeddings.position_embedding = nn.Embedding(77, width)
        model.encoder.layers = nn.ModuleList([CLIPEncoderLayer(width, hidden, heads) for _ in range(layers)])
        model.final_layer_norm = nn.LayerNorm(width)
        self.text_model = model

    def forward(self, ids):
        model = self.text_model
        x = model.embeddings.token_embedding(ids) + model.embeddings.position_embedding.weight
        for layer in model.encoder.layers:
            x = layer(x)
        return model.final_layer_norm(x)


def mixed(q, k, v, heads, mask=None):
    n, _, width = q.shape
    q, k, v = (t.reshape(n, t.shape[1], heads, width // heads).transpose(1, 2) for t in (q, k, v))
    scores = q @ k.transpose(-1, -2) / math.sqrt(width // heads)
    if mask is not None:
        scores = scores + mask
    return (scores.softmax(-1) @ v).transpose(1, 2).reshape(n, -1, width)


def file_name(path, channels):
    """The name in a single-file model of the UNet's parameter `path`."""
    ends = {"conv_in": "input_blocks.0.0", "time_embedding.linear_1": "time_embed.0", "time_embedding.linear_2": "time_embed.2",
            "conv_norm_out": "out.0", "conv_out": "out.2"}
    layers = {"norm1": "in_layers.0", "conv1": "in_layers.2", "time_emb_proj": "emb_layers.1", "norm2": "out_layers.0",
              "conv2": "out_layers.3", "conv_shortcut": "skip_connection"}
    for own, other in ends.items():
        if path.startswith(own + "."):
            return other + path[len(own):]
    words = path.split(".")
    if words[0] == "mid_block":
        block, kind, index, rest = "middle_block", words[1], int(words[2]), words[3:]
        if kind == "attentions":
            return ".".join([block, "1", *rest])
        return ".".join([block, str(2 * index), layers[rest[0]], *rest[1:]])
    level, kind, index, rest = int(words[1]), words[2], int(words[3]), words[4:]
    if kind == "downsamplers":
        return ".".join([f"input_blocks.{3 + 3 * level}.0.op", *rest[1:]])
    if kind == "upsamplers":
        return ".".join([f"output_blocks.{3 * level + 2}.{1 if level == 0 else 2}.conv", *rest[1:]])
    block = f"input_blocks.{1 + 3 * level + index}" if words[0] == "down_blocks" else f"output_blocks.{3 * level + index}"
    if kind == "attentions":
        return ".".join([block, "1", *rest])
    return ".".join([block, "0", layers[rest[0]], *rest[1:]])


class Base:
    """The base model's numbers and sizes, and fresh networks made of them."""

    def __init__(self, path):
        tensors, metadata = read_safetensors(path)
        own = json.loads(metadata.get("lora_cpp.model", "{}"))
        unet, text = "model.diffusion_model.", "cond_stage_model.transformer.text_model."
        self.channels = [tensors[f"{unet}input_blocks.{1 + 3 * i}.0.in_layers.2.weight"].shape[0] for i in range(4)]
        self.context = tensors[unet + "input_blocks.1.1.transformer_blocks.0.attn2.to_k.weight"].shape[1]
        self.heads = own.get("unet_num_heads", 8)
        width = tensors[text + "embeddings.token_embedding.weight"].shape[1]
        layers = sum(name.startswith(text) and name.endswith("mlp.fc1.weight") for name in tensors)
        hidden = tensors[text + "encoder.layers.0.mlp.fc1.weight"].shape[0]
        self.text_sizes = (width, hidden, layers, own.get("text_num_heads", width // 64))
        own_unet, own_text = OwnUNet(self.channels, self.context, self.heads), OwnText(*self.text_sizes)
        self.unet_weights = {name: tensors[unet + file_name(name, self.channels)].float().reshape(value.shape)
                             for name, value in own_unet.state_dict().items()}
        self.text_weights = {name: tensors[text + name[len("text_model."):]].float() for name in own_text.state_dict()}

    def text(self):
        model = OwnText(*self.text_sizes)
        model.load_state_dict(self.text_weights)
        return model.eval().requires_grad_(False)

    def unet(self, make=None):
        model = make(self) if make else OwnUNet(self.channels, self.context, self.heads)
        model.load_state_dict(self.unet_weights)
        return model.eval().requires_grad_(False)


# Other people's sources.
class EmptyType(type):
    """A class of which anything may be asked: it answers with more of the kind."""

    def __getattr__(cls, key):
        if key.startswith("__"):
            raise AttributeError(key)
        return EmptyType(key, (), {"__init__": lambda self, *a, **k: None})


class EmptyModules(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Gives packages that are not installed as modules of empty classes."""

    NAMES = ("diffusers", "transformers", "safetensors", "cv2", "torchvision", "PIL", "tqdm", "toml", "numpy", "einops", "accelerate", "imagesize")

    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] not in self.NAMES:
            return None
        return importlib.machinery.ModuleSpec(name, self, is_package=True)

    def create_module(self, spec):
        module = types.ModuleType(spec.name)
        module.__getattr__ = lambda key: self.empty(key)
        module.__path__ = []
        return module

    def exec_module(self, module):
        pass

    @staticmethod
    def empty(key):
        if key.startswith("__"):
            raise AttributeError(key)
        return getattr(EmptyType("Package", (), {}), key)


def importable(name):
    """The module, or None with everything that a failed attempt has left behind taken away."""
    try:
        return importlib.import_module(name)
    except Exception as error:
        print(f"  {name} cannot be imported ({type(error).__name__}: {str(error)[:80]})")
        top = name.split(".")[0]
        for key in [key for key in sys.modules if key == top or key.startswith(top + ".")]:
            del sys.modules[key]
        return None


def unet_of_sd_scripts(base):
    module = importlib.import_module("library.original_unet")
    module.BLOCK_OUT_CHANNELS = tuple(base.channels)
    module.TIMESTEP_INPUT_DIM, module.TIME_EMBED_DIM = base.channels[0], 4 * base.channels[0]
    return module.UNet2DConditionModel(sample_size=16, attention_head_dim=base.heads, cross_attention_dim=base.context)


def unet_of_diffusers(base):
    from diffusers import UNet2DConditionModel
    return UNet2DConditionModel(sample_size=16, block_out_channels=tuple(base.channels), cross_attention_dim=base.context,
                                attention_head_dim=base.heads, down_block_types=("CrossAttnDownBlock2D",) * 3 + ("DownBlock2D",),
                                up_block_types=("UpBlock2D",) + ("CrossAttnUpBlock2D",) * 3)


def works(base, make, inputs):
    """Whether a UNet of somebody else's computes what the one here does."""
    try:
        with torch.no_grad():
            theirs = base.unet(make)(inputs["latents"], inputs["timesteps"], inputs["context"]).sample
            own = base.unet()(inputs["latents"], inputs["timesteps"], inputs["context"]).sample
    except Exception as error:
        print(f"  {make.__name__}: {type(error).__name__}: {str(error)[:100]}; the UNet written here is used")
        return None
    print(f"  {make.__name__} against the UNet written here: {distance(theirs, own):.1e}")
    return make


def distance(a, b):
    return ((a - b).double().norm() / b.double().norm()).item()


# Each program: hooks a file's network into text encoder and UNet; returns how many modules it took.
def with_sd_scripts(text, unet, tensors):
    lora = importlib.import_module("networks.lora")
    network, _ = lora.create_network_from_weights(1.0, "", None, text, unet, weights_sd=dict(tensors))
    network.apply_to(text, unet, True, True)
    told = network.load_state_dict(tensors, False)
    if told.missing_keys or told.unexpected_keys:
        raise ValueError(f"missing {list(told.missing_keys)[:2]}, unexpected {list(told.unexpected_keys)[:2]}")
    network.eval()
    return network, len(network.text_encoder_loras) + len(network.unet_loras)


def with_lycoris(text, unet, tensors):
    kohya = importlib.import_module("lycoris.kohya")
    network, _ = kohya.create_network_from_weights(1.0, "", None, text, unet, weights_sd=dict(tensors))
    count = len(network.text_encoder_loras) + len(network.unet_loras)
    network.apply_to(text, unet, True, True)
    network.eval()
    return network, count


def module_path(key):
    """The layer that a converted key of diffusers belongs to, and whether it is the down matrix."""
    parts = {"to_q_lora": "to_q", "to_k_lora": "to_k", "to_v_lora": "to_v", "to_out_lora": "to_out.0"}
    words = [word for word in key.split(".") if word not in ("processor", "lora", "lora_linear_layer", "weight")]
    text = words[0] == "text_encoder"
    if text:
        parts = {"to_q_lora": "q_proj", "to_k_lora": "k_proj", "to_v_lora": "v_proj", "to_out_lora": "out_proj"}
    return text, ".".join(parts.get(word, word) for word in words[1:-1]), words[-1] == "down"


def with_diffusers(text, unet, tensors):
    convert = DIFFUSERS_CONVERSION._convert_non_diffusers_lora_to_diffusers
    converted, alphas = convert({key: value.clone() for key, value in tensors.items()})
    pairs = {}
    for key, value in converted.items():
        is_text, path, is_down = module_path(key)
        pair = pairs.setdefault((is_text, path), {})
        pair["down" if is_down else "up"] = value.float()
        if is_down:
            pair["alpha"] = alphas.get(key.split(".lora.")[0] + ".alpha")
    for (is_text, path), pair in pairs.items():
        if pair["alpha"] is None:
            raise ValueError(f"no alpha for {path}")
        hook_branch((text if is_text else unet).get_submodule(path), pair["down"], pair["up"], pair["alpha"] / pair["down"].shape[0])
    return pairs, len(pairs)


def hook_branch(layer, down, up, scale):
    plain = layer.forward

    def forward(x, *rest):
        if isinstance(layer, nn.Conv2d):
            branch = F.conv2d(F.conv2d(x, down, None, layer.stride, layer.padding), up)
        else:
            branch = F.linear(F.linear(x, down.flatten(1)), up.flatten(1))
        return plain(x, *rest) + scale * branch

    layer.forward = forward


def conversion_of_diffusers(folder):
    """diffusers' translation of kohya's names; alone, with empty neighbours, where the package cannot be imported."""
    source = os.path.join(folder, "src")
    sys.path.insert(0, source)
    module = importable("diffusers.loaders.lora_conversion_utils")
    # sd-scripts' code imports these.
    if module and importable("diffusers.models.autoencoders.autoencoder_kl") and importable("diffusers.models.unets.unet_2d_condition"):
        return module
    sys.path.remove(source)
    for name in ("lone", "lone.utils", "lone.loaders"):
        sys.modules[name] = types.ModuleType(name)
        sys.modules[name].__path__ = []
    quiet = types.SimpleNamespace(info=lambda *a: None, warning=print)
    sys.modules["lone.utils"].logging = types.SimpleNamespace(get_logger=lambda name: quiet)
    sys.modules["lone.utils"].__getattr__ = EmptyModules.empty
    path = os.path.join(folder, "src/diffusers/loaders/lora_conversion_utils.py")
    spec = importlib.util.spec_from_file_location("lone.loaders.lora_conversion_utils", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


# What is compared.
def change_by_formula(tensors, name):
    get = lambda suffix: tensors[f"{name}.{suffix}"].float()
    if name + ".lora_down.weight" in tensors:
        down, up = get("lora_down.weight").flatten(1), get("lora_up.weight").flatten(1)
        return get("alpha") / down.shape[0] * (up @ down)
    w1, w2 = get("hada_w1_a") @ get("hada_w1_b"), get("hada_w2_a") @ get("hada_w2_b")
    return get("alpha") / get("hada_w1_b").shape[0] * (w1 * w2)


def change_of_layer(root, path, weights):
    layer = root.get_submodule(path)
    eye = torch.eye(layer.in_features)
    with torch.no_grad():
        plain = F.linear(eye, weights[path + ".weight"], weights.get(path + ".bias"))
        return (layer(eye) - plain).T


def inputs_for(base):
    numbers = torch.Generator().manual_seed(5)
    ids = torch.randint(0, 49000, (2, 1, 77), generator=numbers)
    ids[:, :, 0], ids[0, 0, 20:], ids[1, 0, 60:] = 49406, 49407, 49407
    return {"latents": torch.randn(2, 4, 16, 16, generator=numbers), "timesteps": torch.tensor([437, 20]), "ids": ids,
            "context": torch.randn(2, 77, base.context, generator=numbers)}


def check(program, hook, make, base, inputs, path, arguments):
    """One file with one program; True when all is within the bound."""
    tensors, _ = read_safetensors(path)
    name = os.path.splitext(os.path.basename(path))[0]
    modules = {key.split(".")[0] for key in tensors}
    text, unet = base.text(), base.unet(make)
    keep, taken = hook(text, unet, tensors)
    ok = taken == len(modules)
    print(f"{program} {name}: {taken} of {len(modules)} modules {'ok' if ok else 'OFF'}")
    for layer, root, weights in ((LAYERS[0], unet, base.unet_weights), (LAYERS[1], text, base.text_weights)):
        prefix = "lora_te_" if root is text else "lora_unet_"
        own = next(key for key in weights if key.endswith(".weight") and key[:-len(".weight")].replace(".", "_") == layer[len(prefix):])
        error = distance(change_of_layer(root, own[:-len(".weight")], weights), change_by_formula(tensors, layer))
        ok = ok and error <= BOUND
        print(f"{program} {name} change of {layer}: {error:.1e} {'ok' if error <= BOUND else 'OFF'}")
    with torch.no_grad():
        context = text(inputs["ids"][:, 0])
        prediction = unet(inputs["latents"], inputs["timesteps"], context).sample
        plain = base.unet()(inputs["latents"], inputs["timesteps"], base.text()(inputs["ids"][:, 0])).sample
    print(f"{program} {name}: the network changes the prediction by {distance(prediction, plain):.1e} of it")
    case = os.path.join(arguments.out, f"network_{program}_{name}.safetensors")
    write_safetensors(case, {**{"in.net." + key: value for key, value in tensors.items()}, "in.latents": inputs["latents"],
                             "in.timesteps": inputs["timesteps"], "in.input_ids": inputs["ids"], "out.context": context,
                             "out.prediction": prediction},
                      {"case": json.dumps({"kind": "network", "oracle": f"{program}, torch {torch.__version__}"})})
    parity = os.path.join(arguments.bin, "lora_parity")
    done = subprocess.run([parity, "--backend", arguments.backend, "--model", arguments.model, case], capture_output=True, text=True)
    print((done.stdout + done.stderr).rstrip(), flush=True)
    del keep
    return ok and done.returncode == 0


def train_files(arguments):
    """Files of a few steps, with a rate that moves every matrix."""
    files = []
    for name, options in TRAINED.items():
        subprocess.run([os.path.join(arguments.bin, "lora"), "train", "--pretrained_model_name_or_path", arguments.model,
                        "--train_data_dir", os.path.join(ROOT, "assets/demo"), "--output_dir", arguments.out, "--output_name", name,
                        "--logging_dir", os.path.join(arguments.out, "logs"), "--resolution", "64", "--min_bucket_reso", "64",
                        "--max_bucket_reso", "128", "--network_dim", "4", "--network_alpha", "2", "--max_train_steps", "6",
                        "--learning_rate", "2e-2", "--clip_skip", "1", "--max_token_length", "75", "--mixed_precision", "no",
                        "--backend", arguments.backend, "--preset", "sd-scripts", "--save_precision", "fp16",
                        "--caption_extension", ".txt", *options], check=True, capture_output=True)
        files.append(os.path.join(arguments.out, name + ".safetensors"))
    return files


def parse():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("sd_scripts", "lycoris", "diffusers"):
        parser.add_argument("--" + name)
    parser.add_argument("--bin", default=os.path.join(ROOT, "build/bin"))
    parser.add_argument("--backend", default="cpu")
    parser.add_argument("--model", default=os.path.join(ROOT, "assets/mini/mini-sd.safetensors"))
    parser.add_argument("--out", default="check-loading")
    parser.add_argument("files", nargs="*")
    return parser.parse_args()


def main():
    global DIFFUSERS_CONVERSION
    arguments = parse()
    logging.disable(logging.WARNING)
    os.makedirs(arguments.out, exist_ok=True)
    files = arguments.files or train_files(arguments)
    base = Base(arguments.model)
    inputs = inputs_for(base)
    programs = []
    if arguments.diffusers:
        DIFFUSERS_CONVERSION = conversion_of_diffusers(arguments.diffusers)
        theirs = works(base, unet_of_diffusers, inputs)
        programs.append(("diffusers", with_diffusers, theirs, ("lora_down", "lora_up", "alpha")))
    sys.meta_path.append(EmptyModules())
    theirs = None
    if arguments.sd_scripts:
        sys.path.insert(0, arguments.sd_scripts)
        theirs = works(base, unet_of_sd_scripts, inputs)
        programs.append(("sd-scripts", with_sd_scripts, theirs, ("lora_down", "lora_up", "alpha")))
    if arguments.lycoris:
        sys.path.insert(0, arguments.lycoris)
        programs.append(("LyCORIS", with_lycoris, theirs, None))
    results = []
    for path in files:
        tensors, metadata = read_safetensors(path)
        for program, hook, make, kinds in programs:
            # sd-scripts' and diffusers' own code knows LoRA alone; LyCORIS networks also adapt the ends of the UNet.
            plain = all(key.split(".")[1] in kinds for key in tensors) if kinds else True
            if not plain or (program == "sd-scripts" and metadata.get("ss_network_module") == "lycoris.kohya"):
                print(f"{program} {os.path.basename(path)}: not a kind that it reads")
                continue
            results.append(check(program, hook, make, base, inputs, path, arguments))
    print(f"{sum(results)} of {len(results)} ok")
    return 0 if results and all(results) else 1


if __name__ == "__main__":
    sys.exit(main())
