/* mutate.c - damaged copies of a good file. */
/* SPDX-License-Identifier: MIT */
#include "mutate.h"

#include <string.h>

/* xorshift64* (Vigna 2016); 0 <= result < n */
static size_t below(uint64_t *state, size_t n)
{
    *state ^= *state >> 12;
    *state ^= *state << 25;
    *state ^= *state >> 27;
    return n ? (size_t)((*state * 0x2545F4914F6CDD1Du) >> 33) % n : 0;
}

static size_t damage(unsigned char *data, size_t n, uint64_t *state)
{
    static const unsigned char telling[] = {0, 1, 0x7F, 0x80, 0xFF, '"', '\n', ',', '9'};
    size_t at = below(state, n), length = 1 + below(state, 8);
    if (at + length > n) length = n - at;
    switch (below(state, 6)) {
    case 0: data[at] = (unsigned char)below(state, 256); return n;
    case 1: data[at] = telling[below(state, sizeof telling)]; return n;
    case 2: data[at] ^= (unsigned char)(1u << below(state, 8)); return n;
    case 3: memmove(data + at, data + at + length, n - at - length); return n - length;
    case 4: return at;
    default: memmove(data + at + length, data + at, n - at); return n + length;
    }
}

size_t mutate(const void *from, size_t n, uint64_t seed, unsigned char *to)
{
    uint64_t state = seed * 0x9E3779B97F4A7C15u + 1;
    size_t times = 1 + below(&state, 4), most = 2 * n;
    memcpy(to, from, n);
    while (times-- && n && n < most) n = damage(to, n, &state);
    return n;
}
