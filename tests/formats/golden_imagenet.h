/* Written by oracles/images.py: file, height, width, hash of the pixels, and hash after resizing to
 * a shorter side of 256 and cropping to 224 x 224. */
#ifndef NISSL_TEST_GOLDEN_IMAGENET_H
#define NISSL_TEST_GOLDEN_IMAGENET_H

#include <stdint.h>

static const struct {
    const char *name;
    int64_t height, width;
    uint64_t decoded, cropped;
} golden_imagenet[] = {
    {"n01440764_tench.JPEG", 375, 500, 0x35fd5e4fc5814020, 0x2b30bd9f503ffdbc},
    {"n01630670_common_newt.JPEG", 200, 400, 0x2cb245f0152e1508, 0xfcc3313ba4ac5ea5},
    {"n02088364_beagle.JPEG", 640, 615, 0x877d17caa0e2fd92, 0xb389b2bec1711ece},
    {"n02104029_kuvasz.JPEG", 768, 1024, 0x8a05d25b01db7749, 0x352c05d16669fdb9},
    {"n02676566_acoustic_guitar.JPEG", 467, 700, 0x1c8e145b80e9408f, 0x150a8f58579107c1},
    {"n02815834_beaker.JPEG", 221, 320, 0x78cefaa93ba366be, 0xdda4767edc7fbdce},
    {"n03272010_electric_guitar.JPEG", 685, 320, 0xb5ca074b0ff31e13, 0x8f1af6ca53ed343e},
    {"n03388043_fountain.JPEG", 371, 500, 0xc432a07ce3e5352c, 0x57f2ab56840b22d9},
    {"n03461385_grocery_store.JPEG", 1066, 800, 0x112be9aebd6a00f0, 0xd47d606d0ede88fd},
    {"n03776460_mobile_home.JPEG", 315, 468, 0x13a2a51a7bb75513, 0xdd350934b872275c},
    {"n04090263_rifle.JPEG", 500, 394, 0x03896b2f6822e748, 0x9139e41dc2579733},
    {"n04532670_viaduct.JPEG", 334, 500, 0xcb087a497574a1d4, 0xdeda570fab7136c5},
    {"n04562935_water_tower.JPEG", 360, 500, 0xea6fc7b12fcfee09, 0x445cc8e009709d35},
};

#endif
