#!/usr/bin/env python3
"""Pixels as the Python imaging library decodes and resamples them.

Writes tests/fixtures/images: small JPEG and PNG files of our own, beside each NAME.npy with the pixels of
Image.open(NAME).convert("RGB") (uint8 [height, width, 3]); source.npy and, per filter, resample_FILTER.npy: source.npy
resized to SIZES in turn, flattened and joined. With the folder of ImageNet samples as argument also
tests/formats/golden_imagenet.h: XXH64 of the pixels of some of its files, decoded, and resized to a shorter side of 256
and cropped to 224 x 224.

Made with pillow 13.0.0 (libjpeg-turbo 3.2.0), numpy 2.4.6, xxhash 4.1.0.
Usage: python3 oracles/images.py [IMAGENET_500]
"""

import io
import os
import struct
import sys
import zlib

import numpy as np
from PIL import Image

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
FIXTURES = os.path.join(ROOT, "tests", "fixtures", "images")
FILTERS = {"nearest": Image.NEAREST, "box": Image.BOX, "bilinear": Image.BILINEAR, "hamming": Image.HAMMING,
           "bicubic": Image.BICUBIC, "lanczos": Image.LANCZOS}
# width, height of results; the source is 23 wide and 31 high
SIZES = [(23, 31), (11, 15), (46, 62), (23, 7), (7, 31), (5, 3), (40, 17), (17, 40), (1, 1), (22, 30), (64, 2), (21, 5)]
IMAGENET = ["n01440764_tench", "n01630670_common_newt", "n02088364_beagle", "n02104029_kuvasz",
            "n02676566_acoustic_guitar", "n02815834_beaker", "n03272010_electric_guitar", "n03388043_fountain",
            "n03461385_grocery_store", "n03776460_mobile_home", "n04090263_rifle", "n04532670_viaduct",
            "n04562935_water_tower"]


def picture(height, width, channels, seed):
    """A smooth ramp with noise, so that rounding and clipping both happen."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0:height, 0:width]
    waves = [128 + 150 * np.sin(0.35 * x * (c + 1) + 0.23 * y) + rng.normal(0, 25, (height, width))
             for c in range(channels)]
    return np.clip(np.stack(waves, -1), 0, 255).astype(np.uint8)


def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(width, height, depth, colour, rows, extra=b""):
    """A PNG of raw rows, for the kinds that the library does not write."""
    return (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)) +
            extra + chunk(b"IDAT", zlib.compress(b"".join(b"\0" + r for r in rows))) + chunk(b"IEND", b""))


def adam7(pixels):
    """An interlaced RGB PNG."""
    data = b""
    for x0, y0, dx, dy in [(0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2)]:
        part = pixels[y0::dy, x0::dx]
        if part.size:
            data += b"".join(b"\0" + row.tobytes() for row in part)
    height, width = pixels.shape[:2]
    return (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 1)) +
            chunk(b"IDAT", zlib.compress(data)) + chunk(b"IEND", b""))


def encoded(array, mode, kind, **options):
    out = io.BytesIO()
    Image.fromarray(array, mode).save(out, kind, **options) if mode else Image.fromarray(array).save(out, kind, **options)
    return out.getvalue()


def files():
    rng = np.random.default_rng(7)
    rgb = picture(21, 29, 3, 1)
    jpeg = lambda **o: encoded(rgb, None, "JPEG", **o)
    yield "rgb_444.jpg", jpeg(quality=90, subsampling=0)
    yield "rgb_422.jpg", jpeg(quality=75, subsampling=1)
    yield "rgb_420.jpg", jpeg(quality=75, subsampling=2)
    yield "rgb_progressive.jpg", jpeg(quality=60, progressive=True)
    yield "rgb_restart.jpg", jpeg(quality=60, restart_marker_rows=1)
    yield "grey.jpg", encoded(rgb[:, :, 0], None, "JPEG", quality=85)
    yield "cmyk.jpg", encoded(picture(17, 19, 4, 2), "CMYK", "JPEG", quality=90)
    yield "one_pixel.jpg", encoded(rgb[:1, :1], None, "JPEG")
    yield "rgb.png", encoded(rgb, None, "PNG")
    yield "rgb_interlaced.png", adam7(rgb)
    yield "grey.png", encoded(rgb[:, :, 1], None, "PNG")
    yield "rgba.png", encoded(picture(9, 11, 4, 3), None, "PNG")
    yield "grey_alpha.png", encoded(picture(9, 11, 2, 4), "LA", "PNG")
    bits = lambda n: [rng.integers(0, 256, n, dtype=np.uint8).tobytes() for _ in range(5)]
    yield "grey1.png", png(13, 5, 1, 0, bits(2))
    yield "grey2.png", png(13, 5, 2, 0, bits(4))
    yield "grey4.png", png(13, 5, 4, 0, bits(7))
    high = lambda n: [np.where(rng.integers(0, 2, n) > 0, rng.integers(0, 256, n), rng.integers(0, 65536, n))
                      .astype(">u2").tobytes() for _ in range(5)]
    yield "grey16.png", png(13, 5, 16, 0, high(13))
    yield "rgb16.png", png(13, 5, 16, 2, high(39))
    yield "grey_alpha16.png", png(13, 5, 16, 4, high(26))
    yield "rgba16.png", png(13, 5, 16, 6, high(52))
    palette = chunk(b"PLTE", rng.integers(0, 256, 48, dtype=np.uint8).tobytes())
    yield "palette4.png", png(13, 5, 4, 3, bits(7), palette)
    yield "palette4_transparent.png", png(13, 5, 4, 3, bits(7), palette + chunk(b"tRNS", bytes([0, 128, 255])))
    yield "grey_transparent.png", png(13, 5, 8, 0, bits(13), chunk(b"tRNS", struct.pack(">H", 7)))
    yield "grey_gamma.png", png(13, 5, 8, 0, bits(13), chunk(b"gAMA", struct.pack(">I", 100000)))


def golden_imagenet(folder):
    import xxhash
    lines = []
    for name in IMAGENET:
        image = Image.open(os.path.join(folder, name + ".JPEG")).convert("RGB")
        width, height = image.size
        shorter = min(width, height)
        resized = image.resize((round(width * 256 / shorter), round(height * 256 / shorter)), Image.BILINEAR)
        x0, y0 = (resized.width - 224) // 2, (resized.height - 224) // 2
        cropped = resized.crop((x0, y0, x0 + 224, y0 + 224))
        hashes = [xxhash.xxh64(np.asarray(i).tobytes()).hexdigest() for i in (image, cropped)]
        lines.append('    {"%s.JPEG", %d, %d, 0x%s, 0x%s},' % (name, height, width, *hashes))
    with open(os.path.join(ROOT, "tests", "formats", "golden_imagenet.h"), "w") as out:
        out.write("/* Written by oracles/images.py: file, height, width, hash of the pixels, and hash after resizing to a\n"
                  " * shorter side of 256 and cropping to 224 x 224. */\n"
                  "#ifndef NISSL_TEST_GOLDEN_IMAGENET_H\n#define NISSL_TEST_GOLDEN_IMAGENET_H\n\n#include <stdint.h>\n\n"
                  "static const struct {\n    const char *name;\n    int64_t height, width;\n"
                  "    uint64_t decoded, cropped;\n} golden_imagenet[] = {\n" + "\n".join(lines) + "\n};\n\n#endif\n")


def main():
    os.makedirs(FIXTURES, exist_ok=True)
    for name, data in files():
        with open(os.path.join(FIXTURES, name), "wb") as out:
            out.write(data)
        pixels = np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))
        np.save(os.path.join(FIXTURES, name + ".npy"), pixels)
    source = picture(31, 23, 3, 5)
    np.save(os.path.join(FIXTURES, "source.npy"), source)
    for name, method in FILTERS.items():
        results = [np.asarray(Image.fromarray(source).resize(size, method)).ravel() for size in SIZES]
        np.save(os.path.join(FIXTURES, "resample_%s.npy" % name), np.concatenate(results))
    if len(sys.argv) > 1:
        golden_imagenet(sys.argv[1])


if __name__ == "__main__":
    main()
