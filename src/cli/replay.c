/* replay.c - reading the case that a failing report names. */
/* SPDX-License-Identifier: MIT */
#include "replay.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool read_count(const char *text, int *value)
{
    char *end;
    long n = strtol(text, &end, 10);
    *value = (int)n;
    return end != text && !*end && n >= 0 && n < 1000000;
}

static bool read_seed(const char *text, uint64_t *seed)
{
    char *end;
    errno = 0;
    *seed = strtoull(text, &end, 10);
    return end != text && !*end && *text != '-' && !errno;
}

static bool read_pair(const char *key, const char *value, const gr_op **op, gr_check_options *o)
{
    const struct {
        const char *key;
        int *value;
    } counts[] = {{"sample", &o->sample},
                  {"layout", &o->layout},
                  {"order", &o->order},
                  {"round", &o->round}};
    if (!strcmp(key, "op")) return (*op = gr_op_find(value)) != NULL;
    if (!strcmp(key, "seed")) return read_seed(value, &o->seed);
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++)
        if (!strcmp(key, counts[i].key)) return read_count(value, counts[i].value);
    return false;
}

bool replay_parse(const char *text, const gr_op **op, gr_check_options *o, char wrong[64])
{
    *op = NULL;
    while (*text) {
        size_t n = strcspn(text, ":");
        snprintf(wrong, 64, "%.*s", n < 63 ? (int)n : 63, text);
        char pair[64], *value;
        memcpy(pair, wrong, sizeof pair);
        value = strchr(pair, '=');
        if (!value || n >= 63) return false;
        *value++ = 0;
        if (!read_pair(pair, value, op, o)) return false;
        text += n + (text[n] == ':');
    }
    snprintf(wrong, 64, "op=NAME is missing");
    return *op != NULL;
}
