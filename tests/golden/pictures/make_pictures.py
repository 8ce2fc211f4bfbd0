#!/usr/bin/env python3
"""Makes the pictures of this folder and expected.safetensors (needs Pillow; not run by the build).

expected.safetensors holds, per picture, what Pillow decodes: `<name>` as sd-scripts takes it (alpha
dropped, EXIF ignored) and `<name>:default` (turned by EXIF, transparent pixels on white).
"""
import io, json, math, os, struct, zlib
from PIL import Image, ImageOps

HERE = os.path.dirname(os.path.abspath(__file__))
W, H = 37, 23  # odd sides, no multiple of a JPEG block


def smooth(width, height, channels):
    """Slow waves: JPEG decoders differ little on them. No two corners are alike."""
    rows = bytearray()
    for y in range(height):
        for x in range(width):
            for c in range(channels):
                value = 0.5 + 0.28 * math.sin(0.11 * x + 1.3 * c) + 0.2 * math.cos(0.13 * y - 0.9 * c) * (x / width)
                rows.append(min(255, max(0, round(255 * value))))
    return bytes(rows)


def picture(mode, channels):
    return Image.frombytes(mode, (W, H), smooth(W, H, channels))


def png(width, height, depth, color, raw, extra=b"", interlace=0):
    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
    head = struct.pack(">IIBBBBB", width, height, depth, color, 0, 0, interlace)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + extra + chunk(b"IDAT", zlib.compress(raw, 9)) + chunk(b"IEND", b"")


def png16(channels, color):
    data = smooth(W, H, channels)
    raw = bytearray()
    for y in range(H):
        raw.append(0)
        for value in data[y * W * channels:(y + 1) * W * channels]:
            raw += bytes((value, (value * 7) & 255))  # the low byte must not matter
    return png(W, H, 16, color, bytes(raw))


def interlaced():
    data = smooth(W, H, 3)
    raw = bytearray()
    for x0, y0, dx, dy in ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2)):
        for y in range(y0, H, dy):
            raw.append(0)
            for x in range(x0, W, dx):
                raw += data[3 * (y * W + x):3 * (y * W + x) + 3]
    return png(W, H, 8, 2, bytes(raw), interlace=1)


def exif(orientation, big_endian):
    e = ">" if big_endian else "<"
    order = b"MM" if big_endian else b"II"
    entries = [(0x010F, 2, 4, b"cam\0"), (0x0112, 3, 1, struct.pack(e + "HH", orientation, 0))]
    body = b"".join(struct.pack(e + "HHI", tag, kind, count) + value for tag, kind, count, value in entries)
    return order + struct.pack(e + "HI", 42, 8) + struct.pack(e + "H", len(entries)) + body + struct.pack(e + "I", 0)


def saved(image, kind, **options):
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


def without_segment(jpeg, marker):
    at = 2
    while True:
        kind, length = struct.unpack(">HH", jpeg[at:at + 4])
        if kind == marker:
            return jpeg[:at] + jpeg[at + 2 + length:]
        at += 2 + length


def to_ycck(jpeg):
    """The same CMYK samples with the marker saying YCCK: other colours, but well defined ones."""
    at = jpeg.index(b"Adobe") + 11
    return jpeg[:at] + b"\x02" + jpeg[at + 1:]


def top_down_bmp():
    data = smooth(W, H, 3)
    pad = b"\0" * (-3 * W % 4)
    rows = b"".join(bytes(data[3 * i + c] for i in range(y * W, (y + 1) * W) for c in (2, 1, 0)) + pad for y in range(H))
    return b"BM" + struct.pack("<IHHI", 54 + len(rows), 0, 0, 54) + struct.pack("<IiiHHIIiiII", 40, W, -H, 1, 24, 0, len(rows), 0, 0, 0, 0) + rows


def make():
    rgb, rgba, grey, cmyk = picture("RGB", 3), picture("RGBA", 4), picture("L", 1), picture("CMYK", 4)
    palette = rgb.quantize(32)
    files = {
        "rgb.png": saved(rgb, "PNG"), "rgba.png": saved(rgba, "PNG"), "grey.png": saved(grey, "PNG"),
        "grey_alpha.png": saved(picture("LA", 2), "PNG"), "palette.png": saved(palette, "PNG"),
        "palette_alpha.png": saved(palette, "PNG", transparency=bytes(range(0, 256, 8))),
        "one_bit.png": saved(grey.convert("1"), "PNG"), "rgb16.png": png16(3, 2), "grey16.png": png16(1, 0),
        "interlaced.png": interlaced(), "exif6.png": saved(rgb, "PNG", exif=b"Exif\0\0" + exif(6, True)),
        "rgb.jpg": saved(rgb, "JPEG", quality=95), "progressive.jpg": saved(rgb, "JPEG", quality=90, progressive=True),
        "full_chroma.jpg": saved(rgb, "JPEG", quality=95, subsampling=0), "grey.jpg": saved(grey, "JPEG", quality=95),
        "cmyk.jpg": saved(cmyk, "JPEG", quality=98, subsampling=0),
        "lossy.webp": saved(rgb, "WEBP", quality=90), "lossless.webp": saved(rgb, "WEBP", lossless=True),
        "alpha.webp": saved(rgba, "WEBP", lossless=True, exact=True),
        "exif8.webp": saved(rgb, "WEBP", lossless=True, exif=exif(8, False)),
        "rgb.bmp": saved(rgb, "BMP"), "palette.bmp": saved(palette, "BMP"), "grey.bmp": saved(grey, "BMP"), "top_down.bmp": top_down_bmp(),
    }
    for orientation in range(1, 9):
        block = b"Exif\0\0" + exif(orientation, orientation % 2 == 0)
        files["exif%d.jpg" % orientation] = saved(rgb, "JPEG", quality=95, subsampling=0, exif=block)
    files["cmyk_unmarked.jpg"] = without_segment(files["cmyk.jpg"], 0xFFEE)
    files["ycck.jpg"] = to_ycck(files["cmyk.jpg"])
    expected = {}
    for name, data in files.items():
        open(os.path.join(HERE, name), "wb").write(data)
        image = Image.open(io.BytesIO(data))
        if name == "grey16.png":  # Pillow clips 16-bit grey; the high byte is meant
            image = grey
        plain = image.convert("RGBA").convert("RGB") if image.mode in ("P", "LA", "RGBA") else image.convert("RGB")
        turned = ImageOps.exif_transpose(image) or image
        if turned.mode in ("RGBA", "LA") or "transparency" in turned.info:
            layer = turned.convert("RGBA")
            white = Image.new("RGBA", layer.size, (255, 255, 255, 255))
            turned = Image.alpha_composite(white, layer)
        expected[name] = plain
        expected[name + ":default"] = turned.convert("RGB")
    write_expected(expected)


def write_expected(pictures):
    header, data = {}, b""
    for name in sorted(pictures):
        image = pictures[name]
        raw = image.tobytes()
        header[name] = {"dtype": "U8", "shape": [image.height, image.width, 3], "data_offsets": [len(data), len(data) + len(raw)]}
        data += raw
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    open(os.path.join(HERE, "expected.safetensors"), "wb").write(struct.pack("<Q", len(text)) + text + data)


make()
