/* fuzz.h - a reader meets 2,000 damaged copies of a good file. */
/* SPDX-License-Identifier: MIT */
#ifndef FUZZ_H
#define FUZZ_H

#include "inject.h"
#include "mutate.h"
#include "scratch.h"

#include <check.h>
#include <gradus/base.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { FUZZ_ROUNDS = 2000, FUZZ_LARGEST = 1 << 26 };

/* Reads the file and frees what it gave; whether it was taken. */
typedef bool fuzz_reader(const char *path);

/* A damaged file is read, or refused with an error that names it; nothing leaks, and nothing large
 * is allocated. Some must be refused, else nothing was tried. Call between scratch_begin and _end. */
static inline void fuzz(const char *name, const void *good, size_t n, fuzz_reader *reader)
{
    unsigned char *bytes = malloc(2 * n + 16);
    int refused = 0;
    ck_assert_msg(reader(scratch_write(name, good, n)), "the good file: %s", gr_last_error());
    inject_begin();
    for (uint64_t seed = 1; seed <= FUZZ_ROUNDS; seed++) {
        remove(scratch_path(name)); /* a new file is faster than an old one cut to nothing */
        const char *path = scratch_write(name, bytes, mutate(good, n, seed, bytes));
        gr_clear_error();
        bool taken = reader(path);
        refused += !taken;
        ck_assert_msg(taken || strstr(gr_last_error(), name) || strstr(gr_last_error(), "memory"),
                      "seed %d: expected an error that names %s, got '%s'", (int)seed, name,
                      gr_last_error());
        ck_assert_msg(inject_live() == 0, "seed %d: %d blocks leaked", (int)seed,
                      (int)inject_live());
    }
    ck_assert_int_lt(inject_largest(), FUZZ_LARGEST);
    inject_end();
    ck_assert_int_gt(refused, FUZZ_ROUNDS / 20);
    free(bytes);
}

#endif
