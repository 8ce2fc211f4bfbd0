#!/usr/bin/env python3
"""Makes the golden cases of rs_lora, IA3, DoRA, masked loss, other losses and weight norms, with PyTorch.

Usage: make_torch_cases.py --model assets/mini/mini-sd.safetensors --out DIR [--seed 1] [NAME...]
Needs PyTorch alone, no card; a minute for all cases. The model is written straight from the tensor names of the
single-file format, every adapted layer as one product with its whole changed weight, in fp64: nothing is shared with
the program under test. Formulas: Hu et al., arXiv:2106.09685 (LoRA); Kalajdzievski, arXiv:2312.03732 (rs_lora);
Liu et al., arXiv:2205.05638 (IA3); Liu et al., arXiv:2402.09353 (DoRA); the losses as sd-scripts defines them.
Format: README.md beside this file."""
import argparse
import json
import math
import os
import re

try:
    import torch
    import torch.nn.functional as F

    from torch_files import read_safetensors, write_safetensors
except ImportError:  # --help works without it
    torch = None

UNET = "model.diffusion_model."
TEXT = "cond_stage_model.transformer.text_model."
BOS, EOS = 49406, 49407


def layer_of(name):
    """The tensor that a module of the network file adapts: sd-scripts' name to the single file's."""
    if name.startswith("lora_te_text_model_"):
        block, rest = re.match(r"lora_te_text_model_encoder_layers_(\d+)_(.*)", name).groups()
        rest = rest.replace("self_attn_", "self_attn.").replace("mlp_", "mlp.")
        return f"{TEXT}encoder.layers.{block}.{rest}.weight"
    part, i, kind, j, rest = re.match(r"lora_unet_(down_blocks|mid_block|up_blocks)_(?:(\d+)_)?(resnets|attentions|downsamplers|upsamplers)_(\d+)_(.*)", name).groups()
    i, j = int(i or 0), int(j)
    if part == "mid_block":
        block = "middle_block." + str(2 * j if kind == "resnets" else 1)
    elif part == "down_blocks":
        block = f"input_blocks.{3 * i + 3}.0" if kind == "downsamplers" else f"input_blocks.{3 * i + j + 1}.{int(kind == 'attentions')}"
    elif kind == "upsamplers":
        block = f"output_blocks.{3 * i + 2}.{1 if i == 0 else 2}"
    else:
        block = f"output_blocks.{3 * i + j}.{int(kind == 'attentions')}"
    parts = {"conv1": "in_layers.2", "conv2": "out_layers.3", "time_emb_proj": "emb_layers.1", "conv_shortcut": "skip_connection"}
    if kind == "resnets":
        rest = parts[rest]
    elif kind == "downsamplers":
        rest = "op"
    elif kind == "attentions" and rest.startswith("transformer"):
        rest = re.sub(r"transformer_blocks_0_", "transformer_blocks.0.", rest)
        rest = rest.replace("attn1_", "attn1.").replace("attn2_", "attn2.").replace("to_out_0", "to_out.0")
        rest = rest.replace("ff_net_0_proj", "ff.net.0.proj").replace("ff_net_2", "ff.net.2")
    return f"{UNET}{block}.{rest}.weight"


class Model:
    """Text encoder and UNet as functions of {tensor name: tensor}."""

    def __init__(self, weights, info):
        self.w = {key: value.double() if value.is_floating_point() else value for key, value in weights.items()}
        self.heads, self.text_heads = info["unet_num_heads"], info["text_num_heads"]
        self.changed = {}

    def weight(self, name):
        return self.changed[name] if name in self.changed else self.w[name]

    def dense(self, name, x):
        w = self.weight(name + ".weight")
        return F.linear(x, w.reshape(w.shape[0], -1), self.w.get(name + ".bias"))

    def conv(self, name, x, stride=1):
        w = self.weight(name + ".weight")
        return F.conv2d(x, w, self.w[name + ".bias"], stride, w.shape[-1] // 2)

    def group_norm(self, name, x, eps):
        return F.group_norm(x, 32, self.w[name + ".weight"], self.w[name + ".bias"], eps)

    def layer_norm(self, name, x):
        return F.layer_norm(x, x.shape[-1:], self.w[name + ".weight"], self.w[name + ".bias"])

    @staticmethod
    def attend(q, k, v, heads, causal=False):
        split = [part.unflatten(-1, (heads, -1)).transpose(1, 2) for part in (q, k, v)]
        return F.scaled_dot_product_attention(*split, is_causal=causal).transpose(1, 2).flatten(2)

    def context(self, ids):
        """[N, 77] -> [N, 77, D], the last layer through the final norm."""
        x = self.w[TEXT + "embeddings.token_embedding.weight"][ids] + self.w[TEXT + "embeddings.position_embedding.weight"]
        block = 0
        while f"{TEXT}encoder.layers.{block}.mlp.fc1.weight" in self.w:
            at = f"{TEXT}encoder.layers.{block}."
            h = self.layer_norm(at + "layer_norm1", x)
            q, k, v = (self.dense(at + f"self_attn.{part}_proj", h) for part in "qkv")
            x = x + self.dense(at + "self_attn.out_proj", self.attend(q, k, v, self.text_heads, causal=True))
            h = self.dense(at + "mlp.fc1", self.layer_norm(at + "layer_norm2", x))
            x = x + self.dense(at + "mlp.fc2", h * torch.sigmoid(1.702 * h))
            block += 1
        return self.layer_norm(TEXT + "final_layer_norm", x)

    def unet(self, x, timesteps, context):
        half = self.w[UNET + "time_embed.0.weight"].shape[1] // 2
        rates = torch.exp(torch.arange(half, dtype=torch.float64) * (-math.log(10000.0) / half))
        angles = timesteps.double().unsqueeze(1) * rates
        time = torch.cat([torch.cos(angles), torch.sin(angles)], 1)
        time = self.dense(UNET + "time_embed.2", F.silu(self.dense(UNET + "time_embed.0", time)))
        kept = []
        for i in range(12):
            x = self.block(f"{UNET}input_blocks.{i}", x, time, context)
            kept.append(x)
        x = self.block(UNET + "middle_block", x, time, context)
        for i in range(12):
            x = self.block(f"{UNET}output_blocks.{i}", torch.cat([x, kept.pop()], 1), time, context)
        return self.conv(UNET + "out.2", F.silu(self.group_norm(UNET + "out.0", x, 1e-5)))

    def block(self, name, x, time, context):
        for i in range(3):
            at = f"{name}.{i}"
            if at + ".emb_layers.1.weight" in self.w:
                x = self.residual(at, x, time)
            elif at + ".proj_in.weight" in self.w:
                x = self.transformer(at, x, context)
            elif at + ".op.weight" in self.w:
                x = self.conv(at + ".op", x, stride=2)
            elif at + ".conv.weight" in self.w:
                x = self.conv(at + ".conv", F.interpolate(x, scale_factor=2.0, mode="nearest"))
            elif at + ".weight" in self.w:
                x = self.conv(at, x)
        return x

    def residual(self, at, x, time):
        h = self.conv(at + ".in_layers.2", F.silu(self.group_norm(at + ".in_layers.0", x, 1e-5)))
        h = h + self.dense(at + ".emb_layers.1", F.silu(time)).unflatten(1, (-1, 1, 1))
        h = self.conv(at + ".out_layers.3", F.silu(self.group_norm(at + ".out_layers.0", h, 1e-5)))
        return h + (self.conv(at + ".skip_connection", x) if at + ".skip_connection.weight" in self.w else x)

    def transformer(self, at, x, context):
        height, width = x.shape[2:]
        inner = at + ".transformer_blocks.0."
        h = self.dense(at + ".proj_in", self.group_norm(at + ".norm", x, 1e-6).flatten(2).transpose(1, 2))
        for number in "12":
            y = self.layer_norm(inner + "norm" + number, h)
            source = context if number == "2" else y
            q, k, v = (self.dense(f"{inner}attn{number}.to_{part}", z) for part, z in (("q", y), ("k", source), ("v", source)))
            h = h + self.dense(f"{inner}attn{number}.to_out.0", self.attend(q, k, v, self.heads))
        value, gate = self.dense(inner + "ff.net.0.proj", self.layer_norm(inner + "norm3", h)).chunk(2, -1)
        h = h + self.dense(inner + "ff.net.2", value * F.gelu(gate))
        return x + self.dense(at + ".proj_out", h).transpose(1, 2).unflatten(2, (height, width))


def changed_weight(w, p):
    """The whole weight of a layer with module parameters p = {suffix: tensor}."""
    out, rest = w.shape[0], w.shape[1:]
    if "weight" in p:  # IA3
        along = [1, -1] if p["on_input"].item() else [-1, 1]
        return w * (1 + p["weight"].reshape(along + [1] * (w.dim() - 2)))
    if "lora_mid.weight" in p:
        change = torch.einsum("op,pqhw,qi->oihw", p["lora_up.weight"].flatten(1), p["lora_mid.weight"], p["lora_down.weight"].flatten(1))
        rank = p["lora_down.weight"].shape[0]
    elif "lora_down.weight" in p:
        change = p["lora_up.weight"].flatten(1) @ p["lora_down.weight"].flatten(1)
        rank = p["lora_down.weight"].shape[0]
    elif "hada_w1_a" in p:
        change = (p["hada_w1_a"] @ p["hada_w1_b"]) * (p["hada_w2_a"] @ p["hada_w2_b"])
        rank = p["hada_w1_b"].shape[0]
    else:
        w2 = p["lokr_w2"] if "lokr_w2" in p else p["lokr_w2_a"] @ p["lokr_w2_b"]
        a, c = p["lokr_w1"].shape
        w2 = w2.reshape(out // a, rest[0] // c, *rest[1:])
        change = torch.einsum("ac,bd...->abcd...", p["lokr_w1"], w2)
        rank = p["lokr_w2_b"].shape[0] if "lokr_w2_b" in p else p["alpha"].item()
    v = w + (p["alpha"] / rank) * change.reshape(w.shape)
    if "dora_scale" in p:
        norm = v.flatten(1).norm(dim=1).reshape([-1] + [1] * (w.dim() - 1))
        v = v * (p["dora_scale"] / (norm + torch.finfo(torch.float32).eps))
    return v


# Layers of every kind: linear and 1x1, 3x3 of stride 1 and 2, behind the text encoder, time embedding and context.
LAYERS = [
    "lora_te_text_model_encoder_layers_0_self_attn_q_proj",
    "lora_te_text_model_encoder_layers_2_mlp_fc2",
    "lora_unet_down_blocks_0_attentions_0_proj_in",
    "lora_unet_down_blocks_1_attentions_1_transformer_blocks_0_attn2_to_k",
    "lora_unet_down_blocks_1_attentions_1_transformer_blocks_0_ff_net_2",
    "lora_unet_mid_block_attentions_0_transformer_blocks_0_attn1_to_v",
    "lora_unet_up_blocks_3_attentions_2_proj_out",
    "lora_unet_up_blocks_2_attentions_0_transformer_blocks_0_ff_net_0_proj",
]
CONVS = [
    "lora_unet_down_blocks_0_downsamplers_0_conv",
    "lora_unet_down_blocks_0_resnets_1_time_emb_proj",
    "lora_unet_up_blocks_2_resnets_0_conv_shortcut",
    "lora_unet_up_blocks_3_resnets_0_conv1",
    "lora_unet_up_blocks_0_upsamplers_0_conv",
]


class Maker:
    def __init__(self, model, seed):
        self.model = model
        self.random = torch.Generator().manual_seed(seed)

    def normal(self, *shape):
        return torch.randn(shape, generator=self.random, dtype=torch.float64)

    def module(self, kind, name, rank, alpha):
        """Parameters of one module, away from the zeros that a fresh one has."""
        w = self.model.w[layer_of(name)]
        out, into, kernel = w.shape[0], w.shape[1], list(w.shape[2:])
        taps = math.prod(kernel)
        ones = [1] * len(kernel)
        p = {"alpha": torch.tensor(float(alpha), dtype=torch.float64)}
        kind, _, extra = kind.partition("+")
        if kind == "ia3":
            on_input = name.endswith(("_ff_net_2", "_mlp_fc2"))
            size = into if on_input else out
            return {"weight": 0.2 * self.normal(*([1, size, 1, 1] if kernel else [size])), "on_input": torch.tensor(int(on_input))}
        if kind == "lora":
            p["lora_down.weight"] = 0.15 * self.normal(rank, into, *kernel)
            p["lora_up.weight"] = 0.15 * self.normal(out, rank, *ones)
        elif kind == "tucker":
            p["lora_down.weight"] = 0.2 * self.normal(rank, into, 1, 1)
            p["lora_mid.weight"] = 0.5 * self.normal(rank, rank, *kernel)
            p["lora_up.weight"] = 0.2 * self.normal(out, rank, 1, 1)
        elif kind == "loha":
            for number in "12":
                p[f"hada_w{number}_a"] = 0.3 * self.normal(out, rank)
                p[f"hada_w{number}_b"] = 0.3 * self.normal(rank, into * taps)
        else:
            p["lokr_w1"] = 0.3 * self.normal(4, 4)
            p["lokr_w2_a"] = 0.3 * self.normal(out // 4, rank)
            p["lokr_w2_b"] = 0.3 * self.normal(rank, into // 4 * taps)
        if extra == "dora":
            norm = w.flatten(1).norm(dim=1).reshape([-1, 1] + ones)
            p["dora_scale"] = norm * (1 + 0.2 * self.normal(*norm.shape))
        return p

    def inputs(self, count, height, width):
        ids = torch.full((count, 1, 77), EOS, dtype=torch.int64)
        for row in ids:
            length = int(torch.randint(3, 40, (1,), generator=self.random))
            row[0, 0] = BOS
            row[0, 1:1 + length] = torch.randint(0, BOS, (length,), generator=self.random)
        return {"latents": self.normal(count, 4, height, width), "noise": self.normal(count, 4, height, width),
                "timesteps": torch.randint(0, 1000, (count,), generator=self.random), "input_ids": ids,
                "loss_weights": torch.tensor([1.0, 0.3, 0.7][:count], dtype=torch.float64)}


def alphas_cumprod():
    return torch.cumprod(1 - torch.linspace(0.00085 ** 0.5, 0.012 ** 0.5, 1000, dtype=torch.float64) ** 2, 0)


def elementwise(d, c, kind):
    if kind == "l2":
        return d ** 2
    if kind == "l1":
        return d.abs()
    smooth = 2 * ((d ** 2 + c ** 2).sqrt() - c)
    return c * smooth if kind == "huber" else smooth


def thresholds(case, ac, timesteps):
    c, scale = case.get("huber_c", 0.1), case.get("huber_scale", 1.0)
    if case.get("huber_schedule") == "constant":
        return torch.full_like(ac, c * scale)
    if case.get("huber_schedule") == "exponential":
        return torch.exp(math.log(c) * timesteps.double() / 1000) * scale
    return (1 - c) / (1 + ((1 - ac) / ac).sqrt()) ** 2 + c


def limit_norms(network, model, most):
    """As sd-scripts' apply_max_norm_regularization: the change shrunk to a norm of `most`, by equal roots of its factors."""
    with torch.no_grad():
        for name, p in network.items():
            w = model.w[layer_of(name)]
            plain = {key: value for key, value in p.items() if key != "dora_scale"}
            norm = (changed_weight(w, plain) - w).norm()
            clamped = max(norm.item(), most / 2)
            ratio = min(clamped, most) / clamped
            factors = [value for key, value in plain.items() if key != "alpha"]
            for value in factors:
                value *= ratio ** (1 / len(factors))


def run_case(maker, case):
    model, network = maker.model, {}
    for kind, name in case["modules"]:
        network[name] = maker.module(kind, name, case["rank"], case["alpha"] * (case["rank"] ** 0.5 if case.get("rs_lora") else 1))
    inputs = maker.inputs(*case["latents"])
    # What the file holds is fp32: both sides start from the same numbers.
    single = lambda tensor: tensor.float() if tensor.is_floating_point() else tensor
    tensors = {"in." + key: single(value) for key, value in inputs.items()}
    inputs = {key: single(value).double() if value.is_floating_point() else value for key, value in inputs.items()}
    if case.get("masked"):
        count, height, width = case["latents"]
        coarse = torch.rand((count, 1, height // 2, width // 2), generator=maker.random, dtype=torch.float64)
        tensors["in.mask_px"] = F.interpolate(coarse, (8 * height + 8, 8 * width - 4), mode="bilinear").float()
        inputs["mask"] = F.interpolate(tensors["in.mask_px"].double(), (height, width), mode="area")
        tensors["out.mask"] = inputs["mask"].float()
    trained = {}
    for name, p in network.items():
        for key in p:
            tensors[f"in.net.{name}.{key}"] = single(p[key])
            p[key] = single(p[key]).double() if p[key].is_floating_point() else p[key]
            if key not in ("alpha", "on_input"):
                trained[f"{name}.{key}"] = p[key].requires_grad_()
    ac = alphas_cumprod()[inputs["timesteps"]]
    shape = [-1, 1, 1, 1]
    noisy = ac.sqrt().view(shape) * inputs["latents"] + (1 - ac).sqrt().view(shape) * inputs["noise"]
    c = thresholds(case, ac, inputs["timesteps"]).view(shape)
    optimizer = torch.optim.AdamW(list(trained.values()), lr=1e-3, weight_decay=0.01)
    losses = []
    for step in range(max(1, case["steps"])):
        model.changed = {layer_of(name): changed_weight(model.w[layer_of(name)], p) for name, p in network.items()}
        prediction = model.unet(noisy, inputs["timesteps"], model.context(inputs["input_ids"][:, 0]))
        terms = elementwise(prediction - inputs["noise"], c, case.get("loss_type", "l2"))
        if "mask" in inputs:
            terms = terms * inputs["mask"]
        loss = (terms.mean([1, 2, 3]) * inputs["loss_weights"]).mean()
        losses.append(loss.item())
        optimizer.zero_grad()
        loss.backward()
        if step == 0:
            tensors["out.prediction"] = single(prediction)
            for key, value in trained.items():
                tensors["out.grad." + key] = single(value.grad)
            tensors["out.grad_norm"] = single(torch.stack([value.grad.norm() for value in trained.values()]).norm())
        if case["steps"]:
            torch.nn.utils.clip_grad_norm_(list(trained.values()), 1.0)
            optimizer.step()
            if "scale_weight_norms" in case:
                limit_norms(network, model, case["scale_weight_norms"])
    tensors["out.losses"] = torch.tensor(losses, dtype=torch.float64)
    if case["steps"]:
        tensors.update({f"out.net.{name}.{key}": single(value) for name, p in network.items() for key, value in p.items()})
    return tensors


def cases():
    """{name: settings}. `modules` stays out of the file: the network's tensors say it."""
    lora = [("lora", name) for name in LAYERS]
    mixed = [("lora+dora", name) for name in LAYERS[:5]] + [("loha+dora", LAYERS[5]), ("lokr+dora", LAYERS[6]), ("lokr+dora", CONVS[4])]
    mixed += [("lora+dora", CONVS[0]), ("lora+dora", CONVS[1]), ("lora+dora", CONVS[2]), ("tucker+dora", CONVS[3])]
    return {
        "train_rs_lora": dict(modules=lora, rank=4, alpha=2, rs_lora=True, steps=2, latents=(2, 16, 8)),
        "train_ia3": dict(modules=[("ia3", name) for name in LAYERS + CONVS], rank=1, alpha=1, steps=2, latents=(2, 8, 16)),
        "train_dora": dict(modules=mixed, rank=2, alpha=1, steps=2, latents=(2, 16, 16)),
        "train_masked": dict(modules=lora, rank=2, alpha=2, masked=True, steps=2, latents=(2, 16, 24)),
        "train_huber": dict(modules=lora, rank=2, alpha=2, loss_type="huber", huber_schedule="snr", huber_c=0.1, huber_scale=1.0, steps=2, latents=(3, 8, 8)),
        "train_smooth_l1": dict(modules=lora[:4], rank=2, alpha=2, loss_type="smooth_l1", huber_schedule="exponential", huber_c=0.2, huber_scale=1.5, masked=True, steps=0, latents=(2, 8, 16)),
        "train_l1": dict(modules=lora[:4], rank=2, alpha=2, loss_type="l1", steps=0, latents=(2, 16, 8)),
        "train_weight_norms": dict(modules=[("lora", name) for name in LAYERS[:4]] + [("tucker", CONVS[3]), ("loha", LAYERS[5]), ("lokr", LAYERS[6]), ("lora+dora", CONVS[0])], rank=2, alpha=2, scale_weight_norms=0.4, steps=2, latents=(2, 8, 8)),
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", required=True)
    parser.add_argument("--out", required=True)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("name", nargs="*")
    arguments = parser.parse_args()
    if torch is None:
        raise SystemExit("PyTorch is not there")
    torch.set_default_dtype(torch.float64)
    os.makedirs(arguments.out, exist_ok=True)
    weights, metadata = read_safetensors(arguments.model)
    info = json.loads(metadata["lora_cpp.model"])
    for number, (name, case) in enumerate(cases().items()):
        if arguments.name and name not in arguments.name:
            continue
        maker = Maker(Model(weights, info), 100 * arguments.seed + number)
        tensors = run_case(maker, case)
        about = {key: value for key, value in case.items() if key not in ("modules", "latents")}
        about.update(kind="train_steps", network=name, clip_skip=1, v_prediction=False, min_snr_gamma=0.0,
                     optimizer="AdamW lr=0.001 betas=0.9,0.999 eps=1e-8 weight_decay=0.01, gradient norm clipped to 1",
                     oracle="make_torch_cases.py in float64, torch " + torch.__version__)
        size = write_safetensors(os.path.join(arguments.out, name + ".safetensors"), tensors, {"case": json.dumps(about)})
        print(f"{name:20} {size / 1024:8.1f} KiB  loss {tensors['out.losses'][0].item():.6f}  gradient norm {tensors['out.grad_norm'].item():.6f}", flush=True)


if __name__ == "__main__":
    main()
