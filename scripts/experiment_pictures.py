"""Pictures for experiments.py without any library: draws zorps as those of assets/demo are drawn, reads and writes PNG,
names the colour of a background, and lays out contact sheets with few colours. Not a program."""
import math
import random
import struct
import zlib

PX = 128  # side of a picture
SUPERSAMPLING = 3
# The colours of the mini model's world.
COLORS = {
    "red": (220, 50, 47), "orange": (240, 140, 30), "yellow": (245, 215, 60), "green": (70, 170, 80),
    "blue": (55, 110, 215), "purple": (130, 80, 190), "pink": (245, 150, 185), "brown": (135, 90, 55),
    "black": (35, 35, 40), "white": (250, 250, 250), "gray": (150, 150, 155),
}
INK, BODY, BELLY, HORN = (25, 25, 30), (30, 175, 165), (190, 240, 200), (245, 190, 60)


class Canvas:
    """Filled polygons on a square of SUPERSAMPLING times PX, one on top of the other."""

    def __init__(self, color):
        self.side = PX * SUPERSAMPLING
        self.rows = [bytearray(bytes(color) * self.side) for _ in range(self.side)]

    def polygon(self, points, color):
        top = max(0, math.ceil(min(y for _, y in points) - 0.5))
        bottom = min(self.side - 1, math.floor(max(y for _, y in points) - 0.5))
        edges = list(zip(points, points[1:] + points[:1]))
        for row in range(top, bottom + 1):
            y = row + 0.5
            crossings = sorted(x0 + (y - y0) * (x1 - x0) / (y1 - y0)
                               for (x0, y0), (x1, y1) in edges if (y0 <= y) != (y1 <= y))
            for left, right in zip(crossings[::2], crossings[1::2]):
                first = max(0, round(left))
                last = min(self.side, round(right))
                if last > first:
                    self.rows[row][3 * first:3 * last] = bytes(color) * (last - first)

    def ellipse(self, cx, cy, rx, ry, color):
        steps = 60
        self.polygon([(cx + rx * math.cos(2 * math.pi * i / steps), cy + ry * math.sin(2 * math.pi * i / steps))
                      for i in range(steps)], color)

    def picture(self):
        """The pixels, each the mean of its samples."""
        s = SUPERSAMPLING
        out = bytearray()
        for y in range(0, self.side, s):
            rows = self.rows[y:y + s]
            for x in range(0, 3 * self.side, 3 * s):
                for channel in range(3):
                    total = sum(row[x + channel + 3 * k] for row in rows for k in range(s))
                    out.append((total + s * s // 2) // (s * s))
        return PX, PX, bytes(out)


def zorp_mask(seed):
    """White where zorp(seed, ...) is the same on any background."""
    width, height, blue = zorp(seed, "blue")[0]
    red = zorp(seed, "red")[0][2]
    full = max(abs(a - b) for a, b in zip(COLORS["blue"], COLORS["red"]))
    out = bytearray()
    for i in range(0, len(blue), 3):
        apart = max(abs(blue[i + k] - red[i + k]) for k in range(3))
        out += bytes([255 - 255 * apart // full]) * 3
    return width, height, bytes(out)


def rounded_box(cx, cy, half_width, half_height, radius):
    points = []
    for corner, (sx, sy) in enumerate(((1, 1), (-1, 1), (-1, -1), (1, -1))):
        for i in range(13):
            angle = math.pi / 2 * (corner + i / 12)
            points.append((cx + sx * (half_width - radius) + radius * math.cos(angle),
                           cy + sy * (half_height - radius) + radius * math.sin(angle)))
    return points


def zorp(seed, background):
    """A teal bean with one eye and two horns on a plain background; the picture, and its tags without the background's."""
    rng = random.Random(seed)
    place = rng.choice(["left", None, "right"])
    hat = rng.choice(["crown", "bow", None, None, None])
    canvas = Canvas(COLORS[background])
    n = canvas.side
    r, w = 0.34 * n, 0.012 * n
    cx = n * (0.5 + {"left": -0.18, None: 0, "right": 0.18}[place]) + rng.uniform(-0.02, 0.02) * n
    cy = n * 0.56
    for s in (-1, 1):
        canvas.polygon([(cx + s * 0.25 * r, cy - 0.75 * r), (cx + s * 0.75 * r, cy - 1.3 * r),
                        (cx + s * 0.62 * r, cy - 0.6 * r)], HORN)
    canvas.polygon(rounded_box(cx, cy, 0.78 * r, r, 0.7 * r), INK)
    canvas.polygon(rounded_box(cx, cy, 0.78 * r - w, r - w, 0.7 * r - w), BODY)
    canvas.ellipse(cx, cy + 0.5 * r, 0.45 * r, 0.35 * r, BELLY)
    canvas.ellipse(cx, cy - 0.27 * r, 0.38 * r, 0.38 * r, INK)
    canvas.ellipse(cx, cy - 0.27 * r, 0.38 * r - w, 0.38 * r - w, (255, 255, 255))
    canvas.ellipse(cx, cy - 0.27 * r, 0.15 * r, 0.15 * r, INK)
    mouth = [math.radians(20 + 10 * i) for i in range(15)]
    canvas.polygon([(cx + 0.25 * r * math.cos(a), cy + 0.35 * r + 0.15 * r * math.sin(a)) for a in mouth] +
                   [(cx + (0.25 * r - w) * math.cos(a), cy + 0.35 * r + (0.15 * r - w) * math.sin(a))
                    for a in reversed(mouth)], INK)
    wear(canvas, hat, cx, cy - 0.98 * r, 0.9 * r)
    return canvas.picture(), [tag for tag in (hat, place) if tag]


def wear(canvas, hat, cx, top, r):
    if hat == "crown":
        y = top - 0.02 * r
        canvas.polygon([(cx - 0.4 * r, y), (cx - 0.45 * r, y - 0.4 * r), (cx - 0.2 * r, y - 0.18 * r), (cx, y - 0.48 * r),
                        (cx + 0.2 * r, y - 0.18 * r), (cx + 0.45 * r, y - 0.4 * r), (cx + 0.4 * r, y)], (250, 200, 40))
    elif hat == "bow":
        y = top + 0.02 * r
        for s in (-1, 1):
            canvas.polygon([(cx, y), (cx + s * 0.42 * r, y - 0.22 * r), (cx + s * 0.42 * r, y + 0.22 * r)], (235, 60, 130))
        canvas.ellipse(cx, y, 0.09 * r, 0.09 * r, (170, 30, 90))


def read_png(path):
    """(width, height, RGB bytes) of an 8-bit RGB picture that is not interlaced, as `lora` writes them."""
    with open(path, "rb") as file:
        data = file.read()
    at, packed, width, height = 8, b"", 0, 0
    while at < len(data):
        length, kind = struct.unpack(">I4s", data[at:at + 8])
        body = data[at + 8:at + 8 + length]
        if kind == b"IHDR":
            width, height, depth, color, _, _, interlaced = struct.unpack(">IIBBBBB", body)
            if (depth, color, interlaced) != (8, 2, 0):
                raise ValueError(f"{path} is no plain 8-bit RGB picture")
        elif kind == b"IDAT":
            packed += body
        at += 12 + length
    raw = zlib.decompress(packed)
    stride = 3 * width
    out, above = bytearray(), bytes(stride)
    for y in range(height):
        kind = raw[y * (stride + 1)]
        row = bytearray(raw[y * (stride + 1) + 1:(y + 1) * (stride + 1)])
        for i in range(stride):
            left = row[i - 3] if i >= 3 else 0
            up = above[i]
            corner = above[i - 3] if i >= 3 else 0
            if kind == 1:
                row[i] = (row[i] + left) & 255
            elif kind == 2:
                row[i] = (row[i] + up) & 255
            elif kind == 3:
                row[i] = (row[i] + (left + up) // 2) & 255
            elif kind == 4:
                estimate = left + up - corner
                distances = (abs(estimate - left), abs(estimate - up), abs(estimate - corner))
                row[i] = (row[i] + (left, up, corner)[distances.index(min(distances))]) & 255
        out += row
        above = bytes(row)
    return width, height, bytes(out)


def chunk(kind, body):
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def write_png(path, picture, palette=None):
    """RGB, or with a palette one byte a pixel."""
    width, height, pixels = picture
    bytes_a_pixel = 1 if palette else 3
    stride = bytes_a_pixel * width
    raw = b"".join(b"\0" + pixels[y * stride:(y + 1) * stride] for y in range(height))
    header = struct.pack(">IIBBBBB", width, height, 8, 3 if palette else 2, 0, 0, 0)
    with open(path, "wb") as file:
        file.write(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header))
        if palette:
            file.write(chunk(b"PLTE", b"".join(bytes(c) for c in palette)))
        file.write(chunk(b"IDAT", zlib.compress(raw, 9)) + chunk(b"IEND", b""))


def nearest_color(rgb):
    return min(COLORS, key=lambda name: sum((a - b) ** 2 for a, b in zip(COLORS[name], rgb)))


def background_shares(picture):
    """Named colours of the outermost twentieth of the picture and their shares."""
    width, height, pixels = picture
    ring = max(1, width // 20)
    counts, total = {}, 0
    for y in range(height):
        for x in range(width):
            if ring <= x < width - ring and ring <= y < height - ring:
                continue
            at = 3 * (y * width + x)
            name = nearest_color(pixels[at:at + 3])
            counts[name] = counts.get(name, 0) + 1
            total += 1
    return {name: count / total for name, count in counts.items()}


def difference(a, b):
    """Root mean square of the differences of two pictures of one size, 0 to 1."""
    if a[:2] != b[:2]:
        raise ValueError("pictures of different sizes")
    return math.sqrt(sum((x - y) ** 2 for x, y in zip(a[2], b[2])) / len(a[2])) / 255


def halved(picture):
    width, height, pixels = picture
    out = bytearray()
    for y in range(0, height - 1, 2):
        for x in range(0, width - 1, 2):
            for channel in range(3):
                at = 3 * (y * width + x) + channel
                below = at + 3 * width
                out.append((pixels[at] + pixels[at + 3] + pixels[below] + pixels[below + 3] + 2) // 4)
    return width // 2, height // 2, bytes(out)


def median_cut(counts, num_colors):
    """Groups of colours (with their counts) until there are `num_colors`; returns {colour: index} and the palette."""
    groups = [list(counts.items())]

    def spread(group):
        ranges = [max(c[k] for c, _ in group) - min(c[k] for c, _ in group) for k in range(3)]
        return max(ranges) * sum(n for _, n in group) ** 0.5, ranges.index(max(ranges))

    while len(groups) < num_colors:
        group = max(groups, key=lambda g: spread(g)[0] if len(g) > 1 else -1)
        if len(group) < 2:
            break
        axis = spread(group)[1]
        group.sort(key=lambda item: item[0][axis])
        half, seen, cut = sum(n for _, n in group) / 2, 0, 1
        for i, (_, n) in enumerate(group[:-1]):
            seen += n
            cut = i + 1
            if seen >= half:
                break
        groups.remove(group)
        groups += [group[:cut], group[cut:]]
    index, palette = {}, []
    for i, group in enumerate(groups):
        total = sum(n for _, n in group)
        palette.append(tuple(round(sum(c[k] * n for c, n in group) / total) for k in range(3)))
        index.update({c: i for c, _ in group})
    return index, palette


def write_sheet(path, rows, num_colors=96):
    """Pictures of one size in rows, at half their size, in a palette of few colours."""
    gap = 3
    tiles = [[halved(picture) if picture else None for picture in row] for row in rows]
    side = max(tile[0] for row in tiles for tile in row if tile)
    columns = max(len(row) for row in rows)
    width, height = columns * (side + gap) + gap, len(rows) * (side + gap) + gap
    pixels = bytearray(b"\xff" * (3 * width * height))
    for r, row in enumerate(tiles):
        for c, tile in enumerate(row):
            if not tile:
                continue
            for y in range(tile[1]):
                at = 3 * ((gap + r * (side + gap) + y) * width + gap + c * (side + gap))
                pixels[at:at + 3 * tile[0]] = tile[2][3 * y * tile[0]:3 * (y + 1) * tile[0]]
    # Five bits a channel are looked at, so that there are few enough colours to sort.
    coarse = [tuple(v & 0xF8 | v >> 5 for v in pixels[i:i + 3]) for i in range(0, len(pixels), 3)]
    counts = {}
    for color in coarse:
        counts[color] = counts.get(color, 0) + 1
    index, palette = median_cut(counts, num_colors)
    write_png(path, (width, height, bytes(index[color] for color in coarse)), palette)
