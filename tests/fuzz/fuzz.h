/*
 * What a fuzz target needs. A target is one file, tests/fuzz/fuzz_NAME.c, with
 * LLVMFuzzerTestOneInput, and a line with its seeds in tests/fuzz/meson.build.
 *
 * The target runs under libFuzzer (`make fuzz`) and under driver.c, which needs no clang, is
 * deterministic, and is part of the tests.
 */
#ifndef NISSL__FUZZ_H
#define NISSL__FUZZ_H

#include <stddef.h>
#include <stdint.h>

/* Reads one hostile input; must return 0, crash on nothing, leak nothing and end soon. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* For readers that take a path: puts the input into a file in memory and returns its path, valid
 * until the next call. NULL if the system refuses. */
const char *fuzz_file(const uint8_t *data, size_t size);

#endif
