#!/usr/bin/env python3
"""Writes the hand-made seeds of the corpora that are not recorded ones (Python standard library)."""
import io, json, os, pickle, struct, zipfile

HERE = os.path.dirname(os.path.abspath(__file__))


def put(folder, name, data):
    with open(os.path.join(HERE, "corpus", folder, name), "wb") as file:
        file.write(data)


def model(header, data=b"", length=None, pad=0):
    text = header if isinstance(header, bytes) else json.dumps(header, separators=(",", ":")).encode()
    text += b" " * pad
    return struct.pack("<Q", len(text) if length is None else length) + text + data


def tensor(dtype, shape, begin, end):
    return {"dtype": dtype, "shape": shape, "data_offsets": [begin, end]}


def safetensors():
    two = {"__metadata__": {"format": "pt", "ss_rank": "4"}, "a": tensor("F16", [2, 2], 0, 8), "b": tensor("F32", [1], 8, 12)}
    put("safetensors", "two_tensors", model(two, bytes(range(12)), pad=3))
    types = [("F64", 8), ("F32", 4), ("F16", 2), ("BF16", 2), ("I64", 8), ("I32", 4), ("U8", 1), ("BOOL", 1)]
    header, at = {}, 0
    for name, size in types:
        header[name] = tensor(name, [3], at, at + 3 * size)
        at += 3 * size
    put("safetensors", "every_type", model(header, bytes(i * 37 & 255 for i in range(at))))
    put("safetensors", "empty", model({}))
    put("safetensors", "scalar_and_zero", model({"s": tensor("F32", [], 0, 4), "z": tensor("F32", [0, 5], 4, 4)}, bytes(4)))
    put("safetensors", "cut", model(two, bytes(5)))
    put("safetensors", "hole", model({"a": tensor("U8", [2], 1, 3)}, bytes(3)))
    put("safetensors", "overlap", model({"a": tensor("U8", [2], 0, 2), "b": tensor("U8", [2], 1, 3)}, bytes(3)))
    put("safetensors", "huge_shape", model({"a": tensor("F32", [2 ** 40, 2 ** 40], 0, 0)}))
    put("safetensors", "huge_offsets", model({"a": tensor("U8", [2], 2 ** 64 - 3, 2 ** 64 - 1)}, bytes(2)))
    put("safetensors", "negative", model({"a": tensor("U8", [-2], -2, 0)}))
    put("safetensors", "unread_type", model({"a": tensor("F8_E4M3", [2], 0, 2)}, bytes(2)))
    put("safetensors", "twice", model(b'{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"a":{}}', bytes(1)))
    put("safetensors", "deep", model(b'{"a":' + b"[" * 200 + b"]" * 200 + b"}"))
    put("safetensors", "long_header", model({}, length=2 ** 63))
    put("safetensors", "pickle", b"\x80\x02}q\x00.")


def image():
    put("image", "text.png", b"1girl, solo\n")
    put("image", "empty.jpg", b"")
    put("image", "lone_marker.jpg", b"\xff\xd8\xff\xd9")
    frame = b"\xff\xc0\x00\x11\x08\xff\xff\xff\xff\x03\x01\x11\x00\x02\x11\x00\x03\x11\x00"
    put("image", "huge.jpg", b"\xff\xd8" + frame + b"\xff\xd9")
    put("image", "bomb.png", b"\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR" + struct.pack(">II", 511, 512) + b"\x10\x06\0\0\0" + bytes(4))
    put("image", "zero.bmp", b"BM" + struct.pack("<IHHIIiiHH", 54, 0, 0, 54, 40, 0, 0, 1, 24) + bytes(24))
    put("image", "short.webp", b"RIFF\x1a\0\0\0WEBPVP8L\x0d\0\0\0\x2f\xff\xff\xff\xff\0\0\0\0\0\0\0\0")


class Global:
    """Pickled as a name of torch's."""
    def __init__(self, module, name):
        self.module, self.name = module, name


class Storage:
    def __init__(self, kind, key, count):
        self.id = ("storage", Global("torch", kind), key, "cpu", count)


class Rebuilt:
    def __init__(self, *args):
        self.args = args


class Pickler(pickle._Pickler):
    """Writes what torch.save writes, without torch."""
    def persistent_id(self, value):
        return value.id if isinstance(value, Storage) else None

    def save(self, value, save_persistent_id=True):
        if isinstance(value, Global):
            self.write(b"c" + value.module.encode() + b"\n" + value.name.encode() + b"\n")
        elif isinstance(value, Rebuilt):
            self.save(Global("torch._utils", "_rebuild_tensor_v2"))
            self.save(value.args)
            self.write(b"R")
        else:
            super().save(value, save_persistent_id)


def pickled(value, protocol):
    out = io.BytesIO()
    Pickler(out, protocol).dump(value)
    return out.getvalue()


def checkpoint():
    tensors = {"a": Rebuilt(Storage("FloatStorage", "0", 6), 0, (2, 3), (3, 1), False, {}),
               "b": Rebuilt(Storage("HalfStorage", "1", 2), 1, (1,), (1,), False, {}), "n": 7}
    for protocol in (0, 2, 4, 5):
        out = io.BytesIO()
        with zipfile.ZipFile(out, "w") as file:
            file.writestr("m/data.pkl", pickled({"state_dict": tensors, "epoch": 3}, protocol))
            file.writestr("m/data/0", bytes(24))
            file.writestr("m/data/1", bytes(4))
        put("checkpoint", f"protocol{protocol}", out.getvalue())
    head = b"".join(pickled(v, 2) for v in (0x1950A86A20F9469CFC6C, 1001, {"little_endian": True}))
    rest = pickled(tensors, 2) + pickled(["0", "1"], 2)
    put("checkpoint", "legacy", head + rest + struct.pack("<Q", 6) + bytes(24) + struct.pack("<Q", 2) + bytes(4))
    put("checkpoint", "system", b"\x80\x02cos\nsystem\n(S'true'\ntR.")


def lora():
    q = "lora_unet_mid_block_attentions_0_transformer_blocks_0_attn1_to_q"
    conv = "lora_unet_mid_block_resnets_0_conv1"
    peft = "unet.mid_block.attentions.0.transformer_blocks.0.attn1.to_q"
    nan = b"\x00\x00\xc0\x7f"

    def network(name, tensors, metadata=None):
        header, data = ({"__metadata__": metadata} if metadata else {}), b""
        for key, shape, *raw in tensors:
            count = 1
            for size in shape:
                count *= size
            raw = raw[0] if raw else b"".join(struct.pack("<f", (i % 7 - 3) / 4) for i in range(count))
            header[key] = tensor("F32", shape, len(data), len(data) + len(raw))
            data += raw
        put("lora", name, model(header, data))

    pair = [(q + ".lora_down.weight", [2, 5]), (q + ".lora_up.weight", [4, 2])]
    network("lora", pair + [(q + ".alpha", [])])
    network("locon", [(conv + ".lora_down.weight", [2, 3, 3, 3]), (conv + ".lora_up.weight", [4, 2, 1, 1])])
    network("tucker", [(conv + ".lora_down.weight", [2, 3, 1, 1]), (conv + ".lora_mid.weight", [2, 2, 3, 3]),
                       (conv + ".lora_up.weight", [4, 2, 1, 1])])
    network("loha", [(f"{conv}.hada_w{n}_{p}", s) for n in "12" for p, s in (("a", [4, 2]), ("b", [2, 27]))])
    network("loha_tucker", [(f"{conv}.hada_{k}", s) for n in "12" for k, s in
                            (("t" + n, [2, 2, 3, 3]), (f"w{n}_a", [2, 4]), (f"w{n}_b", [2, 3]))])
    network("lokr", [(q + ".lokr_w1", [2, 3]), (q + ".lokr_w2_a", [2, 1]), (q + ".lokr_w2_b", [1, 4]), (q + ".alpha", [])])
    network("ia3", [(q + ".weight", [4]), (q + ".on_input", [])])
    network("peft", [(peft + ".lora_A.weight", [2, 5]), (peft + ".lora_B.weight", [4, 2])],
            {"lora_adapter_metadata": '{"unet.lora_alpha": 4, "unet.alpha_pattern": {"x": 1}}'})
    network("processor", [("unet.mid_block.attn1.processor.to_out_lora.down.weight", [2, 5]),
                          ("unet.mid_block.attn1.processor.to_out_lora.up.weight", [4, 2])])
    network("half", pair[:1])
    network("no_rank", [(q + ".lora_down.weight", [0, 5]), (q + ".lora_up.weight", [4, 0])])
    network("misfit", [(q + ".lora_down.weight", [2, 5]), (q + ".lora_up.weight", [4, 3])])
    network("nan_alpha", pair + [(q + ".alpha", [], nan)])
    network("nan", [(q + ".lora_down.weight", [1, 1], nan), (q + ".lora_up.weight", [1, 1])])
    network("dora", pair + [(q + ".dora_scale", [1, 5])])


def dataset_config():
    put("dataset_config", "basic", b"""[general]
shuffle_caption = true
keep_tokens = 1
[[datasets]]
resolution = [512, 768]
batch_size = 4
[[datasets.subsets]]
image_dir = 'D:\\cats'
class_tokens = "cat"
num_repeats = 6
flip_aug = true
[[datasets.subsets]]
image_dir = "reg"
is_reg = true
""")
    put("dataset_config", "faces", b"[[datasets]]\nresolution = 512\nenable_bucket = false\n[[datasets.subsets]]\n"
        b"image_dir = 'a'\nface_crop_aug_range = [2.0, 4]\nrandom_crop = true\n")
    put("dataset_config", "wrong", b"[general]\nimage_dir = 3\n[[datasets]]\nresolution = -1\nbatch_size = 1e9\n"
        b"min_bucket_reso = 0\nbucket_reso_steps = 0\n[[datasets.subsets]]\nnum_repeats = -5\n")
    put("dataset_config", "dates", b"[[datasets]]\nresolution = 1979-05-27\n[[datasets.subsets]]\nimage_dir = [[[]]]\n")
    put("dataset_config", "json", json.dumps({"general": {"keep_tokens": None}, "datasets": [
        {"resolution": "512,640", "subsets": [{"image_dir": "a", "caption_dropout_rate": 0.1}]}]}).encode())
    put("dataset_config", "json_wrong", b'{"datasets": [3, {"subsets": {}}, {"subsets": [[], null]}], "x": 1}')
    put("dataset_config", "json_deep", b'{"datasets": [' + b'{"subsets": [' * 60 + b"]}" * 60 + b"]}")


def foreign():
    put("foreign", "expressions.ps1", b"$a = (1 + 2) * -3 / [Math]::Sqrt(16)\n$b = @(1, 2, $a)\n$c = \"x$a`\"${b}\"\n"
        b"$lr = 1e-4 * $a\n$d = 1 / 0\n$e = [Math]::Round(2.34567, 3)\nif ($a) {\n$lr = 1\n}\n")
    put("foreign", "brackets.ps1", b"$a = " + b"(" * 100 + b"\n$b = \"")
    put("foreign", "loop.sh", b"#!/bin/bash\nbatch_size=$batch_size\nfor i in 1 2; do\nlr=$i\ndone\nlr=`date`\n"
        b"python train_network.py --lr=$lr --x=${y[@]} \\\n --flip_aug \"open\n")
    put("foreign", "percent.bat", b"@echo off\r\nset A=%A%%%\r\nx.py --a %A% ^\r\n --network_args a=1 ^\r\n")
    put("foreign", "words.txt", b"--network_dim 8 --network_args 'a=1' \"b=2\" -- --=x ---- --from x")
    put("foreign", "pages.toml", b"model_train_type = 'x'\nlycoris_algo = 'loha'\nnetwork_args_custom = ['a=1', 3]\n"
        b"enable_block_weights = true\ndown_lr_weight = [1, 2]\nlr = 1979-05-27\n")
    put("foreign", "numbers.json", b'{"LoRA_type": 3, "epoch": 1e308, "lr_warmup": -5, "unet_lr": [], "network_dim": 1.5,'
        b'"additional_parameters": "--a \\"", "optimizer_args": "a=1 \\"b"}')


def prompts():
    put("prompts", "flags", b"# four\n1girl, (smile:1.2) --n lowres, --w 512 --h 768 --l 9 --s 40 --d 1337,\n"
        b"cat --ss euler_a --W -5 --s 99999999999 --d x --l nan --q\n--n\n -- --w\n")
    put("prompts", "wide", "貓,沙發 --n 模糊 --w 5１2\n".encode())


safetensors()
image()
checkpoint()
lora()
dataset_config()
foreign()
prompts()
